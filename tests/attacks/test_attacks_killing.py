"""`kill -9` of whole sessions and commands at any moment: what was finished is kept, and the same command goes on."""

from __future__ import annotations

import json
import random
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from commands import Begun, Place, lines_of, runs_of, whole_records
from projects import make_project

from pytest_vdb import video

pytestmark = pytest.mark.slow

# What is on the disk, read without the package where that is possible -------------------------------------------------

LAST_BYTES = {".html": b"</html>", ".csv": b"\n", ".md": b"\n", ".bib": b"\n", ".tex": b"\n", ".json": b"}\n"}
LAST_BYTES_OF = {"leaderboard.tex": b"\\vdbend\n"}


def is_whole(path: Path) -> bool:
    """Whether a file that is written whole or not at all came to its end, or all that lie in a folder."""
    if path.is_dir():
        return all(is_whole(one) for one in path.rglob("*.*"))
    if path.suffix == ".npz":
        return zipfile.is_zipfile(path) and zipfile.ZipFile(path).testzip() is None
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    return data.endswith(LAST_BYTES_OF.get(path.name, LAST_BYTES[path.suffix]))


def check_cache(cache: Path) -> None:
    """Every clip of the cache is the one that its card says."""
    for card in cache.glob("clips/??/*.json"):
        assert video.read(card.with_suffix(".mkv")).digest() == json.loads(card.read_bytes())["pixels"], card


# Sessions -------------------------------------------------------------------------------------------------------------


def wait_for_a_moment(session: Begun, chance: random.Random, tests: int) -> None:
    """Most often between two results, sometimes while the reports are written, sometimes before anything is there."""
    moment = chance.random()
    if moment < 0.2:
        session.ends_within(chance.uniform(0, 4))
        return
    passed = 1 if moment < 0.7 else tests
    session.runs_until(lambda: session.said().count(" PASSED ") >= passed)
    session.ends_within(chance.uniform(0, 1.2))


def check_killed_session(place: Place, chance: random.Random, *workers: str) -> None:
    """Kill it; its records are there, the reports are whole or absent, and the same command goes on from there."""
    command = (*make_project(place, prompts=8), *workers)
    session = place.begins(*command)
    wait_for_a_moment(session, chance, tests=16)
    session.is_killed()

    noted = place.folder / "finished"
    finished = set(noted.read_text().splitlines()) if noted.exists() else set()
    reports = place.folder / "reports"
    kept = set()
    for run in runs_of(reports):
        kept |= {record["nodeid"] for record in whole_records(run / "records.jsonl")}
        if kept:
            json.loads((run / "run.json").read_bytes())
            place.runs("vdb", "report", run, "-o", "looked-at").ends(0)
    assert finished <= kept
    assert session.said().count(" PASSED ") <= len(kept)
    assert all(is_whole(path) for path in reports.glob("leaderboard.*"))
    check_cache(place.cache)

    place.runs(*command).ends(0)
    again = lines_of(runs_of(reports)[-1] / "records.jsonl")
    assert (len(again.records), again.unreadable, again.torn) == (16, 0, False)
    assert finished <= {record["nodeid"] for record in again.records if record["reused_from"]}


@pytest.mark.rounds(short=1, long=34)
def test_a_session_that_is_killed_has_lost_nothing_that_was_finished(place: Place, chance):
    check_killed_session(place, chance)


@pytest.mark.rounds(short=0, long=34)
def test_a_session_of_workers_that_is_killed_has_lost_nothing_that_was_finished(place: Place, chance):
    check_killed_session(place, chance, "-n", "2")


# Commands -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scored(place: Place) -> Place:
    """A project with a finished run, `run`, and its clips."""
    place.runs(*make_project(place, prompts=4, seconds=0), "--vdb-report=none").ends(0)
    (run,) = runs_of(place.folder / "reports")
    shutil.move(run, place.folder / "run")
    (place.folder / "clips").mkdir()
    for at, clip in enumerate(sorted(place.cache.glob("clips/??/*.mkv"))):
        shutil.copy(clip, place.folder / "clips" / f"c{at:02}.mkv")
    return place


@pytest.mark.rounds(short=1, long=33)
def test_a_score_that_is_killed_keeps_its_records_and_goes_on(scored: Place, chance):
    command = ("vdb", "score", "clips", "--metrics", "sharpness,temporal_flicker", "--output", "out.jsonl")
    ledger = scored.folder / "out.jsonl"
    scoring = scored.begins(*command)
    if chance.random() < 0.7:
        scoring.runs_until(ledger.exists)
        scoring.ends_within(chance.uniform(0, 0.4))
    else:
        scoring.ends_within(chance.uniform(0, 2))
    seen = len(lines_of(ledger).records)
    scoring.is_killed()
    assert len(whole_records(ledger)) >= seen
    again = scored.runs(*command).ends(0)
    lines = lines_of(ledger)
    assert {record["nodeid"] for record in lines.records} == {path.name for path in (scored.folder / "clips").iterdir()}
    assert not lines.torn
    reused = re.search(r"8 clips, (\d+) of them scored before", again.err)
    assert int(reused[1] if reused else 0) >= seen


WRITING = {
    "report": ("vdb", "report", "run", "-o", "out"),
    "baseline": ("vdb", "baseline", "save", "run", "-o", "out/base.json"),
    "reference": ("vdb", "reference", "build", "clips", "-o", "out/real.npz", "--tiny"),
}


def check_killed_writer(place: Place, command: tuple[str, ...], chance: random.Random) -> None:
    """Kill a command that writes files, over old ones or none: there are whole old ones, whole new ones, or none."""
    out = place.folder / "out"
    old: set[Path] = set()
    if chance.random() < 0.5:
        place.runs(*command).ends(0)
        old = {path for path in out.iterdir() if path.is_file()}
    writing = place.begins(*command)
    if chance.random() < 0.5:
        writing.ends_within(chance.uniform(0.3, 3))
    else:  # when the first file comes, complete or not
        before = {path: path.stat().st_mtime_ns for path in old}
        writing.runs_until(lambda: {path: path.stat().st_mtime_ns for path in out.glob("*")} != before)
        writing.ends_within(chance.uniform(0, 0.05))
    writing.is_killed()
    named = {path for path in out.glob("*") if not path.name.startswith(".")}
    assert old <= named
    assert all(is_whole(path) for path in named)
    place.runs(*command).ends(0)
    assert all(is_whole(path) for path in out.iterdir() if not path.name.startswith("."))


@pytest.mark.rounds(short=1, long=33)
def test_a_report_that_is_killed_leaves_the_whole_old_pages_or_whole_new_ones(scored: Place, chance):
    check_killed_writer(scored, WRITING["report"], chance)


@pytest.mark.rounds(short=0, long=33)
@pytest.mark.parametrize("name", ["baseline", "reference"])
def test_a_writer_that_is_killed_leaves_the_whole_old_file_or_the_whole_new(scored: Place, chance, name):
    check_killed_writer(scored, WRITING[name], chance)
