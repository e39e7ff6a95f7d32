"""`local`: a pool of sessions on this machine, each with a GPU of its own where there are any."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from pytest_vdb.cluster.engines.contract import RETRIES, Ended, Engine, Machines, Tasks
from pytest_vdb.cluster.jobs import SHARERS, WORKER
from pytest_vdb.cluster.running import Task, run_shard
from pytest_vdb.errors import EngineError, ShardDied

VISIBLE = "CUDA_VISIBLE_DEVICES"


def _gpus_here() -> list[str]:
    """Of this process's GPUs the names by which CUDA takes them: those that it was given, else those of the machine."""
    given = os.environ.get(VISIBLE)
    if given is not None:
        return [one.strip() for one in given.split(",") if one.strip()]
    from pytest_vdb.results.environment import graphics

    return [gpu.uuid or str(place) for place, gpu in enumerate(graphics()[0])]


def _gpus_of_a_shard(machines: Machines) -> int:
    return machines.gpus if machines.gpus is not None else min(1, len(_gpus_here()))


def _places(machines: Machines) -> int:
    gpus = _gpus_of_a_shard(machines)
    here = len(_gpus_here()) // gpus if gpus else 1
    if gpus and not here:
        mend = "give fewer, or run elsewhere: --vdb-on"
        what = f"{gpus} GPUs to a shard, and {len(_gpus_here())} are here"
        raise EngineError(what, where="--vdb-on=local", mend=mend)
    if machines.workers is None:
        return here
    return min(machines.workers, here) if gpus else machines.workers


class _Pool:
    """Sessions at a time, and the devices that are free for them."""

    def __init__(self, machines: Machines) -> None:
        self.workers = _places(machines)
        self._sharers = 1 if _gpus_of_a_shard(machines) else self.workers
        self._stopped = threading.Event()
        self._free: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        gpus, each = _gpus_here(), _gpus_of_a_shard(machines)
        for place in range(self.workers):
            self._free.put((f"local-{place}", ",".join(gpus[place * each : (place + 1) * each]) if each else None))

    def run(self, task: Task) -> int:
        """How often it was tried; raises `ShardDied` when that was often enough."""
        worker, gpus = self._free.get()
        environment = {WORKER: worker, SHARERS: str(self._sharers)} | ({} if gpus is None else {VISIBLE: gpus})
        tries = 0
        try:
            while True:
                tries += 1
                try:
                    run_shard(task, environment, self._stopped.is_set)
                except ShardDied:
                    if tries > RETRIES or self._stopped.is_set():
                        raise
                else:
                    return tries
        finally:
            self._free.put((worker, gpus))

    def stop(self) -> None:
        """End what runs."""
        self._stopped.set()


def _run_in_pool(tasks: Tasks, machines: Machines) -> Generator[Ended]:
    """Longest first, as they are given; a session that died is tried again at once, in the same place."""
    pool = _Pool(machines)
    with ThreadPoolExecutor(pool.workers) as threads:
        waiting: dict[Future[int], Task] = {threads.submit(pool.run, task): task for task in tasks}
        try:
            while waiting:
                ended, _ = wait(waiting, timeout=0.5, return_when=FIRST_COMPLETED)  # a signal is heard in between
                for future in ended:
                    yield _task_ended(waiting.pop(future), future)
                waiting |= {threads.submit(pool.run, task): task for task in tasks.more()}
        finally:
            pool.stop()
            for future in waiting:
                future.cancel()


def _task_ended(task: Task, future: Future[int]) -> Ended:
    try:
        return Ended(task=task, tries=future.result())
    except ShardDied as problem:
        return Ended(task=task, problem=str(problem), tries=RETRIES + 1)


ENGINE = Engine(name="local", extra=None, workers=_places, gpus=_gpus_of_a_shard, run=_run_in_pool, grows=True)
