"""What a metric is: a plain function, tagged, whose parameter names say what it needs.

| parameter | what the engine hands over |
|---|---|
| `clip` | the `Clip` that is measured |
| `prompt` | the `Prompt` it answers |
| `reference` | the `Clip` it is compared with, frame by frame; makes the metric a paired one |
| a feature of a network | that array for this clip (or prompt, or pair): `clip_image`, `dino`, ... |
| `clips`, `prompts` | all of a model's clips and their prompts, in the same order; makes it a set metric |
| a feature's name + `_set` | `Sequence[NDArray[float32]]`, that feature of every clip of the model: `i3d_set` |
| a feature's name + `_reference` | `ReferenceFeatures`: that feature over the reference set: `i3d_reference` |

Which features there are, the networks say: ours (`backbones/`), and those that the user tagged with `@backbone`. Any
further parameter must have a default, which the engine leaves alone. A needed thing that is absent makes the value
`None` with the reason; the function is then not called.

The function returns a number, a `Score` (with a series per frame, an interval, a count), or a mapping from part to
either, where the decorator names the `parts`: part `"256"` of `psnr` is measured as `psnr.256`, part `""` as `psnr`.
It raises `CannotMeasure` for what it cannot measure; it never returns a number it did not measure.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_vdb.backbones.contract import REFERENCE_SUFFIX, SET_SUFFIX, BackboneSpec, Feature
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.errors import MetricError, near_misses
from pytest_vdb.places import where_is
from pytest_vdb.records import DEGRADATIONS, Better, Degradation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_vdb.metrics.resampling import SwapTest
    from pytest_vdb.statistics.intervals import Bounds

Scope = Literal["clip", "set", "pair"]
SCOPES: tuple[Scope, ...] = ("clip", "set", "pair")
"""In the order in which reports show them."""

CLIP_INPUTS = ("clip", "prompt", "reference")
SET_INPUTS = ("clips", "prompts")
ROUNDING_OF_VALUES = 1e-5
"""Of the bounds' size: networks count in single precision, so the cosine of two equal pictures may be 1.0000002."""


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value with what it was made from.

    Args:
        value: the number; None needs a reason.
        series: the value of each frame or pair of frames, for plots.
        n: how many things it averages or compares (clips, for a set metric).
        interval: 95% interval, where the metric has one.
        reason: why there is no value, or what to know about it (too few clips, say).
    """

    value: float | None
    series: Iterable[float] | None = None
    n: int = 1
    interval: tuple[float, float] | None = None
    reason: str | None = None

    @classmethod
    def mean_of(cls, series: NDArray[Any] | Sequence[float]) -> Score:
        """The mean of a value of each frame or pair of frames, in float64, with the series itself."""
        import numpy as np

        values = np.asarray(series, dtype=np.float64)
        return cls(float(values.mean()), values.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFeatures:
    """One feature over a reference set: the features themselves, or only their moments."""

    source: str
    """The folder or file it was read from, for messages."""
    features: NDArray[np.float32] | None = None
    """`(N, D)`; None when only moments were kept."""
    moments: Mapping[str, NDArray[np.float64]] | None = None
    """Named as `moments.py` writes them; None when only features are at hand."""
    identity: str | None = None
    """Which weights they were seen through; samples seen through others are not compared with them. None: not known."""


Result = float | Score | Mapping[str, float | Score]
Function = Callable[..., Result]
SwapTester = Callable[..., "SwapTest"]
"""`(first, second, reference, *, permutations, seed, groups)`: two models' features `(N, D)`, row by row of the same
prompt and seed, and the reference's (None for a metric that has none)."""
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """Everything that is declared about a metric, read from its tag and its signature."""

    name: str
    unit: str
    better: Better
    version: str
    function: Function
    inputs: tuple[str, ...] = ()
    """The parameters that the engine fills, as named in the signature."""
    looks_at: tuple[tuple[Feature, BackboneSpec], ...] = ()
    """The features it asks for, each with the network that gives it."""
    unknown: tuple[str, ...] = ()
    """Parameters that nothing we know of fills: features of a network that the user tagged, or misspelt."""
    parts: tuple[str, ...] = ("",)
    orders: tuple[Degradation, ...] = ()
    frames: int = 1
    """The fewest frames of a clip that it can measure, its features apart."""
    default: bool = True
    """Whether `--vdb-metrics default` measures it; a paired one only where there is a clip to compare with."""
    swaps: SwapTester | None = None
    """Of a set metric of one feature: a quick test between two models; None: the function is called for every swap."""
    bounds: Bounds = (None, None)
    """The lowest and the highest value that there can be; None where there is none, or it is not known."""
    papers: tuple[str, ...] = ()
    """Who defined it: keys of `papers.bib`."""

    @property
    def scope(self) -> Scope:
        """`set`: needs all clips of a model; `pair`: needs a reference clip; `clip`: neither."""
        if any(name in SET_INPUTS or feature_of(name, self.features) not in (None, name) for name in self.inputs):
            return "set"
        of_pair = any(feature.of == "pair" for feature, _ in self.looks_at)
        return "pair" if "reference" in self.inputs or of_pair else "clip"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features it looks at, without their set and reference suffixes."""
        return tuple(feature.name for feature, _ in self.looks_at)

    @property
    def networks(self) -> tuple[BackboneSpec, ...]:
        """The networks it looks through."""
        return tuple(dict.fromkeys(network for _, network in self.looks_at))

    @property
    def backbones(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(network.name for network in self.networks)

    @property
    def tagged(self) -> tuple[Callable[..., Any], ...]:
        """What must have been imported for it: the function, and the networks' classes."""
        return (self.function, *(network.opens for network in self.networks))

    @property
    def least_frames(self) -> int:
        """The fewest frames of a clip that it, or a network that it looks through, can measure."""
        return max(self.frames, *(feature.frames for feature, _ in self.looks_at), 1)

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def could_be(self, value: float) -> bool:
        """Whether the metric can have this value: none beyond its bounds, but for rounding."""
        low, high = self.bounds
        slack = rounding_of(self.bounds)
        return (low is None or value >= low - slack) and (high is None or value <= high + slack)

    def part_names(self) -> tuple[str, ...]:
        """The names of the measurements it makes."""
        return tuple(self.part_name(part) for part in self.parts)

    def part_name(self, part: str) -> str:
        """`psnr.256` for part `256`; the metric's own name for part `""`."""
        return f"{self.name}.{part}" if part else self.name


def metric(
    name: str,
    *,
    unit: str,
    better: Better,
    bounds: Bounds = (None, None),
    version: str = "1",
    parts: tuple[str, ...] = ("",),
    orders: tuple[Degradation, ...] = (),
    frames: int = 1,
    default: bool = True,
    swaps: SwapTester | None = None,
    papers: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Tag a function as a metric. It stays a plain function: call it, import it, test it.

    Args:
        name: what reports call it; lower case, dots for families (`vbench.dynamic_degree`).
        unit: of the value; `"1"` for a plain number, `"cosine"`, `"dB"`, `"px"`, `"%"`.
        better: which way is better: `higher`, `lower`, or `neutral` where neither is.
        bounds: the lowest and the highest value that any clip could have, of every part; None where there is none, or
            nobody knows. Intervals end there, and few values that are equal still have one.
        version: changed with every change of the definition; two versions are never compared.
        parts: the parts of a metric that measures several things at once; `("",)`: one number.
        orders: the degradations that it claims to rank as a person would, worst last.
        frames: the fewest frames that it can measure; with fewer it is not called, and the reason says so.
        default: whether it is measured when nobody chose metrics.
        swaps: of a set metric of one feature, a quicker test between two models than calling the function for every
            swap.
        papers: who defined it, as keys of `papers.bib`, which reports cite; of a paper that is not there, none.

    Raises:
        MetricError: a tag that makes no sense.
    """

    def tag(function: F) -> F:
        spec = MetricSpec(
            name=name,
            unit=unit,
            better=better,
            bounds=bounds,
            version=version,
            function=function,
            parts=parts,
            orders=orders,
            frames=frames,
            default=default,
            swaps=swaps,
            papers=papers,
        )
        function.__vdb_metric__ = looking_through(BackboneRegistry.builtin(), spec)  # type: ignore[attr-defined]
        return function

    return tag


def rounding_of(bounds: Bounds) -> float:
    """How far beyond its bounds a value may lie by rounding alone."""
    return ROUNDING_OF_VALUES * max([1.0, *(abs(end) for end in bounds if end is not None)])


def spec_of(thing: object) -> MetricSpec | None:
    """The tag of a function, or None: it is no metric."""
    spec = getattr(thing, "__vdb_metric__", None)
    return spec if isinstance(spec, MetricSpec) else None


def looking_through(backbones: BackboneRegistry, spec: MetricSpec) -> MetricSpec:
    """The metric where there are these networks: what the engine fills, through which, and what is still unknown.

    Raises:
        MetricError: a tag that makes no sense.
    """
    givers = backbones.givers
    inputs: list[str] = []
    unknown: list[str] = []
    asked: dict[str, BackboneSpec] = {}
    for parameter in inspect.signature(spec.function).parameters.values():
        feature = feature_of(parameter.name, givers)
        if feature is not None:
            asked[feature] = givers[feature]
        if feature is not None or parameter.name in (*CLIP_INPUTS, *SET_INPUTS):
            inputs.append(parameter.name)
        elif parameter.default is inspect.Parameter.empty:
            unknown.append(parameter.name)
    bound = replace(
        spec,
        inputs=tuple(inputs),
        looks_at=tuple((network.feature(name), network) for name, network in asked.items()),
        unknown=tuple(unknown),
    )
    _check_metric(bound)
    return bound


def check_known(spec: MetricSpec, backbones: BackboneRegistry) -> None:
    """Whether something fills every parameter of a metric.

    Raises:
        MetricError: one that nothing fills, with what it may have meant.
    """
    if not spec.unknown:
        return
    known = (*CLIP_INPUTS, *SET_INPUTS, *backbones.givers)
    close = near_misses(spec.unknown[0], known)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    raise MetricError(
        f"metric {spec.name!r} asks for {spec.unknown[0]!r}, which is nothing that is measured",
        where=where_is(spec.function),
        mend=f"{hint}A metric may ask for: {', '.join(known)}; anything else needs a default, or a network that gives "
        "it (@backbone).",
    )


def feature_of(parameter: str, features: Container[str]) -> str | None:
    """Which of the features is behind `i3d`, `i3d_set` and `i3d_reference`; None: the parameter asks for none."""
    names = (parameter, parameter.removesuffix(SET_SUFFIX), parameter.removesuffix(REFERENCE_SUFFIX))
    return next((name for name in names if name in features), None)


def _check_metric(spec: MetricSpec) -> None:
    where = where_is(spec.function)
    if not spec.name or any(letter.isspace() or letter in ",:*?[]" for letter in spec.name):
        raise MetricError(
            f"metric name {spec.name!r}", where=where, mend="no spaces, commas, colons or globs in a name"
        )
    if spec.better not in ("higher", "lower", "neutral"):
        raise MetricError(f"better={spec.better!r}", where=where, mend="'higher', 'lower' or 'neutral'")
    low, high = spec.bounds
    if low is not None and high is not None and low >= high:
        raise MetricError(f"bounds={spec.bounds}", where=where, mend="the lowest value first, then the highest")
    if unknown := set(spec.orders) - set(DEGRADATIONS):
        raise MetricError(f"orders={sorted(unknown)}", where=where, mend=f"known: {', '.join(DEGRADATIONS)}")
    if not spec.inputs and not spec.unknown:
        raise MetricError(f"metric {spec.name!r} asks for nothing", where=where, mend="ask for `clip`, say")
    if spec.scope == "set" and {"clip", "prompt", "reference"} & set(spec.inputs):
        raise MetricError(
            f"metric {spec.name!r} asks for one clip and for all clips ({', '.join(spec.inputs)})",
            where=where,
            mend="make it two metrics",
        )
