"""Shards, records and a storage that can be away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from pytest_vdb.cluster.attempts import Event
from pytest_vdb.cluster.jobs import Shard
from pytest_vdb.errors import StorageError
from pytest_vdb.records import ClipFiles, Environment, Measurement, Record
from pytest_vdb.results.lines import Teller
from pytest_vdb.storage import Folder, Storage

HERE = Environment(
    python="3.12.1",
    platform="Linux",
    hardware="H200",
    cpu="a CPU",
    cpu_count=2,
    memory_mib=8_000,
    packages={"torch": "2"},
)


def make_record(prompt: str, **about: Any) -> Record:
    """A passed test of the model `wan`."""
    usual: dict[str, Any] = {
        "run": "there",
        "nodeid": f"t.py::test_generation[wan--{prompt}]",
        "benchmark": "t.py::test_generation",
        "model": "wan",
        "status": "passed",
        "prompt": prompt,
        "seed": 1,
        "weights": "hub",
        "recipe_digest": "r",
        "suite_digest": "s",
        "hardware": "H200",
        "started_at": f"2026-01-01T00:00:0{len(prompt) % 10}.000+00:00",
        "duration_s": 10.0,
        "measurements": (Measurement(name="sharpness", value=0.5, unit="1", better="higher"),),
        "clip": ClipFiles(digest="d", frames=1, height=1, width=1, fps=8.0),
    }
    return Record(**{**usual, **about})


def make_shard(**about: Any) -> Shard:
    """A shard of three tests."""
    usual: dict[str, Any] = {
        "id": "wan.0000",
        "model": "wan",
        "prompts": ("a", "b", "c"),
        "has_others": False,
        "tests": 3,
        "expected_s": 40.0,
    }
    return Shard(**{**usual, **about})


def put_attempt(
    storage: Storage,
    shard: Shard,
    *records: Record,
    began_at: float = 1.0,
    begins: str | None = None,
    end: str | None = None,
) -> None:
    """What a session on a shard said: its records, the test that it runs, and how it ended."""
    teller = Teller()
    events = [Event(event="start", at=began_at, shard=shard.id, environment=HERE)]
    lines = [msgspec.json.encode(event) for event in events]
    for record in records:
        told = teller.told(record)
        teller.kept(told)
        lines.append(told.whole)
    if begins is not None:
        lines.append(msgspec.json.encode(Event(event="begin", at=began_at, nodeid=begins)))
    if end is not None:
        lines.append(msgspec.json.encode(Event(event="end", at=began_at, why=end)))
    storage.put(f"attempts/{shard.planned}/{shard.id}.jsonl", b"\n".join([*lines, b""]))


class Flaky:
    """A folder that can be unplugged, and counts what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = Folder(folder)
        self.address = self.folder.address
        self.is_away = False
        self.put_names: list[str] = []

    def _check(self) -> None:
        if self.is_away:
            raise StorageError("is away", where=self.address)

    def put(self, name: str, data: bytes) -> None:
        self._check()
        self.put_names.append(name)
        self.folder.put(name, data)

    def get(self, name: str) -> bytes:
        self._check()
        return self.folder.get(name)

    def names(self, below: str) -> list[str]:
        self._check()
        return self.folder.names(below)

    def has(self, name: str) -> bool:
        self._check()
        return self.folder.has(name)

    def remove(self, name: str) -> None:
        self._check()
        self.folder.remove(name)
