"""No target tells who ran it where: user, host, home folder and token are planted in the run and in the machine."""

from __future__ import annotations

import gzip
import os
import platform
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import example_run as example
import pytest

from pytest_vdb.exports.targets import targets
from pytest_vdb.records import Failure, Measurement
from pytest_vdb.results.journal import Journal

USER, TOKEN = "zaphod-b", "v0g0n-p0etry-42"
PLACES = {"mlflow": "sqlite:///out/x.db", "trackio": "project"}
"""Of targets whose place is no file or folder."""
HOST = platform.node()

pytestmark = pytest.mark.slow  # a process of its own for each


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A user's home with a run of an earlier version, whose records told all they knew."""
    home = tmp_path_factory.mktemp("machine") / "home" / USER
    (home / "project").mkdir(parents=True)
    everything = f"{home}/films/x.mp4 of {USER} on {HOST} with {TOKEN}"
    run = example.example_run()
    measured = (
        *example.scores("style-01", "calibration-shapes", tiny=False),
        Measurement(name="latency", value=None, unit="s", better="lower", kind="performance", reason=everything),
    )
    told = {"weights": "hub", "notes": (everything,), "measurements": measured}
    failure = Failure(type="OSError", message=everything, traceback=everything)
    journal = Journal.create(home / "project" / "reports", run)
    journal.append(example.answer(run, "veo", "style-01", **told))
    journal.append(example.answer(run, "veo", "people-01", **told, status="failed", failure=failure))
    journal.finish(run)
    return home


@pytest.fixture
def sink():
    """Starts a server that keeps what it is sent in a folder; its address."""
    servers = []

    def started(folder: Path) -> str:
        class Sink(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                packed = self.headers.get("Content-Encoding") == "gzip"
                folder.mkdir(exist_ok=True)
                kept = folder / f"{self.path.replace('/', '-')}-{len(list(folder.iterdir()))}"
                kept.write_bytes(str(self.headers).encode() + (gzip.decompress(body) if packed else body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Sink))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("target", [name for name in targets() if name != "run"])
def test_nothing_that_is_written_tells_who_ran_it(home, sink, target):
    for library in targets()[target].libraries:
        pytest.importorskip(library, reason=f"needs the extra {targets()[target].extra}")
    project, out = home / "project", home / "project" / "out"
    before = set(project.rglob("*"))
    environment = {**os.environ, "HOME": str(home), "USER": USER, "LOGNAME": USER, "HF_TOKEN": TOKEN}
    environment |= {"HF_HUB_OFFLINE": "1", "TRACKIO_DIR": str(out / "trackio"), "HF_HOME": str(home / "hf")}
    place = sink(out) if target == "opentelemetry" else PLACES.get(target, f"out/{target}")
    asked = ["convert", "reports/runs/" + example.example_run().id, "--to", f"{target}:{place}", "--dataset", "a/b"]
    code = f"from pytest_vdb.cli import main; raise SystemExit(main({asked!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = [path for path in project.rglob("*") if path not in before and path.is_file() and not path.is_symlink()]
    assert written
    planted = {USER, TOKEN, str(home), "films", *({HOST} if len(HOST) > 3 else ())}
    for path in written:
        content = path.read_bytes()
        found = {word for word in planted if word.encode() in content}
        assert not found, f"{path.relative_to(project)} tells {found}"
        assert HOST not in path.name.split("."), "the file's name tells the host"
