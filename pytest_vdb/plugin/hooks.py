"""The pytest entry point: options, collection, and who is registered on which process.

Imported by every pytest session on a machine that has pytest-vdb installed, so it imports neither torch nor numpy, and
the parts that need more are imported when the first benchmark is collected.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_vdb.options import FLAGS, IN_A_BLOCK, OF_JOBS

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler.protocol import Scheduling
    from xdist.workermanage import WorkerController

    from pytest_vdb.plugin.cases import Case
    from pytest_vdb.plugin.recording import Recorder
    from pytest_vdb.plugin.stopping import Stopping
    from pytest_vdb.sweeps import Point

RECORDER = "vdb-recorder"
QUARANTINE = "vdb-quarantine"
STOPPING = "vdb-stopping"
PROGRESS = "vdb-progress"
FREES_MODEL = "vdb_frees_model"
_FLAGS = frozenset(flag.flag for flag in FLAGS)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option as a flag and as a typed ini key."""
    group = parser.getgroup("vdb", "benchmarks of video diffusion models")
    for flag in FLAGS:
        if flag.switch:
            group.addoption(flag.flag, dest=flag.ini, action="store_const", const="yes", help=flag.help)
        else:
            note = f" (default: {flag.default})" if flag.default else ""
            action = "append" if flag.repeatable else "store"
            group.addoption(flag.flag, dest=flag.ini, metavar=flag.metavar, action=action, help=flag.help + note)
        kind = "linelist" if flag.repeatable else "string"
        parser.addini(flag.ini, flag.help.replace("%%", "%"), type=kind, default=[] if flag.repeatable else None)  # type: ignore[arg-type]


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """The first hook that knows our options: nothing depends on the root folder yet."""
    if any(str(argument) in _FLAGS for argument in early_config.invocation_params.args):
        from pytest_vdb.plugin import rootdir

        rootdir.mend(early_config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """`--vdb-ab`: other processes run the tests, and this one none."""
    asked = config.option.vdb_ab or config.getini("vdb_ab")
    if not asked or config.option.help or IN_A_BLOCK in os.environ:
        return None
    from pytest_vdb.plugin.in_turns import hand_over

    return hand_over(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register what this process needs; cheap, because unrelated sessions pay for it, too."""
    from pytest_vdb.plugin import failures, fixtures, timing
    from pytest_vdb.plugin.deciding import Deciding, Sparing
    from pytest_vdb.plugin.progress import Progress, Watching
    from pytest_vdb.plugin.recording import Recorder, RecordSender
    from pytest_vdb.plugin.session import RUN_ID
    from pytest_vdb.plugin.sharing import SharingClips
    from pytest_vdb.plugin.stopping import Stopping
    from pytest_vdb.results.run_ids import new_run_id

    config.addinivalue_line("markers", f"{FREES_MODEL}: frees the model, so it runs after the model's other tests")
    is_worker = timing.is_worker(config)
    config.stash[RUN_ID] = config.workerinput["vdb_run_id"] if is_worker else new_run_id()  # type: ignore[attr-defined]
    register = config.pluginmanager.register
    register(fixtures, "vdb-fixtures")
    register(failures, "vdb-failures")
    register(RecordSender(), "vdb-record-sender")
    register(SettleNames(), "vdb-names")
    stopping = Stopping(config)
    register(stopping, STOPPING)
    register(SharingClips(config, stopping), "vdb-sharing-clips")
    sparing = Sparing(config)
    register(sparing, "vdb-sparing")
    if is_worker or timing.is_xdist_controller(config):
        timing.hide_only_option(config)
        register(timing.BenchmarkBridge(config), "vdb-timing")
    if is_worker:
        register(Watching(config), "vdb-watching")
        _take_part_in_a_job(config, None, stopping)
        return
    from pytest_vdb.plugin.gates import Gates
    from pytest_vdb.plugin.sets import SetMetrics
    from pytest_vdb.plugin.summary import Summary

    recorder = Recorder(config)
    register(SetMetrics(config, recorder), "vdb-sets")
    gates = Gates(config, recorder)
    register(recorder, RECORDER)
    register(gates, "vdb-gates")
    register(Deciding(config, recorder, gates, sparing), "vdb-deciding")
    register(Summary(config, recorder, gates), "vdb-summary")
    progress = Progress(config, recorder)
    register(progress, PROGRESS)
    if not timing.is_xdist_controller(config):
        register(Watching(config, progress), "vdb-watching")
    else:
        from pytest_vdb.plugin.scheduling import Quarantine

        register(Quarantine(config, recorder.model_of), QUARANTINE)
    _take_part_in_a_job(config, recorder, stopping)


def _take_part_in_a_job(config: pytest.Config, recorder: Recorder | None, stopping: Stopping) -> None:
    """Run a shard, or hand shards out: what is imported for it no other session pays for."""
    from pytest_vdb.plugin.session import given

    if given(config, "shard").text() is not None:
        from pytest_vdb.plugin import shard

        shard.take(config, recorder, stopping)
    elif recorder is not None and any(given(config, name).text("no") != "no" for name in OF_JOBS):
        from pytest_vdb.plugin import elsewhere

        elsewhere.hand_out(config, recorder)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: as many as there are GPUs for; on a machine without any, pytest-xdist's own answer."""
    from pytest_vdb.plugin import gpus

    return gpus.number_of_workers(gpus.gpus_of_a_worker(config))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[object]) -> None:
    """GPUs of its own for every worker."""
    from pytest_vdb.plugin import gpus

    gpus.pin(specs, gpus.gpus_of_a_worker(config))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """What a worker cannot know by itself."""
    from pytest_vdb.plugin import gpus, stocktaking
    from pytest_vdb.plugin.progress import TOPIC_OF_PROGRESS
    from pytest_vdb.plugin.session import RUN_ID
    from pytest_vdb.plugin.stopping import PROCESS
    from pytest_vdb.plugin.telling import listen

    config = node.config
    progress = config.pluginmanager.get_plugin(PROGRESS)
    assert progress is not None
    node.workerinput.update(
        vdb_run_id=config.stash[RUN_ID],
        vdb_workers=len(config.getoption("tx") or ()),
        vdb_gpus=len(gpus.visible_gpus()),
    )
    stopping = _stopping(config)

    def hear(topic: str, text: str) -> None:
        if topic == PROCESS:
            if node.gateway.spec.popen:  # of this machine
                stopping.hear_of(node.gateway.id, text)
        elif topic == TOPIC_OF_PROGRESS:
            progress.hear(node.gateway.id, text)
        else:
            stocktaking.keep(config, text)

    listen(node, hear)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Our model queues, unless the user chose another `--dist`."""
    if config.getoption("dist") != "load":
        return None
    from pytest_vdb.plugin.scheduling import BenchmarkScheduling

    recorder = config.pluginmanager.get_plugin(RECORDER)
    quarantine = config.pluginmanager.get_plugin(QUARANTINE)
    assert recorder is not None
    assert quarantine is not None
    scheduler = BenchmarkScheduling(config, log, recorder.model_of, recorder.check_output)
    quarantine.scheduler = scheduler
    return scheduler


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController) -> None:
    """The controller of benchmarks ends on SIGTERM as on Ctrl-C; that of other tests is left alone."""
    from pytest_vdb.plugin.session import TOLD

    if TOLD in node.config.stash:
        from pytest_vdb.plugin.stocktaking import believe

        believe(node.config)
        _stopping(node.config).watch()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """An option that cannot be used is said before anything is collected."""
    from pytest_vdb.plugin.session import options_of

    if any(getattr(session.config.option, flag.ini, None) for flag in FLAGS):
        options_of(session.config)
    if any(getattr(session.config.option, name) or session.config.getini(name) for name in ("vdb_recipe", "vdb_sweep")):
        _require_gpus(session.config)


def _require_gpus(config: pytest.Config) -> None:
    """More of them than there are is one sentence before anything is collected.

    Raises:
        pytest.UsageError: with both numbers.
    """
    from pytest_vdb.plugin import gpus
    from pytest_vdb.plugin.session import options_of

    if gpus.gpus_of_a_worker(config) == 1:
        return
    if (problem := gpus.why_too_few(options_of(config), len(gpus.visible_gpus()))) is not None:
        raise pytest.UsageError(problem)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One flat parametrisation of every test that asks for a model or a prompt."""
    if "vdb_case" in metafunc.fixturenames:
        from pytest_vdb.plugin.choosing import parametrize

        parametrize(metafunc)


class SettleNames:
    """Before any plugin orders or deselects tests: every tag is imported by now, so every name must be known."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
        """Parametrise anew what was parametrised before a conftest was imported."""
        if any("vdb_case" in getattr(item, "fixturenames", ()) for item in items):
            from pytest_vdb.plugin.choosing import settle

            settle(config, items)
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All tests of one model in a row, whatever file they are in and however they were shuffled: it is loaded once.

    Within them all tests of one point of a sweep.

    The test that frees it comes last, since whatever follows would load it again.
    """
    from pytest_vdb.plugin.cases import grouped
    from pytest_vdb.plugin.deciding import in_pinned_order
    from pytest_vdb.plugin.session import options_of

    places = [place for place, item in enumerate(items) if _model_of(item) is not None]
    at_points = grouped((items[place] for place in places), _model_and_point)
    benchmarks = sorted(at_points, key=_frees_model)
    for place, item in zip(places, grouped(benchmarks, _model_of), strict=True):
        items[place] = item
    if places and options_of(config).may_stop:
        items[:] = in_pinned_order(config, items)


def _stopping(config: pytest.Config) -> Stopping:
    stopping: Stopping | None = config.pluginmanager.get_plugin(STOPPING)
    assert stopping is not None
    return stopping


def _frees_model(item: pytest.Item) -> bool:
    return item.get_closest_marker(FREES_MODEL) is not None


def _model_of(item: pytest.Item) -> str | None:
    return _model_and_point(item)[0]


def _model_and_point(item: pytest.Item) -> tuple[str | None, Point | None]:
    case: Case | None = item.callspec.params.get("vdb_case") if hasattr(item, "callspec") else None
    return (None, None) if case is None else (case.model, case.point)


@pytest.hookimpl(tryfirst=True)  # the controller hears of the benchmarks before it hands them out
def pytest_collection_finish(session: pytest.Session) -> None:
    """Note the benchmarks, and say before the first generation if the output folder cannot take the run."""
    if not any("vdb_case" in getattr(item, "fixturenames", ()) for item in session.items):
        return
    from pytest_vdb.plugin.session import session_of
    from pytest_vdb.plugin.stocktaking import take_stock

    take_stock(session.config, session.items, session_of(session.config))
    _stopping(session.config).watch()
    recorder = session.config.pluginmanager.get_plugin(RECORDER)
    if recorder is not None and not session.config.option.collectonly:
        recorder.check_output()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Free the model that is still open."""
    from pytest_vdb.plugin.session import SESSION

    session = config.stash.get(SESSION, None)
    if session is not None:
        session.close()
