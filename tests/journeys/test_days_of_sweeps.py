"""A day with a throughput benchmark: sweep steps and batch, again, compare, report, gate."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow  # a whole day, in processes of their own

EFFICIENCY = """
    def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
        vdb.time(benchmark, vdb_model, vdb.prompts[0], vdb_seed)
    """
SWEEP = (
    "pytest benchmarks/test_efficiency.py --vdb-models=noise --vdb-metrics=none --vdb-sweep steps=2,4 "
    "--vdb-sweep batch=1,3"
)


def test_a_sweep_twice_then_compare_report_and_gate(project):
    project.writes("benchmarks/test_efficiency.py", EFFICIENCY)
    seen = project.types(SWEEP).ends(0)
    seen.shows("1 model, 0 prompts, 4 tests: 4 passed", "noise (steps=2, batch=1)", "noise (steps=4, batch=3)")
    seen.shows("clip", "steady", "videos/min").hides("load_time: not measured by these tests")
    project.types(SWEEP).ends(0)
    first, second = project.runs()
    compared = project.types(f"vdb compare {first} {second}").ends(0)
    compared.shows(*(f"test_efficiency (steps={steps}, batch={batch})" for steps in (2, 4) for batch in (1, 3)))
    compared.shows("clip_time s ↓")
    project.types(f"vdb report {first} {second} -o merged --formats=csv,markdown").ends(0)
    assert "noise (steps=4, batch=3)" in project.reads("merged/leaderboard.md")
    gated = f"{SWEEP} --vdb-baseline=latest --vdb-fail-on='clip_time:+900%'"
    project.types(gated).ends(0).shows("test_efficiency (steps=2, batch=3)")
    project.types(
        f"{SWEEP.replace('batch=1,3', 'batch=1,9')} --vdb-baseline=latest --vdb-fail-on='clip_time:+900%'"
    ).ends(12).shows("steps=4, batch=9", "not in the baseline")


def test_sweeps_of_tiny_pipelines_under_two_workers(with_tiny_weights):
    with_tiny_weights.writes("benchmarks/test_efficiency.py", EFFICIENCY)
    sweep = (
        "pytest benchmarks/test_efficiency.py --vdb-models=wan2.1-t2v-1.3b,wan2.1-vace-1.3b --vdb-weights=tiny -n 2 "
        "--vdb-metrics=none --vdb-sweep batch=1,2"
    )
    seen = with_tiny_weights.types(sweep).ends(0)
    seen.shows("2 models, 0 prompts, 4 tests: 3 passed, 1 skipped", "wan2.1-t2v-1.3b (batch=2)")
    seen.shows("cannot follow batch=2", "withheld: 2 workers share this CPU")
