"""The fixtures that benchmarks are written over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_vdb.plugin.cases import Case
from pytest_vdb.plugin.session import COLLECTED, session_of

if TYPE_CHECKING:
    from pytest_vdb.bench.bench import Bench
    from pytest_vdb.bench.shelf import ModelHandle
    from pytest_vdb.profiling.profiler import Profiler
    from pytest_vdb.records import Prompt

BENCH: pytest.StashKey[Bench] = pytest.StashKey()


@pytest.fixture
def vdb_case(request: pytest.FixtureRequest) -> Case:
    """The model, prompt and sample index of this test."""
    case: Case = getattr(request, "param", Case(None, None))
    return case


@pytest.fixture
def vdb_model(request: pytest.FixtureRequest, vdb_case: Case) -> ModelHandle:
    """The model of this test, loaded when it is first asked for a clip."""
    assert vdb_case.model is not None, "vdb_model is parametrised by --vdb-models"
    return session_of(request.config).handle(vdb_case.model, vdb_case.point)


@pytest.fixture
def vdb_prompt(vdb_case: Case) -> Prompt:
    """The prompt of this test."""
    assert vdb_case.prompt is not None, "vdb_prompt is parametrised by --vdb-prompts"
    return vdb_case.prompt


@pytest.fixture
def vdb_seed(request: pytest.FixtureRequest, vdb_case: Case) -> int:
    """The pinned seed of this test: of the base seed, the prompt's id and the sample's index alone."""
    return session_of(request.config).seed(vdb_case.prompt, vdb_case.sample_index)


@pytest.fixture
def vdb_profiler(request: pytest.FixtureRequest) -> Profiler:
    """Reads what a `with` block costs on the session's device."""
    return session_of(request.config).profiler


@pytest.fixture
def vdb(request: pytest.FixtureRequest, vdb_case: Case) -> Bench:
    """This test's bench: generate, check, measure, record."""
    from pytest_vdb.bench.bench import Bench  # brings numpy and PyAV

    node, collected = request.node, request.config.stash.get(COLLECTED, None)
    blank = collected.record(node.nodeid) if collected is not None and node.nodeid in collected.tests else None
    session = session_of(request.config)
    bench = Bench(session, node.nodeid, blank, session.seed(vdb_case.prompt, vdb_case.sample_index), vdb_case.point)
    node.stash[BENCH] = bench
    return bench
