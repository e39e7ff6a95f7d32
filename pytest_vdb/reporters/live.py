"""A run's page while the run goes on: the same page, made again when records have come."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.analysis import build
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Record, Run
from pytest_vdb.reporters.formats import html
from pytest_vdb.reporters.text import counted
from pytest_vdb.results import journal

_QUIET_S = 120
"""A silence that is nothing to speak of."""
_State = tuple[int, int]
"""Bytes of a file, and when it was written last."""
_FOUND = tuple[str, _State | None, _State | None]
"""A run, and its two files."""


class LivePage:
    """Of one run, or of whichever of an output folder began last; asked from many threads.

    Args:
        place: a run's folder, or an output folder, which may be empty yet.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._made: tuple[_FOUND, Leaderboard] | None = None

    @property
    def root(self) -> Path:
        """The folder that holds `runs/RUN/`."""
        return self.place.parent.parent if self._is_run(self.place) else self.place

    def run_folder(self) -> Path | None:
        """The run that is shown; None: there is none yet."""
        if self._is_run(self.place):
            return self.place
        folder = self.place / journal.RUNS
        if not files.is_folder(folder):
            return None
        names = [path for path in files.entries(folder, error=RecordError)[0] if self._is_run(path)]
        return max(names, key=lambda path: path.name, default=None)

    def render(self, now: datetime) -> tuple[str, bool] | None:
        """The page, and whether the run has ended; None: there is no run yet.

        Raises:
            RecordError: the run cannot be read.
        """
        board = self._board()
        if board is None:
            return None
        has_ended = board.run.finished_at is not None
        return html.render(board, root=self.root, running=None if has_ended else running(board, now)), has_ended

    def render_beside(self, path: str) -> str | None:
        """A page that the first one leads to, by its path from there; None: there is no such page.

        Raises:
            RecordError: the run cannot be read.
        """
        board = self._board()
        return None if board is None else html.Pages(board, root=self.root).get(path)

    def _board(self) -> Leaderboard | None:
        """Made again when its files have changed; None: there is no run yet."""
        with self._lock:
            folder = self.run_folder()
            if folder is None:
                return None
            found = folder.name, _state_of_file(folder / journal.RUN), _state_of_file(folder / journal.RECORDS)
            if self._made is None or self._made[0] != found:
                run, records, _ = journal.read(folder)
                self._made = found, build(run, records)
            return self._made[1]

    @staticmethod
    def _is_run(path: Path) -> bool:
        return files.is_there(path / journal.RUN)


def running(board: Leaderboard, now: datetime) -> str:
    """`running: 12 of 91 tests, about 4 minutes left at this pace`, as far as that can be told.

    Whether a session was killed nobody can see from its files, so it is said how long nothing has come.
    """
    records = [record for row in board.rows for record in row.records]
    done = len({record.nodeid for record in records})
    of = "" if board.run.collected is None else f" of {board.run.collected:,}"
    tests = "test" if not of and done == 1 else "tests"
    return f"running: {done:,}{of} {tests}{_left(board.run, done, now)}{_silent(records, now)}"


def _left(run: Run, done: int, now: datetime) -> str:
    began, waiting = _moment(run.started_at), (run.collected or 0) - done
    if began is None or not done or waiting <= 0 or now <= began:
        return ""
    seconds = (now - began).total_seconds() / done * waiting
    minutes = round(seconds / 60)
    return f", about {counted(minutes, 'minute') if minutes else 'less than a minute'} left at this pace"


def _silent(records: Sequence[Record], now: datetime) -> str:
    """How long ago the last test began, where that is longer than twice the longest one took."""
    begun = [(_moment(record.started_at), record.duration_s or 0.0) for record in records]
    known = [(moment, seconds) for moment, seconds in begun if moment is not None]
    if not known:
        return ""
    ago = (now - max(moment for moment, _ in known)).total_seconds()
    if ago < max(_QUIET_S, 2 * max(seconds for _, seconds in known)):
        return ""
    return f"; the last one that has ended began {counted(round(ago / 60), 'minute')} ago"


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text or "").astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one in the first hours of the year 1
        return None


def _state_of_file(path: Path) -> _State | None:
    """None: there is no such file."""
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_size, told.st_mtime_ns
