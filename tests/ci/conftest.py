"""A stand-in for GitHub's API on this machine, and the environment of a job that asks it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

TOKEN = "ghs_" + "0123456789abcdefABCDEF"
EVENTS = Path(__file__).parent / "events"


@dataclass
class GitHub:
    """Keeps the comments of one pull request, and what was asked."""

    address: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refusal: tuple[int, dict[str, str]] | None = None
    """What every further question is answered with: status and headers."""

    def writes(self, body: str, *, kind: str = "User", association: str = "NONE") -> dict[str, Any]:
        """Somebody comments."""
        number = len(self.comments) + 1
        comment = {
            "id": number,
            "html_url": f"https://github.com/octocat/films/pull/7#issuecomment-{number}",
            "user": {"login": "somebody", "type": kind},
            "author_association": association,
            "body": body,
        }
        self.comments.append(comment)
        return comment

    def answer(self, method: str, path: str, content: dict[str, str]) -> tuple[int, object]:
        """Status and JSON."""
        parts = urlsplit(path)
        if parts.path == "/repos/octocat/films/issues/7/comments":
            if method == "POST":
                return 201, self.writes(content["body"], kind="Bot")
            query = parse_qs(parts.query)
            size, page = int(query["per_page"][0]), int(query["page"][0])
            return 200, self.comments[(page - 1) * size : page * size]
        number = parts.path.removeprefix("/repos/octocat/films/issues/comments/")
        if method == "PATCH" and number.isdecimal():
            self.comments[int(number) - 1]["body"] = content["body"]
            return 200, self.comments[int(number) - 1]
        return 404, {"message": "Not Found"}


class _Handler(BaseHTTPRequestHandler):
    github: GitHub

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        content = json.loads(self.rfile.read(length) or b"{}")
        self.github.asked.append(f"{self.command} {self.path}")
        status, headers = self.github.refusal or (0, {})
        if not status:
            if self.headers["Authorization"] == f"Bearer {TOKEN}":
                status, answer = self.github.answer(self.command, self.path, content)
            else:
                status, answer = 401, {"message": "Bad credentials"}
        else:
            answer = {"message": "no"}
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - as http.server calls them

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the screen."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    """Listens while the test lasts."""
    state = GitHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"github": state}))
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    listening = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    listening.start()
    yield state
    server.shutdown()
    server.server_close()
    listening.join()


@pytest.fixture
def job(github: GitHub) -> dict[str, str]:
    """The environment of a job on pull request 7."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.address,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "octocat/films",
        "GITHUB_RUN_ID": "4711",
        "GITHUB_EVENT_PATH": str(EVENTS / "pull_request.json"),
        "GITHUB_TOKEN": TOKEN,
        "no_proxy": "127.0.0.1",
    }
