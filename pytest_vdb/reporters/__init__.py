"""Reports: each format is one `render`, a view of the same `Leaderboard`, and one file (VBench's: one per model)."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_vdb.analysis.leaderboard import Leaderboard
from pytest_vdb.errors import OutputError, UnknownName

FORMATS: dict[str, str] = {
    "html": "leaderboard.html",
    "latex": "leaderboard.tex",
    "csv": "leaderboard.csv",
    "markdown": "leaderboard.md",
    "vbench": "vbench",
}
"""Format -> the name of its file; `vbench`: of the folder of its files, which appears only with values to write."""


def write_all(board: Leaderboard, output: Path, formats: Sequence[str] = tuple(FORMATS)) -> list[Path]:
    """Write the leaderboard into `output` (where `runs/RUN` lies, which the page links to) in each of the formats.

    Every file appears under its name only when it is complete.

    Raises:
        UnknownName: no such format.
        OutputError: a file cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownName("report format", name, FORMATS, mend=f"Known: {', '.join(FORMATS)}.")
    return [
        write(text, path) for name in formats for path, text in _rendered(board, name, output, output / FORMATS[name])
    ]


def write(text: str, path: Path) -> Path:
    """Write `text` beside `path`, then rename: a reader never sees half a report.

    Raises:
        OutputError: the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise OutputError(
            f"cannot be written: {error.strerror or error}", where=path, mend="free the space or choose another folder"
        ) from error
    return path


def _rendered(board: Leaderboard, name: str, output: Path, path: Path) -> Iterable[tuple[Path, str]]:
    """Each file of a format, with its text."""
    match name:
        case "html":
            from pytest_vdb.reporters import html

            yield path, html.render(board, root=output)
        case "latex":
            from pytest_vdb.reporters import latex

            yield path, latex.render(board)
        case "csv":
            from pytest_vdb.reporters import csv

            yield path, csv.render(board)
        case "vbench":
            from pytest_vdb.reporters import vbench

            yield from ((path / file, text) for file, text in vbench.render(board).items())
        case _:
            from pytest_vdb.reporters import markdown

            yield path, markdown.render(board)
