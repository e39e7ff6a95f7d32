"""`vdb compare`: is A better than B, or is it noise?"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
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

if TYPE_CHECKING:
    from pytest_vdb.analysis.comparison import Comparison, Side
    from pytest_vdb.analysis.question import Question
    from pytest_vdb.records import Record
    from pytest_vdb.results.reported import Source

_HOW = "two models of one run: vdb compare RUN A B; one model in two runs: vdb compare RUN_A RUN_B"
_WIDEST = 120
_MODELS_AT_ONCE = 8
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
    comparisons = _comparisons(arguments)
    from pytest_vdb.reporters import comparison as shown
    from pytest_vdb.reporters import comparison_page

    if arguments.output is not None:
        folder = arguments.output.parent
        files.write(arguments.output, "\n".join(shown.render_markdown(one, beside=folder) for one in comparisons))
        warn(arguments.output)
    if arguments.html is not None:
        files.write(arguments.html, comparison_page.render(comparisons, beside=arguments.html.parent))
        warn(arguments.html)
    if arguments.json:
        print_json([shown.for_programs(comparison) for comparison in comparisons])
        return 0
    if arguments.markdown:
        show("\n".join(map(shown.render_markdown, comparisons)))
        return 0
    width = min(_WIDEST, shutil.get_terminal_size((100, 24)).columns)
    show("\n\n".join(shown.render_terminal(comparison, width=width) for comparison in comparisons))
    return 0


def _comparisons(arguments: CompareArguments) -> list[Comparison]:
    """Of every model that is asked for; of several, those that cannot be compared are said on stderr.

    Raises:
        VdbError: nothing can be compared.
    """
    from pytest_vdb.analysis.question import answers, drafted

    with setting_aside():
        sides = _pairs_of_sides(arguments)
    question = _question(arguments)
    comparisons: list[Comparison] = []
    errors = []
    for start in range(0, len(sides), _MODELS_AT_ONCE):
        drafts = []
        for first, second in sides[start : start + _MODELS_AT_ONCE]:
            try:
                with errors_of_metrics():
                    drafts.append(drafted(question, first, second))
            except VdbError as error:
                errors.append(error)
        comparisons += answers(question, drafts)
    if not comparisons:
        raise errors[0]
    for problem in errors:
        warn(problem)
    return comparisons


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
    named = None if arguments.model is None else _NamesOrGlobs(arguments.model)
    first, second = _sources(given, models=named)
    pairs = []
    for mine, theirs in _shared_models(first, second, named):
        labels = (first.source.run.id, second.source.run.id) if mine == theirs else (mine, theirs)
        pairs.append((first.side(mine, labels[0]), second.side(theirs, labels[1])))
    return pairs


def _sources(given: Sequence[str], *, models: Container[str] | None = None) -> list[_ByModel]:
    """Runs, scored clips and baselines: read together, so that the clips of a score are paired with those of the run's
    own suite.

    Args:
        given: as they are typed.
        models: of runs, only the records of these are read; None: all.

    Raises:
        RecordError: none of these.
    """
    from pytest_vdb.results import reported

    found = reported.each(given, models=models)
    for warning in (warning for source in found for warning in source.warnings):
        warn(warning)
    return [_ByModel(source) for source in found]


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
