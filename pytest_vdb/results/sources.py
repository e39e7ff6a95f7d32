"""What a path holds, decided by looking: a run, what `vdb score` wrote, a baseline, what others published, or none.

Whoever reads it then says what is wrong with *that*. A name decides only where the content cannot be read.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Literal

from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.records import Record
from pytest_vdb.results import baselines, journal, ledger, vbench
from pytest_vdb.results.lines import Listener

Sort = Literal["run", "ledger", "baseline", "published"]

KNOWN = "give a run's folder, what vdb score wrote, a baseline, or a result file of VBench"

_LISTS = "_full_info.json"
"""VBench's list of the videos that it looked at, beside each result file."""


def sort_of(path: Path) -> Sort:
    """What a file or folder holds.

    Raises:
        RecordError: nothing is there, or none of ours.
    """
    if files.is_folder(path):
        if any(files.is_there(path / name) for name in (journal.RUN, journal.RECORDS)):
            return "run"
        raise RecordError(f"a folder without a {journal.RUN}", where=path, mend=KNOWN)
    files.regular(path, error=RecordError, mend=KNOWN)
    if path.suffix == ".jsonl":
        return "ledger" if _is_ledger(path) else "run"
    if path.suffix == ".json":
        return _sort_of_json(path)
    raise RecordError(f"a {path.suffix or 'nameless'} file is none of these", where=path, mend=KNOWN)


def inside(folder: Path) -> list[Path]:
    """What a folder holds for a report, where it is no run itself: result files, ledgers and runs directly in it, or in
    the `runs/` and `scores/` of an output folder.

    Raises:
        RecordError: nothing.
    """
    folders = [folder, *(folder / name for name in (journal.RUNS, ledger.SCORES) if files.is_folder(folder / name))]
    try:
        listed = [path for place in folders for path in sorted(place.iterdir()) if not path.name.startswith(".")]
    except OSError as problem:
        why = f"cannot be read: {problem.strerror}"
        raise RecordError(why, where=folder, mend="check its permissions") from None
    found = [path for path in listed if _belongs(path)]
    if not found:
        raise RecordError("the folder holds no run, no scored clips and no results of VBench", where=folder, mend=KNOWN)
    return found


def ledger_beside(path: Path) -> Path | None:
    """The ledger that a path is a part of: what its last session said of itself, or its features."""
    for ending in (".run.json", ".features"):
        if path.name.endswith(ending):
            whole = path.with_name(path.name.removesuffix(ending) + ".jsonl")
            return whole if files.is_file(whole) else None
    return None


def is_list_of_videos(path: Path) -> bool:
    """Whether VBench wrote it beside its results: what it looked at, not what it found."""
    return path.name.endswith(_LISTS)


def _belongs(path: Path) -> bool:
    if files.is_folder(path):  # a session that was killed in its first test may leave only its clips
        return files.is_there(path / journal.RUN) or path.parent.name == journal.RUNS
    if path.suffix == ".jsonl":
        return _is_ledger(path)
    if ledger_beside(path) is not None or is_list_of_videos(path):
        return False
    return path.name.endswith(vbench.SUFFIX) or vbench.is_results(path)


def _is_ledger(path: Path) -> bool:
    """Whether the first record is of a scored clip, or of votes; else whether it lies in no run's folder."""
    listener = Listener()
    for _, line in files.lines_in(path, error=RecordError):
        with contextlib.suppress(RecordError):
            if isinstance(record := listener.heard(line), Record):
                return record.benchmark in {ledger.SCORE, ledger.SCORE_SET, ledger.PREFERENCE}
    return path.name != journal.RECORDS and not files.is_there(path.parent / journal.RUN)


def _sort_of_json(path: Path) -> Sort:
    if path.name == journal.RUN:
        return "run"
    if path.name.endswith(vbench.SUFFIX):
        return "published"
    whole = ledger_beside(path)
    if whole is not None:
        raise RecordError(f"what vdb score said of itself: the clips are in {whole.name}", where=path, mend=KNOWN)
    if is_list_of_videos(path):
        mend = f"give the file that ends in {vbench.SUFFIX}"
        raise RecordError("VBench's list of videos, not its results", where=path, mend=mend)
    if _begins_like_a_baseline(path):
        return "baseline"
    content = files.read_json(path, error=RecordError, mend=KNOWN)
    if vbench.looks_like_results(content):
        return "published"
    what = f"with the keys {', '.join(list(content)[:4])}" if isinstance(content, dict) else "of another kind"
    raise RecordError(f"JSON {what}: none of ours", where=path, mend=KNOWN)


def _begins_like_a_baseline(path: Path) -> bool:
    """A damaged one is still told as a baseline."""
    return baselines.FORMAT.encode() in files.read_bytes(path, error=RecordError)[:4096]
