"""One model under several recipes: what rows are called, and what is compared with what."""

from __future__ import annotations

from pytest_vdb.analysis import comparison, gate, leaderboard
from pytest_vdb.analysis.row_names import distinct_names
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.analysis.swept import apart, without_point
from pytest_vdb.records import Baseline, Environment, Measurement, Record, Run, digest

ENVIRONMENT = Environment(python="3.11", platform="linux", hardware="gpu", cpu="cpu", cpu_count=2, memory_mib=1)
BENCHMARK = "t.py::test_efficiency"


def run(name: str) -> Run:
    return Run(id=name, started_at=f"2026-01-01T00:00:0{name[-1]}", environment=ENVIRONMENT)


def record(model: str, seconds: float, *, of: str = "run-1", **recipe: object) -> Record:
    point = ", ".join(f"{name}={value}" for name, value in recipe.items())
    return Record(
        run=of,
        nodeid=f"{BENCHMARK}[{model} {point}]",
        benchmark=BENCHMARK,
        model=model,
        status="passed",
        prompt="p1",
        seed=1,
        weights="hub",
        hardware="gpu",
        recipe={"frames": 9, **recipe},
        recipe_digest=digest({"frames": 9, **recipe}),
        measurements=(Measurement(name="clip_time", value=seconds, unit="s", better="lower", kind="performance"),),
    )


def swept(model: str = "wan", *, of: str = "run-1", factor: float = 1.0) -> list[Record]:
    return [
        record(
            model, factor * steps * (1 + batch) / batch, of=of, steps=steps, **({"batch": batch} if batch > 1 else {})
        )
        for steps in (10, 20)
        for batch in (1, 4)
    ]


def names_of(records: list[Record]) -> list[str]:
    (table,) = leaderboard.build(run("run-1"), records).tables
    return list(distinct_names(table).values())


def test_rows_are_called_by_the_settings_in_which_they_differ():
    assert sorted(names_of(swept())) == [
        f"wan (steps={steps}, batch={batch})" for steps in (10, 20) for batch in (1, 4)
    ]


def test_lines_and_rows_stand_in_the_order_of_their_settings():
    records = [record("wan", 1.0, steps=steps) for steps in (100, 9, 50, 20, 10)]
    board = leaderboard.build(run("run-1"), records)
    for table in (board.tables[0], board.standings[0].table):
        assert [row.recipe["steps"] for row in table.rows] == [9, 10, 20, 50, 100]


def test_a_row_with_nothing_to_be_told_from_has_its_models_name():
    assert names_of([record("wan", 1.0, steps=10), record("cog", 1.0, steps=20)]) in (["wan", "cog"], ["cog", "wan"])


def test_recipes_that_differ_in_much_or_are_not_known_are_called_by_their_digests():
    much = {name: name for name in ("steps", "dtype", "scheduler", "attention", "offload")}
    one, other = record("wan", 1.0, **much), record("wan", 2.0, **{name: f"{name}-2" for name in much})
    assert sorted(names_of([one, other])) == sorted(f"wan ({one.recipe_digest[:6]})" for one in (one, other))


def test_a_gate_judges_each_recipe_for_itself():
    baseline = Baseline(run=run("run-1"), records=tuple(swept()))
    now = [*swept(of="run-2")[:3], record("wan", 900.0, of="run-2", steps=20, batch=4)]
    verdicts = gate.judge(now, run("run-2"), baseline, parse_rules("clip_time:+10%"))
    assert {verdict.benchmark: verdict.mean for verdict in verdicts} == {
        f"{BENCHMARK} (steps={steps}, batch={batch})": mean
        for (steps, batch), mean in zip([(10, 1), (10, 4), (20, 1), (20, 4)], [20.0, 12.5, 40.0, 900.0], strict=True)
    }


def test_a_recipe_that_the_baseline_lacks_is_missing_and_the_others_are_judged():
    baseline = Baseline(run=run("run-1"), records=tuple(swept()[:3]))
    verdicts = gate.judge(swept(of="run-2"), run("run-2"), baseline, parse_rules("clip_time:+10%"))
    missing = [verdict.benchmark for verdict in verdicts if verdict.outcome == "missing"]
    assert missing == [f"{BENCHMARK} (steps=20, batch=4)"]
    assert len(verdicts) == 4


def test_two_runs_of_one_recipe_each_are_compared_as_ever():
    one, other = record("wan", 1.0, steps=10), record("wan", 2.0, of="run-2", steps=20)
    (pairs,) = comparison.pair_up([one], [other])
    assert pairs.benchmark == BENCHMARK
    assert "another recipe" in str(comparison.obstacle_of_sides(pairs, same_model=True, any_recipe=False))


def test_two_models_are_compared_at_each_point():
    pairs = comparison.pair_up(swept("wan"), swept("cog", factor=2.0))
    assert [one.benchmark for one in pairs] == sorted(
        f"{BENCHMARK} (steps={steps}, batch={batch})" for steps in (10, 20) for batch in (1, 4)
    )
    for one in pairs:
        assert comparison.obstacle_of_sides(one, same_model=False, any_recipe=False) is None
        ((first, second),) = one.pairs
        assert second.measurements[0].value == 2 * first.measurements[0].value


def test_a_benchmark_keeps_its_own_name_beneath_its_point():
    moved, _ = apart(swept(), [])
    assert {without_point(record.benchmark) for record in moved} == {BENCHMARK} == {without_point(BENCHMARK)}
    assert len({record.benchmark for record in moved}) == 4
