"""Pages over HTTP: what is no request is refused, and whoever goes away disturbs nobody."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from http import HTTPStatus

import pytest

from pytest_vdb.errors import OptionError
from pytest_vdb.serving import Answering, address_of, listening

CONTENT = b"0123456789"


class Handler(Answering):
    """Ten bytes, wherever one asks."""

    def do_GET(self) -> None:
        if self.is_called_rightly():
            self.send_part(CONTENT, "text/plain")
        else:
            self.answer(HTTPStatus.MISDIRECTED_REQUEST)


def asking(target: str = "/", host: str = "localhost", more: str = "", method: str = "GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def answer_to(request: bytes, *, stays: bool = True) -> bytes:
    """What comes back for a request; nothing where whoever asked goes away before the answer."""
    ours, theirs = socket.socketpair()
    with closing(ours), listening(Handler, "127.0.0.1", 0) as server:
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        if not stays:
            ours.close()
        server.process_request_thread(theirs, ("127.0.0.1", 1))
        return ours.makefile("rb").read() if stays else b""


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def test_whoever_goes_away_before_the_answer_is_not_spoken_of(capsys):
    answer_to(asking(), stays=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("request_", [asking("http://["), asking(host="["), asking(host="[::1")])
def test_half_an_address_is_refused(request_, capsys):
    answer = answer_to(request_ + asking())
    assert status_of(answer) == 400
    assert answer.count(b"HTTP/1.1") == 1, "nothing else is read of this connection"
    assert capsys.readouterr().err == ""


def test_only_who_names_this_host_is_answered():
    assert status_of(answer_to(asking(host="[::1]:8764"))) == 200
    assert status_of(answer_to(asking(host="evil.example"))) == 421


@pytest.mark.parametrize(
    ("asked", "status", "sent"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=9-", 206, b"9"),
        ("bytes=10-", 416, b""),
        ("bytes=0-1,3-4", 200, CONTENT),
        (f"bytes={'9' * 5000}-", 200, CONTENT),
    ],
)
def test_a_player_gets_the_bytes_that_it_asks_for(asked, status, sent):
    head, _, body = answer_to(asking(more=f"Range: {asked}\r\n")).partition(b"\r\n\r\n")
    assert (status_of(head), body) == (status, sent)
    assert (b"Content-Range: bytes */10" in head) == (status == 416)


def test_the_head_of_an_answer_has_its_length_and_no_body():
    head, _, body = answer_to(asking(method="HEAD")).partition(b"\r\n\r\n")
    assert b"Content-Length: 10" in head
    assert body == b""


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no..machine", 0)])
def test_where_nothing_can_listen_it_says_so(host, port):
    with pytest.raises(OptionError, match=re.escape(f"cannot listen on {host}:{port}")):
        listening(Handler, host, port)


def test_an_address_with_colons_stands_in_brackets():
    try:
        server = listening(Handler, "::1", 0)
    except OptionError as problem:
        pytest.skip(f"this machine has no IPv6: {problem.what}")
    with server:
        assert re.fullmatch(r"http://\[::1\]:\d+/", address_of(server))
