"""Set metrics of two sides' clips, prompt by prompt: the difference, its error, and what swapping clips gives.

A set has one value, so nothing can be averaged over prompts. But both sides answered the same prompts, and what the
networks saw in their clips was kept: clips of random prompts are swapped between the sides again and again, and both
sides are measured without the same prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.comparison import why_no_pair
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics import reference
from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
from pytest_vdb.metrics.engine import Engine, Scores
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.metrics.resampling import PairedError, SwapTest, swap_test
from pytest_vdb.records import Measurement, Prompt, Record, Run
from pytest_vdb.results import features

TINY = "tiny"
"""The identity of a tiny random network."""
_SEED = 0
"""Of a gate's swaps: the same answer whenever it is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swaps:
    """How set metrics are tested."""

    permutations: int
    """Random swaps; all there are where these are not more. 0: none, only the difference and its error."""
    seed: int


def seen(record: Record, folder: Path) -> Scores:
    """What the networks saw in a record's clip; nothing where the record kept nothing.

    Raises:
        RecordError: the file that the record names is missing or torn.
    """
    if record.features is None:
        return Scores(())
    return Scores((), *features.load(folder / record.features))


def used_by_both(*runs: Run) -> Mapping[str, ReferenceFeatures]:
    """The reference set that all runs name, if it is still there; else nothing."""
    used = {run.options.get("reference") for run in runs}
    path = used.pop()
    same = not used and isinstance(path, str)
    return reference.load(Path(path)) if same and path and reference.is_reference(Path(path)) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSets:
    """Both sides' samples in one row, the first side's before the second's: a set is a choice of row numbers."""

    spec: MetricSpec
    pairs: Sequence[tuple[Record, Record]]
    prompts: Sequence[Prompt]
    """Of each pair."""
    samples: Sequence[Scores]
    references: Mapping[str, ReferenceFeatures]
    engine: Engine

    @classmethod
    def of(
        cls,
        spec: MetricSpec,
        pairs: Sequence[tuple[Record, Record]],
        scores: Sequence[tuple[Scores, Scores]],
        *,
        references: Mapping[str, ReferenceFeatures],
        cache_dir: Path,
    ) -> PairedSets:
        """Of those pairs that have what the metric looks at on both sides.

        Args:
            spec: a set metric.
            pairs: records of the same prompt and seed.
            scores: what the networks saw in their clips.
            references: the reference set's features, by feature.
            cache_dir: where weights lie; none are opened.
        """
        having = [at for at, both in enumerate(scores) if all(set(spec.features) <= set(one.features) for one in both)]
        chosen = [pairs[at] for at in having]
        identities = {one.identities.get(name) for at in having for one in scores[at] for name in spec.features}
        return cls(
            spec=spec,
            pairs=chosen,
            prompts=[Prompt(id=record.prompt or "", text=record.prompt_text or "") for record, _ in chosen],
            samples=[scores[at][side] for side in (0, 1) for at in having],
            references=references,
            engine=Engine((spec,), tiny=TINY in identities, cache_dir=cache_dir),
        )

    def values(self) -> tuple[tuple[Measurement, Measurement], ...]:
        """Of each part of the metric: of the first side and of the second."""
        n = len(self.prompts)
        return tuple(zip(self._measured(range(n)), self._measured(range(n, 2 * n)), strict=True))

    def test(self, name: str, swaps: Swaps) -> SwapTest:
        """Whether the sides differ in one part of the metric, the samples of a prompt swapped together.

        Raises:
            CannotMeasure: a set that some swap gives cannot be measured.
        """
        groups = [prompt.id for prompt in self.prompts]
        how: dict[str, Any] = {"permutations": swaps.permutations, "seed": swaps.seed, "groups": groups}
        n = len(self.prompts)
        if self.spec.swaps is not None:
            looked_at = [sample.features[self.spec.features[0]] for sample in self.samples]
            shapes = sorted({row.shape for row in looked_at})
            if len(shapes) > 1:
                raise CannotMeasure(f"the clips' features have different shapes: {', '.join(map(str, shapes))}")
            rows = np.stack(looked_at).astype(np.float64)
            theirs = self.references.get(self.spec.features[0])
            return self.spec.swaps(rows[:n], rows[n:], theirs, **how)

        def value(rows: NDArray[np.intp]) -> float:
            part = {measured.name: measured for measured in self._measured(rows[:, 0].tolist())}[name]
            if part.value is None:
                raise CannotMeasure(part.reason or "no value of a swapped set")
            return part.value

        numbers = np.arange(2 * n)[:, None]
        return swap_test(numbers[:n], numbers[n:], value, **how)

    def _measured(self, rows: Sequence[int]) -> tuple[Measurement, ...]:
        """The metric's parts of these rows, of pairs that begin with the first."""
        chosen = [self.prompts[row % len(self.prompts)] for row in rows]
        return self.engine.measure_set([self.samples[row] for row in rows], prompts=chosen, references=self.references)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetsOfRuns:
    """Where what the networks saw in two runs' clips lies, and what computes a set metric again."""

    registry: MetricRegistry
    references: Mapping[str, ReferenceFeatures]
    before: Path | None
    """The earlier run's folder; None: it was kept as a summary, which has no features."""
    now: Path
    cache_dir: Path
    """Where weights lie; none are opened."""

    def changed(self, metric: str, before: Iterable[Record], now: Iterable[Record]) -> SetChange:
        """How a metric changed over the clips that both runs made of the same prompts and seeds.

        Args:
            metric: its name.
            before, now: the samples of one model in one benchmark, with the same parameters.

        Raises:
            CannotMeasure: there is nothing to compute it from.
            RecordError: a file that a record names is missing or torn.
        """
        if self.before is None:
            raise CannotMeasure("a baseline file keeps nothing of what its network saw")
        spec = next((spec for spec in self.registry if metric in spec.part_names()), None)
        if spec is None:
            raise CannotMeasure("no metric of this name is known here")
        earlier = {record.pair: record for record in before}
        both = [(earlier[record.pair], record) for record in now if record.pair in earlier]
        pairs = [pair for pair in both if why_no_pair(*pair) is None]
        if not pairs:
            raise CannotMeasure("no clip of the same prompt and seed was made on both sides")
        scores = [(seen(old, self.before), seen(new, self.now)) for old, new in pairs]
        sets = PairedSets.of(spec, pairs, scores, references=self.references, cache_dir=self.cache_dir)
        if not sets.pairs:
            raise CannotMeasure("what its network saw was not kept on both sides")
        return SetChange.of(metric, sets)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetChange:
    """A set metric of the clips that two runs share."""

    sets: PairedSets
    before: Measurement
    now: Measurement
    error: PairedError | None
    """Of the difference."""

    @classmethod
    def of(cls, metric: str, sets: PairedSets) -> SetChange:
        """Measured on both sides.

        Raises:
            CannotMeasure: there is no value on a side.
        """
        before, now = {both[0].name: both for both in sets.values()}[metric]
        for one in (before, now):
            if one.value is None:  # without a reference set, say: then there is nothing to swap either
                raise CannotMeasure(one.reason or "no value")
        found = sets.test(metric, Swaps(permutations=0, seed=_SEED))
        return cls(sets=sets, before=before, now=now, error=found.error)

    @property
    def values(self) -> tuple[float, float]:
        """Of the earlier run and of the later."""
        assert self.before.value is not None
        assert self.now.value is not None
        return self.before.value, self.now.value

    @property
    def clips(self) -> int:
        """Of each side."""
        return len(self.sets.prompts)

    @property
    def prompts(self) -> int:
        """That are swapped."""
        return len({prompt.id for prompt in self.sets.prompts})

    def p(self, permutations: int) -> float:
        """Two-sided, of "both are the same", by that many random swaps."""
        return self.sets.test(self.now.name, Swaps(permutations=permutations, seed=_SEED)).p
