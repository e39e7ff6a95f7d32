"""Disks that are full, folders that vanish, many sessions in one folder: nothing is lost without a word."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import Place, lines_of, records_of, runs_of
from machines import empty, fill, small_disk
from projects import make_project, plan_accidents

pytestmark = pytest.mark.slow

# Full disks -----------------------------------------------------------------------------------------------------------


@pytest.mark.rounds(short=1, long=1)
def test_a_disk_without_room_is_refused_before_anything_is_made(place: Place):
    session = make_project(place)
    with small_disk(place.folder / "small", "20m"):
        place.runs(*session, "--vdb-output=small/reports").ends(4).says("free")


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("option", ["--vdb-output", "--vdb-cache-dir"])
def test_a_disk_that_fills_is_told_and_what_was_written_can_be_read(place: Place, option):
    session = (*make_project(place), f"{option}=small/there")
    kept = "small/there" if option == "--vdb-output" else "reports"
    with small_disk(place.folder / "small", "300m") as disk:
        plan_accidents(place, {"slow-a/p05": ("fill", "small/fill")})
        full = place.runs(*session)
        assert full.status != 0
        full.says("No space left")
        assert len(records_of(place.folder / kept)) >= full.out.count(" PASSED ")
        plan_accidents(place, {})
        (disk / "fill").unlink()
        place.runs(*session).ends(0)


COMMANDS = {
    "score": ("vdb", "score", "clips", "--metrics", "sharpness", "-o", "small/s.jsonl"),
    "set": ("vdb", "score", "clips", "--metrics", "fvd", "--tiny", "-o", "small/f.jsonl"),
    "report": ("vdb", "report", "run", "-o", "small/r"),
    "baseline": ("vdb", "baseline", "save", "run", "-o", "small/b.json"),
    "reference": ("vdb", "reference", "build", "clips", "--tiny", "-o", "small/r.npz"),
    "init": ("vdb", "init", "small/p"),
}


def make_day(place: Place) -> tuple[str, ...]:
    """A finished run, `run`, and its clips; gives the words of its session."""
    session = make_project(place, prompts=6, seconds=0)
    place.runs(*session, "--vdb-report=none").ends(0)
    shutil.move(runs_of(place.folder / "reports")[0], place.folder / "run")
    (place.folder / "clips").mkdir()
    for at, clip in enumerate(sorted(place.cache.glob("clips/??/*.mkv"))):
        shutil.copy(clip, place.folder / "clips" / f"c{at:02}.mkv")
    return session


@pytest.mark.rounds(short=0, long=1)
def test_a_command_whose_disk_is_full_says_so(place: Place):
    make_day(place)
    with small_disk(place.folder / "small", "64k") as disk:
        for command in COMMANDS.values():
            fill(disk)
            place.runs(*command).ends(1).says("No space")
            empty(disk)


# Folders that are not what they were ----------------------------------------------------------------------------------


def check_vanishing(place: Place, *workers: str) -> None:
    session = make_project(place, prompts=8, seconds=0)
    plan_accidents(place, {"slow-a/p05": ("remove", "reports")})
    lost = place.runs(*session, *workers)
    assert lost.status != 0
    lost.says("removed or moved while it ran")


@pytest.mark.rounds(short=1, long=1)
def test_an_output_that_vanishes_is_a_loud_failure(place: Place):
    check_vanishing(place)


@pytest.mark.rounds(short=0, long=1)
def test_an_output_that_vanishes_under_workers_is_a_loud_failure(place: Place):
    check_vanishing(place, "-n", "2")


@pytest.mark.rounds(short=0, long=1)
def test_an_output_that_may_not_be_written_is_refused(place: Place):
    session = make_project(place)
    with small_disk(place.folder / "reports", "1m", "ro"):
        place.runs(*session).ends(4).says("cannot be written")
        place.runs(*session, "-n", "2").ends(1, 4).says("cannot be written")


@pytest.mark.rounds(short=0, long=1)
def test_no_command_breaks_where_its_output_cannot_be(place: Place):
    """Below a file, or where a folder stands."""
    make_day(place)
    place.writes("file", "x")
    for command in (
        ("report", "run", "-o", "file/x"),
        ("baseline", "save", "run", "-o", "file/x/b.json"),
        ("baseline", "save", "run", "-o", "clips"),
        ("score", "clips", "--metrics", "sharpness", "-o", "file/s.jsonl"),
        ("score", "clips", "--metrics", "sharpness", "-o", "run"),
        ("compare", "run", "slow-a", "slow-b", "-o", "file/c.md"),
        ("check", "slow-a", "--from", "conftest.py", "-o", "file/c.md"),
        ("init", "file/p"),
        ("reference", "build", "clips", "--tiny", "-o", "file/r.npz"),
        ("export", "wan2.1-t2v-1.3b", "--weights", "tiny", "--output", "file/e"),
    ):
        assert "vdb:" in place.runs("vdb", *command).ends(1).err


@pytest.mark.rounds(short=0, long=1)
def test_linked_folders_are_followed(place: Place):
    session = make_project(place, prompts=2, seconds=0)
    for name in ("reports", "cache"):
        elsewhere = place.folder.parent / f"real-{name}"
        elsewhere.mkdir()
        (place.folder / name).symlink_to(elsewhere)
    place.runs(*session, "--vdb-cache-dir=cache").ends(0)
    assert len(records_of(place.folder / "reports")) == 4
    models = list((place.folder / "reports" / "leaderboard-files" / "models").iterdir())
    assert len(models) == 2
    assert all("<video" in page.read_text(encoding="utf-8") for page in models)


@pytest.mark.rounds(short=0, long=1)
def test_a_cache_on_another_file_system_is_used(place: Place, tmp_path: Path):
    shm = Path("/dev/shm")
    if not shm.is_dir() or shm.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no other file system is at hand")
    session = make_project(place, prompts=2, seconds=0)
    cache = shm / f"vdb-{tmp_path.name}"
    try:
        for _ in range(2):
            place.runs(*session, f"--vdb-cache-dir={cache}").ends(0)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    assert all(record["reused_from"] for record in records_of(place.folder / "reports")[4:])


# Several at once ------------------------------------------------------------------------------------------------------


@pytest.mark.rounds(short=0, long=20)
def test_sessions_at_once_share_one_output_and_one_cache(place: Place, chance):
    many = chance.choice([2, 3, 4])
    mode = chance.choice(["only-missing", "only-missing", "only-missing", "always"])
    session = make_project(place, prompts=4, seconds=0.01)
    running = [place.begins(*session, f"--vdb-cache={mode}") for _ in range(many)]
    for one in running:
        assert one.ends_within(300)
        assert one.process.returncode == 0, one.said()[-2000:]
    assert len(runs_of(place.folder / "reports")) == many
    records = records_of(place.folder / "reports")
    clips = {(record["model"], record["prompt"], record["clip"]["digest"]) for record in records}
    assert (len(records), len(clips)) == (many * 8, 8)
    again = place.runs(*session, "--vdb-cache=only-cache").ends(0).says(" 8 passed")
    assert "ignored" not in again.out


@pytest.mark.rounds(short=0, long=1)
def test_commands_at_once_share_one_file(place: Place):
    make_day(place)
    score = ("vdb", "score", "clips", "--metrics", "sharpness,temporal_flicker,fvd", "--tiny", "-o", "s.jsonl")
    build = ("vdb", "reference", "build", "clips", "--tiny", "-o", "real.npz")
    for command in (score, build):
        running = [place.begins(*command) for _ in range(3)]
        for one in running:
            assert one.ends_within(300)
            assert one.process.returncode == 0, one.said()[-2000:]
    lines = lines_of(place.folder / "s.jsonl")
    assert (lines.unreadable, lines.torn) == (0, False)
    assert json.loads((place.folder / "s.run.json").read_bytes())
