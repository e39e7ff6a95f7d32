"""`vdb compare`: is A better than B, or is it noise?"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, show, warn
from pytest_vdb.cli.session import errors_of_metrics
from pytest_vdb.errors import OptionError, RecordError, UnknownName, VdbError
from pytest_vdb.escaping import few
from pytest_vdb.files import expanded
from pytest_vdb.garbage import setting_aside
from pytest_vdb.processes import in_processes

if TYPE_CHECKING:
    from pytest_vdb.analysis.comparison import Comparison, Side
    from pytest_vdb.analysis.question import Question
    from pytest_vdb.cli.shares import Share
    from pytest_vdb.records import Record
    from pytest_vdb.reporters.comparison import Headline
    from pytest_vdb.results.reported import Source

_HOW = "two models of one run: vdb compare RUN A B; one model in two runs: vdb compare RUN_A RUN_B"
_WIDEST = 120
MODELS_TOGETHER = 8
"""Of two runs: their metrics are tested together, in half the time, and in some ten MiB."""


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
        "  vdb compare ours_eval_results.json theirs_eval_results.json   two result files of VBench, video by video\n"
        "  vdb compare RUN A B --metrics 'sharpness,fvd,kvd' --reference real.npz\n\n"
        "Compared are samples of the same prompt, sample index and seed. Clip metrics and costs: the mean difference\n"
        "over the prompts; of the same thing twice, the signs of the differences. Set metrics: the clips of a prompt\n"
        "are swapped between A and B, again and again. The p of all metrics that are shown are corrected together\n"
        "(Benjamini-Hochberg).",
    )
    what = "RUN A B, or RUN_A RUN_B; a run is its folder, what vdb score wrote, a baseline, or VBench's results"
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
    printed = compare.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    printed.add_argument("--markdown", action="store_true", help="print Markdown instead of a table")
    compare.add_argument("-o", "--output", type=expanded, metavar="FILE", help="also write it as Markdown")
    clips = "also write a page, with the prompts that changed most and both clips side by side"
    compare.add_argument("--html", type=expanded, metavar="FILE", help=clips)
    compare.set_defaults(command=Command(CompareArguments, _compare))


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareArguments:
    """What `vdb compare` was asked."""

    sides: tuple[str, ...]
    model: str | None
    metrics: str
    reference: Path | None
    sources: tuple[str, ...]
    any_recipe: bool
    permutations: int
    seed: int
    json: bool
    markdown: bool
    output: Path | None
    html: Path | None


def _compare(arguments: CompareArguments) -> int:
    for path in filter(None, (arguments.output, arguments.html)):
        files.check_writable(path)
    shown = _compared_by_several(arguments)
    if shown is None:
        shown = _compared_by_one(arguments)
    if arguments.output is not None:
        files.write(arguments.output, "\n".join(one.page for one in shown))
        warn(arguments.output)
    if arguments.html is not None:
        from pytest_vdb.reporters import comparison_page

        files.write(arguments.html, comparison_page.page_of([one.section for one in shown]))
        warn(arguments.html)
    answers = [one.answer for one in shown]
    if arguments.json:
        print_json(answers)
    elif arguments.markdown:
        show("\n".join(answers))
    else:
        from pytest_vdb.reporters.comparison import overview

        of_all = overview([one.headline for one in shown], width=_width_of_answer())
        show("\n\n".join(filter(None, [*answers, of_all])))
    return 0


def _width_of_answer() -> int:
    return min(_WIDEST, shutil.get_terminal_size((100, 24)).columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _ShownComparison:
    """A comparison in every form that is asked for."""

    headline: Headline
    """For the overview of several."""
    answer: Any
    """For stdout: a text, or what JSON is made of."""
    page: str
    """Markdown for a file; empty where none is asked for."""
    section: Mapping[str, Any]
    """Of the HTML page; empty likewise."""


def _shown_comparison(arguments: CompareArguments, comparison: Comparison) -> _ShownComparison:
    from pytest_vdb.reporters import comparison as reporter
    from pytest_vdb.reporters import comparison_page

    output, html = arguments.output, arguments.html
    if arguments.json:
        answer: Any = reporter.for_programs(comparison)
    elif arguments.markdown:
        answer = reporter.render_markdown(comparison)
    else:
        answer = reporter.render_terminal(comparison, width=_width_of_answer())
    return _ShownComparison(
        headline=reporter.Headline.of(comparison),
        answer=answer,
        page="" if output is None else reporter.render_markdown(comparison, beside=output.parent),
        section={} if html is None else comparison_page.section_of(comparison, beside=html.parent),
    )


def _compared_by_one(arguments: CompareArguments) -> list[_ShownComparison]:
    """Every comparison that is asked for; of several, those that cannot be made are said on stderr.

    Raises:
        VdbError: nothing can be compared.
    """
    with setting_aside():
        sides = _pairs_of_sides(arguments)
    shown, problems = _compared_sides(arguments, sides)
    if not shown:
        raise next(iter(problems.values()))
    for problem in problems.values():
        warn(problem)
    return [*shown.values()]


def _compared_sides(
    arguments: CompareArguments, sides: Sequence[tuple[Side, Side]]
) -> tuple[dict[str, _ShownComparison], dict[str, VdbError]]:
    """What there is to show of each two sides, and what cannot be compared and why, by the first one's model."""
    from pytest_vdb.analysis.question import answers, drafted

    question = _question(arguments)
    shown: dict[str, _ShownComparison] = {}
    problems: dict[str, VdbError] = {}
    for start in range(0, len(sides), MODELS_TOGETHER):
        drafts = []
        for first, second in sides[start : start + MODELS_TOGETHER]:
            try:
                with errors_of_metrics():
                    drafts.append(drafted(question, first, second))
            except VdbError as error:
                problems[first.model] = error
        shown |= {one.first.model: _shown_comparison(arguments, one) for one in answers(question, drafts)}
    return shown, problems


# By several processes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _PartOfComparisons:
    """What one of several processes found."""

    warnings: tuple[str, ...]
    shown: Mapping[str, _ShownComparison]
    problems: Mapping[str, str]
    """Model -> why it cannot be compared."""


def _compared_by_several(arguments: CompareArguments) -> list[_ShownComparison] | None:
    """The same as by one, sooner; None: it is no matter of two large runs, or one that one process tells better."""
    if len(arguments.sides) != 2 or arguments.sources:  # a user's own file may do anything when it is imported
        return None
    from pytest_vdb.cli.shares import shares_of_runs

    shares = shares_of_runs(arguments.sides, _models_named(arguments), together=MODELS_TOGETHER)
    parts = in_processes(partial(_part_of_share, arguments), shares) if shares else None
    if parts is None or len({part.warnings for part in parts}) > 1:
        return None
    shown = {model: one for part in parts for model, one in part.shown.items()}
    problems = {model: problem for part in parts for model, problem in part.problems.items()}
    if not shown:
        return None
    every = shares[0].every
    for problem in (*parts[0].warnings, *(problems[model] for model in every if model in problems)):
        warn(problem)
    return [shown[model] for model in every if model in shown]


def _part_of_share(arguments: CompareArguments, share: Share) -> _PartOfComparisons:
    """Raises RecordError where the runs hold other models than they seemed to."""
    with setting_aside():
        (first, second), warnings = _read_sources(arguments.sides, models=share.own)
        both = [mine for mine, _ in _shared_models(first, second, _models_named(arguments))]
        if both != [*share.every]:
            raise RecordError(f"{len(both)} models instead of {len(share.every)}")
        labels = first.source.run.id, second.source.run.id
        sides = [(first.side(one, labels[0]), second.side(one, labels[1])) for one in both if one in share.own]
    shown, problems = _compared_sides(arguments, sides)
    return _PartOfComparisons(
        warnings=warnings, shown=shown, problems={model: str(error) for model, error in problems.items()}
    )


def _question(arguments: CompareArguments) -> Question:
    from pytest_vdb.analysis.paired_sets import Swaps
    from pytest_vdb.analysis.question import Question
    from pytest_vdb.cli.sources import imported
    from pytest_vdb.metrics.registry import MetricRegistry
    from pytest_vdb.options import cache_folder

    registry = MetricRegistry.builtin()
    for source in arguments.sources:
        registry.add_from(imported(source))
    return Question(
        metrics=arguments.metrics,
        registry=registry,
        reference=arguments.reference,
        any_recipe=arguments.any_recipe,
        swaps=Swaps(permutations=arguments.permutations, seed=arguments.seed),
        cache_dir=cache_folder(),
    )


# Which two ----------------------------------------------------------------------------------------------------------


def _pairs_of_sides(arguments: CompareArguments) -> list[tuple[Side, Side]]:
    """What is compared with what: two models of one run, or each model that two runs share.

    Raises:
        OptionError: neither RUN A B nor RUN_A RUN_B.
        UnknownName: a model that is not there.
    """
    given = arguments.sides
    if len(given) == 3:
        if arguments.model is not None:
            raise OptionError("the models are named already", where="--model", mend=_HOW)
        if given[1] == given[2]:
            raise OptionError(f"{given[1]!r} against itself", where="vdb compare", mend=_HOW)
        (source,) = _sources(given[:1], models=given[1:])
        return [(source.side(given[1], given[1]), source.side(given[2], given[2]))]
    if len(given) != 2:
        raise OptionError(f"{len(given)} arguments: {' '.join(given)}", where="vdb compare", mend=_HOW)
    if not files.is_there(given[1]) and "=" not in given[1]:
        raise OptionError(f"there is no run {given[1]!r}", where="vdb compare", mend=_HOW)
    named = _models_named(arguments)
    first, second = _sources(given, models=named)
    pairs = []
    for mine, theirs in _shared_models(first, second, named):
        labels = (first.source.run.id, second.source.run.id) if mine == theirs else (mine, theirs)
        pairs.append((first.side(mine, labels[0]), second.side(theirs, labels[1])))
    return pairs


def _models_named(arguments: CompareArguments) -> _NamesOrGlobs | None:
    """The models that are asked for; None: all."""
    return None if arguments.model is None else _NamesOrGlobs(arguments.model)


def _sources(given: Sequence[str], *, models: Container[str] | None = None) -> list[_ByModel]:
    """Runs, scored clips and baselines, with what is to be said of them.

    Args:
        given, models: see `_read_sources`.

    Raises:
        RecordError: none of these.
    """
    found, warnings = _read_sources(given, models=models)
    for warning in warnings:
        warn(warning)
    return found


def _read_sources(given: Sequence[str], *, models: Container[str] | None) -> tuple[list[_ByModel], tuple[str, ...]]:
    """Each source, and the warnings of all: read together, so that the clips of a score are paired with those of the
    run's own suite.

    Args:
        given: as they are typed.
        models: of runs, only the records of these are read; None: all.

    Raises:
        RecordError: none of these.
    """
    from pytest_vdb.results import reported

    found = reported.each(given, models=models)
    return [_ByModel(source) for source in found], tuple(warning for source in found for warning in source.warnings)


class _ByModel:
    """What there is of each model of a source."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.models = source.models
        self._records: dict[str, list[Record]] = {model: [] for model in self.models}
        for record in (*source.records, *source.videos):
            self._records.setdefault(record.model, []).append(record)
        self._are_means_alone = not source.videos and all(record.published is not None for record in source.records)

    def side(self, model: str, label: str) -> Side:
        """One of its models.

        Raises:
            UnknownName: it has no such model.
            RecordError: of a published result only the means are known.
        """
        from pytest_vdb.analysis.comparison import Side

        source = self.source
        if model not in self.models:
            mend = f"It holds {few(self.models)}."
            if len(self.models) == 1:
                mend = f"It holds only {self.models[0]!r}: compare it with another run."
            raise UnknownName("model", model, self.models, where=source.path, mend=mend)
        if self._are_means_alone:
            raise RecordError(
                "it lists no videos: of means alone nobody knows how far they are chance",
                where=source.path,
                mend=f"give the file with video_results, or see the means side by side: vdb report {source.path} ...",
            )
        records = tuple(self._records[model])
        return Side(label=label, model=model, run=source.run, records=records, folder=source.folder)


class _NamesOrGlobs:
    """The models that an expression means: `wan*, cogvideox-2b`."""

    def __init__(self, expression: str) -> None:
        self.terms = [term.strip() for term in expression.split(",") if term.strip()]

    def __contains__(self, name: object) -> bool:
        return any(fnmatch.fnmatchcase(str(name), term) for term in self.terms)


def _shared_models(first: _ByModel, second: _ByModel, named: _NamesOrGlobs | None) -> list[tuple[str, str]]:
    """The models of two runs that are compared: those of one name, or the only one of each."""
    if named is None and len(first.models) == len(second.models) == 1:
        return [(first.models[0], second.models[0])]
    theirs = set(second.models)
    both = [name for name in first.models if name in theirs]
    for term in () if named is None else named.terms:
        if not any(fnmatch.fnmatchcase(name, term) for name in both):
            mend = f"Both runs have {few(both)}." if both else None
            raise UnknownName("model of both runs", term, both, where="--model", mend=mend)
    chosen = [name for name in both if named is None or name in named]
    if not chosen:
        raise RecordError(
            f"no model is in both: {few(first.models)}; {few(second.models)}",
            where=f"{first.source.path} and {second.source.path}",
            mend="models of different names are compared within one run: vdb compare RUN A B",
        )
    return [(name, name) for name in chosen]
