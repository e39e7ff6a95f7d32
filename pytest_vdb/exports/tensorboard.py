"""TensorBoard: a folder per run and model that `tensorboard --logdir FOLDER` shows.

Through tensorboardX, which is 0.1 MB beside protobuf (torch's own writer needs all of tensorboard). Its usual writer
puts the host's name into the file's: the events are written one by one, into a file named after the run.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import file_names
from pytest_vdb.exports.contract import Destination, Target, Written
from pytest_vdb.exports.summaries import Summarised, as_text, left_out, summarised

_FILE = "events.out.tfevents.{seconds}.pytest-vdb"


def _write_events(board: Leaderboard, to: Destination) -> Written:
    rows = summarised(board)
    folders = file_names([row.test for row in rows])
    places = []
    for row, folder in zip(rows, folders, strict=True):
        path = files.expanded(to.place) / row.run.id / folder / _FILE.format(seconds=int(row.started_s))
        places.append(files.write_by(path, partial(_fill_events, row)))
    return Written(
        places=tuple(str(path.parent) for path in places),
        values=sum(row.values for row in rows),
        left_out=left_out(rows),
    )


def _fill_events(row: Summarised, part: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    writer = RecordWriter(str(part))
    try:
        writer.write(Event(wall_time=row.started_s, file_version="brain.Event:2").SerializeToString())
        for step, summary in _shown_in(row):
            writer.write(Event(wall_time=row.started_s, step=step, summary=summary).SerializeToString())
    finally:
        writer.close()


def _shown_in(row: Summarised) -> Iterator[tuple[int, Any]]:
    """Step and summary: figures at step 0, each prompt's values at its own step, and in words what they are."""
    from tensorboardX.summary import scalar, text

    yield 0, text("about", _table_in_words(("what", "value"), [*row.about.items(), *_settings_in_words(row)]))
    metrics = [(name, *map(as_text, said.values())) for name, said in row.definitions.items()]
    header = ("metric", *(next(iter(row.definitions.values()), {})))
    yield 0, text("metrics", _table_in_words(header, metrics))
    yield 0, text("prompts", _table_in_words(("step", "prompt"), [(str(n), name) for n, name, _ in row.steps()]))
    for name, value in row.figures.items():
        yield 0, scalar(name, value)
    for step, _, found in row.steps():
        for name, value in found.items():
            yield step, scalar(f"prompts/{name}", value)


def _settings_in_words(row: Summarised) -> list[tuple[str, str]]:
    return [(f"recipe: {name}", as_text(value)) for name, value in row.row.recipe.items()]


def _table_in_words(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    """Markdown, as TensorBoard shows it."""
    every = [header, ("---",) * len(header), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in every)


TARGET = Target(
    name="tensorboard",
    about="TensorBoard: a folder of events per run and model",
    place="FOLDER",
    default="exports/tensorboard",
    write=_write_events,
    libraries=("tensorboardX",),
    extra="tensorboard",
)
