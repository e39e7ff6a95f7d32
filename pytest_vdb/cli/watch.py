"""`vdb watch`: the page of a run while it goes on, in a browser. Read-only."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import flush, show, warn
from pytest_vdb.errors import RecordError, VdbError
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.reporters.live import LivePage

_AGAIN_S = 5
"""After so many seconds a browser asks again, while the run goes on."""
_ICON = "/favicon.ico"
"""Browsers ask for it unasked, and complain about an answer that there is none."""
_PAGE = "text/html; charset=utf-8"
_TYPES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".json": "application/json", ".jsonl": "application/jsonl"}
"""Files of a run that its page links to."""
_WAITING = "<!doctype html><html lang=en><title>Video benchmark</title><p>No test has ended yet.</p></html>"


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    watch = commands.add_parser("watch", help="the page of a run while it goes on, in a browser")
    what = "a run's folder, or an output folder: whichever run began last there (default: %(default)s)"
    watch.add_argument("place", nargs="?", type=expanded, default=Path("reports"), metavar="RUN|OUTPUT", help=what)
    listen = "address to listen on (default: %(default)s, this machine alone)"
    watch.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=listen)
    watch.add_argument("--port", type=whole("--port", 0), default=8764, metavar="N", help="default: %(default)s")
    watch.set_defaults(command=Command(WatchArguments, _watch))


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchArguments:
    """What `vdb watch` was asked."""

    place: Path
    host: str
    port: int


def _watch(arguments: WatchArguments) -> int:
    from pytest_vdb.reporters.live import LivePage
    from pytest_vdb.serving import LOOPBACK, address_of, listening

    server = listening(_handler_of(LivePage(arguments.place)), arguments.host, arguments.port)
    if arguments.host not in LOOPBACK:
        warn("whoever reaches this machine can look; nothing is encrypted")
    show(f"{address_of(server)}  (Ctrl-C ends; the run goes on)")
    flush()  # whoever started this in the background waits for the address
    with contextlib.closing(server.socket):
        server.serve_forever(poll_interval=0.2)
    return 0


def _handler_of(page: LivePage) -> Any:
    """What answers for this page."""
    from pytest_vdb.reporters.pages import BESIDE, LEADERBOARD
    from pytest_vdb.serving import Answering

    class Handler(Answering):
        """One request."""

        def do_GET(self) -> None:  # noqa: N802 - http.server's own name
            """The page, or a file of the run that it links to."""
            path = unquote(self.url.path)
            if not self.is_called_rightly():
                self.answer(HTTPStatus.MISDIRECTED_REQUEST)
            elif path in {"/", f"/{LEADERBOARD}"}:
                self._send_page()
            elif path == _ICON:
                self.answer(HTTPStatus.NO_CONTENT)
            elif path.startswith(f"/{BESIDE}/"):
                self._send_page_beside(path.lstrip("/"))
            else:
                self._send_file(path)

        def _send_page(self) -> None:
            again = {"Refresh": str(_AGAIN_S)}
            try:
                made = page.render(datetime.now(UTC))
            except VdbError as problem:  # it may be written just now, or be too large to be read
                self.answer(HTTPStatus.OK, str(problem).encode(), "text/plain; charset=utf-8", again)
                return
            text, has_ended = made if made is not None else (_WAITING, False)
            self.answer(HTTPStatus.OK, text.encode(), _PAGE, {} if has_ended else again)

        def _send_page_beside(self, path: str) -> None:
            try:
                text = page.render_beside(path)
            except VdbError as problem:
                self.answer(HTTPStatus.OK, str(problem).encode(), "text/plain; charset=utf-8")
                return
            if text is None:
                self.answer(HTTPStatus.NOT_FOUND)
            else:
                self.answer(HTTPStatus.OK, text.encode(), _PAGE)

        def _send_file(self, path: str) -> None:
            file = page.root / path.lstrip("/")
            try:
                folder = page.run_folder()
                inside = folder is not None and file.resolve().is_relative_to(folder.resolve())
                if not inside or file.suffix not in _TYPES:
                    raise RecordError("not a file of this run")
                self.send_part(files.read_bytes(file, error=RecordError), _TYPES[file.suffix])
            except (VdbError, OSError, ValueError):
                self.answer(HTTPStatus.NOT_FOUND)

    return Handler
