"""A warm model timed by the protocol; who is warmed up, how often, and what is told of it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow  # whole sessions

MODELS = """
    import time
    import numpy as np
    from pytest_vdb import Clip, model

    SIZE = dict(frames=4, height=16, width=16, fps=8.0)
    CALLS = []

    def clip(recipe, seed):
        shape = (recipe.frames, recipe.height, recipe.width, 3)
        return Clip(np.random.default_rng(seed).integers(0, 256, shape, np.uint8), recipe.fps)

    @model("slow-at-first", **SIZE)
    class SlowAtFirst:
        def __init__(self):
            self.calls = 0

        def generate(self, prompt, recipe, seed):
            self.calls += 1
            time.sleep(0.3 if self.calls == 1 else 0.01)
            return clip(recipe, seed)

    @model("paid", warm_up=False, **SIZE)
    def paid(prompt, recipe, seed):
        with open("paid.txt", "a") as bill:
            bill.write(prompt.text + "\\n")
        return clip(recipe, seed)
"""
EFFICIENCY = """
    def test_efficiency(vdb, vdb_model, vdb_seed, benchmark):
        vdb.time(benchmark, vdb_model, vdb.prompts[0], vdb_seed)
"""


@pytest.fixture
def timed(project, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of ours: pytest-benchmark times nothing in a worker
    project.pytester.makeconftest(MODELS)
    project.pytester.makepyfile(test_efficiency=EFFICIENCY)
    return project


def values(record):
    return {measured.name: measured.value for measured in record.measurements}


def test_the_first_timed_clip_is_warm_and_the_cold_one_is_told_apart(timed):
    timed.run("slow-at-first", "test_generation.py", "--vdb-metrics=sharpness").assert_outcomes(passed=3)
    first, *others = map(values, timed.records())
    assert first["first_call"] >= 0.3
    assert first["latency"] < 0.2
    assert all("first_call" not in other for other in others)


def test_what_is_paid_by_the_call_is_not_called_twice(timed):
    timed.run("paid", "test_generation.py", "--vdb-metrics=sharpness").assert_outcomes(passed=3)
    assert (timed.path / "paid.txt").read_text().split() == ["one", "two", "three"]
    assert all("first_call" not in values(record) for record in timed.records())


def test_five_rounds_become_medians_sums_and_peaks(timed):
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-price-gpu-hour=2USD", "--vdb-memory-rate=50")
    timed.run("slow-at-first", *options).assert_outcomes(passed=1)
    (record,) = timed.records()
    found = values(record)
    assert found["first_call"] >= 0.3
    assert 0.01 <= found["steady_latency"] < 0.2
    assert found["steady_throughput"] == pytest.approx(4 * found["videos_per_minute"] / 60)
    assert found["real_time_factor"] == pytest.approx(found["steady_throughput"] / 8)
    assert (found["hardware_cost"], record.measurement("hardware_cost").unit) == (None, "USD")
    assert record.measurement("peak_rss").n == record.measurement("steady_latency").n == 5
    assert record.measurement("memory_timeline").value > 1
    assert record.measurement("added_rss").n == 1, "of a call apart"
    assert "latency" not in found, "pytest-benchmark tells it"


def test_a_run_without_benchmarks_says_why_there_are_no_rounds(timed):
    timed.run("paid", "test_efficiency.py", "--vdb-metrics=none", "--benchmark-disable").assert_outcomes(passed=1)
    (record,) = timed.records()
    assert record.measurement("steady_latency").value is None
    assert "--benchmark-disable" in record.measurement("steady_latency").reason
    assert record.measurement("peak_rss").value > 1


def test_a_call_that_runs_out_of_memory_tells_what_it_had_taken(timed):
    timed.pytester.makeconftest(
        MODELS.replace(
            "self.calls += 1", "self.calls += 1\n            if self.calls == 3: raise MemoryError('80 GiB')"
        )
    )
    timed.run("slow-at-first", "test_efficiency.py", "--vdb-metrics=none").assert_outcomes(failed=1)
    (record,) = timed.records()
    assert record.status == "oom"
    assert record.measurement("peak_rss").value > 1
    assert record.measurement("first_call").value >= 0.3


def test_the_table_of_pytest_benchmark_is_shown_to_whoever_asks_for_it(timed):
    """The leaderboard says the same; a test that we know nothing of keeps its table."""
    asked = ("slow-at-first", "test_efficiency.py", "--vdb-metrics=sharpness", "--vdb-report=html")
    alone = timed.run(*asked).stdout.str()
    assert "steady" in alone
    assert "Name (time in" not in alone
    told = [line for line in alone.splitlines() if line.startswith(("records:", "leaderboard:"))]
    assert [line.partition(":")[0] for line in told] == ["records", "leaderboard"]
    assert "Name (time in" in timed.run(*asked, "--benchmark-columns=min").stdout.str()
    timed.pytester.makepyfile(test_other="def test_other(benchmark):\n    benchmark(len, 'x')\n")
    assert "Name (time in" in timed.run(*asked, "test_other.py").stdout.str()
