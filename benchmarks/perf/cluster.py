"""How long a job takes on a fleet that loses machines, with the planner that users have; what plans and merges cost.

python benchmarks/perf/cluster.py [--seeds 8] [--models 300] [--prompts 100] [--only fleet,plan,merge,overhead]

The fleet is simulated: nodes of eight GPUs, loads of 60 to 300 s and clips of 20 to 300 s (5th and 95th percentile of
log-normals), 25 s until a session collects, a lost node back after five minutes. A session that is lost goes on at its
first test without a record. Each fleet is run twice: with an engine that takes more tasks while it runs, whose shards
are split when GPUs idle (by the rule that users have; the model's load and clips as planned until a session has made
one), and with one that does not. The lower bound is all useful work and one load of each model, over all GPUs. Not in
it: shared download bandwidth, GPUs of several kinds, waiting in a queue, the seconds until a coordinator looks.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pytest_vdb.cluster.attempts import Event
from pytest_vdb.cluster.costs import Cost
from pytest_vdb.cluster.jobs import Job, Shard, submit
from pytest_vdb.cluster.merging import merge
from pytest_vdb.cluster.planning import cut, forecast, works_of
from pytest_vdb.cluster.stealing import number_taken
from pytest_vdb.estimates.prediction import Range
from pytest_vdb.records import ClipFiles, Environment, Measurement, Record
from pytest_vdb.results.lines import Teller
from pytest_vdb.storage import storage_at

NODE = 8
REPAIR_S = 300.0
SESSION_S = 25.0
SCENES = (
    ("no loss", 0.0, 1.0),
    ("a node lost every 4 h", 4 * 3600.0, 1.0),
    ("and estimates off by up to 2", 4 * 3600.0, 2.0),
    ("a node lost every hour", 3600.0, 1.0),
)
"""Name, mean seconds between a node's losses (0: none), and the factor by which estimates are off at most."""


@dataclass(frozen=True)
class Model:
    """What it takes."""

    load_s: float
    clip_s: float


def between(chance: random.Random, low: float, high: float) -> float:
    """A log-normal with these 5th and 95th percentiles, clipped to twice around."""
    middle, sigma = (math.log(low) + math.log(high)) / 2, (math.log(high) - math.log(low)) / 3.29
    return min(max(chance.lognormvariate(middle, sigma), low / 2), high * 2)


@dataclass
class Session:
    """One shard on one GPU."""

    model: str
    clips: int
    began: float
    load_s: float
    clip_s: float

    @property
    def ends(self) -> float:
        """When its last clip is there."""
        return self.began + self.load_s + self.clip_s * self.clips

    def done(self, now: float) -> int:
        """Clips that have a record."""
        return max(0, min(self.clips, int((now - self.began - self.load_s) / self.clip_s + 1e-9)))


@dataclass
class Fleet:
    """GPUs that take the next shard when they are free, on nodes that are lost and come back."""

    models: dict[str, Model]
    queue: list[tuple[str, int]]
    """Model and clips of each shard; the last one is next."""
    gpus: int
    mean_s: float
    chance: random.Random
    believed: dict[str, Cost] | None = None
    """What the coordinator believes where no session has measured it; None: it splits nothing."""
    now: float = 0.0
    splits: int = 0
    loads_s: float = 0.0
    lost_s: float = 0.0
    running: dict[int, Session] = field(default_factory=dict)
    free: set[int] = field(default_factory=set)
    events: list[tuple[float, int, str, int, Session | None]] = field(default_factory=list)
    ticks: Iterator[int] = field(default_factory=itertools.count)

    def run(self) -> float:
        """Seconds until the last clip is there."""
        left = sum(clips for _, clips in self.queue)
        self.free = set(range(self.gpus))
        for node in range(math.ceil(self.gpus / NODE)):
            self._push_loss(node)
        self._start()
        while left:
            self.now, _, kind, what, session = heapq.heappop(self.events)
            if kind == "end" and session is not None and self._ends_now(what, session):
                del self.running[what]
                self.free.add(what)
                self.loads_s += session.load_s
                left -= session.clips
            elif kind == "lost":
                left -= self._lose(what)
            elif kind == "back":
                self.free |= set(self._gpus_of(what))
                self._push_loss(what)
            self._start()
        return self.now

    def _gpus_of(self, node: int) -> range:
        return range(node * NODE, min(self.gpus, (node + 1) * NODE))

    def _push(self, at: float, kind: str, what: int, session: Session | None = None) -> None:
        heapq.heappush(self.events, (at, next(self.ticks), kind, what, session))

    def _push_loss(self, node: int) -> None:
        if self.mean_s:
            self._push(self.now + self.chance.expovariate(1 / self.mean_s), "lost", node)

    def _ends_now(self, gpu: int, session: Session) -> bool:
        """Whether it is there yet, and was not split since its end was foretold."""
        return self.running.get(gpu) is session and abs(session.ends - self.now) < 1e-6

    def _start(self) -> None:
        while self.free and (self.queue or self._split()):
            gpu, (name, clips) = self.free.pop(), self.queue.pop()
            model = self.models[name]
            session = Session(name, clips, self.now, model.load_s + SESSION_S, model.clip_s)
            self.running[gpu] = session
            self._push(session.ends, "end", gpu, session)

    def _split(self) -> bool:
        """Halve what is left of the session that would end last, if that is worth a load."""
        rests = {gpu: rest for gpu in self.running if (rest := self._rest_of(gpu)) is not None}
        if not rests:
            return False
        gpu = max(rests, key=lambda one: rests[one][0])
        session, taken = self.running[gpu], rests[gpu][1]
        session.clips -= taken
        self._push(session.ends, "end", gpu, session)
        self.queue.append((session.model, taken))
        self.splits += 1
        return True

    def _rest_of(self, gpu: int) -> tuple[float, int] | None:
        """When a session is believed to end, and how many clips another GPU would take over."""
        if self.believed is None:
            return None
        session, cost = self.running[gpu], self.believed[self.running[gpu].model]
        done = session.done(self.now)
        left = session.clips - done - 1
        load_s, clip_s = cost.load_s + SESSION_S, cost.test_s.value
        begins_in_s = max(0.0, load_s - (self.now - session.began))
        if done:
            load_s, clip_s = session.load_s, session.clip_s
            begins_in_s = clip_s / 2
        taken = number_taken(left, test_s=clip_s, load_s=load_s, begins_in_s=begins_in_s)
        return (begins_in_s + left * clip_s, taken) if taken else None

    def _lose(self, node: int) -> int:
        """A node is gone with its sessions; returns the clips that they leave."""
        kept = 0
        for gpu in self._gpus_of(node):
            self.free.discard(gpu)
            session = self.running.pop(gpu, None)
            if session is None:
                continue
            done = session.done(self.now)
            spent_s = self.now - session.began
            self.loads_s += min(spent_s, session.load_s)
            self.lost_s += max(0.0, spent_s - session.load_s - done * session.clip_s)
            self.queue.append((session.model, session.clips - done))
            kept += done
        self._push(self.now + REPAIR_S, "back", node)
        return kept


def known_exactly(model: Model, factor: float) -> Cost:
    """What the planner believes."""
    seconds = model.clip_s * factor
    return Cost(load_s=model.load_s * factor, test_s=Range(value=seconds, low=seconds, high=seconds), rests_on="")


def one_job(
    seed: int, count: int, prompts: int, gpus: int, scene: tuple[str, float, float], *, grows: bool
) -> tuple[float, float, int]:
    """Makespan over the lower bound, reloads and lost work over useful work, shards at the end."""
    _, mean_s, wrong = scene
    chance = random.Random(seed)
    models = {f"m{n}": Model(between(chance, 60, 300), between(chance, 20, 300)) for n in range(count)}
    factors = {name: math.exp(chance.uniform(-math.log(wrong), math.log(wrong))) for name in models}
    costs = {name: known_exactly(model, factors[name]) for name, model in models.items()}
    works = works_of((name, f"p{n}") for name in models for n in range(prompts))
    shards = cut(works, costs, gpus, grows=grows)
    queue = [(shard.model, shard.tests) for shard in reversed(shards)]
    fleet = Fleet(models, queue, gpus, mean_s, chance, costs if grows else None)
    span_s = fleet.run()
    useful_s = sum(model.clip_s * prompts for model in models.values())
    loads_s = sum(model.load_s + SESSION_S for model in models.values())
    longest_s = max(model.load_s + SESSION_S + model.clip_s for model in models.values())
    bound_s = max((useful_s + loads_s) / gpus, longest_s)
    return span_s / bound_s, (fleet.loads_s - loads_s + fleet.lost_s) / useful_s, len(shards) + fleet.splits


def print_fleets(seeds: int, count: int, prompts: int) -> None:
    """A row for each number of GPUs and kind of engine."""
    print(
        f"{count} models x {prompts} prompts, {seeds} seeds: makespan / lower bound (worst seed), reloads and lost work"
    )
    print("| GPUs | split | shards | " + " | ".join(name for name, *_ in SCENES) + " |")
    print("|---|---|---|" + "---|" * len(SCENES))
    for gpus, grows in itertools.product((8, 64, 512), (True, False)):
        cells, shards = [], 0
        for scene in SCENES:
            found = [one_job(seed, count, prompts, gpus, scene, grows=grows) for seed in range(seeds)]
            ratios = [ratio for ratio, _, _ in found]
            wasted = statistics.mean(waste for _, waste, _ in found)
            cells.append(f"{statistics.mean(ratios):.2f} ({max(ratios):.2f}), {wasted:.1%}")
            shards = shards or found[0][2]
        print(f"| {gpus} | {'yes' if grows else 'no'} | {shards} | " + " | ".join(cells) + " |", flush=True)


def print_planning(models: int = 300, prompts: int = 1000) -> None:
    """CPU seconds of cutting and foretelling."""
    tests = [(f"m{model}", f"p{prompt}") for model in range(models) for prompt in range(prompts)]
    began = time.process_time()
    works = works_of(tests)
    costs = {work.model: known_exactly(Model(120.0, 60.0), 1.0) for work in works}
    planned = time.process_time()
    print(f"works and costs of {len(tests):,} pairs: {planned - began:.2f} CPU s")
    for grows in (True, False):
        began = time.process_time()
        shards = cut(works, costs, 512, grows=grows)
        planned = time.process_time()
        forecast(shards, costs, 512, grows=grows)
        print(f"{'to be split' if grows else 'as they are'}: {len(shards):,} shards in {planned - began:.2f} CPU s")
        print(f"  foretelling them: {time.process_time() - planned:.2f} CPU s")


ENVIRONMENT = Environment(
    python="3.12.1", platform="Linux", hardware="H200", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
)


def attempt_of(shard: Shard) -> bytes:
    """What a session on a shard said: twenty values of each test."""
    teller, chance = Teller(), random.Random(shard.id)
    lines = [msgspec.json.encode(Event(event="start", at=1.0, environment=ENVIRONMENT))]
    for prompt in shard.prompts:
        nodeid = f"benchmarks/test_generation.py::test_generation[{shard.model}--{prompt}]"
        lines.append(msgspec.json.encode(Event(event="begin", at=2.0, nodeid=nodeid)))
        measured = tuple(
            Measurement(name=f"metric_{n}", value=chance.random(), unit="1", better="higher") for n in range(20)
        )
        record = Record(
            run=shard.id,
            nodeid=nodeid,
            benchmark="benchmarks/test_generation.py::test_generation",
            model=shard.model,
            status="passed",
            prompt=prompt,
            prompt_text=f"the text of the prompt {prompt}",
            seed=chance.randrange(2**31),
            hardware="H200",
            started_at="2026-01-01T00:00:00.000+00:00",
            duration_s=60.0,
            measurements=measured,
            clip=ClipFiles(digest=f"{chance.getrandbits(256):064x}", frames=49, height=480, width=720, fps=8.0),
        )
        told = teller.told(record)
        teller.kept(told)
        lines.append(told.whole)
    lines.append(msgspec.json.encode(Event(event="end", at=3.0, why="finished")))
    return b"\n".join([*lines, b""])


def print_merging(count: int = 2000, records: int = 150) -> None:
    """CPU seconds and memory of bringing a job's records together, without their files."""
    with tempfile.TemporaryDirectory() as folder:
        storage = storage_at(f"{folder}/job")
        shards = [
            Shard(
                id=f"m{n // 7}.{n % 7:04d}",
                model=f"m{n // 7}",
                prompts=tuple(f"p{n % 7 * records + place}" for place in range(records)),
                has_others=False,
                tests=records,
                expected_s=None,
            )
            for n in range(count)
        ]
        job = Job(id="j", arguments=(), folder="/", tests=count * records, gpus=1, created_at="2026-01-01T00:00:00Z")
        submit(storage, job, shards)
        for shard in shards:
            storage.put(f"attempts/{shard.id}/20260101-000000-0.jsonl", attempt_of(shard))
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        made, account = merge(storage, Path(folder) / "reports", "merged")
        took_s = time.process_time() - began
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = (made / "records.jsonl").stat().st_size / 2**20
        print(f"merging {account.shards:,} shards of {records} records: {took_s:.1f} CPU s")
        print(f"  {held / 1024:.0f} MiB at most ({before / 1024:.0f} before), a file of {size:.0f} MiB")


OVERHEAD_MODELS = ("wan2.1-t2v-1.3b", "ltx-video", "cogvideox-2b", "mochi-1")


def cpu_s_of(*command: str, folder: str) -> float:
    """Processor seconds of a command and all that it starts and waits for."""

    def so_far() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before = so_far()
    subprocess.run([sys.executable, "-m", "pytest_vdb", *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return so_far() - before


def print_overhead() -> None:
    """CPU seconds of a shard beyond its tests: a job of one shard a model against one session with the same tests."""
    asked = ["run", f"--vdb-models={','.join(OVERHEAD_MODELS)}", "--vdb-weights=tiny", "--vdb-prompts=smoke:1"]
    asked += ["-k", "test_generation", "--vdb-metrics=none", "--vdb-cache=never", "--vdb-report=none"]
    with tempfile.TemporaryDirectory() as folder:
        cpu_s_of(*asked, folder=folder)  # tiny weights are made, once
        alone_s = cpu_s_of(*asked, folder=folder)
        job_s = cpu_s_of(*asked, "--vdb-on=local", "--vdb-workers=1", folder=folder)
    each_s = (job_s - alone_s) / len(OVERHEAD_MODELS)
    print(f"a shard beyond its tests: {each_s:.1f} CPU s")
    print(f"  {len(OVERHEAD_MODELS)} shards: {job_s:.1f} CPU s, one session with their tests: {alone_s:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--only", default="plan,merge,overhead,fleet")
    asked = parser.parse_args()
    for name in asked.only.split(","):
        if name == "plan":
            print_planning()
        elif name == "merge":
            print_merging()
        elif name == "overhead":
            print_overhead()
        else:
            print_fleets(asked.seeds, asked.models, asked.prompts)


if __name__ == "__main__":
    main()
