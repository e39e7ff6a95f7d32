"""What is asked of two sides, and the answer: which metrics, through which reference set, by how many swaps.

Whatever is shown was asked for and is judged together; a name that found nothing is said, and never left out.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.analysis import comparison, set_comparison
from pytest_vdb.analysis.aggregate_contrasts import as_published, contrast_aggregates, why_no_score
from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.comparison import AskedPairs, Comparison, Contrast, Pairs, Side
from pytest_vdb.analysis.paired_sets import Swaps, seen, used_by_both
from pytest_vdb.analysis.readings import definitions_in, is_of_set
from pytest_vdb.analysis.swept import without_point
from pytest_vdb.errors import OptionError, RecordError, UnknownName
from pytest_vdb.escaping import few
from pytest_vdb.metrics import reference
from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
from pytest_vdb.metrics.registry import MetricRegistry

EVERYTHING = frozenset({"all", "default"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What may be asked of any two sides."""

    metrics: str
    """Names and globs, comma-separated."""
    registry: MetricRegistry
    """What can be computed again, of whole sets."""
    reference: Path | None
    """What set metrics compare with; None: what both runs used, if it is still there."""
    any_recipe: bool
    """Whether one model may have been run by two recipes."""
    swaps: Swaps
    cache_dir: Path
    """Where weights lie; none are opened."""

    @property
    def terms(self) -> tuple[str, ...]:
        """The names and globs."""
        return tuple(term.strip() for term in self.metrics.split(",") if term.strip())

    def wants(self, metric: str) -> bool:
        """Whether it is asked for, by name or with others."""
        return any(term in EVERYTHING or fnmatch.fnmatchcase(metric, term) for term in self.terms)

    def names(self, metric: str) -> bool:
        """Whether it is asked for by its own name, not only with others."""
        return metric in self.terms

    def spec_of(self, metric: str) -> MetricSpec | None:
        """The metric that has a part of this name."""
        return next((spec for spec in self.registry if metric in (spec.name, *spec.part_names())), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of two sides in one benchmark."""

    pairs: Pairs
    of_clips: AskedPairs
    """Not tested yet."""
    scores: Sequence[Contrast]
    of_sets: Sequence[Contrast]

    @property
    def names(self) -> list[str]:
        """Of all metrics."""
        return [*self.of_clips.names, *(one.metric for one in (*self.scores, *self.of_sets))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Two sides, and all that is asked of them."""

    first: Side
    second: Side
    asked: Sequence[Asked]
    reference: str | None
    """The reference set's source, where one is used."""


def drafted(question: Question, first: Side, second: Side) -> Draft:
    """What there is to compare, before the clips' metrics are tested: that of many models is done at once.

    Raises:
        RecordError: they have no sample in common, or nothing was measured of it; or a file of features is torn.
        OptionError, UnknownName: a metric that was not measured, or that lacks its reference.
    """
    benchmarks = sorted(_with_pairs(comparison.pair_up(first.records, second.records), first, second), key=_costs_only)
    references = _references(question.reference, first, second)
    known = KnownMetrics(question.registry, [first.run, second.run])
    asked = [_asked_in_benchmark(question, pairs, (first, second), known, references) for pairs in benchmarks]
    _check_all_found(question, asked, (first, second))
    source = next(iter(references.values())).source if references else None
    return Draft(first=first, second=second, asked=asked, reference=source)


def _asked_in_benchmark(
    question: Question,
    pairs: Pairs,
    sides: tuple[Side, Side],
    known: KnownMetrics,
    references: Mapping[str, ReferenceFeatures],
) -> Asked:
    first, second = sides
    same_model = first.model == second.model
    obstacle = comparison.obstacle_of_sides(pairs, same_model=same_model, any_recipe=question.any_recipe)
    twice = comparison.same_thing(pairs, same_model=same_model)
    same_run = first.run.id == second.run.id
    how = {"same_run": same_run, "twice": twice}
    scores = contrast_aggregates(pairs, known, named=question.names, obstacle=obstacle, **how)
    of_sets = _contrasts_of_sets(question, pairs, sides, references, obstacle)
    return Asked(
        pairs=pairs,
        of_clips=comparison.asked_of(pairs, known, obstacle=obstacle, wants=question.wants, **how),
        scores=[one for one in as_published(scores, first, second) if question.wants(one.metric)],
        of_sets=[one for one in of_sets if question.wants(one.metric)],
    )


def answer(question: Question, first: Side, second: Side) -> Comparison:
    """Every metric that was asked for of two sides, judged together.

    Raises:
        RecordError, OptionError, UnknownName: see `drafted`.
    """
    return answers(question, [drafted(question, first, second)])[0]


def answers(question: Question, drafts: Sequence[Draft]) -> list[Comparison]:
    """The same of many sides, in half the time: those of each two are judged together."""
    tested = iter(comparison.contrasts_of([asked.of_clips for draft in drafts for asked in draft.asked]))
    return [_answer(question, draft, [next(tested) for _ in draft.asked]) for draft in drafts]


def _answer(question: Question, draft: Draft, of_clips: Sequence[Sequence[Contrast]]) -> Comparison:
    first, second = draft.first, draft.second
    contrasts: list[Contrast] = []
    for asked, tested in zip(draft.asked, of_clips, strict=True):
        contrasts += sorted((*tested, *asked.scores, *asked.of_sets), key=lambda one: one.kind != "quality")
    shown = [asked.pairs for asked in draft.asked if asked.names]
    remarks = comparison.remarks_on(first, second, shown)
    remarks += tuple(why_no_score(contrasts, first, second, wants=question.wants))
    if draft.reference is not None and any(one.of_set for one in contrasts):
        remarks += (f"reference set: {draft.reference}",)
    return Comparison(
        first=first,
        second=second,
        benchmarks=tuple(shown),
        contrasts=comparison.judged(contrasts),
        remarks=remarks,
        permutations=question.swaps.permutations,
        seed=question.swaps.seed,
    )


def _costs_only(pairs: Pairs) -> bool:
    return all(definition.kind != "quality" for side in pairs.sides for definition in side.definitions)


def _with_pairs(benchmarks: Sequence[Pairs], first: Side, second: Side) -> list[Pairs]:
    """Those in which both made a sample of the same prompt and seed.

    Raises:
        RecordError: there is none.
    """
    found = [pairs for pairs in benchmarks if pairs.pairs]
    if found:
        return found
    why = dict.fromkeys(f"{n} {reason}" for pairs in benchmarks for reason, n in pairs.left_out)
    suites = (sorted({record.suite for record in side.records if record.suite}) for side in (first, second))
    mine, theirs = (", ".join(names) or "an unknown suite" for names in suites)
    raise RecordError(
        f"no sample of the same prompt and seed in both ({'; '.join(why) or 'they ran no test in common'})",
        where=f"{first.label} and {second.label}",
        mend=f"A answered {mine}, B {theirs}: run both with the same --vdb-prompts and --vdb-seed",
    )


def _references(given: Path | None, first: Side, second: Side) -> Mapping[str, ReferenceFeatures]:
    """What is named, else the reference set that both runs used, if it is still there.

    Raises:
        RecordError: the file that was named is no reference set.
    """
    return used_by_both(first.run, second.run) if given is None else reference.load(given)


def _contrasts_of_sets(
    question: Question,
    pairs: Pairs,
    sides: tuple[Side, Side],
    references: Mapping[str, ReferenceFeatures],
    obstacle: str | None,
) -> list[Contrast]:
    """The set metrics that the runs measured in this benchmark, and those that are asked for by name.

    Raises:
        RecordError: a file of features is missing or torn.
        OptionError: one that is asked for by name needs a reference set.
    """
    if not any(record.features for pair in pairs.pairs for record in pair):
        return []
    names = _names_of_sets(question, pairs.benchmark, sides)
    specs = {spec.name: spec for name in names if (spec := question.spec_of(name)) is not None}
    first, second = sides
    scores = [(seen(a, first.folder), seen(b, second.folder)) for a, b in pairs.pairs] if specs else []
    found = [set_comparison.unknown(name, pairs) for name in names if question.spec_of(name) is None]
    for spec in specs.values():
        _check_reference(question, spec, references)
        found += set_comparison.contrast_sets(
            spec,
            pairs,
            scores,
            references=references,
            swaps=question.swaps,
            cache_dir=question.cache_dir,
            obstacle=obstacle,
        )
    return found


def _names_of_sets(question: Question, benchmark: str, sides: tuple[Side, Side]) -> list[str]:
    """What the runs measured of the whole set, and what else is asked for by name."""
    whole = without_point(benchmark)
    names = {whole, whole.rpartition("::")[2]}  # earlier versions kept the function alone
    records = (record for side in sides for record in side.records)
    measured = (one.name for one in definitions_in(r for r in records if r.benchmark in names and is_of_set(r)))
    known = [name for spec in question.registry if spec.scope == "set" for name in spec.part_names()]
    named = (n for n in known for term in question.terms if term != "*" and fnmatch.fnmatchcase(n, term))
    return [name for name in dict.fromkeys((*measured, *named)) if question.wants(name)]


def _check_reference(question: Question, spec: MetricSpec, references: Mapping[str, ReferenceFeatures]) -> None:
    """A metric that is named must be computed; one that the run merely has may lack what it needs."""
    needed = [name for name in spec.inputs if name.endswith("_reference")]
    if needed and not references and set(question.terms) & {spec.name, *spec.part_names()}:
        raise OptionError(
            f"{spec.name!r} compares with a reference set, and there is none",
            where="--reference",
            mend="build one: vdb reference build CLIPS -o FILE.npz; then give --reference FILE.npz",
        )


def _check_all_found(question: Question, asked: Sequence[Asked], sides: tuple[Side, Side]) -> None:
    """That every name that is asked for found something.

    Raises:
        OptionError: a metric that was not measured.
        UnknownName: no metric of that name.
        RecordError: nothing was measured at all.
    """
    shown = {name for one in asked for name in one.names}
    for term in question.terms:
        if term in EVERYTHING or any(fnmatch.fnmatchcase(name, term) for name in shown):
            continue
        measured = {name for one in asked for side in one.pairs.sides for name in side.names}
        of_sets = (name for one in asked for name in _names_of_sets(question, one.pairs.benchmark, sides))
        names = sorted(measured.union(of_sets))
        known = few(names)
        if (spec := question.spec_of(term)) is None:
            raise UnknownName("metric", term, names, where="--metrics", mend=f"Measured: {known}.")
        what = "no record keeps what its network saw" if spec.scope == "set" else "it was not measured"
        mend = f"measure it in the run: --vdb-metrics={spec.name}; measured: {known}"
        raise OptionError(f"{term!r}: {what}", where="--metrics", mend=mend)
    if not shown:
        mend = "run a benchmark that measures, e.g. test_generation"
        raise RecordError("nothing was measured", where=" and ".join(side.label for side in sides), mend=mend)
