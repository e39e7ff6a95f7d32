"""pytest-benchmark under xdist: it switches itself off there, so workers ship their statistics to the controller.

On a worker the benchmark session is switched on again, but must not write, compare or print; each benchmark travels as
a JSON string on its call report. The controller rebuilds pytest-benchmark's own `Metadata`, so its table, JSON,
autosave and compare options work as they do without `-n`. This touches private names: hence `pytest-benchmark<6`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Generator
from types import SimpleNamespace
from typing import Any

import pytest

ONLY_BENCHMARKS = pytest.StashKey[bool]()


def is_worker(config: pytest.Config) -> bool:
    """This process is an xdist worker."""
    return hasattr(config, "workerinput")


def is_xdist_controller(config: pytest.Config) -> bool:
    """This process hands tests to xdist workers."""
    return not is_worker(config) and config.getoption("dist", "no") != "no"


class BenchmarkBridge:
    """Registered on workers and on the controller of an xdist session only."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Undo the switching off, once pytest-benchmark has configured itself."""
        benchmarks = getattr(self.config, "_benchmarksession", None)
        if benchmarks is None:
            return
        self.config.option.benchmark_only = benchmarks.only = self.config.stash[ONLY_BENCHMARKS]
        wanted_off = self.config.getoption("benchmark_disable") and not self.config.getoption("benchmark_enable")
        if wanted_off or (benchmarks.skip and not benchmarks.only):
            return
        benchmarks.disabled = False
        benchmarks.xdist_warning = False
        if is_worker(self.config):
            benchmarks.json = benchmarks.save = benchmarks.autosave = benchmarks.compare_fail = None
            benchmarks.histogram = False
            benchmarks.quiet = True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the statistics on the call report, as a string: execnet cannot carry numpy scalars."""
        report = yield
        fixture = getattr(item, "funcargs", {}).get("benchmark")
        stats = getattr(fixture, "stats", None)
        if call.when == "call" and is_worker(self.config) and stats:
            payload = stats.as_dict(include_data=True)
            payload["has_error"] = stats.has_error
            vars(report)["vdb_timing"] = json.dumps(payload, default=str)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hand the statistics to the controller's own benchmark session."""
        payload = getattr(report, "vdb_timing", None)
        if payload is None or is_worker(self.config):
            return
        timing = json.loads(payload)
        timing["extra_info"].setdefault("worker", getattr(report, "worker_id", None))
        self.config._benchmarksession.benchmarks.append(_rebuilt(timing))  # type: ignore[attr-defined]


def hide_only_option(config: pytest.Config) -> None:
    """pytest-benchmark refuses `--benchmark-only` under xdist while it configures itself: hide it until then."""
    config.stash[ONLY_BENCHMARKS] = bool(getattr(config.option, "benchmark_only", False))
    if config.stash[ONLY_BENCHMARKS]:
        config.option.benchmark_only = False


def leave_out_table(config: pytest.Config, ours: Collection[str]) -> None:
    """pytest-benchmark's own table says what the leaderboard says: it is shown to whoever gave one of its options.

    Args:
        config: of the session that shows it.
        ours: tests whose timings the leaderboard has; where another test is timed as well, its table stays.
    """
    benchmarks = getattr(config, "_benchmarksession", None)
    if benchmarks is None or any(one.fullname not in ours for one in benchmarks.benchmarks):
        return
    elsewhere = [*config.getini("addopts"), *os.environ.get("PYTEST_ADDOPTS", "").split()]
    if not any(str(option).startswith("--benchmark-") for option in (*config.invocation_params.args, *elsewhere)):
        benchmarks.quiet = True


def _rebuilt(timing: dict[str, Any]) -> object:
    from pytest_benchmark.stats import Metadata

    stats = timing["stats"]
    names = ("name", "fullname", "group", "param", "params", "extra_info", "has_error")
    fixture = SimpleNamespace(**{name: timing[name] for name in names}, cprofile_stats=None)
    metadata = Metadata(fixture, iterations=stats["iterations"], options=timing["options"])
    metadata.stats.data.extend(stats["data"])  # already divided by the iterations
    return metadata
