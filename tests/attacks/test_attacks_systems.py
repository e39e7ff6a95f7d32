"""Signals, limits, clocks and strange places: a session ends well, or says what it lacked."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter

import psutil
import pytest
from commands import Begun, Place, records_of, runs_of
from machines import limited, other_clock
from projects import make_project, plan_accidents

pytestmark = pytest.mark.slow

ALONE_AND_SHARED = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])


def in_the_middle(session: Begun) -> list[psutil.Process]:
    """Wait for its fourth result; its processes then."""
    session.runs_until(lambda: session.said().count("PASSED") >= 4)
    return session.children()


@pytest.mark.rounds(short=0, long=1)
@ALONE_AND_SHARED
@pytest.mark.parametrize("whole_group", [False, True], ids=["one", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_session_with_its_records_and_nobody_lives_on(place: Place, number, whole_group, workers):
    """A program that a shell starts in the background ignores some signals: here none does."""
    heeding = "[signal.signal(n, h) for n, h in ((1, signal.SIG_DFL), (2, signal.default_int_handler))]"
    begin = f"import os, signal, sys; {heeding}; os.execvp(sys.argv[1], sys.argv[1:])"
    session = place.begins("python", "-c", begin, *make_project(place, prompts=20, seconds=0.3), *workers)
    processes = in_the_middle(session)
    if whole_group:
        os.killpg(session.process.pid, number)
    else:
        session.process.send_signal(number)
    assert session.ends_within(20), "it lives on"
    _, alive = psutil.wait_procs(processes, timeout=3)
    assert not alive
    records = records_of(place.folder / "reports")
    assert len(records) >= session.said().count("PASSED ")
    assert {record["status"] for record in records} <= {"passed", "interrupted"}
    (run,) = runs_of(place.folder / "reports")
    assert json.loads((run / "run.json").read_bytes())["finished_at"]
    assert (place.folder / "reports" / "leaderboard.html").exists()


@pytest.mark.rounds(short=0, long=1)
def test_workers_do_not_outlive_a_controller_that_is_killed(place: Place):
    session = place.begins(*make_project(place, prompts=20, seconds=0.3), "-n", "2")
    workers = in_the_middle(session)
    assert workers
    session.process.kill()
    session.process.wait()
    _, alive = psutil.wait_procs(workers, timeout=40)
    assert not alive


@pytest.mark.rounds(short=0, long=1)
@ALONE_AND_SHARED
def test_few_open_files_suffice_or_are_named(place: Place, workers):
    ended = place.runs(*make_project(place), *workers, under=limited("ulimit -n 64"))
    assert ended.status == 0 or "open files" in ended.text, ended.text[-2000:]


@pytest.mark.rounds(short=0, long=1)
def test_a_test_that_asks_for_too_much_memory_is_the_only_one_that_fails(place: Place):
    session = make_project(place)
    plan_accidents(place, {f"{model}/p03": ("memory", 40_000) for model in ("slow-a", "slow-b")})
    place.runs(*session, under=limited("ulimit -v 6000000")).ends(1)
    ends = Counter(record["status"] for record in records_of(place.folder / "reports"))
    assert ends == {"oom": 2, "passed": 22}


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize(
    "name",
    ["with space and ünïcödé 中文 %s {x} $HOME", "a" * 150, "semi;colon&quote'\"", "new\nline", "-dash"],
    ids=["unicode", "long", "quotes", "lines", "dash"],
)
def test_a_project_may_lie_anywhere(place: Place, name):
    here = place.at(place.folder / name)
    session = make_project(here, prompts=2, seconds=0)
    here.runs(*session).ends(0)
    here.runs(*session, "-n", "2").ends(0)
    here.runs("vdb", "report", runs_of(here.folder / "reports")[0]).ends(0)


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("option", ["--vdb-output", "--vdb-cache-dir"])
@pytest.mark.parametrize("separator", ["=", " "])
def test_an_option_whose_value_is_a_folder_moves_no_other_result(place: Place, option, separator):
    """pytest takes an argument that is a folder for a place to look for the project's root in."""
    here = place.at(place.folder / "inner")
    (place.folder / "elsewhere").mkdir()
    session = make_project(here, prompts=1, seconds=0)
    here.runs(*session, *f"{option}{separator}../elsewhere".split()).ends(0)
    (page,) = place.folder.rglob("leaderboard.html")
    assert page.parent == (place.folder / "elsewhere" if option == "--vdb-output" else here.folder / "reports")


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("mask", ["0077", "0777"])
def test_a_umask_of_the_users_is_kept_or_its_refusal_told(place: Place, mask):
    """Under 0777 nobody but root can read what was just written."""
    ended = place.runs(*make_project(place, prompts=2, seconds=0), under=limited(f"umask {mask}"))
    if mask == "0077":
        ended.ends(0)
        (run,) = runs_of(place.folder / "reports")
        assert (run / "records.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.rounds(short=0, long=1)
@pytest.mark.parametrize("jump", ["-1d", "+365d"])
def test_a_clock_that_jumps_changes_no_reading(place: Place, jump):
    session = make_project(place)
    stamp = place.writes("stamp", "+0\n")
    plan_accidents(place, {"slow-a/p05": ("write", ["stamp", jump])})
    place.knows(**other_clock(FAKETIME_TIMESTAMP_FILE=str(stamp))).runs(*session).ends(0)
    records = records_of(place.folder / "reports")
    assert len(records) == 24
    timed = [m["value"] for record in records for m in record["measurements"] if m["unit"] in {"s", "frames/s"}]
    assert all(0 < value < 1e6 for value in timed if value is not None)
    assert all(0 <= record["duration_s"] < 600 for record in records)
    place.runs(*session).ends(0)
    again = [record for record in records_of(place.folder / "reports") if record["run"] != records[0]["run"]]
    assert len(again) == 24
    assert all(record["reused_from"] for record in again)


@pytest.mark.rounds(short=0, long=1)
def test_two_runs_of_one_moment_are_two_runs(place: Place):
    session = make_project(place, prompts=2, seconds=0)
    frozen = place.knows(**other_clock(FAKETIME="@2026-11-25 10:00:00"))
    for _ in range(2):
        frozen.runs(*session).ends(0)
    assert len(runs_of(place.folder / "reports")) == 2
