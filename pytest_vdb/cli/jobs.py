"""`vdb jobs`: what became of shards on other machines, from the storage alone, from any machine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.printing import print_json, print_table, show, warn
from pytest_vdb.errors import OptionError
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.cluster.jobs import Job
    from pytest_vdb.cluster.watching import JobState, ShardState
    from pytest_vdb.storage import Storage

_HEADER_OF_JOBS = (
    *("job", "shards", "done", "running", "waiting", "lost", "tests", "left"),
    *("hours of workers", "GPU-hours", "cost"),
)


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    jobs = commands.add_parser(
        "jobs",
        help="the jobs of `vdb run --on`: shards waiting, running, done, lost; cancel; bring records together",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb jobs                          the jobs of this output folder\n"
        "  vdb jobs s3://bucket/job          its shards\n"
        "  vdb jobs reports/jobs/4f0c --json\n"
        "  vdb jobs reports/jobs/4f0c --cancel\n"
        "  vdb jobs s3://bucket/job --split  a part of the shard that would end last becomes another one\n"
        "  vdb jobs s3://bucket/job --merge  one run of what is there by now; metrics of sets and gates are computed\n"
        "                                    when the command of the job is typed again",
    )
    what = "its folder or address (default: all below --output)"
    jobs.add_argument("job", nargs="?", metavar="JOB", help=what)
    stops = "no session begins another test; the command of the job, typed again, goes on"
    jobs.add_argument("--cancel", action="store_true", help=stops)
    halves = "take tests that have not begun from the shard that would end last, and say how another machine runs them"
    jobs.add_argument("--split", action="store_true", help=halves)
    jobs.add_argument("--merge", action="store_true", help="make a run and its reports of what is there by now")
    where = "in whose jobs/ they lie, and where --merge writes (default: %(default)s)"
    jobs.add_argument("--output", "-o", type=expanded, default=Path("reports"), metavar="DIR", help=where)
    price = "what an hour of one GPU costs: 2.5USD (default: --vdb-price-gpu-hour of the job's command)"
    jobs.add_argument("--price", metavar="PRICE", help=price)
    jobs.add_argument("--json", action="store_true", help="print JSON instead of tables")
    jobs.set_defaults(command=Command(JobsArguments, _jobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsArguments:
    """What `vdb jobs` was asked."""

    job: str | None
    cancel: bool
    split: bool
    merge: bool
    output: Path
    price: str | None
    json: bool


def _jobs(arguments: JobsArguments) -> int:
    from pytest_vdb.cluster import jobs
    from pytest_vdb.storage import storage_at

    if arguments.job is None:
        if arguments.cancel or arguments.merge or arguments.split:
            raise OptionError("no job", where="vdb jobs", mend="name it: vdb jobs JOB")
        return _list_jobs(arguments)
    storage = storage_at(arguments.job)
    job = jobs.job_in(storage)  # where there is none, it is said before anything is done
    if arguments.cancel:
        jobs.cancel(storage)
        show("cancelled: sessions end with the test that they run; type the job's command again to go on")
        return 0
    if arguments.split:
        return _split(storage)
    if arguments.merge:
        return _merge(storage, arguments)
    return _tell_shards(storage, job, arguments)


def _list_jobs(arguments: JobsArguments) -> int:
    from pytest_vdb.cluster.jobs import JOB, JOBS, job_in
    from pytest_vdb.storage import storage_at

    folder = arguments.output / JOBS
    places = files.entries(folder, error=OptionError)[0] if files.is_folder(folder) else []
    storages = [(str(place), storage_at(str(place))) for place in places]
    found = [
        (place, _state_of_job(storage, job_in(storage), arguments)[0])
        for place, storage in storages
        if storage.has(JOB)  # else it is still being submitted, or never was
    ]
    if arguments.json:
        print_json([{"job": place, **asdict(state)} for place, state in found])
    elif not found:
        show(f"no job lies in {folder}: vdb run --on local makes one")
    else:
        print_table(_HEADER_OF_JOBS, (_row_of_job(place, state) for place, state in found))
    return 0


def _row_of_job(place: str, state: JobState) -> Sequence[object]:
    counts = state.shards, state.done, state.running, state.waiting, state.lost, state.tests, state.left
    return place, *counts, f"{state.worker_hours:.2f}", _gpu_hours_told(state.gpu_hours), _cost_told(state)


def _state_of_job(storage: Storage, job: Job, arguments: JobsArguments) -> tuple[JobState, tuple[ShardState, ...]]:
    from pytest_vdb.cluster.jobs import is_cancelled
    from pytest_vdb.cluster.watching import summed_up, watched
    from pytest_vdb.options import price

    priced = job.price_gpu_hour if arguments.price is None else price(arguments.price, where="--price")
    states = watched(storage, job, time.time())
    return summed_up(states, priced, cancelled=is_cancelled(storage)), states


def _tell_shards(storage: Storage, job: Job, arguments: JobsArguments) -> int:
    together, states = _state_of_job(storage, job, arguments)
    if arguments.json:
        print_json({"job": storage.address, **asdict(together), "shard": [asdict(state) for state in states]})
        return 0
    header = ("shard", "state", "tests", "attempts", "retried", "quarantined", "hours", "GPU-hours", "ends in", "on")
    print_table(header, (_row_of_shard(state) for state in states))
    left = "" if together.left_s is None else f", about {_time_told(together.left_s)} left"
    show(
        f"{together.done} of {together.shards} shards are done, {together.running} run, {together.waiting} wait, "
        f"{together.lost} were lost{left}; {together.worker_hours:.2f} hours of workers"
        + ("" if together.gpu_hours is None else f", {_gpu_hours_told(together.gpu_hours)} GPU-hours")
        + ("" if together.cost is None else f", {_cost_told(together)}")
        + (", cancelled" if together.cancelled else "")
    )
    return 0


def _split(storage: Storage) -> int:
    from pytest_vdb.cluster.jobs import address_of, shards_in
    from pytest_vdb.cluster.stealing import split_for

    for kept, part in split_for(storage, shards_in(storage), 1, time.time()):
        show(f"{kept.id} has {kept.tests} tests now, and {part.id} the other {part.tests}; run them here with\n")
        show(f"  pytest ARGUMENTS --vdb-shard={address_of(storage, part)}\n")
        show(f"and the arguments of {storage.address}/job.json; a coordinator that finds them running waits for them")
        return 0
    show("no shard is worth another session: what is left is short, or nobody knows yet what it takes")
    return 1


def _row_of_shard(state: ShardState) -> Sequence[object]:
    return (
        state.id,
        state.state,
        f"{state.done_tests}/{state.tests}",
        state.attempts,
        state.retried or None,
        state.quarantined or None,
        f"{state.worker_hours:.2f}",
        _gpu_hours_told(state.gpu_hours),
        None if state.left_s is None else _time_told(state.left_s),
        ", ".join(state.workers) or None,
    )


def _gpu_hours_told(hours: float | None) -> str | None:
    return None if hours is None else f"{hours:.2f}"


def _cost_told(state: JobState) -> str | None:
    return None if state.cost is None else f"{state.cost:.2f} {state.currency}"


def _time_told(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _merge(storage: Storage, arguments: JobsArguments) -> int:
    from pytest_vdb import reporters
    from pytest_vdb.analysis import leaderboard
    from pytest_vdb.cluster.merging import merge
    from pytest_vdb.reporters import formats
    from pytest_vdb.results import journal
    from pytest_vdb.results.run_ids import new_run_id

    folder, account = merge(storage, arguments.output, new_run_id())
    for said in (*account.warnings, *account.disagreements, *account.said_of_devices):
        warn(said)
    run, records, warnings = journal.read(folder)
    for warning in warnings:
        warn(warning)
    if (short := journal.shortfall(run, records)) is not None:
        warn(short)
    written = reporters.write_all(leaderboard.build(run, records), arguments.output, formats.chosen("all"))
    show("\n".join(map(str, (folder, *written))))
    return 0
