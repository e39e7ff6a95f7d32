"""An arena over HTTP: it sends the page and the clips, takes votes on its pairs once, and nothing else."""

from __future__ import annotations

import http.client
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pytest_vdb.arena import folder
from pytest_vdb.arena.server import Desk, server
from pytest_vdb.errors import OptionError, RecordError


@pytest.fixture
def asked(place):
    listening, _ = server(place, "127.0.0.1", 0)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def ask(method: str, path: str, body: object = None, **headers: str):
        connection = http.client.HTTPConnection(*listening.server_address[:2], timeout=10)
        told = None if body is None else json.dumps(body) if not isinstance(body, bytes) else body
        given = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(
            method, path, told, {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}
        )
        answer = connection.getresponse()
        found = answer.status, answer.read(), dict(answer.headers)
        connection.close()
        return found

    yield ask
    listening.shutdown()
    thread.join()
    listening.server_close()


def vote_on(place, at: int, rater: str = "anna", choice: str = "left"):
    left, right = folder.read(place).pairs[at]
    return {"pair": at, "left": left, "right": right, "choice": choice, "rater": rater, "seconds": 2.5}


def test_the_page_and_its_clips_are_sent_also_in_parts(asked, place):
    status, page, _ = asked("GET", "/")
    assert (status, page) == (200, (place / "page" / "index.html").read_bytes())
    clip = next((place / "page" / "clips").iterdir())
    assert asked("GET", f"/clips/{clip.name}")[1] == clip.read_bytes()
    status, part, headers = asked("GET", f"/clips/{clip.name}", Range="bytes=10-19")
    assert (status, part) == (206, clip.read_bytes()[10:20])
    assert headers["Content-Range"] == f"bytes 10-19/{clip.stat().st_size}"
    assert asked("GET", f"/clips/{clip.name}", Range=f"bytes={clip.stat().st_size}-")[0] == 416


@pytest.mark.parametrize(
    "path",
    [
        "/key.json",
        "/../key.json",
        "/clips/../../key.json",
        "/votes.jsonl",
        "/clips/",
        "/clips/%2e%2e/key.json",
        "/clips/0123456789abcdef.mp4",
    ],
)
def test_nothing_else_is_sent(asked, path):
    assert asked("GET", path)[0] == 404


def test_a_vote_is_in_the_file_before_it_is_answered_and_counts_once(asked, place):
    for _ in range(2):
        assert asked("POST", "/votes", vote_on(place, 0))[0] == 204
    (line,) = (place / "votes.jsonl").read_text().splitlines()
    assert json.loads(line) | {"arena": ""} == vote_on(place, 0) | {"arena": ""}


@pytest.mark.parametrize(
    "wrong",
    [
        {"pair": 99},
        {"pair": "0"},
        {"left": "0" * 16},
        {"left": []},
        {"pair": -1},
        {"choice": {}},
        {"choice": "both"},
        {"rater": ""},
        {"rater": "x" * 101},
        {"rater": None},
    ],
)
def test_what_is_no_vote_of_this_arena_is_refused(asked, place, wrong):
    assert asked("POST", "/votes", vote_on(place, 0) | wrong)[0] == 400
    assert not (place / "votes.jsonl").exists()


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1", "", "5000"])
def test_a_length_that_is_none_is_refused(asked, place, length):
    assert asked("POST", "/votes", vote_on(place, 0), Content_Length=length)[0] == 400


def test_other_pages_cannot_vote(asked, place):
    assert asked("POST", "/votes", vote_on(place, 0), Content_Type="text/plain")[0] == 400
    assert asked("POST", "/votes", vote_on(place, 0), Host="evil.example")[0] == 404
    assert asked("GET", "/", Host="evil.example")[0] == 421
    assert asked("POST", "/votes", b"{" + b" " * 5000)[0] == 400
    assert not (place / "votes.jsonl").exists()


def test_a_rater_is_asked_every_pair_once_the_checks_among_them(asked, place):
    seen = []
    while (at := json.loads(asked("GET", "/next?rater=anna")[1])["pair"]) is not None:
        seen.append(at)
        asked("POST", "/votes", vote_on(place, at))
    assert sorted(seen) == list(range(8))
    first_check, second_check = (seen.index(at) for at in sorted(folder.read(place).checks, key=seen.index))
    assert first_check < 4 <= second_check


def test_many_raters_at_once_lose_no_vote(asked, place):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: asked("POST", "/votes", vote_on(place, n % 8, f"r{n // 8}"))[0], range(80)))
    assert set(answers) == {204}
    assert len((place / "votes.jsonl").read_text().splitlines()) == 80


def test_whoever_comes_back_goes_on(place):
    desk = Desk(place)
    for at in range(3):
        desk.take(vote_on(place, at))
    again = Desk(place)
    assert again.votes == 3
    assert again.next_pair("anna") not in {0, 1, 2}
    again.take(vote_on(place, 1))
    assert again.votes == 3


def test_a_file_without_a_vote_is_one_to_begin_with(place):
    (place / "votes.jsonl").write_bytes(b"")
    assert Desk(place).votes == 0


def test_where_nothing_can_listen_or_no_arena_lies_it_says_so(place, tmp_path):
    with pytest.raises(RecordError, match="key"):
        server(tmp_path / "nowhere", "127.0.0.1", 0)
    first, _ = server(place, "127.0.0.1", 0)
    with pytest.raises(OptionError, match=re.escape("cannot listen on 127.0.0.1")):
        server(place, "127.0.0.1", first.server_address[1])
    first.server_close()
