"""Commands in processes of their own, that can be killed at any moment, and what they leave on the disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

BROKEN = ("Traceback (most recent call last)", "INTERNALERROR")
"""What no command shows, whatever is done to it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    command: str
    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.out + self.err

    def ends(self, *statuses: int) -> Ended:
        """With one of these."""
        assert self.status in statuses, f"{self.command}: ended with {self.status}\n{self.text[-3000:]}"
        return self

    def says(self, *texts: str) -> Ended:
        """All of these."""
        for text in texts:
            assert text in self.text, f"{self.command}: {text!r} is not said\n{self.text[-3000:]}"
        return self


@dataclass(frozen=True)
class Place:
    """A project folder and the environment of its commands."""

    folder: Path
    environment: dict[str, str]

    @property
    def cache(self) -> Path:
        """Of the clips."""
        return Path(self.environment["VDB_CACHE_DIR"])

    def at(self, folder: Path) -> Place:
        """The same environment in another folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        return Place(folder, self.environment)

    def knows(self, **variables: str) -> Place:
        """The same folder with more variables of the environment."""
        return Place(self.folder, self.environment | variables)

    def writes(self, name: str, text: str) -> Path:
        """A file of the project."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        return path

    def runs(self, *command: str | Path, under: Sequence[str] = (), seconds: float = 300) -> Ended:
        """Run a command to its end; whatever it ends with, it must not break.

        Args:
            command: its words.
            under: a program that starts it, with its arguments.
            seconds: after which it is taken for hanging.
        """
        words = [*under, *map(str, command)]
        ran = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, timeout=seconds)
        out, err = (stream.decode("utf-8", "replace") for stream in (ran.stdout, ran.stderr))
        ended = Ended(" ".join(words)[:300], ran.returncode, out, err)
        for broken in BROKEN:
            assert broken not in ended.err, f"{ended.command}\n{ended.err[-3000:]}"
        assert "INTERNALERROR" not in ended.out, f"{ended.command}\n{ended.out[-3000:]}"
        return ended

    def begins(self, *command: str | Path) -> Begun:
        """Start a command in a process group of its own."""
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*map(str, command)],
                cwd=self.folder,
                env=self.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Begun(process, log)


@dataclass(frozen=True)
class Begun:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        """Until now, on both streams."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ends_within(self, seconds: float) -> bool:
        """Wait that long, or until its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return self.process.returncode is not None

    def runs_until(self, seen: Callable[[], bool], *, seconds: float = 120) -> bool:
        """Wait until something is seen; False where the command ended, or the time, before it."""
        until = time.monotonic() + seconds
        while not seen():
            if self.ends_within(0.01) or time.monotonic() > until:
                return seen()
        return True

    def children(self) -> list[psutil.Process]:
        """The processes that it started, and theirs."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def is_killed(self, number: signal.Signals = signal.SIGKILL) -> None:
        """The command and all that it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait()


@dataclass(frozen=True)
class Lines:
    """What a JSONL file holds after something happened to its writer."""

    records: list[dict[str, Any]]
    unreadable: int
    """Whole lines that are no JSON."""
    torn: bool
    """Whether the last line has no end."""


def lines_of(path: Path) -> Lines:
    """What can be read, line by line, without asking the package itself."""
    whole, _, rest = (path.read_bytes() if path.exists() else b"").rpartition(b"\n")
    records, unreadable = [], 0
    defined: dict[str, Any] = {}
    for line in filter(bytes.strip, whole.split(b"\n")):
        try:
            told = json.loads(line)
            if not isinstance(told, dict) or told.get("schema") != 2:
                records.append(told)
            elif "define" in told:
                defined[told["define"]] = told
            else:
                records.append(in_full(told, defined))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            unreadable += 1
    return Lines(records, unreadable, bool(rest))


FILES = ("digest", "frames", "height", "width", "fps", "lossless", "preview", "poster")
UNSAID: dict[str, Any] = {
    **dict.fromkeys(("prompt", "seed", "clip", "features", "reused_from", "failure", "worker", "hardware", "weights")),
    **{"notes": [], "parameters": {}, "recipe": {}, "attempts": 1, "sample_index": 0},
}
VALUE = {"value": None, "reason": None, "n": 1, "interval": None, "series": None}
METRIC = {"kind": "quality", "version": "1", "wiring": False}


def in_full(told: dict[str, Any], defined: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 2 with what it has in common with others, as `docs/records.md` says."""
    setup, question, metrics = (defined[told.pop(kind)][kind] for kind in ("setup", "question", "metrics"))
    measurements = []
    for metric, value in zip(metrics, told.pop("values", []), strict=True):
        own = value if isinstance(value, dict) else {"reason" if isinstance(value, str) else "value": value}
        measurements.append(METRIC | metric | VALUE | own)
    record = UNSAID | setup | question | told | {"measurements": measurements, "schema": 1}
    if record["clip"]:
        clip = dict(zip(FILES, record["clip"], strict=True))
        if (clip["poster"] or "").startswith("."):
            clip["poster"] = clip["preview"].rpartition(".")[0] + clip["poster"]
        record["clip"] = clip
    return record


def whole_records(path: Path) -> list[dict[str, Any]]:
    """The records of a file in which only the last line may be torn."""
    lines = lines_of(path)
    assert not lines.unreadable, f"{path}: {lines.unreadable} unreadable lines before the last"
    return lines.records


def runs_of(folder: Path) -> list[Path]:
    """The runs of an output folder, the oldest first."""
    return sorted((folder / "runs").glob("*"))


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The records of all its runs."""
    return [record for run in runs_of(folder) for record in whole_records(run / "records.jsonl")]
