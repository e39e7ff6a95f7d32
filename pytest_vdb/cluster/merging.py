"""Records come home: of each test one, with its files, in one ordinary run; what was made twice is counted.

Planned shards share no test, so they are brought together one by one, each with what was split from it: no more than
one planned shard's records are held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.cluster.attempts import LINES, files_of, without_files
from pytest_vdb.cluster.jobs import job_in, shards_in
from pytest_vdb.cluster.knowing import Known, known_of_planned
from pytest_vdb.errors import RecordError, StorageError
from pytest_vdb.records import Environment, Record, Run, to_plain
from pytest_vdb.results import journal
from pytest_vdb.storage import Storage, patiently

_NOT_HERE = "its {} did not reach the storage of the job"


def brought_home(storage: Storage, known: Known, run_folder: Path, run_id: str) -> Iterator[Record]:
    """The records that count of one planned shard, each when the files that it names lie in the run's folder.

    Args:
        storage: of the job.
        known: of it.
        run_folder: the run's own.
        run_id: of the run that they become records of.

    Raises:
        OutputError: the disk did not take a file.
        StorageError: it cannot be reached, for minutes.
    """
    made_in = {id(record): told.name.removesuffix(LINES) for told in known.attempts for record in told.records}
    for record in known.records.values():
        missing = {name for name in files_of(record) if not _fetched(storage, made_in[id(record)], name, run_folder)}
        if missing:
            notes = (*record.notes, *(_NOT_HERE.format(name) for name in sorted(missing)))
            record = replace(without_files(record, missing), notes=notes)
        object.__setattr__(
            record, "run", run_id
        )  # read for this run alone; a copy takes a fifth of the time of a merge
        yield record


def _fetched(storage: Storage, attempt: str, name: str, run_folder: Path) -> bool:
    """Whether a file of an attempt is in the run's folder now."""
    parts = Path(name).parts
    if Path(name).is_absolute() or ".." in parts or len(parts) < 2:  # at the top lie the run's own files
        return False
    there = f"{attempt}/{name}"
    try:
        data = storage.get(there)
    except StorageError:  # a file that never arrived is noted; a storage that is away for a moment is waited for
        if not patiently(partial(storage.has, there)):
            return False
        data = patiently(partial(storage.get, there))
    files.write(run_folder / name, data)
    return True


@dataclass(slots=True)
class Account:
    """What a merged run says of where it comes from; filled shard by shard."""

    shards: int = 0
    attempts: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    disagreements: list[str] = field(default_factory=list)
    worker_seconds: float = 0.0
    hardware_of_models: dict[str, set[str]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _environments: dict[str, tuple[Environment, int]] = field(default_factory=dict)
    """By digest and commit: the environment, and how many attempts had it."""

    def hear(self, known: Known, shards: int) -> None:
        """One more planned shard, and how many it became."""
        self.shards += shards
        self.attempts += len(known.attempts)
        self.duplicates += known.duplicates
        self.disagreements += known.disagreements
        self.worker_seconds += known.seconds
        for told in known.attempts:
            self.ended[told.ended or "without a word"] += 1
            self.warnings += told.warnings
            if told.environment is not None:
                key = f"{told.environment.digest()} {told.environment.git_commit}"
                self._environments[key] = told.environment, self._environments.get(key, (None, 0))[1] + 1
        for record in known.records.values():
            if record.hardware is not None:
                self.hardware_of_models.setdefault(record.model, set()).add(record.hardware)

    @property
    def environment(self) -> Environment | None:
        """That of most attempts; None: none was told."""
        return max(self._environments.values(), key=lambda one: one[1], default=(None, 0))[0]

    @property
    def on_several_devices(self) -> dict[str, list[str]]:
        """Models whose tests ran on different hardware, and on which: a leaderboard has a row for each."""
        return {model: sorted(on) for model, on in sorted(self.hardware_of_models.items()) if len(on) > 1}

    @property
    def said_of_devices(self) -> list[str]:
        """A sentence for each model that ran on several devices."""
        return [
            f"{model} ran on several devices, and has a row for each: {', '.join(devices)}"
            for model, devices in self.on_several_devices.items()
        ]

    def summary(self) -> dict[str, Any]:
        """For `run.json`: what else there was besides the environment that stands there."""
        usual = self.environment
        others = [
            {"attempts": count, **_differences(one, usual)}
            for one, count in self._environments.values()
            if usual is not None and one is not usual
        ]
        return {
            "shards": self.shards,
            "attempts": self.attempts,
            "ended": dict(sorted(self.ended.items())),
            "duplicates": self.duplicates,
            "disagreements": self.disagreements,
            "worker_hours": round(self.worker_seconds / 3600, 4),
            "models_on_several_devices": list(self.on_several_devices),
            "other_environments": others,
        }


def _differences(one: Environment, usual: Environment) -> dict[str, Any]:
    """What an environment has otherwise than the usual one."""
    plain, before = to_plain(one), to_plain(usual)
    return {name: value for name, value in plain.items() if value != before[name]}


def merge(storage: Storage, output: Path, run_id: str) -> tuple[Path, Account]:
    """One ordinary run of all that the storage holds, at any time, without metrics of sets and without gates.

    Args:
        storage: of the job.
        output: below which the run's folder is made.
        run_id: of the run.

    Raises:
        StorageError: there is no job, or it cannot be reached.
        RecordError: no test has ended yet.
        OutputError: the disk did not take it.
    """
    job, account = job_in(storage), Account()
    kept: journal.Journal | None = None
    run: Run | None = None
    found = _RecordsSeen()
    for parts, known in known_of_planned(storage, shards_in(storage)):
        account.hear(known, len(parts))
        if not known.records or account.environment is None:
            continue
        if kept is None or run is None:
            run = Run(
                id=run_id,
                started_at=datetime.now(UTC).isoformat(timespec="seconds"),
                environment=account.environment,
                options={"job": job.id},
                collected=job.tests,
            )
            kept = journal.Journal.create(output, run, in_full=journal.is_small(job.tests))
        kept.append_all(found.seen(brought_home(storage, known, kept.folder, run_id)))
    if kept is None or run is None or account.environment is None:
        mend = "wait for the first one: vdb jobs JOB"
        raise RecordError("no test of the job has ended yet", where=storage.address, mend=mend)
    kept.finish(
        replace(
            run,
            started_at=found.began or run.started_at,
            finished_at=datetime.now(UTC).isoformat(timespec="seconds")
            if found.statuses.total() >= job.tests
            else None,
            environment=account.environment,
            recipes=found.recipes,
            suites=found.suites,
            summary={
                "tests": found.statuses.total(),
                "collected": job.tests,
                "statuses": dict(sorted(found.statuses.items())),
                "models": sorted(account.hardware_of_models),
                "job": account.summary(),
            },
        )
    )
    return kept.folder, account


@dataclass(slots=True)
class _RecordsSeen:
    """What records say of their run together."""

    began: str | None = None
    recipes: dict[str, dict[str, Any]] = field(default_factory=dict)
    suites: dict[str, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)

    def seen(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records."""
        for record in records:
            self.statuses[record.status] += 1
            self.began = min(filter(None, (self.began, record.started_at)), default=None)
            if record.recipe_digest:
                self.recipes[record.recipe_digest] = record.recipe
            if record.suite and record.suite_digest:
                self.suites[record.suite] = record.suite_digest
            yield record
