"""`vdb watch`: the page of a run while it goes on, read-only."""

from __future__ import annotations

import dataclasses
import http.client
import shutil
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from written_runs import sharpness, write_run

from pytest_vdb import budget
from pytest_vdb.cli.watch import _handler_of
from pytest_vdb.files import write
from pytest_vdb.records import Record, to_json
from pytest_vdb.reporters.live import LivePage
from pytest_vdb.results import journal
from pytest_vdb.serving import listening


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def going_on(day: int, tests: int, of: int = 10) -> Path:
    """A run of which so many tests have ended."""
    folder = write_run(day, [(f"p{at}", at, (sharpness(float(at)),)) for at in range(tests)], finished=False)
    write(folder / journal.RUN, to_json(dataclasses.replace(journal.read_run(folder), collected=of)) + "\n")
    return folder


def at(minutes: int) -> datetime:
    return datetime(2026, 1, 1, 0, minutes, tzinfo=UTC)


def test_the_page_says_how_far_the_run_is_and_what_is_left_at_this_pace():
    page = LivePage(going_on(1, 4))
    text, has_ended = page.render(at(8))
    assert "running: 4 of 10 tests, about 12 minutes left at this pace" in text
    assert not has_ended


def test_it_is_made_again_when_records_have_come_and_is_final_in_the_end():
    folder = going_on(1, 2)
    page = LivePage(Path("reports"))
    assert "running: 2 of 10" in page.render(at(1))[0]
    more = going_on(2, 1)
    assert page.run_folder() == more, "whichever began last"
    named = LivePage(folder)
    write(
        folder / journal.RUN,
        to_json(dataclasses.replace(journal.read_run(folder), finished_at="2026-01-01T00:09:00Z")) + "\n",
    )
    text, has_ended = named.render(at(10))
    assert has_ended
    assert "running:" not in text


def test_how_long_nothing_has_come_is_said():
    folder = going_on(1, 0)
    journal_lines = folder / journal.RECORDS
    record = Record(
        run=folder.name,
        nodeid="t.py::t[a-p0]",
        benchmark="t.py::t",
        model="a",
        status="passed",
        started_at="2026-01-01T00:01:00Z",
        duration_s=30.0,
    )
    journal_lines.write_text(to_json(record) + "\n")
    assert "ago" not in LivePage(folder).render(at(2))[0].partition("</header>")[0]
    assert "the last one that has ended began 9 minutes ago" in LivePage(folder).render(at(10))[0]


def test_before_the_first_record_there_is_nothing_to_show():
    assert LivePage(Path("reports")).render(at(0)) is None
    Path("reports/runs").mkdir(parents=True)
    assert LivePage(Path("reports")).render(at(0)) is None


@pytest.fixture
def asked():
    servers = []

    def ask(place: Path, path: str, **headers: str):
        server = listening(_handler_of(LivePage(place)), "127.0.0.1", 0)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        found = answer.status, answer.read(), answer.headers
        connection.close()
        return found

    yield ask
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_browser_asks_again_until_the_run_has_ended(asked):
    status, page, headers = asked(going_on(1, 2), "/")
    assert (status, headers["Refresh"]) == (200, "5")
    assert b"running: 2 of 10 tests" in page
    status, page, headers = asked(write_run(3, [("p0", 0, (sharpness(1.0),))]), "/")
    assert (status, headers["Refresh"]) == (200, None)
    status, page, headers = asked(Path("elsewhere"), "/")
    assert (status, headers["Refresh"]) == (200, "5")
    assert b"No test has ended yet" in page


def test_files_of_the_run_are_sent_and_no_others(asked):
    folder = going_on(1, 1)
    Path("reports/secret.json").write_text("{}")
    (folder / "notes.txt").write_text("private")
    run = f"/runs/{folder.name}"
    assert asked(folder, f"{run}/records.jsonl")[1] == (folder / "records.jsonl").read_bytes()
    assert asked(folder, f"{run}/records.jsonl", Range="bytes=0-4")[0] == 206
    up = "%2e%2e"
    hidden = ("/../../secret.json", f"/{up}/{up}/secret.json", "/notes.txt", "/clips/no.mp4", "/%00.json")
    for path in ("/secret.json", *(f"{run}{path}" for path in hidden)):
        assert asked(folder, path)[0] == 404, path
    assert asked(folder, "/", Host="evil.example")[0] == 421


def test_an_icon_that_browsers_ask_for_unasked_is_no_error(asked):
    assert asked(going_on(1, 3), "/favicon.ico")[0] == 204


def test_the_pages_of_models_are_sent_as_they_are_now(asked):
    folder = going_on(1, 1)
    (model,) = {record.model for record in journal.read(folder)[1]}
    status, page, headers = asked(folder, f"/leaderboard-files/models/{model}.html")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f"<h1>{model}</h1>".encode() in page
    assert b'href="../../leaderboard.html"' in page
    assert b"running: 1 of 10 tests" in asked(folder, "/leaderboard.html")[1]
    for path in ("models/nobody.html", "models/../../runs/x.html", "", "../secret.json"):
        assert asked(folder, f"/leaderboard-files/{path}")[0] == 404, path


def test_a_run_that_is_being_written_is_asked_for_again(asked):
    folder = going_on(1, 1)
    (folder / journal.RUN).write_text("{")
    status, said, headers = asked(folder, "/")
    assert (status, headers["Refresh"]) == (200, "5")
    assert b"run.json" in said


def test_a_run_whose_records_have_not_come_yet_is_shown(asked):
    folder = going_on(1, 1)
    (folder / journal.RECORDS).unlink()
    _, page, headers = asked(folder, "/")
    assert b"running: 0 of 10 tests" in page
    assert headers["Refresh"] == "5"


def test_a_record_that_is_written_over_is_read_again():
    folder = going_on(1, 1)
    page = LivePage(folder)
    assert "sharpness" in page.render(at(1))[0]
    path = folder / journal.RECORDS
    path.write_text(path.read_text().replace("sharpness", "bluntness"))
    assert "bluntness" in page.render(at(1))[0]


def test_a_run_that_is_deleted_meanwhile_is_waited_for():
    folder = going_on(1, 1)
    page = LivePage(folder)
    assert page.render(at(1)) is not None
    shutil.rmtree(folder)
    assert page.render(at(1)) is None


def test_a_clock_that_is_behind_foretells_nothing():
    began = datetime.fromisoformat(journal.read_run(folder := going_on(1, 4)).started_at)
    assert "left at this pace" not in LivePage(folder).render(began - timedelta(minutes=5))[0]


def test_what_is_too_large_to_be_read_is_said(asked, monkeypatch):
    folder = going_on(1, 1)
    monkeypatch.setenv(budget.VARIABLE, "100")
    status, said, _ = asked(folder, "/")
    assert status == 200
    assert b"more than" in said
    assert asked(folder, f"/runs/{folder.name}/run.json")[0] == 404
