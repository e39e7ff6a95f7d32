"""How files of reports are made and written: many jobs, of which another process makes a share where they are long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import OutputError
from pytest_vdb.processes import from_both_ends
from pytest_vdb.reporters.formats import Format


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class _Job:
    """To make some files of a format, and to write them."""

    place: float
    """Within [0, 1], among those of its format. What is about one model lies near one place, so that whoever makes some
    of it makes the rest of it, too: a process pays for each record that it is the second to look at."""
    write: Callable[[], list[Path]]
    """Those that a reader opens."""
    is_needed: bool = False
    """Whether its format is nothing without it."""

    @property
    def is_first(self) -> bool:
        """Whether it makes on the way what all others of its format share."""
        return self.place == 0

    def attempt(self) -> list[Path] | None:
        """None: they cannot be written, which is said when all others are."""
        try:
            return self.write()
        except OutputError:
            if self.is_needed:
                raise
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _FormatsWork:
    """What is to be written of a format."""

    jobs: Sequence[_Job]
    contents: Mapping[str, str | bytes]
    leading: Sequence[str] = ()
    """Files that lead to those of the jobs, and so are written after these."""


def write(board: Leaderboard, output: Path, wanted: Sequence[Format], *, several: bool) -> list[Path]:
    """Write these formats; see `reporters.write_all`.

    Args:
        board: what to write.
        output: the folder.
        wanted: in the order in which their files come back.
        several: whether it is worth several processes.
    """
    with ExitStack() as folders:
        work = [_work_of_format(one, board, output, folders) for one in wanted]
        jobs = sorted((job for one in work for job in one.jobs), key=lambda job: job.place)
        written = {job: job.attempt() for job in jobs if job.is_first}
        others = [job for job in jobs if not job.is_first]
        with from_both_ends([job.attempt for job in others], worth_it=several) as all_of_them:
            leading = {path: one.contents[path] for one in work for path in one.leading}
            written |= zip(others, all_of_them(), strict=True)
    for one in work:
        for path in one.leading:
            files.write(output / path, leading[path])
    return [path for one in work for path in _paths_of(one, written, output)]


def _paths_of(one: _FormatsWork, written: Mapping[_Job, list[Path] | None], output: Path) -> list[Path]:
    """Raises OutputError where something could not be written."""
    found = ((job, written[job]) for job in one.jobs)
    paths = [path for job, own in found for path in (job.write() if own is None else own)]
    return [*paths, *(output / path for path in one.leading)]


def _work_of_format(one: Format, board: Leaderboard, output: Path, folders: ExitStack) -> _FormatsWork:
    """`folders` holds those that take their places when all of the jobs are done."""
    if not one.is_shared_out:
        return _FormatsWork(jobs=[_Job(place=1, write=partial(_write_all, one, board, output))], contents={})
    contents = one.files(board, output)
    parts = {f"{folder}/": folders.enter_context(files.new_folder(output / folder)) for folder in one.folders}
    places = {
        path: part / path.removeprefix(folder)
        for folder, part in parts.items()
        for path in contents
        if path.startswith(folder)
    }
    leading = [path for path in contents if path not in places] if places else []
    shared = places or {path: output / path for path in contents}
    jobs = [
        _Job(
            place=at / len(shared),
            write=partial(_write_page if places else _write_file, contents, path, place),
            is_needed=bool(places),
        )
        for at, (path, place) in enumerate(shared.items())
    ]
    return _FormatsWork(jobs=jobs, contents=contents, leading=leading)


def _write_all(one: Format, board: Leaderboard, output: Path) -> list[Path]:
    return [files.write(output / path, content) for path, content in one.files(board, output).items()]


def _write_file(contents: Mapping[str, str | bytes], path: str, place: Path) -> list[Path]:
    return [files.write(place, contents[path])]


def _write_page(contents: Mapping[str, str | bytes], path: str, place: Path) -> list[Path]:
    """One to which others lead."""
    files.write_within(place, contents[path])
    return []
