"""Is A better than B, or is it noise? What two sides measured on the same prompts, with the same seeds.

A pair is one prompt, one sample index and one seed, answered by both sides. The samples of a prompt are averaged first,
so the prompt is the unit of every test. What has no partner is left out and counted; what cannot be compared says why;
a test that cannot be made has no p.

Two things are asked whether their mean difference is zero. The same thing twice (one model, one recipe, two runs) has
the sharper question whether anything changed at all: then each difference had either sign with the same chance.

Of two things a value that was not seen is taken to lie not much farther out than those that were (`near`). To allow for
failures too rare to be seen (`anywhere`) costs all power: with scores in [0, 1] and 100 prompts a difference of two
thirds of its spread is found in none of 1,500 trials instead of all, so it is only said where a finding holds even
then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.analysis.benchmarks import placed_together
from pytest_vdb.analysis.bounds import KnownMetrics, without_rounding
from pytest_vdb.analysis.columns import Columns, Said, described
from pytest_vdb.analysis.identity import latest, other_recipe
from pytest_vdb.analysis.readings import (
    EXACT_COSTS,
    Statement,
    failure_line,
    is_of_set,
    is_yardstick,
    why_meaningless,
)
from pytest_vdb.analysis.swept import apart
from pytest_vdb.records import Better, Definition, Kind, Measurement, Record, Run
from pytest_vdb.statistics.families import SIGNIFICANCE, benjamini_hochberg
from pytest_vdb.statistics.means import by_size, mean_of

if TYPE_CHECKING:
    from pytest_vdb.statistics.intervals import Bounds

Finding = Literal["better", "worse", "different", "not told apart", "not tested", "cannot compare"]
"""Of A against B. `different`: told apart in a metric of which neither way is better; `not tested`: there are values,
and no test can be made of them; `cannot compare`: the values mean nothing side by side."""

Test = Literal["mean difference", "sign flips", "swaps"]
NULLS: dict[Test, str] = {
    "mean difference": "over prompts like these the mean difference is zero",
    "sign flips": "nothing changed: each prompt's difference had either sign with the same chance",
    "swaps": "the clips of each prompt might as well have come from the other side",
}
"""What each test takes for granted until it is refuted."""

LEAST_PROMPTS: dict[Test, int] = {"mean difference": 5, "sign flips": 6, "swaps": 6}
"""With fewer nothing can be told apart at 5%: of three or four skewed differences 7% are called one by chance, and five
signs are all alike in 6%."""
_TOLD_APART: frozenset[Finding] = frozenset({"better", "worse", "different"})
_IN_BOTH = "{} in A, {} in B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two that are compared: a model in a run."""

    label: str
    """What it is called here: the model's name, or the run's id where both sides are the same model."""
    model: str
    run: Run
    records: tuple[Record, ...]
    """Of this model, whatever became of them."""
    folder: Path
    """What the records' files are relative to."""

    @property
    def published(self) -> str | None:
        """Where others published the values; None: they were measured here."""
        return next((record.published for record in self.records if record.published is not None), None)


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The samples that both sides made in one benchmark."""

    benchmark: str
    pairs: tuple[tuple[Record, Record], ...]
    left_out: tuple[tuple[str, int], ...]
    """Why samples have no partner, with how many each."""
    tried: tuple[tuple[Record, ...], tuple[Record, ...]] = ((), ())
    """Every sample of A and of B, with a partner or without."""

    @cached_property
    def sides(self) -> tuple[Columns, Columns]:
        """What A and what B measured of these pairs, metric by metric."""
        return Columns([first for first, _ in self.pairs]), Columns([second for _, second in self.pairs])

    @cached_property
    def tried_sides(self) -> tuple[Columns, Columns]:
        """The same of every sample that was tried."""
        if all(len(tried) == len(self.pairs) for tried in self.tried):
            return self.sides  # each has a partner, and stands where it does
        return Columns(self.tried[0]), Columns(self.tried[1])

    @property
    def prompts(self) -> int:
        """Different prompts among the pairs."""
        return len({first.prompt for first, _ in self.pairs})

    @property
    def identical_clips(self) -> int:
        """Pairs whose clips are the same to the pixel."""
        return sum(a.clip is not None and b.clip is not None and a.clip.digest == b.clip.digest for a, b in self.pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """What one metric says of A and B."""

    benchmark: str
    metric: str
    unit: str
    better: Better
    kind: Kind
    of_set: bool = False
    """Measured of all clips of a side together; else of each."""
    n: int = 0
    """Prompts that both sides have values of; of a set metric: clips on each side."""
    first: float | None = None
    second: float | None = None
    """A's and B's mean over these prompts, or their value for the set."""
    difference: float | None = None
    """A minus B."""
    interval: tuple[float, float] | None = None
    """95% of the difference, of this metric alone; of set metrics by the jackknife of both sides."""
    test: Test | None = None
    """How it was tested; None: it was not."""
    null: str | None = None
    """What p is about: that this holds."""
    p: float | None = None
    """Two-sided, of the null, of this metric alone."""
    p_unseen: float | None = None
    """The same where failures that are too rare to be seen are allowed for, as bad as the metric can be; None: it has
    no known bounds, or it is not the mean difference that was tested."""
    adjusted: float | None = None
    """By Benjamini-Hochberg over all metrics that are shown and may be judged."""
    permutations: int | None = None
    """Swaps that were tried, of a set metric."""
    obstacle: str | None = None
    """Why the two cannot be compared."""
    remarks: tuple[str, ...] = ()
    """Why there is no test, and what to know about the values."""
    finding: Finding = "not tested"
    surely: bool = False
    """Whether the finding holds whatever failures were too rare to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that is shown of two sides."""

    first: Side
    second: Side
    benchmarks: tuple[Pairs, ...]
    contrasts: tuple[Contrast, ...]
    remarks: tuple[str, ...] = ()
    permutations: int
    """Swaps at most, of set metrics."""
    seed: int
    """Of these swaps."""

    @property
    def same_model(self) -> bool:
        """Whether it is one model in two runs."""
        return self.first.model == self.second.model


def pair_up(first: Iterable[Record], second: Iterable[Record]) -> tuple[Pairs, ...]:
    """The samples of each benchmark that both sides tried to make, in the order of their prompts."""
    mine, theirs = map(_by_benchmark, apart(*placed_together(latest(first), latest(second))))
    return tuple(_paired_up(name, mine[name], theirs[name]) for name in mine if name in theirs)


def same_thing(pairs: Pairs, *, same_model: bool) -> bool:
    """Whether both sides are one model with the same weights by the same recipe: nothing should have changed.

    Of what others published nobody knows the recipe: it is taken as two things.
    """
    setups = {(r.weights, r.recipe_digest, r.revision, r.published) for pair in pairs.pairs for r in pair}
    return same_model and len(setups) == 1 and all(published is None for *_, published in setups)


def obstacle_of_sides(pairs: Pairs, *, same_model: bool, any_recipe: bool) -> str | None:
    """Why nothing that was measured of these pairs can be compared, or None.

    Args:
        pairs: with at least one pair.
        same_model: whether it is one model in two runs; two models have recipes of their own.
        any_recipe: whether one model may have been run by two recipes: that is the question.
    """
    for side, name in ((0, "A"), (1, "B")):
        variants = {(pair[side].weights, pair[side].recipe_digest) for pair in pairs.pairs}
        if len(variants) > 1:
            return f"{name} was run by {len(variants)} recipes"
    before, now = pairs.pairs[0][1], pairs.pairs[0][0]
    if not same_model or (now.weights, now.recipe_digest) == (before.weights, before.recipe_digest):
        return None
    if any_recipe and now.weights == before.weights:
        return None
    return other_recipe(now, before, words=_IN_BOTH)


def asked_of(
    pairs: Pairs,
    known: KnownMetrics,
    *,
    same_run: bool,
    twice: bool,
    obstacle: str | None = None,
    wants: Callable[[str], bool] | None = None,
) -> AskedPairs:
    """Every metric that either side measured of its samples, as far as it can be told before it is tested.

    Args:
        pairs: of one benchmark.
        known: what the metrics can be.
        same_run: whether both sides ran in one session; the timings of two sessions differ by more than their tests.
        twice: whether both sides are the same thing (`same_thing`).
        obstacle: why nothing of these pairs can be compared.
        wants: whether a metric is asked for; None: each is.
    """
    table = _PairedTable(pairs)
    wanted = [definition for definition in described(*table.sides) if wants is None or wants(definition.name)]
    metrics = tuple(_asked_of_metric(one, pairs.benchmark, table, known) for one in wanted)
    return AskedPairs(metrics=metrics, same_run=same_run, twice=twice, obstacle=obstacle)


def contrasts_of(asked: Sequence[AskedPairs]) -> list[tuple[Contrast, ...]]:
    """The metrics of each, tested and not judged yet: what is asked of many models is tested together."""
    testable = [_has_signs_to_flip(one, pairs) for pairs in asked for one in pairs.metrics]
    metrics = [one for pairs in asked for one in pairs.metrics]
    flips = iter(
        _by_sign_flips([one.differences if may else np.empty(0) for one, may in zip(metrics, testable, strict=True)])
    )
    return [tuple(_contrast_of_metric(one, next(flips), pairs) for one in pairs.metrics) for pairs in asked]


def contrast(
    pairs: Pairs, known: KnownMetrics, *, same_run: bool, twice: bool, obstacle: str | None = None
) -> tuple[Contrast, ...]:
    """The same of pairs that are asked alone."""
    return contrasts_of([asked_of(pairs, known, same_run=same_run, twice=twice, obstacle=obstacle)])[0]


def judged(contrasts: Sequence[Contrast]) -> tuple[Contrast, ...]:
    """With p corrected over all of them (Benjamini-Hochberg) and with what follows from it."""
    judged = [one.obstacle is None for one in contrasts]
    adjusted = benjamini_hochberg([one.p if may else None for one, may in zip(contrasts, judged, strict=True)])
    unseen = benjamini_hochberg([one.p_unseen if may else None for one, may in zip(contrasts, judged, strict=True)])
    return tuple(map(_with_finding, contrasts, adjusted, unseen))


def _with_finding(one: Contrast, adjusted: float | None, unseen: float | None) -> Contrast:
    finding = _finding(one, adjusted)
    surely = finding in _TOLD_APART and unseen is not None and unseen < SIGNIFICANCE
    return replace(one, adjusted=adjusted, finding=finding, surely=surely)


def why_says_nothing(of: Measurement, record: Record) -> str | None:
    """Why a value of this record says nothing about its model, or None if it does."""
    return why_meaningless(of.kind, record.weights, wiring=of.wiring, published=record.published)


def of_another_definition(first: Measurement | Definition, second: Measurement | Definition) -> str | None:
    """How the definitions of two values differ, or None if they do not."""
    for what, a, b in (
        ("version", first.version, second.version),
        ("unit", first.unit, second.unit),
        ("direction", first.better, second.better),
    ):
        if a != b:
            return f"the metric's {what} is {a} in A, {b} in B"
    return None


def remarks_on(first: Side, second: Side, benchmarks: Sequence[Pairs]) -> tuple[str, ...]:
    """What forbids no comparison and should be known: other packages, another suite, recipes, yardsticks."""
    remarks = [f"{name}: {note}" for name, side in (("A", first), ("B", second)) for note in _notes_on_published(side)]
    remarks += [
        f"{name} was allowed to stop when its gate was decided: nothing here allows for that"
        for name, side in (("A", first), ("B", second))
        if side.run.order
    ]
    a, b = first.run.environment, second.run.environment
    names = sorted(name for name in {**a.packages, **b.packages} if a.packages.get(name) != b.packages.get(name))
    if names:
        versions = (f"{name} {a.packages.get(name, '–')} / {b.packages.get(name, '–')}" for name in names)
        remarks.append(f"other packages (A / B): {', '.join(versions)}")
    if a.hardware != b.hardware:
        remarks.append(f"A ran on {a.hardware}, B on {b.hardware}: costs are not compared, pixels may differ for it")
    if any(one.suite_digest != other.suite_digest for part in benchmarks for one, other in part.pairs):
        remarks.append("the suites differ: only the prompts that both have, with the same text, are compared")
    pairs = [pair for part in benchmarks for pair in part.pairs]
    if pairs and pairs[0][0].recipe_digest != pairs[0][1].recipe_digest:
        remarks.append(other_recipe(*pairs[0], words=_IN_BOTH))
    if any(None in (one.seed, other.seed) for one, other in pairs):
        remarks.append("clips from files do not tell their seeds: they are paired by prompt and sample alone")
    if is_yardstick(first.model) != is_yardstick(second.model):
        remarks.append("a calibration model makes clips of known quality: a yardstick, not a competitor")
    same, clips = sum(part.identical_clips for part in benchmarks), len(pairs)
    if same:
        remarks.append(f"{same} of {clips} pairs of clips are the same to the pixel")
    return tuple(remarks)


def _notes_on_published(side: Side) -> list[str]:
    """What to know of published means that stand beside their videos."""
    notes = (note for record in side.records if record.published is not None for note in record.notes)
    return list(dict.fromkeys(notes))


# --- pairs ------------------------------------------------------------------------------------------------------------

_Key = tuple[str, int, tuple[tuple[str, str], ...]]


_Samples = Mapping[_Key, Sequence[Record]]
"""The records of one benchmark, in the order of their keys."""


def _by_benchmark(records: Iterable[Record]) -> dict[str, _Samples]:
    """By prompt, sample and parameters; not what was measured of whole sets: that answers no prompt."""
    found: dict[str, dict[_Key, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=attrgetter("nodeid")):
        if not is_of_set(record):
            parameters = tuple(sorted(record.parameters.items())) if record.parameters else ()
            found[record.benchmark][record.prompt or "", record.sample_index, parameters].append(record)
    return {name: dict(sorted(found[name].items(), key=itemgetter(0))) for name in sorted(found)}


def _paired_up(benchmark: str, mine: _Samples, theirs: _Samples) -> Pairs:
    pairs: list[tuple[Record, Record]] = []
    why: Counter[str] = Counter({"only in A": 0, "only in B": 0})  # told first
    for first, second in _samples_beside_each_other(mine, theirs):
        if len(first) != len(second):
            why["only in A" if len(first) > len(second) else "only in B"] += abs(len(first) - len(second))
        for pair in zip(first, second, strict=False):
            reason = why_no_pair(*pair)
            if reason is None:
                pairs.append(pair)
            else:
                why[reason] += 1
    return Pairs(
        benchmark=benchmark,
        pairs=tuple(pairs),
        left_out=tuple((what, n) for what, n in why.items() if n),
        tried=(tuple(chain.from_iterable(mine.values())), tuple(chain.from_iterable(theirs.values()))),
    )


def _samples_beside_each_other(mine: _Samples, theirs: _Samples) -> Iterable[tuple[Sequence[Record], Sequence[Record]]]:
    """What either side has of each key."""
    if mine.keys() == theirs.keys():
        return zip(mine.values(), theirs.values(), strict=True)
    return ((mine.get(key, ()), theirs.get(key, ())) for key in sorted({*mine, *theirs}))


def why_no_pair(first: Record, second: Record) -> str | None:
    """Why two samples of one prompt cannot stand beside each other, or None if they can."""
    if first.status != "passed":
        return f"A {failure_line(first)}"
    if second.status != "passed":
        return f"B {failure_line(second)}"
    if first.seed != second.seed and None not in (first.seed, second.seed):
        return "another seed in A than in B"
    if first.prompt_text != second.prompt_text and None not in (first.prompt_text, second.prompt_text):
        return "the prompt has another text in A than in B"
    return None


# --- one metric -------------------------------------------------------------------------------------------------------


class _PairedTable:
    """What both sides of each pair measured, metric by metric."""

    def __init__(self, pairs: Pairs) -> None:
        self.sides, self._tried = pairs.sides, pairs.tried_sides
        prompts = [first.prompt for first, _ in pairs.pairs]
        self._are_prompts_alone = len(set(prompts)) == len(prompts)
        self._is_published = any(record.published is not None for pair in pairs.pairs for record in pair)

    def tried(self, metric: str) -> tuple[Said, Said]:
        """What every sample of A and of B says."""
        first, second = (columns.of(metric) for columns in self._tried)
        return first, second

    def asked(self, metric: str, tried: tuple[Said, Said]) -> tuple[Said, Said]:
        """What the pairs say, without those that a published dimension says nothing of: each of VBench's asks for
        prompts of its own."""
        if self._tried is self.sides and not self._is_published:
            return tried
        first, second = (columns.of(metric) for columns in self.sides)
        if not self._is_published:
            return first, second
        kept = [not _is_unasked(*pair) for pair in zip(first.statements(), second.statements(), strict=True)]
        a, b = (Columns([r for r, keep in zip(one.records, kept, strict=True) if keep]) for one in self.sides)
        return a.of(metric), b.of(metric)

    def means(self, first: Said, second: Said) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`(n,)` each: A's and B's means over the samples of each prompt that has values on both sides, in the pairs'
        order."""
        both = first.counts & second.counts
        a, b = first.numbers[both], second.numbers[both]
        if self._are_prompts_alone:
            return a, b
        by_prompt: dict[str | None, list[tuple[float, float]]] = defaultdict(list)
        for at, pair in zip(np.flatnonzero(both).tolist(), zip(a.tolist(), b.tolist(), strict=True), strict=True):
            by_prompt[first.columns.records[at].prompt].append(pair)
        means = [[mean_of([pair[side] for pair in values]) for values in by_prompt.values()] for side in (0, 1)]
        return np.array(means[0]), np.array(means[1])


@dataclass(frozen=True, slots=True)
class _AskedMetric:
    """A metric before it is tested."""

    contrast: Contrast
    said: tuple[Said, Said]
    bounds: Bounds
    differences: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """`(n,)`: A minus B of each prompt; nothing where there is nothing to test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedPairs:
    """What is asked of the pairs of one benchmark, before it is tested."""

    metrics: tuple[_AskedMetric, ...]
    same_run: bool
    twice: bool
    obstacle: str | None

    @property
    def names(self) -> list[str]:
        """Of the metrics."""
        return [one.contrast.metric for one in self.metrics]

    def is_of_two_sessions(self, one: Contrast) -> bool:
        """Whether it is a cost whose tests share what their session was like."""
        return one.kind == "performance" and one.metric not in EXACT_COSTS and not self.same_run


def _asked_of_metric(of: Definition, benchmark: str, table: _PairedTable, known: KnownMetrics) -> _AskedMetric:
    one = Contrast(benchmark=benchmark, metric=of.name, unit=of.unit, better=of.better, kind=of.kind)
    bounds = known.bounds(of.name, of.kind)
    tried = table.tried(of.name)
    if any(side.is_read_once for side in tried):
        return _AskedMetric(_of_once(one, *tried), tried, bounds)
    first, second = said = table.asked(of.name, tried)
    remarks = tuple(line for name, side in (("A", first), ("B", second)) for line in _lacking_values(name, side))
    mine, theirs = table.means(first, second)
    if not mine.size:
        one = replace(one, first=_mean_value(first), second=_mean_value(second), remarks=remarks)
        return _AskedMetric(one, said, bounds)
    differences = mine - theirs
    one = replace(
        one,
        n=len(mine),
        first=mean_of(mine.tolist()),
        second=mean_of(theirs.tolist()),
        difference=mean_of(differences.tolist()),
        remarks=remarks,
    )
    return _AskedMetric(one, said, bounds, differences)


def _has_signs_to_flip(one: _AskedMetric, pairs: AskedPairs) -> bool:
    return pairs.twice and not pairs.is_of_two_sessions(one.contrast)


def _contrast_of_metric(asked: _AskedMetric, flipped: _Flipped | None, pairs: AskedPairs) -> Contrast:
    """As far as it means something."""
    one = asked.contrast
    if asked.differences.size:
        one = _tested(one, asked.differences, asked.bounds, "sign flips" if pairs.twice else "mean difference", flipped)
    obstacle = pairs.obstacle or _obstacle(*asked.said)
    if obstacle is None and one.difference is None:
        obstacle = "no prompt has a value on both sides"
    if obstacle is not None:
        return replace(_untested(one), obstacle=obstacle, difference=None)
    if (meaningless := _meaningless(*asked.said)) is not None:
        one = replace(one, obstacle=meaningless)
    return _of_two_sessions(one) if pairs.is_of_two_sessions(one) and one.difference is not None else one


_Flipped = tuple[float, tuple[float, float] | None]
"""p and interval."""


def _tested(
    one: Contrast, differences: NDArray[np.float64], bounds: Bounds, test: Test, flipped: _Flipped | None
) -> Contrast:
    """With p and interval, or with the reason why there are none.

    Args:
        flipped: what the signs of the differences say, where they are asked.
    """
    n = len(differences)
    if not differences.any():
        said = f"the same value{'' if n == 1 else 's'} on {'the only prompt' if n == 1 else f'all {n} prompts'}"
        one = replace(one, remarks=(*one.remarks, said))
        return one if n < LEAST_PROMPTS[test] else replace(one, p=1.0, test=test, null=NULLS[test])
    if n < LEAST_PROMPTS[test]:
        few = f"{'1 prompt' if n == 1 else f'{n} prompts'}: a test of {_PLURAL[test]} needs {LEAST_PROMPTS[test]}"
        return replace(one, remarks=(*one.remarks, few))
    if test == "sign flips":
        return one if flipped is None else _with_signs(one, flipped)
    return _by_means(one, differences, bounds)


def _by_sign_flips(samples: Sequence[NDArray[np.float64]]) -> list[_Flipped | None]:
    """What the signs of each sample's differences say; None of too few and of nothing but zeros.

    Samples of one size are asked together: they share the signs that are dealt.
    """
    from pytest_vdb.statistics.exchangeable import sign_flips

    found: list[_Flipped | None] = [None] * len(samples)
    asked = [at for at, sample in enumerate(samples) if len(sample) >= LEAST_PROMPTS["sign flips"] and sample.any()]
    for places, columns in by_size([samples[at] for at in asked]):
        p_values, intervals = sign_flips(columns)
        for place, p, (low, high) in zip(places, p_values.tolist(), intervals.tolist(), strict=True):
            found[asked[place]] = p, ((low, high) if np.isfinite((low, high)).all() and low < high else None)
    return found


def _with_signs(one: Contrast, flipped: _Flipped) -> Contrast:
    p, interval = flipped
    return replace(one, interval=interval, p=p, test="sign flips", null=NULLS["sign flips"])


def _by_means(one: Contrast, differences: NDArray[np.float64], bounds: Bounds) -> Contrast:
    """By the mean difference; by the signs where all differences are equal, which shows nothing of their law."""
    from pytest_vdb.statistics.intervals import bounds_of_differences, mean_interval, mean_p_values

    apart = bounds_of_differences(bounds)
    column = without_rounding(differences, apart).reshape(-1, 1)
    found = mean_interval(column[:, 0].tolist(), bounds=apart, unseen="near")
    if found.ends is None:
        equal = len(differences) >= LEAST_PROMPTS["sign flips"] and float(np.ptp(column)) == 0
        flipped = _by_sign_flips([differences])[0] if equal else None
        one = one if flipped is None else _with_signs(one, flipped)
        return replace(one, remarks=(*one.remarks, f"no interval: {found.reason}"))
    unseen = None if None in apart else float(mean_p_values(column, bounds=apart, unseen="anywhere")[0])
    return replace(
        one,
        interval=found.ends,
        p=float(mean_p_values(column, bounds=apart, unseen="near")[0]),
        p_unseen=unseen,
        test="mean difference",
        null=NULLS["mean difference"],
    )


_PLURAL: dict[Test, str] = {"mean difference": "means", "sign flips": "signs", "swaps": "swaps"}


def _untested(one: Contrast) -> Contrast:
    return replace(one, interval=None, p=None, p_unseen=None, test=None, null=None)


def _is_unasked(first: Statement, second: Statement) -> bool:
    published = first.record.published is not None or second.record.published is not None
    return published and first.measurement is None and second.measurement is None


def _of_once(one: Contrast, first: Said, second: Said) -> Contrast:
    """What is read once per model, like its load: two numbers, and no test."""
    a, b = _mean_value(first), _mean_value(second)
    difference = None if a is None or b is None else a - b
    return replace(
        one, n=1, first=a, second=b, difference=difference, remarks=("read once per model: nothing to test",)
    )


def _of_two_sessions(one: Contrast) -> Contrast:
    """Costs of two sessions: the tests of each share its load, clocks and temperature."""
    remark = "measured in two sessions, which differ by more than the tests within each do: prompts cannot test it"
    return replace(_untested(one), remarks=(*one.remarks, remark))


def _obstacle(first: Said, second: Said) -> str | None:
    """Why there is no difference between the values."""
    a, b = first.first(), second.first()
    if a is None:
        return f"A has no value ({_why_without(first)})"
    if b is None:
        return f"B has no value ({_why_without(second)})"
    (mine, one), (theirs, other) = a, b
    if (differs := of_another_definition(mine, theirs)) is not None:
        return differs
    if mine.kind == "performance" and one.hardware != other.hardware:
        return f"A was measured on {one.hardware}, B on {other.hardware}"
    return None


def _meaningless(first: Said, second: Said) -> str | None:
    """Why the difference of the values says nothing about the models: it is shown, and not judged.

    What others published of both sides is judged: it is the same tool's, as far as anybody can know.
    """
    found = [one for side in (first, second) for one in side.kinds_that_count()]
    if all(record.published is not None for _, record in found):
        return None
    reasons = (
        why_meaningless(definition.kind, record.weights, wiring=definition.wiring, published=record.published)
        for definition, record in found
    )
    return next((reason for reason in reasons if reason is not None), None)


def _lacking_values(name: str, side: Said) -> list[str]:
    """`2 of A's samples have no value: ...`."""
    missing, of = int((~side.counts).sum()), len(side.counts)
    if missing in (0, of):
        return []  # all of them: that is the obstacle
    have = "has" if missing == 1 else "have"
    return [f"{missing} of {of} samples of {name} {have} no value ({_why_without(side)})"]


def _why_without(side: Said) -> str:
    """The most frequent reason."""
    counts = Counter(statement.why_not for statement in side.statements(~side.counts))
    reasons = [why for why, _ in counts.most_common()]
    more = f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else ""
    return (reasons[0] if reasons and reasons[0] else "not measured") + more


def _mean_value(side: Said) -> float | None:
    values = side.values
    return mean_of(values) if values else None


def _finding(one: Contrast, adjusted: float | None) -> Finding:
    if one.obstacle is not None or one.difference is None:
        return "cannot compare"
    if adjusted is None:
        return "not tested"
    if adjusted >= SIGNIFICANCE:
        return "not told apart"
    if one.better == "neutral":
        return "different"
    return "better" if (one.difference > 0) == (one.better == "higher") else "worse"
