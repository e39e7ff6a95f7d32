"""`vdb gate`: judge a run that exists, as its session would have. `vdb baseline`: what runs are compared with."""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import print_json, print_table, show, warn
from pytest_vdb.errors import OptionError, RecordError, VdbError
from pytest_vdb.files import expanded
from pytest_vdb.garbage import setting_aside
from pytest_vdb.options import NOT_ASKED_RIGHTLY, cache_folder, of_runs, project_gate

if TYPE_CHECKING:
    from pytest_vdb.analysis.gate import Verdict
    from pytest_vdb.analysis.paired_sets import SetsOfRuns
    from pytest_vdb.analysis.rules import Rule
    from pytest_vdb.records import Baseline, Environment

KEPT_IN = Path("fixtures/baselines")
_LISTED_PACKAGES = ("torch", "diffusers", "transformers")
"""Told in a list: what changes pixels and speed most."""
_WIDEST = 160


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    _add_gate(commands)
    _add_baseline(commands)


def _add_gate(commands: Any) -> None:
    gate = commands.add_parser(
        "gate",
        help="is a run worse than a baseline by more than is allowed? Of runs that exist",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb gate reports/runs/LAST --baseline fixtures/baselines/main.json --fail-on 'sharpness:-2%'\n"
        "  vdb gate reports/runs/LAST --baseline history:10 --fail-on 'latency:+10%&0.5s' --json\n\n"
        "Ends with 0: passed; 1: regressed; 12: something was not measured; 13: not to be compared; 14, if strict:\n"
        "the prompts at hand cannot tell; 2: not asked rightly.",
    )
    gate.add_argument("run", type=expanded, metavar="RUN", help="a run's folder, run.json or records.jsonl")
    what = "a run, what vdb baseline save wrote, latest, branch:NAME or history:N among the runs beside RUN"
    gate.add_argument("--baseline", required=True, metavar="WHAT", help=what)
    rules = "e.g. 'clip_similarity:-2%%,latency@wan*:+10%%&0.5s' (default: [tool.vdb.gate] of pyproject.toml)"
    gate.add_argument("--fail-on", dest="rules", metavar="RULES", help=rules)
    floor = "what vdb noise --save wrote: says which margins lie below their noise floor; with --strict refuses them"
    gate.add_argument("--noise", type=expanded, metavar="FILE", help=floor)
    gate.add_argument("--strict", action="store_true", help="fail on what the prompts at hand cannot tell, too")
    gate.add_argument("--json", action="store_true", help="print JSON instead of a table")
    gate.add_argument("-o", "--output", type=expanded, metavar="FILE", help="also write it as Markdown")
    gate.set_defaults(command=Command(GateArguments, _gate, refused=NOT_ASKED_RIGHTLY))


@dataclass(frozen=True, slots=True, kw_only=True)
class GateArguments:
    """What `vdb gate` was asked."""

    run: Path
    baseline: str
    rules: str | None
    noise: Path | None
    strict: bool
    json: bool
    output: Path | None


def _gate(arguments: GateArguments) -> int:
    from pytest_vdb.analysis.gate import exit_code
    from pytest_vdb.reporters import gate

    if arguments.output is not None:
        files.check_writable(arguments.output)
    strict = arguments.strict
    verdicts = judged(arguments.run, arguments.baseline, arguments.rules, noise=arguments.noise, strict=strict)
    if arguments.output is not None:
        files.write(arguments.output, gate.render_markdown(verdicts, strict=strict))
        warn(arguments.output)
    show_verdicts(verdicts, strict=strict, json=arguments.json)
    return exit_code(verdicts, strict=strict)


def judged(
    run_folder: Path, baseline_name: str, rules_text: str | None, *, noise: Path | None = None, strict: bool = False
) -> tuple[Verdict, ...]:
    """The verdicts on a run that exists; what could not be read of it or of its baseline is said on stderr.

    So is, before it is judged, which margins lie below their noise floor.

    Args:
        run_folder: a run's folder, `run.json` or `records.jsonl`.
        baseline_name: as `--vdb-baseline` takes it.
        rules_text: as `--vdb-fail-on` takes it; nothing: those of the project.
        noise: what `vdb noise --save` wrote.
        strict: whether a margin below its floor there is refused.

    Raises:
        OptionError: no rule, or one that cannot be read; where strict, a margin below its noise floor.
        RecordError: the run, the baseline or the noise floor cannot be read as one.
    """
    from pytest_vdb.analysis import margins
    from pytest_vdb.analysis.gate import judge
    from pytest_vdb.analysis.rules import check_names
    from pytest_vdb.results import baselines, journal

    rules = rules_asked(rules_text, example="sharpness:-2%")
    asked = baseline_name if of_runs(baseline_name) else str(expanded(baseline_name))
    with setting_aside():
        run, records, warnings = journal.read(run_folder)
        baseline = baselines.find(asked, _output_of(run_folder), than=run)
    for warning in (*warnings, *baseline.warnings):
        warn(warning)
    check_names(rules, baseline, where="--fail-on")
    for warning in margins.said_before(noise, baseline, rules, strict=strict, where="--noise"):
        warn(warning)
    folder = run_folder if files.is_folder(run_folder) else run_folder.parent

    @cache
    def sets() -> SetsOfRuns:
        from pytest_vdb.analysis.paired_sets import SetsOfRuns, used_by_both
        from pytest_vdb.metrics.registry import MetricRegistry

        references = used_by_both(baseline.run, run)
        return SetsOfRuns(
            registry=MetricRegistry.builtin(),
            references=references,
            before=baseline.folder,
            now=folder,
            cache_dir=cache_folder(),
        )

    return judge(records, run, baseline, rules, sets=sets)


def rules_asked(text: str | None, *, example: str) -> tuple[Rule, ...]:
    """What `--fail-on` says, else the project's.

    Raises:
        OptionError: no rule, or one that cannot be read.
    """
    from pytest_vdb.analysis.rules import parse_rules

    rules = parse_rules(text or project_gate(Path("pyproject.toml")) or "", where="--fail-on")
    if not rules:
        mend = f"give --fail-on '{example}', say, or write [tool.vdb.gate] in pyproject.toml"
        raise OptionError("no gate says what may not get worse", where="--fail-on", mend=mend)
    return rules


def show_verdicts(verdicts: Sequence[Verdict], *, strict: bool, json: bool, markdown: bool = False) -> None:
    """For people, for programs or for a page."""
    from pytest_vdb.reporters import gate

    if json:
        print_json([_for_programs(verdict, strict=strict) for verdict in verdicts])
    elif markdown:
        show(gate.render_markdown(verdicts, strict=strict))
    else:
        width = min(_WIDEST, shutil.get_terminal_size((100, 24)).columns)
        show(gate.render_terminal(verdicts, strict=strict, width=width))


def _output_of(run: Path) -> Path:
    """The output folder whose `runs/` holds a run."""
    folder = run if files.is_folder(run) else run.parent
    return folder.resolve().parent.parent


def _for_programs(verdict: Verdict, *, strict: bool) -> dict[str, Any]:
    plain = dataclasses.asdict(verdict)
    return {"verdict": plain.pop("outcome"), **plain, "failed": verdict.fails(strict=strict)}


# --- baselines --------------------------------------------------------------------------------------------------------


def _add_baseline(commands: Any) -> None:
    baseline = commands.add_parser("baseline", help="keep a run as the baseline of later ones, list and show them")
    actions = baseline.add_subparsers(required=True, metavar="save|list|show")
    save = actions.add_parser("save", help="write the small JSON that --vdb-baseline reads")
    save.add_argument("run", type=expanded, help="a run's folder, run.json or records.jsonl")
    default = KEPT_IN / "main.json"
    save.add_argument("-o", "--output", type=expanded, default=default, help="default: %(default)s")
    save.set_defaults(command=Command(SaveArguments, _save_baseline))
    listed = actions.add_parser("list", help="what there is to compare with: saved baselines and finished runs")
    folder = "an output folder with runs/ (default: %(default)s)"
    listed.add_argument("output", nargs="?", type=expanded, default=Path("reports"), help=folder)
    listed.add_argument("--json", action="store_true", help="print JSON instead of a table")
    listed.set_defaults(command=Command(ListArguments, _list_baselines))
    shown = actions.add_parser("show", help="what a baseline holds, and where it was made")
    shown.add_argument("baseline", type=expanded, help="what vdb baseline save wrote, or a run")
    shown.add_argument("--json", action="store_true", help="print JSON instead of a table")
    shown.set_defaults(command=Command(ShowArguments, _show_baseline))


_NO_RUN = {
    "ledger": "what vdb score wrote",
    "baseline": "a baseline already",
    "published": "a result file of VBench",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveArguments:
    """What `vdb baseline save` was asked."""

    run: Path
    output: Path


def _save_baseline(arguments: SaveArguments) -> int:
    from pytest_vdb.results import baselines, journal, sources

    if (sort := sources.sort_of(arguments.run)) != "run":
        raise RecordError(f"{_NO_RUN[sort]}, no run", where=arguments.run, mend="give a run's folder: reports/runs/RUN")
    files.check_writable(arguments.output)
    run, records, warnings = journal.read(arguments.run)
    for warning in warnings:
        warn(warning)
    if not records:
        raise RecordError("the run has no records", where=arguments.run, mend="run it to its first test at least")
    if (lacking := journal.shortfall(run, records)) is not None:
        warn(f"{arguments.run}: {lacking}; a later run is compared with these alone")
    baselines.save(records, run, arguments.output)
    show(
        f"{arguments.output}: {len(records)} records of run {run.id}; gate on it with --vdb-baseline={arguments.output}"
    )
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArguments:
    """What `vdb baseline list` was asked."""

    output: Path
    json: bool


def _list_baselines(arguments: ListArguments) -> int:
    from pytest_vdb.results import baselines

    found = [] if not files.is_folder(KEPT_IN) else files.entries(KEPT_IN, error=RecordError)[0]
    saved = [(path, one) for path in found if path.suffix == ".json" and (one := _read(path)) is not None]
    runs = [(one.folder, one.run.environment, one.run.id, one.began) for one in baselines.runs_in(arguments.output)]
    rows = [_whereabouts(path, one.run.environment, one.run.id, one.run.started_at) for path, one in saved]
    rows += [_whereabouts(*run) for run in runs]
    if arguments.json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    else:
        show(f"no baseline in {KEPT_IN}, and no finished run in {arguments.output}; run the benchmarks once")
    return 0


def _read(path: Path) -> Baseline | None:
    """None, and a warning, where it is none."""
    from pytest_vdb.results import baselines

    try:
        return baselines.load(path)
    except VdbError as error:
        warn(" ".join(str(error).split()))
        return None


def _whereabouts(path: Path, environment: Environment, run: str, began: str) -> dict[str, Any]:
    commit = environment.git_commit and environment.git_commit[:10] + ("+" if environment.git_dirty else "")
    return {
        "baseline": str(path),
        "run": run,
        "began": began[:16],
        "branch": environment.git_branch,
        "commit": commit,
        "hardware": environment.hardware,
        "software": _software(environment),
    }


def _software(environment: Environment) -> str:
    versions = (f"{name} {environment.packages[name]}" for name in _LISTED_PACKAGES if name in environment.packages)
    return ", ".join(versions)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowArguments:
    """What `vdb baseline show` was asked."""

    baseline: Path
    json: bool


def _show_baseline(arguments: ShowArguments) -> int:
    from pytest_vdb.results import baselines

    baseline = baselines.load(arguments.baseline)
    for warning in baseline.warnings:
        warn(warning)
    about = _whereabouts(arguments.baseline, baseline.run.environment, baseline.run.id, baseline.run.started_at)
    rows = list(_rows_of_models(baseline))
    if arguments.json:
        print_json({**about, "models": rows})
        return 0
    show("\n".join(f"{name:9} {value}" for name, value in about.items() if value) + "\n")
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    return 0


def _rows_of_models(baseline: Baseline) -> Iterable[dict[str, Any]]:
    """A row per model and recipe: what it was asked, what became of it, and what was measured in which version."""
    from pytest_vdb.analysis.readings import definitions_in

    groups: dict[tuple[str, str | None, str | None, str | None], list[Any]] = {}
    for record in baseline.records:
        groups.setdefault((record.model, record.weights, record.recipe_digest, record.suite), []).append(record)
    for (model, weights, recipe, suite), records in sorted(groups.items(), key=str):
        passed = Counter(record.status for record in records)["passed"]
        measured = dict.fromkeys(f"{one.name} {one.version}" for one in definitions_in(records))
        yield {
            "model": model,
            "weights": weights,
            "recipe": recipe,
            "suite": suite,
            "passed": f"{passed}/{len(records)}",
            "metrics": _first_metrics(sorted(measured)),
        }


def _first_metrics(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
