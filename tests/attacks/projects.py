"""A project whose models are slow enough to be met in the middle, and whose accidents are data.

`accidents.json` says what happens in which test: `{"slow-a/p05": ["fill", "small/fill"]}`. Without it, nothing does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from commands import Place

CONFTEST = '''
import json, os, select, shutil, signal, threading
from pathlib import Path

import numpy as np
import pytest
from pytest_vdb import Clip, metric, model

HERE = Path(__file__).parent
PLAN = json.loads((HERE / "plan.json").read_text())


def pause(seconds):
    """Not by time.sleep, which a clock that is turned would shorten."""
    select.select([], [], [], seconds)


def kill_later(seconds):
    def kill():
        pause(float(seconds))
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=kill, daemon=True).start()
    pause(60)


def fill(path):
    """Until the disk is full."""
    with open(path, "wb", buffering=0) as stream:
        for size in (2**20, 2**12, 2**9, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                pass


ACCIDENTS = {
    "kill": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "segv": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "abort": lambda _: os.abort(),
    "exit": lambda _: os._exit(0),
    "later": kill_later,
    "fill": fill,
    "remove": lambda folder: shutil.rmtree(folder),
    "write": lambda told: Path(told[0]).write_text(told[1]),
    "memory": lambda side: np.ones((side, side)),
}


def accident(name):
    path = HERE / "accidents.json"
    what, told = json.loads(path.read_text()).get(name, (None, None)) if path.exists() else (None, None)
    if what:
        ACCIDENTS[what](told)


def made(name, offset):
    @model(name, frames=PLAN["frames"], height=32, width=32, fps=8.0)
    class Slow:
        """Noise, after a pause."""

        def generate(self, prompt, recipe, seed):
            accident(f"{name}/{prompt.id}")
            pause(PLAN["seconds"])
            rng = np.random.default_rng(seed + offset)
            return Clip(rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8), recipe.fps)
    return Slow


for _offset, _name in enumerate(PLAN["models"]):
    globals()[f"model_{_offset}"] = made(_name, _offset)


@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    """Standard deviation of all pixels."""
    return float(clip.frames.std() / 255)


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """After all others were told of a test, the disk is: what stands here was finished."""
    if report.when == "call" and not os.environ.get("PYTEST_XDIST_WORKER"):
        with open(HERE / "finished", "a") as finished:
            finished.write(report.nodeid + "\\n")
            finished.flush()
            os.fsync(finished.fileno())
'''

GENERATION = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
    vdb.check(sample)
    vdb.measure(sample)
"""

SLOW = ("slow-a", "slow-b")


def make_project(
    place: Place, *, models: Sequence[str] = SLOW, prompts: int = 12, seconds: float = 0.05, frames: int = 16
) -> tuple[str, ...]:
    """Write it, and give the words of its session: every model, every prompt."""
    place.writes("conftest.py", CONFTEST)
    place.writes("test_bench.py", GENERATION)
    place.writes("pytest.ini", "[pytest]\n")
    place.writes("plan.json", json.dumps({"models": list(models), "seconds": seconds, "frames": frames}))
    rows = [{"id": f"p{at:02}", "text": f"prompt {at}"} for at in range(prompts)]
    place.writes("p.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    named = f"--vdb-models={','.join(models)}"
    return ("pytest", "-v", named, "--vdb-prompts=p.jsonl", "--vdb-metrics=spread,sharpness")


def plan_accidents(place: Place, accidents: Mapping[str, tuple[str, object]]) -> None:
    """What happens in which test, `MODEL/PROMPT`; an empty plan is a harmless one."""
    place.writes("accidents.json", json.dumps(accidents))
