"""`slurm`: an array of jobs through submitit; Slurm queues, places, and runs again what a lost node ran.

What is split from a shard while others idle is an array of its own, submitted when there is one.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.cluster.engines.contract import RETRIES, Ended, Engine, Machines, Tasks, needs_library
from pytest_vdb.cluster.jobs import WORKER
from pytest_vdb.cluster.running import Task, run_shard
from pytest_vdb.errors import EngineError, ShardDied

_FOLDER = ".vdb-slurm"
"""Of the project's folder, in which submitit keeps what it hands to jobs; all nodes must see it."""
_OURS = frozenset({"folder", "environment", "poll_s"})
"""Settings that are not submitit's."""
_POLL_S = 10.0
_TIMES_GONE = 3
"""So many looks in a row at which a job is not in the queue until it is gone: shared folders show a result late."""


def _shards_at_a_time(machines: Machines) -> int:
    _submitit()  # said before anything is collected
    if machines.workers is None:
        mend = "give --vdb-workers=N: as many jobs of the array as may run at once"
        raise EngineError("how many shards may run at a time is not known", where="--vdb-on=slurm", mend=mend)
    return machines.workers


def _gpus_of_a_job(machines: Machines) -> int:
    return 1 if machines.gpus is None else machines.gpus


def _submitit() -> Any:
    try:
        import submitit
    except ImportError as problem:
        raise needs_library("slurm", problem) from problem
    return submitit


def _run_as_array(tasks: Tasks, machines: Machines) -> Generator[Ended]:
    """Jobs in the order of the tasks; those that are left when it is closed are cancelled."""
    submitit = _submitit()
    settings = dict(machines.settings)
    folder = settings.get("folder") or str(Path(tasks[0].folder) / _FOLDER)
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm", slurm_max_num_timeout=RETRIES)
        own = {name: value for name, value in settings.items() if name not in _OURS}
        gpus = {"gpus_per_node": _gpus_of_a_job(machines)} if _gpus_of_a_job(machines) else {}
        executor.update_parameters(
            **{"slurm_job_name": "vdb", "slurm_array_parallelism": _shards_at_a_time(machines), **gpus, **own}
        )
        waiting = _submitted(executor, tasks)
    except (RuntimeError, OSError, NameError, ValueError) as problem:  # no sbatch, a parameter that Slurm refuses
        mend = "check that sbatch works here, and the table [slurm] of the file of machines"
        raise EngineError(f"the array was not submitted: {problem}", where="--vdb-on=slurm", mend=mend) from problem
    further: list[Task] = []
    try:
        for ended in _followed_jobs(submitit, waiting, float(settings.get("poll_s", _POLL_S))):
            if ended is not None:
                yield ended
                continue
            further += tasks.more()
            with contextlib.suppress(RuntimeError, OSError):  # Slurm does not answer: at the next look
                waiting |= _submitted(executor, further)
                further = []
        for task in further:
            yield Ended(task=task, problem="Slurm did not take it while other shards ran")
    finally:
        for job in waiting:
            job.cancel(check=False)


def _submitted(executor: Any, tasks: Sequence[Task]) -> dict[Any, Task]:
    """An array, whose jobs are in the order of the tasks; none where there is no task."""
    return dict(zip(executor.map_array(_run_on_node, tasks), tasks, strict=True)) if tasks else {}


def _followed_jobs(submitit: Any, waiting: dict[Any, Task], poll_s: float) -> Generator[Ended | None]:
    """Jobs as they end, each taken out of those that wait; None after each look, when others may be put in.

    submitit itself asks `sacct`, which tells nothing where Slurm keeps no accounts: it would wait for a job that was
    killed for ever. `squeue` knows jobs everywhere, and one that is neither there nor has a result is gone.
    """
    gone: dict[Any, int] = {}
    while waiting:
        time.sleep(poll_s)
        queued = _queued(sorted({str(job.job_id).partition("_")[0] for job in waiting}))
        for job in list(waiting):
            gone[job] = 0 if queued is None or str(job.job_id) in queued else gone.get(job, 0) + 1
            if files.is_file(job.paths.result_pickle) or gone[job] >= _TIMES_GONE:
                yield _job_ended(submitit, job, waiting.pop(job))
        yield None


def _queued(arrays: Sequence[str]) -> set[str] | None:
    """Jobs that wait, run or end; None: Slurm did not answer."""
    asked = ["squeue", "--noheader", "--array", f"--jobs={','.join(arrays)}", "--format=%i"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode and "Invalid job id" not in answer.stderr:  # it knows none of them any more
        return None
    return set(answer.stdout.split())


def _run_on_node(task: Task) -> int:
    """How often it was tried; a node that is lost with this process is Slurm's affair."""
    worker = os.environ.get("SLURMD_NODENAME", "slurm")
    for tries in range(1, RETRIES + 1):
        try:
            run_shard(task, {WORKER: worker})
        except ShardDied:
            continue
        return tries
    run_shard(task, {WORKER: worker})
    return RETRIES + 1


def _job_ended(submitit: Any, job: Any, task: Task) -> Ended:
    if not files.is_file(job.paths.result_pickle):
        return Ended(task=task, problem=f"Slurm's job {job.job_id} is gone without a result: it was killed")
    try:
        return Ended(task=task, tries=job.result())
    except (submitit.core.utils.FailedJobError, submitit.core.utils.UncompletedJobError, ShardDied) as problem:
        return Ended(task=task, problem=f"Slurm's job {job.job_id}: {str(problem)[-600:]}")


ENGINE = Engine(
    name="slurm", extra="slurm", workers=_shards_at_a_time, gpus=_gpus_of_a_job, run=_run_as_array, grows=True
)
