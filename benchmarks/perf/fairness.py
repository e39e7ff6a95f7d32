"""Whether it matters which model comes first: two copies of one model under two names, in either order, metrics on.

python benchmarks/perf/fairness.py [--sessions 12] [--prompts 4]

Each session is a pytest process of its own; the order changes from session to session. Two kinds of A/A noise stand
beside the differences. Within a session: how far a clip of one model lies from its others' median; of what is read once
in a session, from that of the other sessions in which the model came as early. Between sessions: how far what came as
early lies apart in one session and in the next, which a machine that changes its speed by itself makes large. The two
models agree in a session in which they differ by no more than the farthest.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from scipy.stats import binomtest

from pytest_vdb import files
from pytest_vdb.records import Record
from pytest_vdb.results import journal

CONFTEST = """
from pathlib import Path

import numpy as np
from pytest_vdb import Clip, model
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe

REGISTRY = Registry.from_catalog()
CARD = REGISTRY.get("{card}")
RECIPE = resolve(CARD, Recipe(), "tiny")
SHAPE = dict(frames=RECIPE.frames, height=RECIPE.height, width=RECIPE.width, fps=RECIPE.fps)


class Pipeline:
    def __init__(self):
        source = WeightsSource(mode="tiny", device="cpu", cache_dir=Path(r"{cache}"), offline=True)
        self.opened = REGISTRY.open(CARD, RECIPE, source)

    def generate(self, prompt, recipe, seed):
        return self.opened.generate(prompt, RECIPE, seed)

    def close(self):
        self.opened.close()


class Arrays:
    def generate(self, prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        frames = [rng.standard_normal((256, 256, 3)).cumsum(0).cumsum(1) for _ in range(16)]
        return Clip((np.stack(frames) * 8 % 256).astype(np.uint8), recipe.fps)


@model("pipeline-a", **SHAPE)
class PipelineA(Pipeline):
    pass


@model("pipeline-b", **SHAPE)
class PipelineB(Pipeline):
    pass


@model("arrays-a", frames=16, height=256, width=256, fps=8.0)
class ArraysA(Arrays):
    pass


@model("arrays-b", frames=16, height=256, width=256, fps=8.0)
class ArraysB(Arrays):
    pass
"""
TEST = """
def test_generation(vdb, vdb_model, vdb_prompt, vdb_seed):
    sample = vdb.generate(vdb_model, vdb_prompt, vdb_seed)
    vdb.measure(sample)

def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
    vdb.time(benchmark, vdb_model, vdb.prompts[0], vdb_seed)
"""
READINGS = ("latency", "throughput", "peak_rss", "steady_latency", "steady_throughput", "added_rss")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=12)
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--card", default="wan2.1-t2v-1.3b", help="whose tiny pipeline is doubled")
    asked = parser.parse_args()
    for kind in ("pipeline", "arrays"):
        with tempfile.TemporaryDirectory() as folder:
            pairs = [session(Path(folder), kind, number, asked.card, asked.prompts) for number in range(asked.sessions)]
        tell(kind, pairs)


def session(folder: Path, kind: str, number: int, card: str, prompts: int) -> tuple[list[Record], list[Record]]:
    """The records of the model that came first, and of the one that came second."""
    cache = os.environ.get("VDB_CACHE_DIR", str(folder / "cache"))
    files.write(folder / "conftest.py", CONFTEST.format(card=card, cache=cache))
    files.write(folder / "test_it.py", TEST)
    names = [f"{kind}-a", f"{kind}-b"][:: 1 if number % 2 == 0 else -1]
    out = folder / f"{kind}-{number}"
    options = [f"--vdb-models={','.join(names)}", f"--vdb-prompts=smoke:{prompts}", f"--vdb-output={out}"]
    options += ["--vdb-weights=tiny", "--vdb-cache=never", "--vdb-report=none", "--vdb-device=cpu"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (run,) = (out / "runs").iterdir()
    records, _ = journal.read_records(run / "records.jsonl")
    first, second = ([one for one in records if one.model == name] for name in names)
    assert first[0].started_at < second[0].started_at, "the models came in another order"
    return first, second


def tell(kind: str, pairs: Sequence[tuple[list[Record], list[Record]]]) -> None:
    """Of each reading: how often the first model was worse, by how much, and how much its own clips differ."""
    print(f"{kind}: two copies, {len(pairs)} sessions in either order, {len(pairs[0][0])} clips of each, metrics on")
    for name in READINGS:
        sides = [tuple(values_of(side, name) for side in pair) for pair in pairs]
        shares = [statistics.median(ours) / statistics.median(theirs) - 1 for ours, theirs in sides]
        noise = noise_of_sessions(sides)
        agreed = sum(abs(share) <= max(found) for share, found in zip(shares, noise, strict=True))
        between = noise_between_sessions(sides)
        agreed_between = sum(abs(share) <= max(between) for share in shares)
        greater = sum(share > 0 for share in shares)
        print(
            f"  {name:17} agree in {agreed:2} of {len(shares)} within a session's noise, in {agreed_between:2} within "
            f"that between sessions; first greater in {greater:2} (p = {binomtest(greater, len(shares)).pvalue:.2f}), "
            f"{percent(statistics.median(shares))} in the median ({percent(min(shares))} to {percent(max(shares))}); "
            f"A/A {percent(statistics.median(one for found in noise for one in found))} within, "
            f"{percent(statistics.median(between))} between"
        )
    for name in ("latency", "peak_rss"):
        opening = []
        for first, _ in pairs:
            values = values_of(first, name)
            opening.append(values[0] / statistics.median(values[1:]) - 1)
        told = percent(statistics.median(opening))
        print(f"  {name}: the first clip of the first model against its others {told} in the median")


def values_of(records: Sequence[Record], name: str) -> list[float]:
    """Of one model in one session."""
    found = (one.measurement(name) for one in records)
    return [one.value for one in found if one is not None and one.value is not None]


def noise_of_sessions(sides: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """Of each session how far values of one model lie from their median."""
    if all(len(side) > 1 for pair in sides for side in pair):
        return [[one for side in pair for one in deviations(side)] for pair in sides]
    of_all = [one for place in zip(*sides, strict=True) for one in deviations([side[0] for side in place])]
    return [of_all] * len(sides)


def noise_between_sessions(sides: Sequence[Sequence[Sequence[float]]]) -> list[float]:
    """How far the model in the same place lies apart in one session and in the next."""
    medians = [[statistics.median(side) for side in pair] for pair in sides]
    return [
        abs(one / other - 1)
        for pair, following in pairwise(medians)
        for one, other in zip(pair, following, strict=True)
    ]


def deviations(values: Sequence[float]) -> list[float]:
    middle = statistics.median(values)
    return [abs(value / middle - 1) for value in values]


def percent(share: float) -> str:
    return f"{100 * share:+.1f}%"


if __name__ == "__main__":
    main()
