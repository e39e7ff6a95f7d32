"""What a process of its own costs a clip: the same noise made here, in a venv's process and behind bwrap, in turns.

python benchmarks/perf/isolation.py [--rounds 20] [--python VENV/bin/python]

Rounds in turn, so that the machine's mood cancels; overheads are medians of differences between neighbours, and the A/A
noise is what the same model in this process differs from itself by. A start has the first clip in it. CPU is this
process's own, of one clip: reading the file, and what a session waits for.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pytest_vdb import files
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.models.isolation.walls import why_no_bwrap
from pytest_vdb.records import Clip, Prompt, Recipe

PROMPT = Prompt(id="perf", text="noise")
SIZES = {"16x64x64": (16, 64, 64, 50.0), "49x480x720": (49, 480, 720, 1000.0)}
"""Frames, height, width, and how many milliseconds of overhead are allowed."""

MODEL = """
import numpy as np

def noise(prompt, recipe, seed):
    shape = (recipe.frames, recipe.height, recipe.width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8), recipe.fps
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--python", help="of the model; default: this one")
    asked = parser.parse_args()
    walls = ["venv", *(["bwrap"] if why_no_bwrap() is None else [])]
    with tempfile.TemporaryDirectory() as folder:
        files.write(Path(folder) / "noise.py", MODEL)
        for wall in walls:
            isolation = Isolation(serve="noise.py:noise", beside=folder, wall=wall, python=asked.python)
            compare(wall, isolation, asked.rounds)
    if "bwrap" not in walls:
        print(f"bwrap: not measured: {why_no_bwrap()}")


def compare(wall: str, isolation: Isolation, rounds: int) -> None:
    model = IsolatedModel("noise", isolation, "cpu")
    first = Recipe(frames=16, height=64, width=64, fps=8.0)
    started = time.perf_counter()
    model.generate(PROMPT, first, 0)
    print(f"{wall}: start and first clip {time.perf_counter() - started:.2f} s ({model.notes[0].partition(': ')[2]})")
    for size, (frames, height, width, most_ms) in SIZES.items():
        recipe = Recipe(frames=frames, height=height, width=width, fps=8.0)
        told = [timed_in_turns(model, recipe, seed) for seed in range(1, rounds + 1)]
        here, there, again, cpu = (statistics.median(column) for column in zip(*told, strict=True))
        overhead_ms = 1000 * statistics.median(b - (a + c) / 2 for a, b, c, _ in told)
        noise_ms = 1000 * statistics.median(abs(c - a) for a, _, c, _ in told)
        print(
            f"  {size}: here {1000 * here:.1f} ms, there {1000 * there:.1f} ms, ratio {there / min(here, again):.2f}; "
            f"overhead {overhead_ms:.1f} ms (A/A {noise_ms:.1f} ms, allowed {most_ms:g} ms), "
            f"CPU of this process {1000 * cpu:.1f} ms"
        )
        if overhead_ms > most_ms:
            sys.exit(f"{wall} {size}: {overhead_ms:.1f} ms of overhead, more than {most_ms:g} ms")
    model.close()


def timed_in_turns(model: IsolatedModel, recipe: Recipe, seed: int) -> tuple[float, float, float, float]:
    """Seconds of a clip here, there, and here again; and the CPU seconds of this process for the one there."""
    here, expected = timed_here(recipe, seed)
    cpu, started = time.process_time(), time.perf_counter()
    made = model.generate(PROMPT, recipe, seed)
    there, cpu = time.perf_counter() - started, time.process_time() - cpu
    again, _ = timed_here(recipe, seed)
    assert np.array_equal(made.frames, expected.frames), "not the pixels that the model makes here"
    return here, there, again, cpu


def timed_here(recipe: Recipe, seed: int) -> tuple[float, Clip]:
    started = time.perf_counter()
    shape = (recipe.frames, recipe.height, recipe.width, 3)
    clip = Clip(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), recipe.fps)
    return time.perf_counter() - started, clip


if __name__ == "__main__":
    main()
