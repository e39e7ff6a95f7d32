"""While a long generation runs: model, prompt, step, seconds per step, memory, watts, and the time that is left.

Every process that runs tests looks at itself twice a second on a thread of its own. A worker tells the controller; who
has a terminal draws a line per process below pytest's own output, and takes them away before pytest writes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import visible
from pytest_vdb.plugin.live_lines import LiveLines, PlainLines
from pytest_vdb.plugin.recording import Recorder
from pytest_vdb.plugin.session import COLLECTED, SESSION, given
from pytest_vdb.plugin.telling import tell

if TYPE_CHECKING:
    from pytest_vdb.analysis.time_left import Test
    from pytest_vdb.bench.doing import Doing
    from pytest_vdb.plugin.collected import Collected
    from pytest_vdb.profiling.instruments import Instruments
    from pytest_vdb.profiling.sampling import Sampler
    from pytest_vdb.records import Record

TOPIC_OF_PROGRESS = "progress"
"""Under which a worker tells what it is doing."""
PERIOD_S = 0.5
HERE = ""
"""The process that has the terminal, where it runs the tests itself."""
_WORKER_LOOKS = "vdb_progress"
"""Key of a worker's input: whether anybody looks on."""
_LARGE = 50 * 2**20
"""Bytes of records that take longer to read than anybody would wait for a guess."""


class Watching:
    """On every process that runs tests: looks at what it is doing, and tells.

    Args:
        config: of the process.
        hear: takes what is told; None: the controller is told.
    """

    def __init__(self, config: pytest.Config, hear: Progress | None = None) -> None:
        self.config = config
        self._hear = hear
        self._instruments: Instruments | None = None
        self._sampler: Sampler | None = None
        self._told = ""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin, if there are benchmarks."""
        if COLLECTED not in self.config.stash or self.config.option.collectonly or not self._is_wanted():
            return
        from pytest_vdb.profiling.instruments import Instruments
        from pytest_vdb.profiling.sampling import Sampler

        bench = self.config.stash[SESSION]
        bench.activity.is_watched = True
        self._instruments = Instruments(bench.source.device)
        self._sampler = Sampler(PERIOD_S, self._look)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End, before anything is summed up."""
        if self._sampler is not None:
            self._sampler.stop()
            self._sampler = None
        if self._instruments is not None:
            self._instruments.close()

    def _is_wanted(self) -> bool:
        if self._hear is not None:
            return self._hear.is_on
        return bool(getattr(self.config, "workerinput", {}).get(_WORKER_LOOKS))

    def _look(self) -> None:
        doing = self.config.stash[SESSION].activity.now
        assert self._instruments is not None
        told = "{}" if doing is None else json.dumps(_plain(doing, self._instruments))
        if self._hear is not None:
            self._hear.hear(HERE, told)
        elif told != self._told:
            tell(self.config, TOPIC_OF_PROGRESS, told)
        self._told = told


def _plain(doing: Doing, instruments: Instruments) -> dict[str, Any]:
    return {
        "work": doing.work,
        "model": doing.model,
        "prompt": doing.prompt,
        "seconds": round(time.perf_counter() - doing.began, 1),
        "step": doing.step,
        "steps": doing.steps,
        "step_s": doing.step_s,
        "memory_mib": instruments.memory_mib(),
        "power_w": instruments.power_w(),
    }


class Progress:
    """On the process that has the terminal: shows what every process is doing.

    Args:
        config: of the process.
        recorder: knows what is finished.
    """

    def __init__(self, config: pytest.Config, recorder: Recorder) -> None:
        self.config = config
        self.recorder = recorder
        self._doing: dict[str, Mapping[str, Any]] = {}
        self._lines: LiveLines | PlainLines | None = None
        self._earlier: list[tuple[Test, float]] | None = None
        self._workers = 1
        self._ended: int | None = None
        self._summary = ""
        self._has_begun = False
        """Whether pytest has written what stands above the first test, and all of it has left its buffer."""

    @property
    def is_on(self) -> bool:
        """Whether anybody looks on."""
        return self._lines is not None

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        """Find the terminal: later, while a test runs, pytest has redirected it.

        Only this option is read: to check them all takes half a second, which sessions without benchmarks never need.
        """
        wanted = given(self.config, "progress").text()
        terminal = _terminal() if wanted != "off" and self.config.option.verbose >= 0 else None
        if terminal is None or self.config.option.collectonly:
            return
        can_draw = _can_draw(terminal) and self.config.option.capture != "no" and not self.config.getini("log_cli")
        if can_draw:
            self._lines = LiveLines(os.dup(terminal))
        elif wanted == "on":
            self._lines = PlainLines(os.dup(terminal))

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Read what the time that is left is guessed from, where it would slow down a test of this process later."""
        if self.is_on and self.recorder.collected is not None:
            self._those_of_the_last_run()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker must know whether to look."""
        node.workerinput[_WORKER_LOOKS] = self.is_on

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """One more worker takes part."""
        self._workers = len(self.config.getoption("tx") or ()) or 1

    def hear(self, worker: str, told: str) -> None:
        """What a process is doing; called on other threads."""
        doing = json.loads(told)
        if doing:
            self._doing[worker] = doing
        else:
            self._doing.pop(worker, None)
        lines = self._lines  # the main thread may end it meanwhile
        if lines is not None and self._has_begun:
            lines.show(self._written())

    def _written(self) -> list[str]:
        lines = [line_of(worker, doing) for worker, doing in sorted(self._doing.items())]
        return [*lines, self._summed_up()] if lines else []

    def _summed_up(self) -> str:
        """How many tests have ended, and how long the others will take; counted anew when one more has ended."""
        collected = self.recorder.collected
        if collected is None:
            return "vdb"
        ended = len(self.recorder.records)
        if ended != self._ended:
            self._ended, self._summary = ended, self._counted_anew(collected)
        return self._summary

    def _counted_anew(self, collected: Collected) -> str:
        from pytest_vdb.analysis.time_left import seconds_left

        ended = dict(self.recorder.records)
        waiting = [
            kind_of_test(test.benchmark, collected.models[test.setup])
            for nodeid, test in collected.tests.items()
            if nodeid not in ended
        ]
        took = [
            (kind_of_test(record.benchmark, record), record.duration_s)
            for record in ended.values()
            if record.status == "passed" and record.duration_s is not None
        ]
        left = seconds_left(waiting, took, self._those_of_the_last_run(), workers=self._workers)
        told = "" if left is None else f", about {told_seconds(left)} left"
        return f"vdb: {len(collected.tests) - len(waiting)} of {len(collected.tests)} tests{told}"

    def _those_of_the_last_run(self) -> Sequence[tuple[Test, float]]:
        """What tests took the last time; read once, and not where it is large."""
        if self._earlier is None:
            self._earlier = []
            from pytest_vdb.results import baselines, journal

            try:
                runs = baselines.runs_in(self.recorder.output())[:1]
                small = [run for run in runs if (run.folder / journal.RECORDS).stat().st_size < _LARGE]
                self._earlier += [
                    (kind_of_test(record.benchmark, record), record.duration_s)
                    for run in small
                    for record in journal.read(run.folder)[1]
                    if record.status == "passed" and record.duration_s is not None and record.reused_from is None
                ]
            except (VdbError, OSError):
                return self._earlier
        return self._earlier

    # Whoever writes to the terminal finds it as it was -------------------------------------------------------------

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """With -v a line begins."""
        return (yield from self._aside())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, object, object]:
        """A dot."""
        return (yield from self._aside())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, object, object]:
        """How far the session is."""
        return (yield from self._aside())

    @pytest.hookimpl(optionalhook=True, wrapper=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any) -> Generator[None, object, object]:
        """A worker has died, or ended: what it was doing it does no more."""
        self._doing.pop(node.gateway.id, None)
        return (yield from self._aside())

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """What follows is written on a clean screen."""
        self._close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Likewise."""
        self._close()

    def pytest_unconfigure(self) -> None:
        """Also where the session broke."""
        self._close()

    def _aside(self) -> Generator[None, object, object]:
        if self._lines is None:
            return (yield)
        with self._lines.aside():
            result = yield
            sys.stdout.flush()
            self._has_begun = True
            return result

    def _close(self) -> None:
        if self._lines is not None:
            self._lines.close()
            self._lines = None


def kind_of_test(benchmark: str, about: Record) -> Test:
    """Of each recipe a benchmark is one of its own: they take different times."""
    return f"{benchmark} {about.recipe_digest}", about.model


def line_of(worker: str, doing: Mapping[str, Any]) -> str:
    """`gw0 wan2.1-t2v-1.3b p003: step 12 of 50, 1.3 s/step, 14.2 GiB, 412 W`."""
    who = " ".join(filter(None, (worker, doing["model"], doing["prompt"])))
    parts = []
    if doing["step"]:
        parts.append(f"step {doing['step']}" + (f" of {doing['steps']}" if doing["steps"] else ""))
    else:
        parts.append(f"{doing['work']}, {told_seconds(doing['seconds'])}")
    if doing["step_s"]:
        parts.append(f"{doing['step_s']:.2g} s/step")
    if doing["memory_mib"]:
        parts.append(f"{doing['memory_mib'] / 1024:.1f} GiB")
    if doing["power_w"]:
        parts.append(f"{doing['power_w']:.0f} W")
    return visible(f"{who}: {', '.join(parts)}")


def told_seconds(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def _terminal() -> int | None:
    """The descriptor that pytest writes to; None where it is no file."""
    try:
        return sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _can_draw(descriptor: int) -> bool:
    return os.isatty(descriptor) and os.environ.get("TERM", "dumb") != "dumb"
