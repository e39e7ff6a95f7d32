"""Reports: each format is one module that declares itself, and a view of the same `Leaderboard`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.reporters import formats
from pytest_vdb.reporters.formats import Format


def write_all(
    board: Leaderboard, output: Path, names: Sequence[str] | None = None, *, instead: Sequence[Format] = ()
) -> list[Path]:
    """Write the leaderboard into `output` (where `runs/RUN` lies, which the page links to) in each of the formats.

    Every file appears under its name only when it is complete, and those that it links to before it.

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
    wanted = formats.chosen(formats.ALL) if names is None else formats.checked(names)
    return [path for name in wanted for path in _write_format(known[name], board, output)]


def _write_format(one: formats.Format, board: Leaderboard, output: Path) -> list[Path]:
    """The files that a reader opens: what lies in folders of the format's own they lead to."""
    contents = one.files(board, output)
    for folder in one.folders:
        inner = ((path, path.removeprefix(f"{folder}/")) for path in contents if path.startswith(f"{folder}/"))
        files.write_folder(output / folder, ((within, contents[path]) for path, within in inner))
    own = [path for path in contents if not any(path.startswith(f"{folder}/") for folder in one.folders)]
    return [files.write(output / path, contents[path]) for path in own]
