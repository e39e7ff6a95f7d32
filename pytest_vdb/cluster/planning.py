"""How a session's tests are cut into shards, and what the job will take: before anything is submitted.

A shard is worth max(5 x what it takes until its first test, a part of a worker's fair share): an eighth, or twice the
share where what is left of it can be split later. The rule and its numbers come from a simulation of 300 models on 8,
64 and 512 GPUs: see docs/cluster.md.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, quantiles

from pytest_vdb.cluster.costs import START_S, Cost
from pytest_vdb.cluster.jobs import Shard
from pytest_vdb.cluster.stealing import number_taken
from pytest_vdb.escaping import file_name
from pytest_vdb.records import digest

LOADS = 5.0
"""A shard is worth so many times what it takes until its first test: else too much time goes into loading."""
ROUNDS = 8.0
"""So many shards to a worker's fair share, where none is split: else a wrong estimate makes one worker end late."""
ROUNDS_IF_SPLIT = 0.5
"""The same where shards are split when workers idle: each cut that is made beforehand is a load more."""
_DRAWS = 200
"""Of what the models may take, for the interval of the makespan."""
_SIGMAS = 1.645
"""Half the width of a 90% interval, in standard deviations."""


@dataclass(slots=True)
class Work:
    """The tests of one model."""

    model: str
    prompts: dict[str, int] = field(default_factory=dict)
    """How many tests ask for each prompt, in the suite's order."""
    others: int = 0
    """Tests that ask for none."""

    @property
    def tests(self) -> int:
        """All of them."""
        return self.others + sum(self.prompts.values())


def works_of(tests: Iterable[tuple[str, str | None]]) -> list[Work]:
    """The tests of a session by model.

    Args:
        tests: model and prompt of each.
    """
    found: dict[str, Work] = {}
    for model, prompt in tests:
        work = found.get(model) or found.setdefault(model, Work(model))
        if prompt is None:
            work.others += 1
        else:
            work.prompts[prompt] = work.prompts.get(prompt, 0) + 1
    return list(found.values())


def cut(works: Sequence[Work], costs: Mapping[str, Cost], workers: int, *, grows: bool = False) -> list[Shard]:
    """Slices of models' prompts, the long ones first.

    A model of which nobody knows what it takes is cut as if it took the mean of the others; its shards say nothing of
    their seconds.

    Args:
        works: the tests.
        costs: by model, of those that are known.
        workers: how many shards will run at a time.
        grows: whether their engine takes more of them while it runs, so that they can be split.
    """
    known = [(work.tests, costs[work.model]) for work in works if work.model in costs]
    usual_s = sum(n * cost.test_s.value for n, cost in known) / max(1, sum(n for n, _ in known)) or START_S
    usual_load_s = mean(cost.load_s for _, cost in known) if known else 0.0
    seconds = {work.model: _load_and_test_s(costs.get(work.model), usual_s, usual_load_s) for work in works}
    share = sum(START_S + load_s + test_s * work.tests for work in works for load_s, test_s in [seconds[work.model]])
    most_s = share / workers / (ROUNDS_IF_SPLIT if grows else ROUNDS)
    most_s = most_s if workers > 1 else math.inf  # one worker has everything, however it is cut
    shards = [shard for work in works for shard in _cut_one(work, costs.get(work.model), seconds[work.model], most_s)]
    order = {shard.id: _seconds_taken(seconds[shard.model], shard.tests) for shard in shards}
    return sorted(shards, key=lambda shard: -order[shard.id])


def _load_and_test_s(cost: Cost | None, usual_s: float, usual_load_s: float) -> tuple[float, float]:
    return (usual_load_s, usual_s) if cost is None else (cost.load_s, cost.test_s.value)


def _seconds_taken(seconds: tuple[float, float], tests: int) -> float:
    load_s, test_s = seconds
    return START_S + load_s + test_s * tests


def _cut_one(work: Work, cost: Cost | None, seconds: tuple[float, float], most_s: float) -> Iterator[Shard]:
    load_s, test_s = seconds
    size = max(LOADS * (START_S + load_s), most_s)
    prompts = list(work.prompts)
    pieces = max(1, min(len(prompts), math.ceil(test_s * work.tests / size)))
    bounds = [round(piece * len(prompts) / pieces) for piece in range(pieces + 1)]
    name = file_name(work.model)
    name = name if name == work.model else f"{name}~{digest(work.model, length=8)}"  # two names never become one
    for piece in range(pieces):
        own = prompts[bounds[piece] : bounds[piece + 1]]
        others = work.others if piece == 0 else 0
        each = tuple(work.prompts[prompt] for prompt in own)
        tests = others + sum(each)
        yield Shard(
            id=f"{name}.{piece:04d}",
            model=work.model,
            prompts=tuple(own),
            has_others=others > 0,
            tests=tests,
            expected_s=None if cost is None else _seconds_taken(seconds, tests),
            load_s=None if cost is None else _seconds_taken(seconds, 0),
            tests_of_prompts=each,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a job will take, as far as that is known; the ends of 90% intervals are beside each value."""

    shards: int
    tests: int
    unknown: tuple[str, ...]
    """Models of which nobody knows what they take: they are in no figure."""
    worker_hours: tuple[float, float, float]
    """Over all workers: value, low, high. With a GPU to each worker these are GPU-hours."""
    overhead: float
    """Share of them that goes into starting and loading."""
    makespan_s: tuple[float, float, float]
    """From the first shard's start to the last one's end, if no machine is lost and none is waited for."""


def forecast(shards: Sequence[Shard], costs: Mapping[str, Cost], workers: int, *, grows: bool = False) -> Forecast:
    """What a job will take on so many workers: models' times are drawn from their intervals, independently.

    Args:
        shards: of the job, in the order in which they are begun.
        costs: by model, of those that are known.
        workers: how many shards run at a time.
        grows: whether they are split when workers idle; what that loads is not in the hours.
    """
    told = [shard for shard in shards if shard.model in costs]
    models = sorted({shard.model for shard in told})
    chance = random.Random(0)  # the same job is foretold the same
    draws = [
        {model: math.exp(chance.gauss(0, costs[model].half_width / _SIGMAS)) for model in models} for _ in range(_DRAWS)
    ]
    usual = dict.fromkeys(models, 1.0)
    loads = sum(START_S + costs[shard.model].load_s for shard in told)
    hours = [sum(_seconds_of_shard(shard, costs, draw) for shard in told) / 3600 for draw in (usual, *draws)]
    sessions = [[_foreseen_of_shard(shard, costs, draw) for shard in told] for draw in (usual, *draws)]
    spans = [_makespan(of_draw, workers, grows) for of_draw in sessions]
    return Forecast(
        shards=len(shards),
        tests=sum(shard.tests for shard in shards),
        unknown=tuple(sorted({shard.model for shard in shards} - set(models))),
        worker_hours=_with_ends(hours),
        overhead=loads / 3600 / hours[0] if hours[0] else 0.0,
        makespan_s=_with_ends(spans),
    )


def _seconds_of_shard(shard: Shard, costs: Mapping[str, Cost], factors: Mapping[str, float]) -> float:
    session = _foreseen_of_shard(shard, costs, factors)
    return session.load_s + session.test_s * session.tests


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """What a session on a shard is expected to take."""

    load_s: float
    test_s: float
    tests: int


def _foreseen_of_shard(shard: Shard, costs: Mapping[str, Cost], factors: Mapping[str, float]) -> _Foreseen:
    cost = costs[shard.model]
    return _Foreseen(START_S + cost.load_s, cost.test_s.value * factors[shard.model], shard.tests)


def _makespan(sessions: Sequence[_Foreseen], workers: int, grows: bool) -> float:
    """Each worker takes the next one when it is free; then, if they may, parts of what would end last."""
    free = [(0.0, worker) for worker in range(max(1, workers))]
    last: dict[int, tuple[float, _Foreseen]] = {}
    for session in sessions:
        began, worker = free[0]
        last[worker] = began, session
        heapq.heapreplace(free, (began + session.load_s + session.test_s * session.tests, worker))
    return _when_split(free, last) if grows else max(free)[0]


def _when_split(free: list[tuple[float, int]], last: dict[int, tuple[float, _Foreseen]]) -> float:
    """When the last session ends, if who is free takes over a part of the one that would end last.

    Args:
        free: a heap: when each worker is.
        last: when each worker's last session began, and the session.
    """
    ends = {worker: end for end, worker in free}
    late = [(-ends[worker], worker) for worker in last]
    heapq.heapify(late)
    while late:
        end, worker = -late[0][0], late[0][1]
        while free and ends[free[0][1]] != free[0][0]:  # it was free earlier or later, and stands there again
            heapq.heappop(free)
        now, idle = free[0]
        heapq.heappop(late)
        if end != ends[worker] or end <= now:
            continue
        began, session = last[worker]
        first = began + session.load_s
        begins_in_s = first - now if now < first else session.test_s / 2
        left = int((end - max(now, first)) / max(session.test_s, 1e-9))
        taken = number_taken(left, test_s=session.test_s, load_s=session.load_s, begins_in_s=begins_in_s)
        if not taken:
            continue
        part = _Foreseen(session.load_s, session.test_s, taken)
        last[idle] = now, part
        ends[worker], ends[idle] = end - taken * session.test_s, now + part.load_s + taken * part.test_s
        for one in (worker, idle):
            heapq.heappush(free, (ends[one], one))
            heapq.heappush(late, (-ends[one], one))
    return max(ends.values())


def _with_ends(values: Sequence[float]) -> tuple[float, float, float]:
    """The first is the value; the others are draws."""
    ends = quantiles(values[1:], n=20)
    return values[0], min(values[0], ends[0]), max(values[0], ends[-1])
