"""A warm model timed by the protocol; who is warmed up, how often, and what is told of it."""

from __future__ import annotations

import pytest

from pytest_vdb.prompts import suites
from pytest_vdb.records import seed_of
from pytest_vdb.results import journal

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

    @model("batched", **SIZE)
    class Batched:
        def generate(self, prompt, recipe, seed):
            time.sleep(0.02)
            return clip(recipe, seed)

        def generate_batch(self, prompts, recipe, seeds):
            with open("asked.txt", "a") as asked:
                asked.write(" ".join(f"{prompt.text}:{seed}" for prompt, seed in zip(prompts, seeds)) + "\\n")
            time.sleep(0.02)
            return [clip(recipe, seed) for seed in seeds]

    @model("forgetful", **SIZE)
    class Forgetful(Batched):
        def generate_batch(self, prompts, recipe, seeds):
            return [clip(recipe, seeds[0])]

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


@pytest.mark.parametrize(
    ("tests", "calls"), [(["test_efficiency.py"], 0), (["test_generation.py", "test_efficiency.py"], 1)]
)
def test_what_was_done_since_its_last_call_costs_the_timed_ones_of_a_quick_model_nothing(timed, tests, calls):
    counting = MODELS.replace("time.sleep(0.3 if", "open('calls.txt', 'a').write('x'); time.sleep(0.3 if")
    timed.pytester.makeconftest(counting)
    timed.run("slow-at-first", *tests, "--vdb-metrics=sharpness", "--vdb-prompts=three.txt:1", "--vdb-cache=never")
    generated = sum("test_generation" in record.nodeid for record in timed.records())
    apart = 1 + calls + 1  # at first, before the rounds, and for what a call adds to memory
    assert len((timed.path / "calls.txt").read_text()) == generated + 5 + apart


def test_a_batch_is_one_call_and_its_clips_have_the_seeds_of_further_samples(timed):
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-recipe=batch=4")
    timed.run("batched", *options).assert_outcomes(passed=1)
    (record,) = timed.records()
    found = values(record)
    assert record.recipe["batch"] == 4
    assert 0.02 <= found["steady_latency"] < 0.06
    assert found["clip_time"] == pytest.approx(found["steady_latency"] / 4)
    assert found["steady_throughput"] == pytest.approx(4 * found["videos_per_minute"] / 60)
    seeds = [seed_of(0, "", sample) for sample in range(4)]
    assert record.seed == seeds[0]
    assert f"4 clips in each call, of the seeds {', '.join(map(str, seeds))}" in record.notes
    calls = (timed.path / "asked.txt").read_text().splitlines()
    assert set(calls) == {" ".join(f"one:{seed}" for seed in seeds)}
    assert len(calls) == 1 + 5 + 1, "warmed up, timed, and once for what a call adds to memory"


def test_no_two_samples_of_a_prompt_share_a_clip_of_their_batches(timed):
    asking = EFFICIENCY.replace("vdb_model, vdb_seed", "vdb_model, vdb_prompt, vdb_seed")
    timed.pytester.makepyfile(test_efficiency=asking.replace("vdb.prompts[0]", "vdb_prompt"))
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-recipe=batch=2", "--vdb-samples=2")
    timed.run("batched", *options).assert_outcomes(passed=3 * 2)
    asked = {tuple(line.split()) for line in (timed.path / "asked.txt").read_text().splitlines()}
    assert asked == {
        tuple(f"{prompt.text}:{seed_of(0, prompt.id, sample)}" for sample in samples)
        for prompt in suites.load("three.txt", root=timed.path).prompts
        for samples in ((0, 2), (1, 3))
    }


def test_a_batch_answers_several_prompts_in_turn(timed):
    timed.pytester.makepyfile(test_efficiency=EFFICIENCY.replace("vdb.prompts[0], vdb_seed", "vdb.prompts[:2]"))
    timed.run("batched", "test_efficiency.py", "--vdb-metrics=none", "--vdb-recipe=batch=3").assert_outcomes(passed=1)
    one, two, three = (timed.path / "asked.txt").read_text().splitlines()[0].split()
    ids = [prompt.id for prompt in suites.load("three.txt", root=timed.path).prompts]
    assert one == f"one:{seed_of(0, '', 0)}"
    assert (two, three) == (f"two:{seed_of(0, ids[1], 0)}", f"one:{seed_of(0, ids[0], 1)}")


def test_a_model_that_makes_one_clip_in_a_call_is_asked_for_each_and_the_record_says_so(timed):
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-recipe=batch=2")
    timed.run("slow-at-first", *options).assert_outcomes(passed=1)
    (record,) = timed.records()
    assert values(record)["steady_latency"] >= 0.02
    assert any("made clip by clip" in note for note in record.notes)


def test_another_number_of_clips_than_the_batch_fails(timed):
    options = ("test_efficiency.py", "--vdb-metrics=none", "--vdb-recipe=batch=2")
    timed.run("forgetful", *options).assert_outcomes(failed=1)
    assert "generate_batch returned list (1 of Clip) instead of 2 clips" in timed.records()[0].failure.message


def test_what_judges_single_clips_is_skipped_under_a_batch_with_the_reason(timed):
    outcome = timed.run("batched", "test_generation.py", "--vdb-metrics=sharpness", "--vdb-recipe=batch=2", "-rs")
    outcome.assert_outcomes(skipped=3)
    outcome.stdout.fnmatch_lines(["*batch=2 is for calls that are timed (vdb.time)*"])
    assert not (timed.path / "asked.txt").exists()


def test_a_batch_of_one_is_no_batch(timed):
    for recipe in ((), ("--vdb-recipe=batch=1",)):
        timed.run("slow-at-first", "test_generation.py", "--vdb-metrics=sharpness", *recipe).assert_outcomes(passed=3)
    digests = {record.recipe_digest for run in timed.runs() for record in journal.read(run)[1]}
    assert len(digests) == 1


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
