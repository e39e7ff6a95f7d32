"""`ray`: a core task for each shard; Ray places, queues, grows its cluster, and runs again what a lost node ran."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pytest_vdb.cluster.engines.contract import RETRIES, Ended, Engine, Machines, Tasks, needs_library
from pytest_vdb.cluster.jobs import WORKER
from pytest_vdb.cluster.running import Task, run_shard
from pytest_vdb.errors import EngineError, ShardDied

_LOOKS_UP_S = 1.0
_PLACES = ("accelerator_type", "resources")
"""Settings that say which nodes will do: they go to Ray as they are."""


def _connected(machines: Machines, environment: dict[str, str] | None = None) -> Any:
    """Ray, connected to the cluster of `address` (default: the one of this machine, or $RAY_ADDRESS)."""
    try:
        import ray
    except ImportError as problem:
        raise needs_library("ray", problem) from problem
    if not ray.is_initialized():
        address = machines.settings.get("address", "auto")
        try:
            ray.init(address=address, log_to_driver=False, runtime_env={"env_vars": environment or {}})
        except (ConnectionError, RuntimeError, ValueError) as problem:
            mend = 'start one with `ray start --head`, or name it: address = "HOST:PORT" in [ray] of --vdb-machines'
            raise EngineError(f"no cluster of Ray answers: {problem}", where="--vdb-on=ray", mend=mend) from problem
    return ray


def _tasks_at_a_time(machines: Machines) -> int:
    if machines.workers is not None:
        return machines.workers
    gpus = _gpus_of_a_task(machines)
    ray = _connected(machines)
    there = ray.cluster_resources()
    ray.shutdown()  # the tasks' environment is not known yet
    return max(1, int(there.get("GPU", 0) // gpus if gpus else there.get("CPU", 1)))


def _gpus_of_a_task(machines: Machines) -> int:
    return 1 if machines.gpus is None else machines.gpus


def _run_as_tasks(tasks: Tasks, machines: Machines) -> Generator[Ended]:
    """Tasks in their order; those that are left when it is closed are cancelled."""
    gpus = _gpus_of_a_task(machines)
    ray = _connected(machines, dict(tasks[0].environment))
    resources = {"num_gpus": gpus, "num_cpus": 0 if gpus else 1}
    resources |= {name: machines.settings[name] for name in _PLACES if name in machines.settings}
    work = ray.remote(**resources, max_retries=RETRIES, retry_exceptions=[ShardDied])(_run_on_ray)
    waiting = {work.remote(task): task for task in tasks}
    try:
        while waiting:
            ended, _ = ray.wait(list(waiting), num_returns=1, timeout=_LOOKS_UP_S)  # a signal is heard in between
            for reference in ended:
                yield _ended_of_task(ray, reference, waiting.pop(reference))
            waiting |= {work.remote(task): task for task in tasks.more()}
    finally:
        for reference in waiting:
            ray.cancel(reference)
        ray.shutdown()


def _run_on_ray(task: Task) -> int:
    import ray

    return run_shard(task, {WORKER: f"ray-{ray.get_runtime_context().get_node_id()[:8]}"})


def _ended_of_task(ray: Any, reference: Any, task: Task) -> Ended:
    try:
        ray.get(reference)
    except ray.exceptions.RayError as problem:
        return Ended(task=task, problem=f"{type(problem).__name__}: {str(problem)[-600:]}", tries=RETRIES + 1)
    return Ended(task=task)


ENGINE = Engine(name="ray", extra="ray", workers=_tasks_at_a_time, gpus=_gpus_of_a_task, run=_run_as_tasks, grows=True)
