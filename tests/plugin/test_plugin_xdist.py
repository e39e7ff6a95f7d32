"""The same session under xdist: same records, one failed test per crash, quarantine, and pytest-benchmark's numbers."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from pytest_vdb.plugin.collected import Collected
from pytest_vdb.plugin.session import COLLECTED
from pytest_vdb.plugin.stocktaking import believe, keep

pytestmark = pytest.mark.slow  # sessions in processes of their own, most of them with workers


def test_workers_give_the_same_records_as_one_process(project):
    project.run_in_subprocess("good,also-good", "--vdb-cache=never").assert_outcomes(passed=6)
    alone = {record.nodeid: record for record in project.records()}
    project.run_in_subprocess("good,also-good", "--vdb-cache=never", "-n2").assert_outcomes(passed=6)
    shared = {record.nodeid: record for record in project.records()}
    assert shared.keys() == alone.keys()
    for nodeid, record in alone.items():
        assert shared[nodeid].seed == record.seed
        assert shared[nodeid].clip.digest == record.clip.digest
        assert shared[nodeid].measurement("brightness") == record.measurement("brightness")
        assert shared[nodeid].worker in {"gw0", "gw1"}


def test_timings_on_a_shared_cpu_are_withheld(project):
    project.run_in_subprocess("good", "--vdb-cache=never", "-n2", "--vdb-device=cpu").assert_outcomes(passed=3)
    names = {"latency", "throughput", "load_time"}
    timings = [timing for record in project.records() for timing in record.measurements if timing.name in names]
    assert {timing.name for timing in timings} == names
    assert {timing.value for timing in timings} == {None}
    assert {timing.reason for timing in timings} == {"withheld: 2 workers share this CPU"}


def test_a_worker_that_dies_costs_one_test(project):
    result = project.run_in_subprocess("dies-once,good", "-n2")
    result.assert_outcomes(passed=5, failed=1)
    by_status = {record.prompt_text: record for record in project.records() if record.model == "dies-once"}
    assert by_status["two"].status == "crashed"
    assert "crashed while running" in by_status["two"].failure.message
    assert by_status["one"].status == by_status["three"].status == "passed"


def test_a_model_that_kills_two_workers_is_quarantined(project):
    result = project.run_in_subprocess("kills-its-worker,good", "-n2")
    result.assert_outcomes(passed=3, failed=3)
    found = [record.status for record in project.records() if record.model == "kills-its-worker"]
    assert sorted(found) == ["crashed", "crashed", "quarantined"]


def test_a_suite_without_benchmarks_keeps_xdists_scheduler(project):
    (project.path / "test_generation.py").unlink()
    project.pytester.makepyfile(test_plain="def test_a(): pass\ndef test_b(): pass\n")
    result = project.pytester.runpytest_subprocess("-n2", "-p", "no:randomly")
    result.assert_outcomes(passed=2)
    assert not (project.path / "reports").exists()


def test_pytest_benchmark_writes_its_json_under_xdist(project):
    project.pytester.makepyfile(
        test_efficiency="""
        def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
            clip = benchmark.pedantic(vdb_model.generate, args=(vdb.prompts[0], vdb_seed), rounds=3, warmup_rounds=1)
            vdb.record_rounds(benchmark, frames=len(clip.frames))
        """
    )
    target = project.path / "benchmark.json"
    arguments = project.arguments("good,also-good", "-n2", f"--benchmark-json={target}", "test_efficiency.py")
    project.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=2)
    found = json.loads(target.read_text())["benchmarks"]
    assert {benchmark["stats"]["rounds"] for benchmark in found} == {3}
    assert len(found) == 2


def test_the_scheduler_loads_each_model_on_few_workers(project):
    prompts = project.path / "many.txt"
    prompts.write_text("\n".join(f"prompt {number}" for number in range(12)))
    arguments = [*project.arguments("good,also-good", "-n2"), "--vdb-prompts=many.txt"]
    project.pytester.runpytest_subprocess(*arguments).assert_outcomes(passed=24)
    switches = 0
    held: dict[str | None, str] = {}
    for record in project.records():
        switches += held.get(record.worker) != record.model
        held[record.worker] = record.model
    assert switches <= 4


def test_what_workers_tell_is_read_on_the_main_thread_alone():
    """Each worker is heard on a thread of its own; two of them reading at once crashed the controller."""
    config = SimpleNamespace(stash=pytest.Stash())
    keep(config, "{}")
    keep(config, "a second worker tells what nobody needs to read")
    assert COLLECTED not in config.stash
    believe(config)
    assert config.stash[COLLECTED] == Collected()
