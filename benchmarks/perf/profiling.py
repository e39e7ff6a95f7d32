"""What watching a call costs: a tiny pipeline of 50 steps, bare and watched in turns; and how it is divided.

python benchmarks/perf/profiling.py [--rounds 30] [--card wan2.1-t2v-1.3b]

Watched is with every probe of a CPU, stages, steps and a timeline at 10 Hz, or without the timeline, as is the default;
the probes' start and stop are told apart from what they do to the latency. Ratios are of neighbours in time, and so is
the A/A noise: bare against bare.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from scipy.stats import binom

from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.profiling.process_memory import resident_mib
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.sampling import Sampler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.records import Prompt, Recipe

DIVIDED = ("wan2.2-t2v-a14b", "cogvideox-2b", "ltx-video", "animatediff", "svd", "skyreels-v2-df-1.3b-540p")
PROMPT = Prompt(id="perf", text="a red ball rolls over the grass")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--card", default="wan2.1-t2v-1.3b")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(os.environ.get("VDB_CACHE_DIR", folder)) / "weights"
        overhead(cache, asked.card, asked.rounds)
        print("stages of one call, as shares of its latency; steps as a share of denoising")
        for name in DIVIDED:
            division(cache, name)
    sampling()


def opened(cache: Path, name: str, steps: int) -> tuple[Callable[[], object], object]:
    """A call of a tiny pipeline, warm, and the pipeline."""
    registry = Registry.from_catalog()
    card = registry.get(name)
    recipe = resolve(card, Recipe(steps=steps), "tiny")
    source = WeightsSource(mode="tiny", device="cpu", cache_dir=cache, offline=True)
    model = registry.open(card, recipe, source)
    model.generate(PROMPT, recipe, 0)
    return lambda: model.generate(PROMPT, recipe, 0), model.pipeline


def overhead(cache: Path, name: str, rounds: int) -> None:
    """Ratios of watched to bare calls, by wall clock and by processor time.

    A round is bare, other, other, bare: whatever drifts steadily falls on both alike. The other is watched, or as bare.
    """
    call, pipeline = opened(cache, name, 50)
    profiler = Profiler("cpu", settings=Settings(memory_rate_hz=10))
    by_default = Profiler("cpu")

    def watched(by: Profiler) -> Callable[[], None]:
        def calls() -> None:
            with by.watch(pipeline):
                call()

        return calls

    others = {"watched": watched(profiler), "watched without a timeline": watched(by_default), "bare again": call}
    found: dict[str, list[list[tuple[float, float]]]] = {what: [] for what in others}
    for _ in range(rounds):
        for what, other in others.items():
            found[what].append([seconds(does) for does in (call, other, other, call)])
    bare_s = statistics.median(one[0][0] for turns in found.values() for one in turns)
    print(f"{name}, tiny, 50 steps, {rounds} rounds of bare, other, other, bare; a bare call {1000 * bare_s:.0f} ms")
    for label, at in (("wall clock", 0), ("processor time", 1)):
        told = ", ".join(f"{what} {in_percent([ratio_of(one, at) for one in found[what]])}" for what in others)
        print(f"  {label}, medians [95%]: {told}")
    by_parts(profiler, call, pipeline, bare_s)


def ratio_of(turns: list[tuple[float, float]], at: int) -> float:
    """Of the two calls in the middle to the two around them."""
    first, one, other, last = (turn[at] for turn in turns)
    return (one * other / (first * last)) ** 0.5 - 1


def in_percent(ratios: list[float]) -> str:
    """The median, and between which of them the true one lies; of fewer than six nobody can tell."""
    ranked = sorted(ratios)
    median = f"{100 * statistics.median(ranked):+.2f}%"
    beyond = int(binom.ppf(0.025, len(ranked), 0.5)) - 1
    return median if beyond < 0 else f"{median} [{100 * ranked[beyond]:+.2f}, {100 * ranked[-1 - beyond]:+.2f}]"


def by_parts(profiler: Profiler, call: Callable[[], object], pipeline: object, bare_s: float) -> None:
    """The same added up from its parts, which a busy machine hides less: each hook, and the probes."""
    with profiler.watch(pipeline) as readings:
        call()
    found = {m.name: m.value or 0 for m in readings.measurements}
    hooks = found["denoiser_calls"] + found["denoising_steps"] + 4
    empty = []
    for _ in range(50):
        begun = time.perf_counter()
        with profiler.watch(pipeline):
            pass
        empty.append(time.perf_counter() - begun)
    hook_s, probes_s = a_hook_s(), statistics.median(empty)
    print(
        f"  by parts: {hooks:g} hooks of {1e6 * hook_s:.1f} us in the latency are {100 * hooks * hook_s / bare_s:.3f}%;"
        f" to start, stop and read the probes outside of it {1000 * probes_s:.2f} ms are {100 * probes_s / bare_s:.2f}%"
    )


def a_hook_s(calls: int = 2000) -> float:
    """What a hook adds to a call: of a network that does nothing, the least of many tries."""
    pipeline = SimpleNamespace(transformer=torch.nn.Identity())

    def tries() -> float:
        begun = time.perf_counter()
        for _ in range(calls):
            pipeline.transformer(0)
        return (time.perf_counter() - begun) / calls

    bare = min(tries() for _ in range(20))
    with Profiler("cpu", lambda _: []).watch(pipeline):
        watched = min(tries() for _ in range(20))
    return watched - bare


def seconds(does: Callable[[], object]) -> tuple[float, float]:
    """Wall clock and processor time."""
    wall, spent = time.perf_counter(), time.process_time()
    does()
    return time.perf_counter() - wall, time.process_time() - spent


def division(cache: Path, name: str) -> None:
    """How one call divides, and that it is the whole."""
    call, pipeline = opened(cache, name, 8)
    with Profiler("cpu").watch(pipeline) as readings:
        call()
    found = {m.name: m for m in readings.measurements}
    latency = found["latency"].value
    stages = {n: m.value for n, m in found.items() if n.endswith("_time") and n != "step_time" and m.value is not None}
    steps = found["step_time"].series or ()
    told = ", ".join(f"{n.removesuffix('_time')} {100 * value / latency:.1f}%" for n, value in stages.items())
    of_denoising = sum(steps) / found["denoising_time"].value
    print(
        f"  {name}: {told}; sum {100 * sum(stages.values()) / latency:.2f}%; {len(steps)} steps, "
        f"sum {100 * of_denoising:.2f}%; {found['denoiser_calls'].value:g} calls of the denoiser"
    )


def sampling() -> None:
    """What ten looks a second take of a core."""
    sampler = Sampler(0.1, resident_mib)
    spent, begun = time.process_time(), time.perf_counter()
    time.sleep(5)
    share = (time.process_time() - spent) / (time.perf_counter() - begun)
    sampler.stop()
    print(f"a timeline at 10 Hz takes {100 * share:.3f}% of one core")


if __name__ == "__main__":
    main()
