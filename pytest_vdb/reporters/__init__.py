"""Reports: each format is one module that declares itself, and a view of the same `Leaderboard`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_vdb.analysis.leaderboard import MANY_RECORDS
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.reporters import formats, writing
from pytest_vdb.reporters.formats import Format


def write_all(
    board: Leaderboard, output: Path, names: Sequence[str] | None = None, *, instead: Sequence[Format] = ()
) -> list[Path]:
    """Write the leaderboard into `output` (where `runs/RUN` lies, which the page links to) in each of the formats.

    Every file appears under its name only when it is complete, and those that it links to before it. A format that
    cannot be written stops none of the others.

    Args:
        board: what to write.
        output: the folder.
        names: of the formats; None: the usual ones.
        instead: formats that are not written as they usually are, in the place of those of their names.

    Raises:
        UnknownName: no such format; nothing is written.
        OutputError: a file cannot be written.
    """
    known = {**formats.formats(), **{one.name: one for one in instead}}
    wanted = [known[name] for name in (formats.chosen(formats.ALL) if names is None else formats.checked(names))]
    records = sum(len(row.records) for table in board.tables for row in table.rows)
    return writing.write(board, output, wanted, several=records >= MANY_RECORDS)
