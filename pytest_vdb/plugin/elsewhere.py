"""`--vdb-on`: the session collects as ever, and hands its benchmarks out as shards of a job instead of running them.

Records come home shard by shard and are told as tests that ended; metrics of sets, gates, reports and the exit status
then are those of an ordinary session. The same command finds its job again, and runs what is missing of it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdb.errors import OptionError, VdbError
from pytest_vdb.escaping import visible
from pytest_vdb.options import FLAGS, OF_JOBS
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.scheduling import failed_report
from pytest_vdb.plugin.session import given, options_of

if TYPE_CHECKING:
    from pytest_vdb.cluster.costs import Cost
    from pytest_vdb.cluster.driving import Outcome
    from pytest_vdb.cluster.engines.contract import Engine, Machines
    from pytest_vdb.cluster.jobs import Job, Shard
    from pytest_vdb.cluster.merging import Account
    from pytest_vdb.options import Options
    from pytest_vdb.plugin.collected import Collected
    from pytest_vdb.records import Record
    from pytest_vdb.storage import Storage

_OF_THIS_SESSION = frozenset(
    {*OF_JOBS, "shard", "output", "report", "baseline", "fail-on", "noise", "strict", "stop-when-decided", "progress"}
    | {"ab", "ab-blocks"}
)
"""Options that speak of the whole run."""
_OF_ANY_SESSION = {
    **dict.fromkeys(("-x", "--exitfirst", "--pdb", "--lf", "--last-failed", "--ff", "--failed-first"), False),
    **dict.fromkeys(("--sw", "--stepwise", "--sw-skip", "--stepwise-skip"), False),
    **dict.fromkeys(("--maxfail", "--junitxml", "--junit-xml", "--html", "--report-log", "--color"), True),
}
"""Those of pytest that do, and whether each has a value."""
_CARRIED = ("OMP_NUM_THREADS", "PYTHONPATH", "PYTEST_ADDOPTS")
_CARRIED_FAMILIES = ("VDB_", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Of this session's environment what goes along; credentials are the machines' own, and never do."""


def hand_out(config: pytest.Config, recorder: Recorder) -> None:
    """Let this session hand its benchmarks out, if that is asked for.

    Raises:
        pytest.UsageError: options that do not go together.
    """
    engine = given(config, "on").text()
    if engine is None:
        for name in OF_JOBS:
            if getattr(config.option, f"vdb_{name}") is not None:
                raise pytest.UsageError(f"--vdb-{name}: it is of jobs\n  give --vdb-on=local, say")
        return
    if config.getoption("tx", None):
        raise pytest.UsageError("--vdb-on: -n runs the tests here\n  give --vdb-workers=N instead")
    config.pluginmanager.register(Elsewhere(config, recorder, engine), "vdb-elsewhere")


class Elsewhere:
    """Plans the job, follows it and brings its records home."""

    def __init__(self, config: pytest.Config, recorder: Recorder, engine: str) -> None:
        self.config = config
        self.recorder = recorder
        self._engine_name = engine
        self._engine: Engine | None = None
        self._machines: Machines | None = None
        self._storage: Storage | None = None
        self._told: list[str] = []
        """For the end of the session."""

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        """What cannot work is said before anything is collected.

        Raises:
            pytest.UsageError: no such engine, a file of machines that cannot be read.
        """
        from pytest_vdb.cluster.engines.registry import engine_named

        options = options_of(self.config)
        try:
            self._engine = engine_named(self._engine_name, where=given(self.config, "on").where)
            told = _machines_of(options.machines, self._engine_name, options.workers)
            self._machines = _with_gpus(told, self._engine.gpus(told), options.devices_of_a_clip)
            self._engine.workers(self._machines)
        except VdbError as problem:
            raise pytest.UsageError(str(problem)) from None

    @pytest.hookimpl(wrapper=True, trylast=True)  # innermost: metrics of sets and gates come behind it
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Other tests run here, then the benchmarks elsewhere.

        In this order, because pytest takes a failure before its own loop for one of the collection.
        """
        collected = self.recorder.collected
        if self.config.option.collectonly or collected is None:
            return (yield)
        session.items = [item for item in session.items if item.nodeid not in collected.tests]
        if options_of(self.config).plan:
            session.items = []
        finished = yield
        try:
            shards, costs = self._planned(collected)
            if options_of(self.config).plan:
                self._tell_plan(shards, costs)
                self.config.option.collectonly = True  # nothing ran: there is nothing to judge
            else:
                self._run(session, collected, shards)
        except VdbError as problem:
            raise pytest.UsageError(str(problem)) from None
        return finished

    # Planning -------------------------------------------------------------------------------------------------------

    def _planned(self, collected: Collected) -> tuple[list[Shard], Mapping[str, Cost]]:
        from pytest_vdb.cluster.planning import cut, works_of

        assert self._engine is not None
        assert self._machines is not None
        costs = _costs_of(self.recorder, collected)
        works = works_of((test.model, test.prompt) for test in collected.tests.values())
        return cut(works, costs, self._engine.workers(self._machines), grows=self._engine.grows), costs

    def _tell_plan(self, shards: Sequence[Shard], costs: Mapping[str, Cost]) -> None:
        from pytest_vdb.cluster.planning import forecast
        from pytest_vdb.reporters import plan

        assert self._engine is not None
        assert self._machines is not None
        workers = self._engine.workers(self._machines)
        foreseen = forecast(shards, costs, workers, grows=self._engine.grows)
        self._told += plan.lines_of(
            foreseen,
            {model: cost.rests_on for model, cost in costs.items()},
            workers=workers,
            gpus=self._engine.gpus(self._machines),
            price=options_of(self.config).price_gpu_hour,
        )

    # Running --------------------------------------------------------------------------------------------------------

    def _run(self, session: pytest.Session, collected: Collected, shards: list[Shard]) -> None:
        from pytest_vdb.cluster.driving import outcomes
        from pytest_vdb.cluster.merging import Account

        assert self._engine is not None
        assert self._machines is not None
        job, shards = self._job_with(collected, shards)
        assert self._storage is not None
        account, missing = Account(), set(collected.tests)
        environment = _carried(os.environ, self._machines.settings.get("environment", ()))
        running = outcomes(self._storage, job, shards, self._engine, self._machines, environment, self._write)
        try:
            for outcome in running:
                account.hear(outcome.known, len(outcome.shards))
                missing -= self._bring_home(outcome, account)
                missing -= self._tell_lost(outcome, collected, missing)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:  # the disk takes no more records
                    raise session.Interrupted(session.shouldstop)
        finally:
            running.close()
            self._tell_account(account)
        for nodeid in sorted(missing):
            self._report_lost(nodeid, "no session of the job had this test")

    def _job_with(self, collected: Collected, shards: list[Shard]) -> tuple[Job, list[Shard]]:
        """The job and its shards: those that lie there already, else these.

        Raises:
            VdbError: another job lies there, or the storage cannot be reached.
        """
        from pytest_vdb.cluster import jobs
        from pytest_vdb.storage import storage_at

        assert self._engine is not None
        assert self._machines is not None
        options = options_of(self.config)
        arguments = arguments_of_shards(self.config)
        identity = _identity_of_job(options, collected)
        storage = self._storage = storage_at(options.job or str(options.output / jobs.JOBS / identity))
        if not storage.has(jobs.JOB):
            job = jobs.Job(
                id=identity,
                arguments=arguments,
                folder=str(self.config.invocation_params.dir),
                tests=len(collected.tests),
                gpus=self._engine.gpus(self._machines),
                created_at=datetime.now(UTC).isoformat(timespec="seconds"),
                price_gpu_hour=options.price_gpu_hour,
            )
            jobs.submit(storage, job, shards)
            self._write(f"vdb job {storage.address}: {len(shards)} shards of {job.tests} tests")
            return job, shards
        job = jobs.job_in(storage)
        if job.id != identity:
            mend = "give this command another --vdb-job, or type the command that the job was made by"
            raise OptionError("a job of other tests lies there", where=storage.address, mend=mend)
        storage.remove(jobs.CANCEL)
        self._write(f"vdb job {storage.address}: goes on")
        # What is run is what was typed here: whoever can write to the storage chooses no arguments of pytest.
        job = replace(job, arguments=arguments, folder=str(self.config.invocation_params.dir))
        return job, jobs.shards_in(storage)

    def _bring_home(self, outcome: Outcome, account: Account) -> set[str]:
        """A planned shard's records become those of this run; returns their tests."""
        from pytest_vdb.cluster.merging import brought_home

        assert self._storage is not None
        if account.environment is not None:
            self.recorder.ran_in(account.environment)
        tests = set()
        folder, run = self.recorder.folder(), self.recorder.started_run().id
        for record in brought_home(self._storage, outcome.known, folder, run):
            tests.add(record.nodeid)
            if self.recorder.take(record):
                self._report(record)
        return tests

    def _tell_lost(self, outcome: Outcome, collected: Collected, missing: set[str]) -> set[str]:
        """Tests of a shard that was given up are said to be so."""
        if outcome.problem is None:
            return set()
        self._write(f"vdb shard {outcome.shards[0].planned} is not finished: {outcome.problem}")
        lost = {
            nodeid
            for nodeid in missing
            if any(shard.has(collected.tests[nodeid].model, collected.tests[nodeid].prompt) for shard in outcome.shards)
        }
        for nodeid in sorted(lost):
            self._report_lost(nodeid, f"not run: {outcome.problem}")
        return lost

    # Telling --------------------------------------------------------------------------------------------------------

    def _report(self, record: Record) -> None:
        """As the reports of a test that ran here."""
        hook = self.config.hook
        for report in _reports_of(record):
            if self.config.getoption("xmlpath", None) and report.when == "teardown":
                from pytest_vdb.exports import junit

                report.user_properties += junit.properties_of(record)
            hook.pytest_runtest_logreport(report=report)

    def _report_lost(self, nodeid: str, reason: str) -> None:
        self.config.hook.pytest_runtest_logreport(report=failed_report(nodeid, reason, status="not_run"))

    def _tell_account(self, account: Account) -> None:
        assert self._storage is not None
        if account.environment is not None:
            self.recorder.ran_in(account.environment, job=account.summary())
        self._told += [
            f"{account.shards} shards in {account.attempts} sessions, {account.worker_seconds / 3600:.2f} hours of "
            f"workers; {account.duplicates} records of tests that had one",
            *account.disagreements,
            *account.warnings,
            *account.said_of_devices,
            f"job: {self._storage.address}",
        ]

    def _write(self, text: str) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(visible(text))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What the job was, or would be."""
        if self._told:
            terminalreporter.section("vdb job")
            for line in self._told:
                terminalreporter.write_line(visible(line))


def _reports_of(record: Record) -> Iterable[pytest.TestReport]:
    """Setup, call and teardown of a test that ended elsewhere; the call's is its outcome."""
    path, _, rest = record.nodeid.partition("::")
    passed = record.status == "passed"
    skipped = record.status in {"skipped", "xfailed"}
    why = record.failure.message if record.failure is not None else record.status
    shown: Any = None if passed else (path, 0, f"Skipped: {why}") if skipped else _told_of_failure(record)
    for when in ("setup", "call", "teardown"):
        is_call = when == "call"
        report = pytest.TestReport(
            nodeid=record.nodeid,
            location=(path, None, rest),
            keywords={},
            outcome="passed" if passed or not is_call else "skipped" if skipped else "failed",
            longrepr=shown if is_call else None,
            when=when,
            duration=(record.duration_s or 0.0) if is_call else 0.0,
        )
        if is_call and record.status == "xfailed":
            vars(report)["wasxfail"] = why
        yield report


def _told_of_failure(record: Record) -> str:
    if record.failure is None:
        return record.status
    return record.failure.traceback or f"{record.failure.type}: {record.failure.message}"


def arguments_of_shards(config: pytest.Config) -> tuple[str, ...]:
    """This session's arguments, without those that speak of the whole run.

    `vdb run` adds the suite where none is named: it is among pytest's tests, and not among what was typed. pytest had
    chosen its root by then, on which the tests' names depend: a session that has the suite typed is told the same one.
    """
    valued = {flag.flag: not flag.switch for flag in FLAGS if flag.name in _OF_THIS_SESSION} | _OF_ANY_SESSION
    typed = list(map(str, config.invocation_params.args))
    kept = [one for one in config.option.file_or_dir if one not in typed]
    if kept:
        kept += [f"--rootdir={config.rootpath}", *(["-c", str(config.inipath)] if config.inipath is not None else [])]
    skips_value = False
    for argument in typed:
        name, equals, _ = argument.partition("=")
        if skips_value:
            skips_value = False
        elif name in valued:
            skips_value = valued[name] and not equals
        else:
            kept.append(argument)
    return tuple(kept)


def _identity_of_job(options: Options, collected: Collected) -> str:
    """The same for the same tests, recipes and metrics: whoever types the command again means this job."""
    from pytest_vdb.records import digest

    setups = {
        setup: [one.recipe_digest, one.weights, one.revision, one.suite_digest]
        for setup, one in collected.models.items()
    }
    measured_by = [options.metrics, {name: str(path) for name, path in options.backbones}, options.memory_rate_hz]
    return digest([sorted(collected.tests), setups, collected.seed, options.device, measured_by])


def _machines_of(path: Any, engine: str, workers: int | None) -> Machines:
    """What the user said of the machines.

    Raises:
        VdbError: the file cannot be read, or says what nobody understands.
    """
    from pytest_vdb import files
    from pytest_vdb.cluster.engines.contract import Machines

    table: Any = {} if path is None else files.read_toml(path, error=OptionError).get(engine, {})
    if not isinstance(table, dict):
        raise OptionError(f"[{engine}] is {table!r}, no table", where=path, mend=f"write a table [{engine}]")
    settings = dict(table)
    numbers = {name: settings.pop(name, None) for name in ("workers", "gpus")}
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int) or number < (1 if name == "workers" else 0)):
            raise OptionError(f"{name} = {number!r}", where=path, mend="give a whole number")
    carried = settings.get("environment", [])
    if not isinstance(carried, list) or not all(isinstance(name, str) for name in carried):
        mend = 'give a list of names: environment = ["NAME"]'
        raise OptionError(f"environment = {carried!r}", where=path, mend=mend)
    return Machines(workers=workers or numbers["workers"], gpus=numbers["gpus"], settings=settings)


def _with_gpus(machines: Machines, gpus: int, needed: int) -> Machines:
    """A shard has the GPUs that share each of its clips, unless the file of machines says how many it has.

    Args:
        gpus: of a shard, as the engine would have it; 0: it runs on processors.
        needed: for a clip.

    Raises:
        OptionError: the file says fewer.
    """
    if not gpus or gpus >= needed:
        return machines
    if machines.gpus is not None:
        what = f"gpus = {machines.gpus}, and the recipe's `parallel` shares each clip over {needed}"
        raise OptionError(what, where="--vdb-machines", mend="give more, or leave the line away")
    return replace(machines, gpus=needed)


def _carried(environment: Mapping[str, str], more: Iterable[str]) -> dict[str, str]:
    """What goes along to other machines of this session's environment."""
    named = {*_CARRIED, *more}
    return {name: value for name, value in environment.items() if name in named or name.startswith(_CARRIED_FAMILIES)}


def _costs_of(recorder: Recorder, collected: Collected) -> Mapping[str, Cost]:
    """What a test of each model takes, of those of which it is known."""
    from pytest_vdb.cluster.costs import joined, setup_of
    from pytest_vdb.cluster.foreseen import costs_of_setups

    session = recorder.session()
    by_setup = costs_of_setups(session.options.output, session.options.cache_dir, session.registry, collected.models)
    known = {setup_of(one): one.model for one in collected.models.values()}
    of_model: dict[str, list[Cost]] = {}
    for setup, cost in by_setup.items():
        of_model.setdefault(known[setup], []).append(cost)
    return {model: joined(costs) for model, costs in of_model.items()}
