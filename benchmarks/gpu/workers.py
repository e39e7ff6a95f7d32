"""`pytest -n auto`: a worker for each visible GPU, each with a GPU of its own, and a controller that leaves CUDA be.

A session of its own, in processes of their own: what this process did with CUDA does not reach them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest_vdb
from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.records import Record
from pytest_vdb.results import baselines, journal

from .cards import Card
from .plan import Plan
from .rows import Check, Figure, Row, Told, compare

SEEN = "VDB_GPU_SEEN"
WORKERS_OF_A_REHEARSAL = 2
LEAST_S = 20.0
"""That a session may take, whatever is left."""
CONFTEST = '''
import json, os, pathlib, sys


def pytest_sessionfinish(session):
    """What each process knows of CUDA when it ends."""
    place = pathlib.Path(os.environ["VDB_GPU_SEEN"])
    if not hasattr(session.config, "workerinput"):
        torch = sys.modules.get("torch")
        awake = torch is not None and torch.cuda.is_initialized()
        place.joinpath("controller.json").write_text(json.dumps({"awake": awake}))
        return
    import torch

    cards = [str(torch.cuda.get_device_properties(at).uuid) for at in range(torch.cuda.device_count())]
    name = session.config.workerinput["workerid"]
    place.joinpath(f"worker-{name}.json").write_text(json.dumps({"cards": cards}))
'''
TEST = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    vdb.generate(vdb_model, vdb_prompt, vdb_seed)
"""


def rows(plan: Plan, card: Card, left_s: Callable[[], float]) -> Iterator[Row]:
    """One session of tiny models, and what its processes saw."""
    cards = _cards_here(card)
    wanted = len(cards) or WORKERS_OF_A_REHEARSAL
    prompts = wanted * plan.worker_tests
    with TemporaryDirectory() as name:
        folder = Path(name)
        _write_project(folder, prompts)
        began = time.perf_counter()
        failed = _session_of_run(folder, plan, card, "auto" if cards else str(wanted), max(left_s(), LEAST_S))
        seconds = time.perf_counter() - began
        if failed is not None:
            yield Check(what="a session with -n auto", source="its exit status", passed=False, reason=failed)
        yield from _of_processes(folder / "seen", cards, wanted)
        yield from _of_records(folder / "reports", card, prompts)
    what = f"{prompts} tests of a tiny model by {wanted} worker{'' if wanted == 1 else 's'}, start and imports in it"
    yield Figure(what=what, value=seconds, unit="s")


def _cards_here(card: Card) -> list[str]:
    """UUIDs of the GPUs that this process may use, as torch tells them."""
    if card.device == "cpu":
        return []
    import torch

    return [str(torch.cuda.get_device_properties(at).uuid) for at in range(torch.cuda.device_count())]


def _write_project(folder: Path, prompts: int) -> None:
    (folder / "seen").mkdir()
    files.write(folder / "conftest.py", CONFTEST)
    files.write(folder / "test_workers.py", TEST)
    files.write(folder / "pytest.ini", "[pytest]\n")
    files.write(folder / "prompts.txt", "".join(f"a ball rolls, take {at}\n" for at in range(prompts)))


def _session_of_run(folder: Path, plan: Plan, card: Card, workers: str, seconds: float) -> str | None:
    """Run it; why it failed, if it did."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "no:cacheprovider", "test_workers.py"]
    command += [f"--vdb-models={plan.models[0]}", "--vdb-weights=tiny", f"--vdb-device={card.device}"]
    command += ["--vdb-prompts=prompts.txt", "--vdb-metrics=none", "--vdb-report=none", "--vdb-cache=never"]
    command += ["--vdb-output=reports", "--vdb-recipe=steps=4"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=_environment(folder), capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return f"the time was over: it did not end within {seconds:.0f} s"
    if done.returncode == 0:
        return None
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"exit status {done.returncode}: {' / '.join(said[-6:])}"


def _environment(folder: Path) -> dict[str, str]:
    """Ours without pytest's own settings, and with the package that runs here."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    package = str(Path(pytest_vdb.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    return {**kept, "PYTHONPATH": path, SEEN: str(folder / "seen"), "VDB_CACHE_DIR": str(folder / "cache")}


def _of_processes(seen: Path, cards: Sequence[str], wanted: int) -> Iterator[Row]:
    workers = [files.read_json(path, error=RecordError)["cards"] for path in sorted(seen.glob("worker-*.json"))]
    source = "GPUs that torch sees here" if cards else "those that were asked for"
    yield compare("workers", Told(len(workers)), Told(wanted), source=source)
    most = max((len(of_worker) for of_worker in workers), default=None)
    each = Told(most, None if workers else "no worker told")
    yield compare("GPUs that a worker sees", each, Told(1 if cards else 0), source="one for each")
    found = sorted(one for of_worker in workers for one in of_worker)
    yield compare(
        "all workers' GPUs",
        Told(_workers_in_words(found)),
        Told(_workers_in_words(sorted(cards))),
        source="torch here",
    )
    controller = seen / "controller.json"
    awake = files.read_json(controller, error=RecordError)["awake"] if files.is_file(controller) else None
    state = {True: Told("awake"), False: Told("asleep"), None: Told(None, "the controller did not end")}[awake]
    yield compare("CUDA in the controller", state, Told("asleep"), source="it only hands out tests")


def _of_records(reports: Path, card: Card, prompts: int) -> Iterator[Row]:
    records = _records_in(reports)
    passed = [one for one in records if one.status == "passed"]
    yield compare("tests that passed", Told(len(passed)), Told(prompts), source="those that were asked for")
    if card.device == "cpu":
        return
    hardware = _workers_in_words(sorted({one.hardware or "none" for one in passed}))
    yield compare("hardware in the records", Told(hardware), Told(card.name), source="torch")
    timed = [one for one in passed if (found := one.measurement(LATENCY.name)) and found.value is not None]
    yield compare("tests with a latency", Told(len(timed)), Told(prompts), source="no GPU is shared")


def _records_in(reports: Path) -> list[Record]:
    runs = baselines.runs_in(reports)
    return journal.read(runs[0].folder)[1] if runs else []


def _workers_in_words(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
