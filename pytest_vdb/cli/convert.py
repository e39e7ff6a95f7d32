"""`vdb convert`: what was measured, in another tool's words, and back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import json_alone, print_json, print_table, show, warn
from pytest_vdb.errors import OptionError
from pytest_vdb.escaping import encodable

if TYPE_CHECKING:
    from pytest_vdb.exports.contract import Target, Written
    from pytest_vdb.records import Record, Run

_MOST_LEFT_OUT = 10
"""Lines of what was left out; --json has all."""


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    convert = commands.add_parser(
        "convert",
        help="runs for another tool: MLflow, wandb, trackio, TensorBoard, Parquet, the Hub, Bencher, JUnit; and back",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb convert --list                                            which tools, and what each needs\n"
        "  vdb convert reports/runs/RUN --to parquet:values.parquet      a row per value\n"
        "  vdb convert reports/runs/RUN --to mlflow:sqlite:///mlflow.db  a run per model\n"
        "  vdb convert values.parquet --to run:reports                   and back\n\n"
        "What was not measured is left out, counted and said; it is never a 0. Nothing is uploaded, but to a\n"
        "server that is named: of MLflow, a Pushgateway, a receiver of OpenTelemetry.",
    )
    what = "as vdb report takes them; or a file that --to parquet or pytest-benchmark wrote"
    convert.add_argument("runs", nargs="*", metavar="RUN", help=what)
    convert.add_argument("--to", metavar="TARGET[:PLACE]", help="the tool, and where: a file, a folder, an address")
    convert.add_argument("--dataset", metavar="ORG/NAME", help="the Hub's data set of the prompts, for its formats")
    convert.add_argument("--list", action="store_true", dest="listing", help="list the targets, and what each needs")
    convert.add_argument("--json", action="store_true", help="print JSON instead of text")
    convert.set_defaults(command=Command(ConvertArguments, _convert))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertArguments:
    """What `vdb convert` was asked."""

    runs: tuple[str, ...]
    to: str | None
    dataset: str | None
    listing: bool
    json: bool


def _convert(arguments: ConvertArguments) -> int:
    from pytest_vdb.exports import targets
    from pytest_vdb.exports.contract import Destination

    if arguments.listing:
        _list_targets(as_json=arguments.json)
        return 0
    if arguments.to is None or not arguments.runs:
        lacking = "no target" if arguments.to is None else "no run"
        mend = "e.g. vdb convert reports/runs/RUN --to parquet; vdb convert --list shows the targets"
        raise OptionError(lacking, where="vdb convert", mend=mend)
    target, place = targets.chosen(arguments.to, where="--to")
    target.require()
    board = _board(arguments.runs)
    destination = Destination(place=place.replace("{run}", board.run.id), dataset=arguments.dataset)
    with json_alone():  # the tools print as they like
        written = target.write(board, destination)
    _say_what_was_written(target, written, as_json=arguments.json)
    return 0


def _board(given: Sequence[str]) -> Any:
    """Everything that is asked for, side by side; nothing in it says who ran it where.

    Raises:
        VdbError: nothing can be read.
    """
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.privacy import Privacy

    found: list[tuple[Run, Sequence[Record]]] = []
    ours: list[str] = []
    for one in given:
        imported = _of_another_tool(one)
        if imported is None:
            ours.append(one)
        else:
            found.append(imported)
    found += _of_ours(ours)
    privacy = Privacy(Path.cwd())
    run = max((run for run, _ in found), key=lambda run: run.started_at)
    return leaderboard.build(
        run, [_spelled_out_names(privacy.record(record)) for _, records in found for record in records]
    )


def _spelled_out_names(record: Record) -> Record:
    """Names of files and models that are not UTF-8, spelled out: no tool has a word for them."""
    if record.model.isascii() and record.nodeid.isascii():
        return record
    return replace(record, model=encodable(record.model), nodeid=encodable(record.nodeid))


def _of_another_tool(given: str) -> tuple[Run, Sequence[Record]] | None:
    """What another tool's file holds; None: it is none."""
    from pytest_vdb.exports import targets

    path = files.expanded(given)
    target = targets.that_reads(path) if files.is_file(path) else None
    if target is None or target.reader is None:
        return None
    target.require()
    return target.reader.read(path)


def _of_ours(given: Sequence[str]) -> list[tuple[Run, Sequence[Record]]]:
    from pytest_vdb.results import reported

    if not given:
        return []
    sources, problems = reported.read(given)
    for problem in (*problems, *(warning for source in sources for warning in source.warnings)):
        warn(problem)
    return [(source.run, source.records) for source in sources]


def _list_targets(*, as_json: bool) -> None:
    from pytest_vdb.exports import targets

    listed = targets.targets().values()
    if as_json:
        print_json([_as_plain_target(one) for one in listed])
        return
    rows = [(one.name, one.place, one.default, one.about, _state(one)) for one in listed]
    print_table(("target", "place", "default", "what is written", "here"), rows)


def _as_plain_target(one: Target) -> dict[str, Any]:
    return {
        "target": one.name,
        "place": one.place,
        "default": one.default,
        "about": one.about,
        "extra": one.extra,
        "missing": list(one.missing),
        "reads": one.reader is not None,
    }


def _state(one: Target) -> str:
    if one.missing:
        return f"pip install 'pytest-vdb[{one.extra}]'"
    return "writes and reads" if one.reader is not None else "writes"


def _say_what_was_written(target: Target, written: Written, *, as_json: bool) -> None:
    if as_json:
        print_json({"target": target.name, **asdict(written)})
        return
    for place in written.places:
        show(place)
    lost = sum(one.n for one in written.left_out)
    show(f"{written.values} values for {target.name}" + (f"; {lost} left out:" if lost else ""))
    for one in written.left_out[:_MOST_LEFT_OUT]:
        show(f"  {one.n} x {one.metric}: {one.reason}")
    if len(written.left_out) > _MOST_LEFT_OUT:
        show(f"  and {len(written.left_out) - _MOST_LEFT_OUT} reasons more: --json has them")
    for note in written.notes:
        warn(note)
