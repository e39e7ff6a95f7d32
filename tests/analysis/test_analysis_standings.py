"""One line per model: what is joined and what is not, who stands where, and by which metric."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.analysis.tables import Leaderboard, Place, Standing, Standings
from pytest_vdb.records import Environment, Measurement, Record, Run

ENVIRONMENT = Environment(
    python="3.12.1", platform="Linux", hardware="H100", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
)
RUN = Run(id="run-1", started_at="2026-01-01T00:00:00Z", environment=ENVIRONMENT)


def quality(name: str, value: float | None, **more: Any) -> Measurement:
    more = {"better": "higher", "reason": None if value is not None else "the weights are absent"} | more
    return Measurement(name=name, value=value, unit="1", **more)


def cost(name: str, value: float) -> Measurement:
    return Measurement(name=name, value=value, unit="s", better="lower", kind="performance")


def record(benchmark: str, model: str, prompt: str | None, *measurements: Measurement, **more: Any) -> Record:
    known: dict[str, Any] = {
        "run": "run-1",
        "nodeid": f"{benchmark}[{model}-{prompt}-{sorted(more.get('parameters', {}).items())}]",
        "benchmark": f"t.py::{benchmark}",
        "status": "passed",
        "task": "t2v",
        "weights": "hub",
        "recipe_digest": "r1",
        "hardware": "H100",
    }
    return Record(**known | {"model": model, "prompt": prompt, "measurements": measurements} | more)


def answers(model: str, level: float, *, prompts: int = 8, metric: str = "sharpness", **more: Any) -> list[Record]:
    noise = np.random.default_rng([len(model), prompts]).normal(0, 0.01, prompts)
    return [
        record(
            "test_generation",
            model,
            f"p{at:02}",
            quality(metric, float(level + at + noise[at])),
            cost("peak_rss", 500.0),
            **more,
        )
        for at in range(prompts)
    ]


def timed(model: str, seconds: float, **more: Any) -> Record:
    return record("test_efficiency", model, None, cost("steady_latency", seconds), cost("peak_rss", 400.0), **more)


def checked(model: str, **more: Any) -> list[Record]:
    return [record("test_conformance", model, None, parameters={"check": one}, **more) for one in ("shape", "seed")]


def only(board: Leaderboard) -> Standings:
    (standings,) = board.standings
    return standings


def line_of(standings: Standings, model: str) -> Standing:
    (line,) = [line for line in standings.lines if line.row.model == model]
    return line


def places(standings: Standings, metric: str = "sharpness") -> dict[str, tuple[int, int] | None]:
    at = [column.name for column in standings.table.columns].index(metric)
    return {line.row.model: _ends(line.places[at]) for line in standings.lines}


def _ends(place: Place | None) -> tuple[int, int] | None:
    return None if place is None else (place.lowest, place.highest)


# what is joined


def test_a_model_has_one_line_of_all_its_benchmarks_and_its_cells_are_those_of_the_tables():
    board = build(RUN, [*answers("a", 1), timed("a", 9.0), *checked("a"), *answers("b", 2), timed("b", 8.0)])
    standings = only(board)
    assert [column.name for column in standings.table.columns] == ["sharpness", "steady_latency", "peak_rss"]
    line = line_of(standings, "a")
    assert (line.row.passed, line.row.tests, len(line.row.records)) == (11, 11, 11)
    for table, row in line.facets.items():
        assert board.tables[table].rows[row].model == "a"
    for cell, source in zip(line.row.cells, standings.sources, strict=True):
        assert cell is board.tables[source.table].rows[line.facets[source.table]].cells[source.column]


def test_a_benchmark_that_a_model_has_not_run_leaves_cells_without_a_value_and_with_the_reason():
    standings = only(build(RUN, [*answers("a", 1), timed("a", 9.0), *answers("b", 2)]))
    assert standings.table.columns[2].name == "steady_latency"
    cell = line_of(standings, "b").row.cells[2]
    assert (cell.mean, cell.reasons) == (None, (("not measured by these tests", 1),))


def test_the_tables_stay_as_they_are():
    records = [*answers("a", 1), *answers("b", 2), timed("a", 9.0)]
    board = build(RUN, records)
    assert [table.name for table in board.tables] == ["test_generation", "test_efficiency"]
    assert [column.name for column in board.tables[0].columns] == ["sharpness", "peak_rss"]


def test_failures_of_every_benchmark_count():
    lost = record("test_conformance", "a", None, status="failed", parameters={"check": "memory"})
    never_loaded = record("test_efficiency", "a", None, status="crashed", weights=None, recipe_digest=None)
    line = line_of(only(build(RUN, [*answers("a", 1), lost, never_loaded])), "a")
    assert dict(line.row.counts) == {"passed": 8, "failed": 1, "crashed": 1}


def test_recipes_revisions_and_parameters_are_lines_of_their_own():
    other = [{"recipe_digest": "r2"}, {"revision": "f01"}, {"parameters": {"strength": "0.9"}}]
    board = build(RUN, [one for more in ({}, *other) for one in answers("a", 1, **{"revision": "f00"} | more)])
    assert len(only(board).lines) == 4


def test_a_single_conformance_check_joins_the_line_of_its_model():
    board = build(RUN, [*answers("a", 1), checked("a")[0]])
    assert len(only(board).lines) == 1
    assert only(board).lines[0].row.parameters == {}


def test_another_device_joins_unless_one_benchmark_ran_on_both():
    elsewhere = [*answers("a", 1), timed("a", 9.0, hardware="A100")]
    (line,) = only(build(RUN, elsewhere)).lines
    assert line.row.hardware == "A100"  # that of the costs by the benchmark that times
    both = only(build(RUN, [*elsewhere, timed("a", 5.0)]))
    assert {line.row.hardware: sorted(line.facets) for line in both.lines} == {"H100": [0, 1], "A100": [1]}


def test_a_metric_of_two_benchmarks_stays_two_columns_that_say_whose_they_are():
    more = [replace(one, benchmark="t.py::test_more", nodeid=f"more-{one.nodeid}") for one in answers("a", 3)]
    names = [column.name for column in only(build(RUN, [*answers("a", 1), *more])).table.columns]
    assert names[:2] == ["sharpness (test_generation)", "sharpness (test_more)"]


def test_costs_of_the_benchmark_that_times_are_shown_where_it_has_them_of_every_line():
    standings = only(build(RUN, [*answers("a", 1), timed("a", 9.0)]))
    assert standings.timed == ("peak_rss",)
    assert [cell.mean for cell in standings.lines[0].row.cells][1:] == [9.0, 400.0]
    lacking = only(build(RUN, [*answers("a", 1), timed("a", 9.0), *answers("b", 2)]))
    assert lacking.timed == ()
    names = [column.name for column in lacking.table.columns]
    assert [name for name in names if "peak_rss" in name] == [
        "peak_rss (test_generation)",
        "peak_rss (test_efficiency)",
    ]


def test_a_column_without_any_value_is_left_to_the_tables():
    board = build(RUN, [record("test_generation", "a", "p1", quality("sharpness", None), quality("other", 1.0))])
    assert [column.name for column in only(board).table.columns] == ["other"]
    assert [column.name for column in board.tables[0].columns] == ["sharpness", "other"]


# sections


def test_each_task_has_its_own_standings_and_untrained_weights_have_theirs_at_the_end():
    board = build(
        RUN,
        [
            *answers("i", 1, task="i2v"),
            *answers("t", 2),
            *answers("r", 3, weights="random"),
            *answers("y", 3, weights="tiny", task="i2v"),
        ],
    )
    found = [(one.task, one.trained, [line.row.model for line in one.lines]) for one in board.standings]
    assert found == [("t2v", True, ["t"]), ("i2v", True, ["i"]), (None, False, ["r", "y"])]
    assert all(one.lead is None for one in board.standings)


def test_what_never_learnt_its_task_stands_with_the_only_one_there_is():
    board = build(RUN, [*answers("a", 1), record("test_generation", "b", "p00", status="crashed", task=None)])
    assert [line.row.model for line in only(board).lines] == ["a", "b"]


def test_nothing_gives_no_standings():
    assert build(RUN, []).standings == ()


# ranks


def test_a_rank_is_one_and_the_models_that_are_significantly_better():
    standings = only(build(RUN, [*answers("a", 1), *answers("bb", 3), *answers("ccc", 3.01), *answers("dddd", 9)]))
    assert places(standings) == {"dddd": (1, 1), "ccc": (2, 3), "bb": (2, 3), "a": (4, 4)}
    order = [line.row.model for line in standings.lines]
    assert (order[0], order[3], set(order[1:3])) == ("dddd", "a", {"bb", "ccc"})
    lower = [
        replace(one, measurements=tuple(replace(m, better="lower") for m in one.measurements))
        for one in (*answers("a", 1), *answers("bb", 3))
    ]
    assert places(only(build(RUN, lower))) == {"a": (1, 1), "bb": (2, 2)}


def test_few_prompts_tell_nobody_apart():
    standings = only(build(RUN, [*answers("a", 1, prompts=5), *answers("bb", 9, prompts=5)]))
    assert places(standings) == {"a": (1, 2), "bb": (1, 2)}
    assert standings.lead == 0


def test_who_failed_stands_behind_the_best_of_the_others_however_good():
    failed = [replace(one, status="failed") if at == 39 else one for at, one in enumerate(answers("a", 9, prompts=40))]
    two = [*failed, *answers("bb", 1, prompts=40)]
    assert places(only(build(RUN, two))) == {"bb": (1, 2), "a": (2, 2)}
    three = places(only(build(RUN, [*two, *answers("ccc", -7, prompts=40)])))
    assert three == {"bb": (1, 2), "a": (2, 2), "ccc": (3, 3)}


def test_a_failed_prompt_counts_as_the_worst_and_who_failed_is_never_first():
    failed = [replace(one, status="failed") if at == 0 else one for at, one in enumerate(answers("a", 1.001))]
    standings = only(build(RUN, [*failed, *answers("b", 1)]))
    assert places(standings) == {"b": (1, 2), "a": (2, 2)}
    assert [line.row.model for line in standings.lines] == ["b", "a"]
    everything = [*(replace(one, status="failed") for one in answers("a", 1)[:7]), answers("a", 1)[7]]
    assert places(only(build(RUN, [*everything, *answers("b", 1)]))) == {"b": (1, 1), "a": (2, 2)}


def test_yardsticks_and_published_figures_stand_below_the_models_and_have_no_rank():
    theirs = [replace(one, published="a paper", weights=None) for one in answers("p", 99, prompts=1)]
    yard = [*answers("calibration-a", 50), *answers("calibration-bb", 70)]
    standings = only(build(RUN, [*answers("a", 1), *answers("bb", 3), *yard, *theirs]))
    found = places(standings)
    assert found == {"bb": (1, 1), "a": (2, 2), "p": None, "calibration-a": None, "calibration-bb": None}
    assert list(found)[:3] == ["bb", "a", "p"]
    assert only(build(RUN, yard)).lead is None


def test_costs_and_metrics_of_whole_sets_and_neutral_ones_have_no_place():
    def both(model: str, value: float) -> list[Record]:
        fvd = Measurement(name="fvd", value=value, unit="1", better="lower", n=64, interval=(value - 1, value + 1))
        return [
            *answers(model, value),
            record("test_generation", model, None, fvd, seed=None),
            *answers(model, value, metric="hue"),
        ]

    neutral = [
        replace(
            one, measurements=tuple(replace(m, better="neutral") if m.name == "hue" else m for m in one.measurements)
        )
        for one in (*both("a", 100.0), *both("bb", 900.0))
    ]
    standings = only(build(RUN, neutral))
    for line in standings.lines:
        ranked = {c.name for c, place in zip(standings.table.columns, line.places, strict=True) if place is not None}
        assert ranked <= {"sharpness"}


# by which metric


def several(model: str, level: float, *metrics: str, prompts: int = 8) -> list[Record]:
    return [
        replace(one, measurements=tuple(replace(one.measurements[0], name=metric) for metric in metrics))
        for one in answers(model, level, prompts=prompts)
    ]


def lead(board: Leaderboard) -> str | None:
    standings = only(board)
    return None if standings.lead is None else standings.table.columns[standings.lead].name


def test_the_metric_that_ranks_most_models_leads_and_of_several_the_one_that_looks_at_the_prompt():
    assert lead(build(RUN, [*several("a", 1, "sharpness", "x"), *several("b", 2, "sharpness", "x")])) == "sharpness"
    asked = ("sharpness", "clip_similarity")
    assert lead(build(RUN, [*several("a", 1, *asked), *several("b", 2, *asked)])) == "clip_similarity"
    fewer = [*several("a", 1, *asked), *several("b", 2, *asked), *several("c", 2, "sharpness")]
    assert lead(build(RUN, fewer)) == "sharpness"
    assert lead(build(RUN, several("a", 1, *asked))) is None


@pytest.mark.parametrize(
    ("costs", "first"),
    [
        (("peak_rss", "latency", "steady_latency"), "steady_latency"),
        (("throughput", "peak_rss"), "peak_rss"),
        ((), None),
    ],
)
def test_how_long_a_clip_takes_is_the_first_cost(costs, first):
    directions = {"throughput": "higher"}
    made = [
        Measurement(name=n, value=1.0, unit="u", better=directions.get(n, "lower"), kind="performance") for n in costs
    ]
    standings = only(build(RUN, [record("test_x", "a", "p1", quality("sharpness", 1.0), *made)]))
    assert (None if standings.cost is None else standings.table.columns[standings.cost].name) == first


def test_the_order_of_the_records_changes_nothing():
    records = [*answers("a", 1), *answers("bb", 3), timed("a", 9.0), *checked("bb"), *answers("r", 1, weights="random")]
    board, again = build(RUN, records), build(RUN, records[::-1])
    assert board.standings == again.standings
