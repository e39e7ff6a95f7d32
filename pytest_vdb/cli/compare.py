"""`vdb compare`: is A better than B, or is it noise?"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, show, warn
from pytest_vdb.cli.session import errors_of_metrics
from pytest_vdb.errors import OptionError, RecordError, UnknownName, VdbError
from pytest_vdb.files import expanded
from pytest_vdb.records import Record, Run, to_plain

if TYPE_CHECKING:
    from pytest_vdb.analysis.comparison import Comparison, Contrast, Pairs, Side
    from pytest_vdb.analysis.set_comparison import Swaps
    from pytest_vdb.metrics.contract import MetricSpec, ReferenceFeatures
    from pytest_vdb.metrics.registry import MetricRegistry

EVERYTHING = frozenset({"all", "default"})
_WIDEST = 120


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    compare = commands.add_parser(
        "compare",
        help="is A better than B, or is it noise? Two models of a run, or one model in two runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb compare reports/runs/LAST wan2.1-t2v-1.3b cogvideox-2b    two models of one run\n"
        "  vdb compare reports/runs/TONIGHT reports/runs/YESTERDAY       the models that both runs have\n"
        "  vdb compare reports/scores/mine.jsonl reports/scores/theirs.jsonl\n"
        "  vdb compare RUN A B --metrics 'sharpness,fvd,kvd' --reference real.npz\n\n"
        "Compared are samples of the same prompt, sample index and seed. Clip metrics and costs: paired t-test over\n"
        "the prompts. Set metrics: the clips of a prompt are swapped between A and B, again and again. The p of all\n"
        "metrics that are shown are corrected together (Benjamini-Hochberg).",
    )
    what = "RUN A B, or RUN_A RUN_B; a run is its folder, what vdb score wrote, or a baseline"
    compare.add_argument("sides", nargs="+", metavar="RUN", help=what)
    compare.add_argument("--model", metavar="NAMES", help="of two runs: only these models, names or globs")
    compare.add_argument("--metrics", default="all", metavar="NAMES", help="names or globs (default: all measured)")
    compare.add_argument(
        "--reference", type=expanded, metavar="NPZ", help="what vdb reference build wrote, for set metrics"
    )
    tagged = "a Python file or module that tags metrics with @metric; repeatable"
    compare.add_argument("--from", dest="sources", action="append", default=[], metavar="FILE", help=tagged)
    compare.add_argument("--any-recipe", action="store_true", help="of two runs: also where the recipes differ")
    compare.add_argument(
        "--permutations",
        type=whole("--permutations", 1),
        default=999,
        help="swaps for set metrics at most (default: %(default)s)",
    )
    compare.add_argument("--seed", type=whole("--seed", 0), default=0, help="of these swaps (default: %(default)s)")
    compare.add_argument("--json", action="store_true", help="print JSON instead of a table")
    compare.add_argument("-o", "--output", type=expanded, metavar="FILE", help="also write it as Markdown")
    compare.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    if options.output is not None:
        files.check_writable(options.output)
    comparisons = _comparisons(options)
    from pytest_vdb.reporters import comparison as shown

    if options.output is not None:
        files.write(options.output, "\n".join(map(shown.render_markdown, comparisons)))
        warn(options.output)
    if options.json:
        print_json([_plain(comparison) for comparison in comparisons])
        return 0
    width = min(_WIDEST, shutil.get_terminal_size((100, 24)).columns)
    show("\n\n".join(shown.render_terminal(comparison, width=width) for comparison in comparisons))
    return 0


def _comparisons(options: argparse.Namespace) -> list[Comparison]:
    """Of every model that is asked for; of several, those that cannot be compared are said on stderr.

    Raises:
        VdbError: nothing can be compared.
    """
    comparisons, errors = [], []
    for first, second in _sides(options):
        try:
            with errors_of_metrics():
                comparisons.append(_comparison(options, first, second))
        except VdbError as error:
            errors.append(error)
    if not comparisons:
        raise errors[0]
    for problem in errors:
        warn(problem)
    return comparisons


# Which two ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One file or folder of records."""

    path: Path
    run: Run
    records: tuple[Record, ...]
    folder: Path

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(sorted({record.model for record in self.records}))

    def side(self, model: str, label: str) -> Side:
        """One of its models.

        Raises:
            UnknownName: it has no such model.
        """
        from pytest_vdb.analysis.comparison import Side

        if model not in self.models:
            only = self.models[0] if len(self.models) == 1 else None
            mend = f"It holds only {only!r}: compare it with another run." if only else f"It holds {_few(self.models)}."
            raise UnknownName("model", model, self.models, where=self.path, mend=mend)
        records = tuple(record for record in self.records if record.model == model)
        return Side(label=label, model=model, run=self.run, records=records, folder=self.folder)


def _sides(options: argparse.Namespace) -> list[tuple[Side, Side]]:
    """What is compared with what: two models of one run, or each model that two runs share.

    Raises:
        OptionError: neither RUN A B nor RUN_A RUN_B.
        UnknownName: a model that is not there.
    """
    given: list[str] = options.sides
    how = "two models of one run: vdb compare RUN A B; one model in two runs: vdb compare RUN_A RUN_B"
    if len(given) == 3:
        if options.model is not None:
            raise OptionError("the models are named already", where="--model", mend=how)
        if given[1] == given[2]:
            raise OptionError(f"{given[1]!r} against itself", where="vdb compare", mend=how)
        (source,) = _sources(given[:1])
        return [(source.side(given[1], given[1]), source.side(given[2], given[2]))]
    if len(given) != 2:
        raise OptionError(f"{len(given)} arguments: {' '.join(given)}", where="vdb compare", mend=how)
    if not files.is_there(given[1]) and "=" not in given[1]:
        raise OptionError(f"there is no run {given[1]!r}", where="vdb compare", mend=how)
    first, second = _sources(given)
    return [_of_two(first, second, a, b) for a, b in _shared(first, second, options.model)]


def _of_two(first: _Source, second: _Source, a: str, b: str) -> tuple[Side, Side]:
    labels = (first.run.id, second.run.id) if a == b else (a, b)
    return first.side(a, labels[0]), second.side(b, labels[1])


def _shared(first: _Source, second: _Source, expression: str | None) -> list[tuple[str, str]]:
    """The models of two runs that are compared: those of one name, or the only one of each."""
    if expression is None and len(first.models) == len(second.models) == 1:
        return [(first.models[0], second.models[0])]
    both = [name for name in first.models if name in second.models]
    if expression is None:
        chosen = both
    else:
        terms = [term.strip() for term in expression.split(",") if term.strip()]
        for term in terms:
            if not any(fnmatch.fnmatchcase(name, term) for name in both):
                mend = f"Both runs have {_few(both)}." if both else None
                raise UnknownName("model of both runs", term, both, where="--model", mend=mend)
        chosen = [name for name in both if any(fnmatch.fnmatchcase(name, term) for term in terms)]
    if not chosen:
        raise RecordError(
            f"no model is in both: {_few(first.models)}; {_few(second.models)}",
            where=f"{first.path} and {second.path}",
            mend="models of different names are compared within one run: vdb compare RUN A B",
        )
    return [(name, name) for name in chosen]


def _sources(given: Sequence[str]) -> list[_Source]:
    """Runs, scored clips and baselines: read together, so that the clips of a score are paired with those of the run's
    own suite.

    Raises:
        RecordError: none of these.
    """
    from pytest_vdb.cli import reported

    found = []
    for told in reported.each(given):
        for warning in told.warnings:
            warn(warning)
        found.append(_Source(path=told.path, run=told.run, records=told.records, folder=told.folder))
    return found


# What is compared ---------------------------------------------------------------------------------------------------


def _comparison(options: argparse.Namespace, first: Side, second: Side) -> Comparison:
    """Every metric that was asked for, judged together.

    Raises:
        RecordError: they have no sample in common, or nothing was measured of it.
        OptionError, UnknownName: a metric that was not measured, or that lacks its reference.
    """
    from pytest_vdb.analysis import comparison

    benchmarks = sorted(_with_pairs(comparison.pair_up(first.records, second.records), first, second), key=_costs_only)
    same_run, same_model = first.run.id == second.run.id, first.model == second.model
    asked = _Asked.of(options, first, second)
    contrasts: list[Contrast] = []
    for pairs in benchmarks:
        obstacle = comparison.obstacle_of_sides(pairs, same_model=same_model, any_recipe=options.any_recipe)
        of_clips = comparison.contrast(pairs, same_run=same_run, obstacle=obstacle)
        chosen = [*of_clips, *asked.sets(pairs, obstacle)]
        contrasts += sorted(filter(asked.wants, chosen), key=lambda one: one.kind != "quality")
    asked.check(contrasts, benchmarks)
    shown = [pairs for pairs in benchmarks if any(one.benchmark == pairs.benchmark for one in contrasts)]
    remarks = comparison.remarks_on(first, second, shown)
    if asked.references and any(one.of_set for one in contrasts):
        remarks += (f"reference set: {next(iter(asked.references.values())).source}",)
    return comparison.Comparison(
        first=first,
        second=second,
        benchmarks=tuple(shown),
        contrasts=comparison.judged(contrasts),
        remarks=remarks,
        permutations=options.permutations,
        seed=options.seed,
    )


def _costs_only(pairs: Pairs) -> bool:
    return all(m.kind != "quality" for pair in pairs.pairs for record in pair for m in record.measurements)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What `--metrics` asks for, and what set metrics need."""

    terms: tuple[str, ...]
    first: Side
    second: Side
    registry: MetricRegistry
    references: Mapping[str, ReferenceFeatures]
    swaps: Swaps

    @classmethod
    def of(cls, options: argparse.Namespace, first: Side, second: Side) -> _Asked:
        from pytest_vdb.analysis.set_comparison import Swaps
        from pytest_vdb.cli.sources import imported
        from pytest_vdb.metrics.registry import MetricRegistry

        registry = MetricRegistry.builtin()
        for source in options.sources:
            registry.add_from(imported(source))
        return cls(
            terms=tuple(term.strip() for term in options.metrics.split(",") if term.strip()),
            first=first,
            second=second,
            registry=registry,
            references=_references(options.reference, first, second),
            swaps=Swaps(permutations=options.permutations, seed=options.seed),
        )

    def wants(self, one: Contrast) -> bool:
        """Whether a metric is shown."""
        return self._matches(one.metric)

    def sets(self, pairs: Pairs, obstacle: str | None) -> list[Contrast]:
        """The set metrics that the runs measured in this benchmark, and those that are asked for by name.

        Raises:
            RecordError: a file of features is missing or torn.
            OptionError: one that is asked for by name needs a reference set.
        """
        from pytest_vdb.analysis import set_comparison
        from pytest_vdb.options import cache_folder

        if not any(record.features for pair in pairs.pairs for record in pair):
            return []
        names = self._set_names(pairs.benchmark)
        specs = {spec.name: spec for name in names if (spec := self._spec(name)) is not None}
        folders = self.first.folder, self.second.folder
        seen = set_comparison.seen
        scores = [(seen(a, folders[0]), seen(b, folders[1])) for a, b in pairs.pairs] if specs else []
        found = [set_comparison.unknown(name, pairs) for name in names if self._spec(name) is None]
        for spec in specs.values():
            self._check_reference(spec)
            found += set_comparison.contrast_sets(
                spec,
                pairs,
                scores,
                references=self.references,
                swaps=self.swaps,
                cache_dir=cache_folder(),
                obstacle=obstacle,
            )
        return found

    def check(self, contrasts: Sequence[Contrast], benchmarks: Sequence[Pairs]) -> None:
        """That every name of `--metrics` found something.

        Raises:
            OptionError: a metric that was not measured.
            UnknownName: no metric of that name.
            RecordError: nothing was measured at all.
        """
        measured = {m.name for pairs in benchmarks for pair in pairs.pairs for r in pair for m in r.measurements}
        names = sorted(measured | {name for pairs in benchmarks for name in self._set_names(pairs.benchmark)})
        for term in self.terms:
            if term in EVERYTHING or any(fnmatch.fnmatchcase(one.metric, term) for one in contrasts):
                continue
            if (spec := self._spec(term)) is None:
                raise UnknownName("metric", term, names, where="--metrics", mend=f"Measured: {_few(names)}.")
            what = "no record keeps what its network saw" if spec.scope == "set" else "it was not measured"
            mend = f"measure it in the run: --vdb-metrics={spec.name}; measured: {_few(names)}"
            raise OptionError(f"{term!r}: {what}", where="--metrics", mend=mend)
        if not contrasts:
            mend = "run a benchmark that measures, e.g. test_generation"
            raise RecordError("nothing was measured", where=f"{self.first.label} and {self.second.label}", mend=mend)

    def _matches(self, name: str) -> bool:
        return any(term in EVERYTHING or fnmatch.fnmatchcase(name, term) for term in self.terms)

    def _set_names(self, benchmark: str) -> list[str]:
        """What the runs measured of the whole set, and what else is asked for by name."""
        records = [*self.first.records, *self.second.records]
        names = {benchmark, benchmark.rpartition("::")[2]}  # earlier versions kept the function alone
        of_sets = [r for r in records if r.benchmark in names and r.prompt is None and r.seed is None]
        known = [name for spec in self.registry if spec.scope == "set" for name in spec.part_names()]
        named = [name for name in known for term in self.terms if term != "*" and fnmatch.fnmatchcase(name, term)]
        return [*filter(self._matches, dict.fromkeys([*(m.name for r in of_sets for m in r.measurements), *named]))]

    def _spec(self, name: str) -> MetricSpec | None:
        return next((spec for spec in self.registry if name in (spec.name, *spec.part_names())), None)

    def _check_reference(self, spec: MetricSpec) -> None:
        """A metric that is named must be computed; one that the run merely has may lack what it needs."""
        needed = [name for name in spec.inputs if name.endswith("_reference")]
        if needed and not self.references and set(self.terms) & {spec.name, *spec.part_names()}:
            raise OptionError(
                f"{spec.name!r} compares with a reference set, and there is none",
                where="--reference",
                mend="build one: vdb reference build CLIPS -o FILE.npz; then give --reference FILE.npz",
            )


def _references(given: Path | None, first: Side, second: Side) -> Mapping[str, ReferenceFeatures]:
    """What `--reference` names, else the reference that both runs used, if it is still there.

    Raises:
        RecordError: the file that was named is no reference set.
    """
    from pytest_vdb.metrics import reference

    if given is not None:
        return reference.load(given)
    used = {side.run.options.get("reference") for side in (first, second)}
    path = used.pop()
    same = not used and isinstance(path, str)
    return reference.load(Path(path)) if same and path and reference.is_reference(Path(path)) else {}


# What is shown ------------------------------------------------------------------------------------------------------


def _plain(comparison: Comparison) -> dict[str, Any]:
    """For programs."""
    from pytest_vdb.reporters.comparison import summary

    return {
        "a": _plain_side(comparison.first),
        "b": _plain_side(comparison.second),
        "summary": summary(comparison),
        "benchmarks": [
            {
                "benchmark": pairs.benchmark,
                "prompts": pairs.prompts,
                "pairs": len(pairs.pairs),
                "left_out": dict(pairs.left_out),
            }
            for pairs in comparison.benchmarks
        ],
        "metrics": [to_plain(one) for one in comparison.contrasts],
        "remarks": list(comparison.remarks),
        "swaps": {"most": comparison.permutations, "seed": comparison.seed},
    }


def _plain_side(side: Side) -> dict[str, Any]:
    environment = side.run.environment
    return {
        "model": side.model,
        "run": side.run.id,
        "started_at": side.run.started_at,
        "commit": environment.git_commit,
        "hardware": environment.hardware,
    }


def _few(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
