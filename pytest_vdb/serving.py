"""Pages over HTTP on this machine: what every server of ours answers in the same way.

A request must name this host: a name that was made to point here belongs to another site, whose page could read what is
served. Nothing is logged.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from pytest_vdb.errors import OptionError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class Answering(BaseHTTPRequestHandler):
    """One request."""

    hosts: frozenset[str] | None
    """By which the server may be called; None: any."""
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vdb", ""
    timeout = 30

    def parse_request(self) -> bool:
        """Whether the request can be understood: also whom it calls, and for what it asks; else it is refused."""
        if not super().parse_request():
            return False
        try:
            self.url, self._called = urlsplit(self.path), urlsplit(f"//{self.headers.get('Host', '')}").hostname
        except ValueError:  # half an address in brackets
            self.refuse(HTTPStatus.BAD_REQUEST)
            return False
        return True

    def do_GET(self) -> None:
        """What there is to see; of each server its own."""
        self.answer(HTTPStatus.NOT_FOUND)

    def do_HEAD(self) -> None:
        """The same without its body."""
        self.do_GET()

    def is_called_rightly(self) -> bool:
        """Whether the request names this host."""
        return self.hosts is None or self._called in self.hosts

    def send_part(self, content: bytes, kind: str) -> None:
        """All of it, or the bytes that a player asks for."""
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if wanted is None:
            self.answer(HTTPStatus.OK, content, kind)
            return
        first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
        if first > last:
            length = {"Content-Range": f"bytes */{len(content)}"}
            self.answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, more=length)
            return
        part = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        self.answer(HTTPStatus.PARTIAL_CONTENT, content[first : last + 1], kind, part)

    def refuse(self, status: HTTPStatus) -> None:
        """Without reading what was sent: then nothing else can be read of this connection."""
        self.answer(status, more={"Connection": "close"})  # which also closes it

    def answer(
        self, status: HTTPStatus, body: bytes = b"", kind: str = "", more: Mapping[str, str] | None = None
    ) -> None:
        """Send an answer whole.

        Args:
            kind: media type; empty where there is no body.
            more: further headers.
        """
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        for name, value in {"Accept-Ranges": "bytes", **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who asked when concerns nobody."""


class _Server(ThreadingHTTPServer):
    """One that listens at any kind of address, and to whose readers nothing happens when they leave."""

    def __init__(self, address: tuple[str, int], handler: type[Answering]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing where a browser went away, as players do whenever somebody moves on in a clip."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def listening(handler: type[Answering], host: str, port: int) -> ThreadingHTTPServer:
    """A server that is not running yet.

    Args:
        handler: a class of its own for this server.
        host: to listen on; other than loopback lets others in.
        port: 0 is any that is free.

    Raises:
        OptionError: nothing can listen there.
    """
    handler.hosts = LOOPBACK if host in LOOPBACK else None
    try:
        return _Server((host, port), handler)
    except (OSError, OverflowError, UnicodeError) as problem:  # no port above 65535; no name of any machine
        mend = "choose another: --port 0 takes any that is free"
        said = getattr(problem, "strerror", None) or problem
        raise OptionError(f"cannot listen on {host}:{port}: {said}", where="--port", mend=mend) from None


def address_of(server: ThreadingHTTPServer) -> str:
    """What to put into a browser, e.g. `http://127.0.0.1:8764/`."""
    host, port = server.server_address[:2]
    named = f"[{host!s}]" if server.address_family == socket.AF_INET6 else f"{host!s}"
    return f"http://{named}:{port}/"
