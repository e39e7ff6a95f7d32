"""`vdb`: look at models, prompts and metrics, run the suite, rebuild reports, keep baselines, start a project."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import __version__
from pytest_vdb.errors import VdbError

if TYPE_CHECKING:
    from pytest_vdb.models.card import ModelCard
    from pytest_vdb.records import Record, Run

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, 1 for an error that is said, or pytest's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["run"]:  # everything behind `run` is pytest's, also --help
        return _run(given[1:])
    options = _parser().parse_args(given)
    try:
        command: Command = options.command
        return command(options)
    except VdbError as error:
        print(f"vdb: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `vdb models | head`
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vdb",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb models 'wan*'                      which models there are\n"
        "  vdb models wan2.1-t2v-1.3b             one model in full, with the command that runs it\n"
        "  vdb run --vdb-models=tag:t2v -n auto   the benchmark suite, one GPU per worker\n"
        "  vdb report reports/runs/*              one leaderboard over several runs\n"
        "  vdb baseline save reports/runs/LAST -o fixtures/baselines/main.json",
    )
    parser.add_argument("--version", action="version", version=f"pytest-vdb {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_listings(commands)
    run = commands.add_parser("run", help="run the benchmark suite; takes pytest's arguments", add_help=False)
    run.set_defaults(command=lambda _: _run([]))
    _add_report(commands)
    _add_baseline(commands)
    init = commands.add_parser("init", help="put the benchmark suite and a gating workflow into a project")
    init.add_argument("folder", nargs="?", default=".", type=Path, help="the project (default: here)")
    init.set_defaults(command=_init)
    return parser


# Listings -----------------------------------------------------------------------------------------------------------


def _add_listings(commands: Any) -> None:
    models = commands.add_parser("models", help="the models, or one of them in full")
    models.add_argument("names", nargs="?", default="all", help="names, globs, tag:TAG or all, comma-separated")
    models.set_defaults(command=_models)
    prompts = commands.add_parser("prompts", help="the prompt suites, or the prompts of one")
    prompts.add_argument("suite", nargs="?", help="SUITE, SUITE:CATEGORY, SUITE:8 or a file")
    prompts.set_defaults(command=_prompts)
    metrics = commands.add_parser("metrics", help="the metrics")
    metrics.add_argument("names", nargs="?", default="all", help="names, globs, default or all, comma-separated")
    metrics.set_defaults(command=_metrics)
    for listing in (models, prompts, metrics):
        listing.add_argument("--json", action="store_true", help="as JSON")


def _models(options: argparse.Namespace) -> int:
    from pytest_vdb.models.registry import Registry

    registry = Registry.from_catalog()
    registry.add_entry_points()
    cards = registry.select(options.names)
    if options.json:
        _print_json([_plain_card(card) for card in cards])
    elif len(cards) == 1 and cards[0].name == options.names:
        print(_card_in_full(cards[0]))
    else:
        header = ("model", "tasks", "params B", "frames", "size", "download GB", "memory GiB", "licence")
        _print_table(header, map(_card_row, cards))
        print(f"{len(cards)} models; `vdb models NAME` shows one in full")
    return 0


def _card_row(card: ModelCard) -> tuple[object, ...]:
    recipe = card.defaults
    return (
        card.name + (" (broken)" if card.broken else ""),
        ",".join(card.tasks),
        card.parameters,
        recipe.frames,
        f"{recipe.width}x{recipe.height}" if recipe.width and recipe.height else None,
        card.download_gb,
        card.minimum_memory_gib,
        card.licence,
    )


def _plain_card(card: ModelCard) -> dict[str, Any]:
    plain = asdict(card)
    plain.update(frame_rule=card.frame_rule.text, defaults=card.defaults.settings(), tiny=card.tiny.settings())
    return plain


def _card_in_full(card: ModelCard) -> str:
    plain = {key: value for key, value in _plain_card(card).items() if value not in (None, "", (), [])}
    plain["revision"] = card.pinned if card.repository else None
    lines = [f"{key.replace('_', ' '):24} {_cell(value)}" for key, value in plain.items() if value is not None]
    command = f"pytest benchmarks/ --vdb-models={card.name}"
    lines += ["", f"{'run it:':24} {command}"]
    if card.pipeline:
        lines.append(f"{'prove the wiring:':24} {command} --vdb-weights=tiny")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _prompts(options: argparse.Namespace) -> int:
    from pytest_vdb.prompts import suites

    if options.suite is None:
        listed = [suites.load(name, root=Path.cwd()) for name in suites.suite_names()]
        rows = [(suite.name, suite.version, len(suite.prompts), suite.digest()) for suite in listed]
        keys = ("suite", "version", "prompts", "digest")
    else:
        suite = suites.load(options.suite, root=Path.cwd())
        rows = [(prompt.id, prompt.category, prompt.text) for prompt in suite.prompts]  # type: ignore[misc]
        keys = ("id", "category", "text")  # type: ignore[assignment]
    if options.json:
        _print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        _print_table(keys, rows)
    return 0


def _metrics(options: argparse.Namespace) -> int:
    from pytest_vdb.metrics.registry import MetricRegistry

    metrics = MetricRegistry.builtin().select(options.names, where="vdb metrics")
    keys = ("metric", "better", "unit", "needs", "version", "default", "what it measures")
    rows = [
        (m.name, m.better, m.unit, ", ".join(m.backbones or m.inputs), m.version, m.default, m.summary) for m in metrics
    ]
    if options.json:
        _print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        _print_table(keys, rows)
    return 0


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from tabulate import tabulate

    print(tabulate(rows, headers=list(header), tablefmt="simple", missingval="–", disable_numparse=True))


# Runs and reports ---------------------------------------------------------------------------------------------------


def _run(arguments: list[str]) -> int:
    """`vdb run` = pytest on the project's benchmarks, or on the shipped ones where the project has none."""
    import pytest

    names_a_path = any(not given.startswith("-") and Path(given.partition("::")[0]).exists() for given in arguments)
    suite = [] if names_a_path else ["benchmarks" if Path("benchmarks").is_dir() else str(_shipped("benchmarks"))]
    return int(pytest.main([*suite, *arguments]))


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="rebuild every report from the records of one or more runs")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, run.json or records.jsonl")
    report.add_argument("-o", "--output", type=Path, help="where to write (default: the folder above runs/)")
    report.add_argument("--formats", default="html,latex,csv,markdown", help="comma-separated (default: %(default)s)")
    report.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> int:
    from pytest_vdb import reporters
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.reporters import terminal

    run, records = _read_runs(options.runs)
    board = leaderboard.build(run, records)
    first = options.runs[0] if options.runs[0].is_dir() else options.runs[0].parent
    output = options.output or first.parent.parent
    formats = [name for name in options.formats.split(",") if name]
    written = reporters.write_all(board, output, formats)
    print(terminal.render(board, width=shutil.get_terminal_size((120, 24)).columns))
    print("\n".join(str(path) for path in written))
    return 0


def _read_runs(paths: Sequence[Path]) -> tuple[Run, list[Record]]:
    """All records of several runs; the run that ended last speaks for them."""
    from pytest_vdb.results import journal

    runs, records = [], []
    for path in paths:
        run, found, warnings = journal.read(path)
        runs.append(run)
        records += found
        for warning in warnings:
            print(f"vdb: {warning}", file=sys.stderr)
    return max(runs, key=lambda run: run.started_at), records


def _add_baseline(commands: Any) -> None:
    baseline = commands.add_parser("baseline", help="keep a run as the baseline of later ones")
    actions = baseline.add_subparsers(required=True, metavar="save")
    save = actions.add_parser("save", help="write the small JSON that --vdb-baseline reads")
    save.add_argument("run", type=Path, help="a run's folder, run.json or records.jsonl")
    default = Path("fixtures/baselines/main.json")
    save.add_argument("-o", "--output", type=Path, default=default, help="default: %(default)s")
    save.set_defaults(command=_save_baseline)


def _save_baseline(options: argparse.Namespace) -> int:
    from pytest_vdb.results import baselines

    run, records = _read_runs([options.run])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    baselines.save(records, run, options.output)
    print(f"{options.output}: {len(records)} records of run {run.id}; gate on it with --vdb-baseline={options.output}")
    return 0


# A new project ------------------------------------------------------------------------------------------------------

_PYPROJECT = """
[tool.vdb.gate]  # compared with the baseline after each run: worse by more than this fails
clip_similarity = "-2%"
steady_latency = "+10%"
"""


def _init(options: argparse.Namespace) -> int:
    project: Path = options.folder
    project.mkdir(parents=True, exist_ok=True)
    for source in sorted(_shipped("benchmarks").glob("test_*.py")):
        _place(source.read_text(encoding="utf-8"), project / "benchmarks" / source.name)
    for name, place in (("conftest.py", "benchmarks"), ("benchmark.yml", ".github/workflows")):
        _place(_shipped("templates").joinpath(name).read_text(encoding="utf-8"), project / place / name)
    pyproject = project / "pyproject.toml"
    existing = pyproject.read_text(encoding="utf-8") if pyproject.exists() else ""
    if "[tool.vdb" in existing:
        print(f"kept     {pyproject} (has a [tool.vdb] section)")
    else:
        pyproject.write_text(existing + _PYPROJECT, encoding="utf-8")
        print(f"extended {pyproject}")
    print("next: pytest benchmarks/")
    return 0


def _place(text: str, target: Path) -> None:
    """Write a file that is not there yet; never over one that is."""
    if target.exists():
        print(f"kept     {target} (exists)")
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"wrote    {target}")


def _shipped(name: str) -> Path:
    """A folder that the wheel carries inside the package, or, in a checkout, the repository's own."""
    package = Path(__file__).parent
    return next(path for path in (package / name, package.parent / name) if path.is_dir())
