"""An arena over HTTP: its page and its clips, the next pair, and votes, each kept in a file before it is answered.

Nothing but `page/` is ever sent; nothing is taken but votes on pairs that were asked. Browsers of other pages cannot
vote: a vote is JSON, which they may not send without being asked.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from pytest_vdb import files
from pytest_vdb.analysis.votes import CHOICES, Vote, read_votes
from pytest_vdb.arena.folder import PAGE, SUFFIX, VOTES, Arena, read
from pytest_vdb.arena.pairing import Telling
from pytest_vdb.bench.previews import CLIPS
from pytest_vdb.errors import OptionError, OutputError, RecordError, VdbError
from pytest_vdb.serving import Answering, listening

_MOST_BYTES = 4096
"""Of a vote."""
_MOST_NAME = 100
"""Characters of a rater's name."""
_COUNT_AGAIN = 20
"""Votes after which it is asked anew which pair tells most."""
_TYPES = {".html": "text/html; charset=utf-8", SUFFIX: "video/mp4"}


class Desk:
    """Gives pairs out and takes votes in; of many threads."""

    def __init__(self, folder: Path) -> None:
        self.page = folder / PAGE
        self._arena: Arena = read(folder)
        self._path = folder / VOTES
        self._lock = threading.Lock()
        self._asked = Counter[int]()
        self._answered: dict[str, set[int]] = {}
        self._votes: list[Vote] = []
        self._telling: Telling = {}
        if files.is_there(self._path) and any(files.lines_in(self._path, error=RecordError)):
            self._remember()

    def _remember(self) -> None:
        """The votes of before: whoever comes back goes on."""
        shown = self._arena.shown
        places = {frozenset((shown[first], shown[second])): at for at, (first, second) in enumerate(self._arena.pairs)}
        self._votes = list(read_votes(self._path, shown).votes)
        for vote in self._votes:
            at = places.get(frozenset((vote.left, vote.right)))
            if at is not None:
                self._answered.setdefault(vote.rater, set()).add(at)
                self._asked[at] += 1
        self._telling = telling_of(self._votes)

    @property
    def votes(self) -> int:
        """That were taken."""
        return len(self._votes)

    def next_pair(self, rater: str) -> int | None:
        """One that the rater was not asked: a check in its turn, else the one that tells most; None: none is left."""
        with self._lock:
            answered = self._answered.get(rater, set())
            waiting = [at for at in range(len(self._arena.pairs)) if at not in answered]
            checks = [at for at in waiting if at in self._arena.checks]
            share = len(self._arena.checks) / len(self._arena.pairs)
            done = len(answered & self._arena.checks)
            if checks and done < share * (len(answered) + 1):
                return min(checks, key=lambda at: self._asked[at])
            asking = [at for at in waiting if at not in self._arena.checks] or waiting
            return max(asking, key=lambda at: (self._worth(at), -at), default=None)

    def _worth(self, at: int) -> float:
        models = frozenset(self._arena.shown[token].model for token in self._arena.pairs[at])
        return self._telling.get(models, 1.0) / (1 + self._asked[at])

    def take(self, told: Mapping[str, Any]) -> None:
        """Keep a vote.

        Raises:
            OptionError: it is none of a pair of this arena.
            OutputError: it cannot be kept.
        """
        vote, at = self._checked(told)
        with self._lock:
            if at in self._answered.get(vote.rater, ()):
                return  # sent again because the answer was lost
            files.append(self._path, json.dumps({"arena": self._arena.id, **told}).encode())
            self._answered.setdefault(vote.rater, set()).add(at)
            self._asked[at] += 1
            self._votes.append(vote)
            if len(self._votes) % _COUNT_AGAIN == 0:
                self._telling = telling_of(self._votes)

    def _checked(self, told: Mapping[str, Any]) -> tuple[Vote, int]:
        at, rater = told.get("pair"), told.get("rater")
        sides = (told.get("left"), told.get("right"))
        pair = self._arena.pairs[at] if isinstance(at, int) and 0 <= at < len(self._arena.pairs) else ()
        if sides not in (pair, pair[::-1]):
            raise OptionError("no pair of this arena", where="a vote")
        if told.get("choice") not in CHOICES:
            raise OptionError(f"the choice is none of {', '.join(CHOICES)}", where="a vote")
        if not isinstance(rater, str) or not 0 < len(rater) <= _MOST_NAME:
            raise OptionError(f"the rater's name has not 1 to {_MOST_NAME} characters", where="a vote")
        left, right = (self._arena.shown[str(side)] for side in sides)
        return Vote(rater=rater, left=left, right=right, choice=told["choice"]), int(at or 0)


def telling_of(votes: list[Vote]) -> Telling:
    """Of two models: how much one more vote between them would tell."""
    from pytest_vdb.analysis.preference import arrays_of
    from pytest_vdb.statistics.preferences import strengths, telling

    asked = [vote for vote in votes if not vote.is_check]
    if not asked:
        return {}
    models = sorted({side.model for vote in asked for side in (vote.left, vote.right)})
    told = telling(strengths(arrays_of(asked, models), len(models)))
    found = {}
    for row, first in enumerate(models):
        for column, second in enumerate(models[:row]):
            value = float(told[row, column])
            if value == value:  # where nobody knows, whoever asks takes it for what tells most
                found[frozenset((first, second))] = value
    return found


def server(folder: Path, host: str, port: int) -> tuple[ThreadingHTTPServer, Desk]:
    """A server that is not running yet.

    Args:
        folder: of the arena.
        host: to listen on; other than loopback lets others in.
        port: 0 is any that is free.

    Raises:
        RecordError: no arena lies there.
        OptionError: nothing can listen there.
    """
    desk = Desk(folder)

    class Handler(_Handler):
        """Of this desk."""

    Handler.desk = desk
    return listening(Handler, host, port), desk


class _Handler(Answering):
    """One request."""

    desk: Desk

    def do_GET(self) -> None:  # noqa: N802 - http.server's own name
        """The page, a clip, or which pair comes next."""
        if not self.is_called_rightly():
            self.answer(HTTPStatus.MISDIRECTED_REQUEST)
        elif self.url.path == "/next":
            rater = parse_qs(self.url.query).get("rater", [""])[0][:_MOST_NAME]
            told = json.dumps({"pair": self.desk.next_pair(rater)}).encode()
            self.answer(HTTPStatus.OK, told, "application/json")
        else:
            self._send_file(self.url.path)

    def do_POST(self) -> None:  # noqa: N802 - http.server's own name
        """A vote."""
        length = self.headers.get("Content-Length", "")
        is_json = self.headers.get_content_type() == "application/json"
        if self.url.path != "/votes" or not self.is_called_rightly():
            self.refuse(HTTPStatus.NOT_FOUND)
        elif not is_json or not re.fullmatch("[0-9]{1,6}", length) or int(length) > _MOST_BYTES:
            self.refuse(HTTPStatus.BAD_REQUEST)
        else:
            self._take(self.rfile.read(int(length)))

    def _take(self, body: bytes) -> None:
        try:
            told = files.parse_json(body, where="a vote", error=OptionError)
            self.desk.take(told if isinstance(told, dict) else {})
        except OptionError as problem:
            self.answer(HTTPStatus.BAD_REQUEST, str(problem).encode(), "text/plain; charset=utf-8")
        except OutputError:  # the page keeps the vote, and says that it did not arrive
            self.answer(HTTPStatus.INSUFFICIENT_STORAGE)
        else:
            self.answer(HTTPStatus.NO_CONTENT)

    def _send_file(self, path: str) -> None:
        name = path.lstrip("/") or "index.html"
        file = self.desk.page / name
        token = name.removeprefix(f"{CLIPS}/").removesuffix(SUFFIX)
        if name != "index.html" and not (name == f"{CLIPS}/{token}{SUFFIX}" and re.fullmatch("[0-9a-f]{16}", token)):
            self.answer(HTTPStatus.NOT_FOUND)
            return
        try:
            content = files.read_bytes(file, error=RecordError)
        except VdbError:
            self.answer(HTTPStatus.NOT_FOUND)
            return
        self.send_part(content, _TYPES[file.suffix])
