"""What a metric's values can be, and which metrics are one family, by their names: what the metrics themselves declare.

Records keep no bounds. They are those of the metrics that come with the package, of the registry that is given, or what
the run kept of its user's own metrics; of a metric that nobody here knows, nothing is taken for granted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_vdb.records import Kind, Run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_vdb.metrics.contract import MetricSpec
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.statistics.intervals import Bounds

_COSTS: Bounds = (0.0, None)
"""Nothing takes less than no time, memory or energy."""
_SIZE = re.compile(r"\.\d+$")
"""What `psnr.256` and `lpips.256` add to the name of their family: the same at another size."""


class KnownMetrics:
    """Bounds and families by a measurement's name; whatever the metric's version.

    Args:
        registry: of the session; None: the metrics that come with the package, read when first asked for.
        runs: whose users' own metrics said what they can be; the first one that knows a name counts.
    """

    def __init__(self, registry: MetricRegistry | None = None, runs: Sequence[Run] = ()) -> None:
        self._registry = registry
        self._own = {name: bounds for run in reversed(runs) for name, bounds in run.bounds.items()}
        self._specs: dict[str, MetricSpec] | None = None

    def bounds(self, metric: str, kind: Kind) -> Bounds:
        """The lowest and the highest value of a measurement of this name; None where there is none or nobody knows."""
        if kind == "performance":
            return _COSTS
        spec = self._spec(metric)
        return self._own.get(metric, (None, None)) if spec is None else spec.bounds

    def family(self, metric: str) -> str:
        """`psnr` of `psnr`, `psnr.256` and `psnr.512`: parts of one metric, and one metric at several sizes."""
        spec = self._spec(metric)
        return _SIZE.sub("", metric if spec is None else spec.name)

    def looks_at_prompt(self, metric: str) -> bool:
        """Whether it holds the clip against its prompt: it says how well a model does what it is asked."""
        spec = self._spec(metric)
        if spec is None:
            return False
        return not {"prompt", "prompts"}.isdisjoint(spec.inputs) or any(one.of == "prompt" for one, _ in spec.looks_at)

    def papers(self, metric: str) -> tuple[str, ...]:
        """Who defined it, as keys of the bibliography; none where nobody here knows."""
        spec = self._spec(metric)
        return () if spec is None else spec.papers

    def _spec(self, metric: str) -> MetricSpec | None:
        if self._specs is None:
            from pytest_vdb.metrics.registry import MetricRegistry

            registry = MetricRegistry.builtin() if self._registry is None else self._registry
            self._specs = {name: spec for spec in registry for name in spec.part_names()}
        return self._specs.get(metric)


def without_rounding(values: NDArray[np.float64], bounds: Bounds) -> NDArray[np.float64]:
    """The values, those that lie beyond the bounds by no more than rounding put onto them.

    Networks count in single precision: the cosine of two equal pictures may be 1.0000002.
    """
    import numpy as np

    from pytest_vdb.metrics.contract import rounding_of

    low, high = bounds
    slack = rounding_of(bounds)
    if low is not None:
        values = np.where((values < low) & (values >= low - slack), low, values)
    if high is not None:
        values = np.where((values > high) & (values <= high + slack), high, values)
    return values
