"""What becomes of records when they are arranged into a leaderboard."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sessions_alike import ENVIRONMENT

from pytest_vdb.analysis import build
from pytest_vdb.analysis.tables import Cell, Leaderboard, Order
from pytest_vdb.metrics.contract import metric, spec_of
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Failure, Measurement, Record, Run
from pytest_vdb.statistics.best import p_values_against_best
from pytest_vdb.statistics.intervals import mean_interval

RUN = Run(id="run-1", started_at="2026-01-01T00:00:00Z", environment=ENVIRONMENT)


def quality(value: float | None, name: str = "sharpness", **more: Any) -> Measurement:
    more = {"better": "higher", "reason": "the weights are absent" if value is None else None} | more
    return Measurement(name=name, value=value, unit="1", **more)


def latency(value: float | None, **more: Any) -> Measurement:
    return Measurement(name="latency", value=value, unit="s", better="lower", kind="performance", **more)


def record(model: str, prompt: str | None, *measurements: Measurement, sample: int = 0, **more: Any) -> Record:
    known: dict[str, Any] = {
        "run": "run-1",
        "nodeid": f"test_generation.py::test_generation[{model}-{prompt}-s{sample}]",
        "benchmark": "test_generation",
        "status": "passed",
        "seed": sample,
        "weights": "hub",
        "recipe_digest": "r1",
        "hardware": "CPU",
    }
    return Record(**known | {"model": model, "prompt": prompt, "measurements": measurements} | more)


def answers(model: str, values: list[float], **more: Any) -> list[Record]:
    return [record(model, f"p{i:03}", quality(value), **more) for i, value in enumerate(values)]


def only_cell(board: Leaderboard) -> Cell:
    (row,) = board.rows
    (cell,) = row.cells
    return cell


def cells(board: Leaderboard, column: str = "sharpness") -> dict[str, Cell]:
    (table,) = board.tables
    (index,) = [i for i, c in enumerate(table.columns) if c.name == column]
    return {row.model: row.cells[index] for row in table.rows}


def test_the_prompt_is_the_unit_so_its_samples_are_averaged_first():
    cell = only_cell(
        build(RUN, [record("a", "p1", quality(v), sample=i) for i, v in enumerate([1, 1, 1])] + answers("a", [3]))
    )
    assert cell.mean == 2
    assert cell.n == 2
    assert cell.by_prompt == {"p1": 1, "p000": 3}


def test_bars_are_those_of_the_room_of_statistics_and_two_prompts_have_none():
    values = [0.2, 0.5, 0.9, 0.4, 0.3]
    shown = only_cell(build(RUN, answers("a", values)))
    assert shown.interval == mean_interval(values, bounds=(0, None), unseen="near").ends
    few = only_cell(build(RUN, answers("a", [1, 3])))
    assert (few.interval, few.no_interval) == (None, "2 values: at least 3 are needed")


def test_no_bar_reaches_beyond_what_the_metric_can_be_and_none_has_no_width_by_chance():
    degree = [record("a", f"p{i}", quality(1.0, "vbench.dynamic_degree")) for i in range(6)]
    low, high = only_cell(build(RUN, degree)).interval
    assert (low < 0.6, high) == (True, 1.0)
    rounded = [record("a", f"p{i}", quality(v, "vbench.subject_consistency")) for i, v in enumerate([1 + 2e-7, 1, 0.9])]
    assert only_cell(build(RUN, rounded)).interval[1] <= 1.0
    equal = only_cell(build(RUN, answers("a", [2.0] * 6)))
    assert (equal.interval, equal.no_interval) == (
        None,
        "all 6 values are equal, which does not show how far others may lie",
    )


def test_the_sessions_own_metrics_say_what_they_can_be():
    registry = MetricRegistry.builtin()
    registry.add(spec_of(metric("mine", unit="1", better="higher", bounds=(0, 1))(lambda clip: 0.0)))
    records = [record("a", f"p{i}", quality(1.0, "mine")) for i in range(6)]
    assert only_cell(build(RUN, records, registry)).interval[1] == 1.0
    assert only_cell(build(RUN, records)).interval is None
    kept = replace(RUN, bounds={"mine": (0, 1)})
    assert only_cell(build(kept, records)) == only_cell(build(RUN, records, registry))


def test_one_measurement_of_a_whole_set_keeps_its_own_interval():
    fvd = Measurement(name="fvd", value=300.0, unit="1", better="lower", n=64, interval=(280.0, 320.0))
    assert only_cell(build(RUN, [record("a", None, fvd)])).interval == (280.0, 320.0)


def test_a_missing_value_is_counted_with_its_reason_and_never_as_a_number():
    cell = only_cell(build(RUN, [*answers("a", [1, 3]), record("a", "p9", quality(None))]))
    assert (cell.mean, cell.n, cell.missing) == (2, 2, 1)
    assert cell.reasons == (("the weights are absent", 1),)


def test_failed_skipped_and_crashed_tests_are_counted_and_their_values_left_out():
    failure = Failure(type="BadClip", message="one constant colour\nmore")
    board = build(
        RUN,
        [
            *answers("a", [1, 3]),
            record("a", "p7", quality(99), status="failed", failure=failure),
            record("a", "p8", status="crashed", weights=None, recipe_digest=None, hardware=None),
        ],
    )
    (row,) = board.rows
    assert row.counts == {"passed": 2, "failed": 1, "crashed": 1}
    assert (row.passed, row.tests) == (2, 4)
    assert row.cells[0].mean == 2
    assert dict(row.cells[0].reasons) == {"failed: BadClip: one constant colour": 1, "crashed": 1}
    assert board.counts == {"passed": 2, "failed": 1, "crashed": 1}


def test_a_model_that_was_only_skipped_still_has_its_row():
    skipped = record(
        "b", "p000", status="skipped", weights="hub", failure=Failure(type="WeightsMissing", message="not here")
    )
    board = build(RUN, [*answers("a", [1]), skipped])
    assert [row.model for row in board.rows] == ["a", "b"]
    assert cells(board)["b"].reasons == (("skipped: not here", 1),)


def test_models_recipes_weights_and_hardware_have_rows_of_their_own():
    board = build(
        RUN,
        [
            record("a", "p1", quality(1), nodeid="1"),
            record("a", "p1", quality(1), nodeid="2", recipe_digest="r2"),
            record("a", "p1", quality(1), nodeid="3", weights="tiny"),
            record("a", "p1", quality(1), nodeid="4", hardware="H100"),
            record("a", "p1", quality(1), nodeid="5"),
        ],
    )
    assert sorted((row.recipe_digest, row.weights, row.hardware, row.tests) for row in board.rows) == [
        ("r1", "hub", "CPU", 2),
        ("r1", "hub", "H100", 1),
        ("r1", "tiny", "CPU", 1),
        ("r2", "hub", "CPU", 1),
    ]


def test_benchmarks_are_never_averaged_together():
    board = build(RUN, [record("a", "p1", quality(1)), record("a", "p1", quality(3), benchmark="mine", nodeid="x")])
    assert {table.benchmark: table.rows[0].cells[0].mean for table in board.tables} == {"test_generation": 1, "mine": 3}


def test_two_versions_of_a_metric_are_two_columns():
    (table,) = build(RUN, [*answers("a", [1]), record("b", "p000", quality(2, version="2"))]).tables
    assert [(c.name, c.version) for c in table.columns] == [("sharpness", "1"), ("sharpness", "2")]
    assert dict(zip([r.model for r in table.rows], [[c.mean for c in r.cells] for r in table.rows], strict=True)) == {
        "a": [1, None],
        "b": [None, 2],
    }


def test_a_later_record_of_the_same_test_supersedes_the_earlier_one():
    crashed = record("a", "p000", status="crashed", weights=None, recipe_digest=None, hardware=None)
    board = build(RUN, [crashed, *answers("a", [2])])
    assert board.counts == {"passed": 1}
    assert only_cell(build(RUN, [*answers("a", [1]), *answers("a", [2])])).mean == 2


def test_the_order_of_the_records_changes_nothing():
    records = [*answers("a", [1, 2, 3]), *answers("b", [3, 4, 7]), record("c", "p000", latency(2.0), quality(1))]
    assert build(RUN, records) == build(RUN, records[::-1])


SHARP = [0.80, 0.82, 0.79, 0.81, 0.83, 0.78]
CLOSE = [0.81, 0.80, 0.80, 0.79, 0.82, 0.785]
BLURRED = [0.40, 0.41, 0.39, 0.42, 0.40, 0.38]


def test_best_second_and_what_cannot_be_told_from_the_best_are_marked():
    marked = cells(build(RUN, [*answers("a", SHARP), *answers("b", CLOSE), *answers("c", BLURRED)]))
    assert {model: (cell.mark, cell.tied) for model, cell in marked.items()} == {
        "a": ("best", True),
        "b": ("second", True),
        "c": (None, False),
    }
    merits = np.array([SHARP, CLOSE, BLURRED])
    assert [marked[model].p for model in "abc"] == list(p_values_against_best(merits))
    assert [cell.rank for cell in marked.values()] == [1, 2, 3]


def test_lower_is_better_turns_the_marks_around():
    records = [
        record(m, f"p{i}", quality(v, better="lower"))
        for m, values in (("a", SHARP), ("b", BLURRED))
        for i, v in enumerate(values)
    ]
    assert {model: cell.mark for model, cell in cells(build(RUN, records)).items()} == {"b": "best", "a": "second"}


def test_neutral_metrics_and_a_lone_row_have_no_marks():
    neutral = [record(m, "p1", quality(1.0, better="neutral")) for m in "ab"]
    assert all(cell.mark is None for cell in cells(build(RUN, neutral)).values())
    assert only_cell(build(RUN, answers("a", SHARP))).mark is None


@pytest.mark.parametrize("weights", ["tiny", "random", None])
def test_tiny_and_random_weights_are_never_ranked_for_quality(weights):
    better = [3.0] * 6
    board = build(RUN, [*answers("a", SHARP), *answers("b", CLOSE), *answers("t", better, weights=weights)])
    ranked = cells(board)
    assert ranked["t"].mean == 3
    assert ranked["t"].mark is None
    assert ranked["t"].unranked
    assert ranked["a"].mark == "best"
    assert board.rows[-1].model == "t"


def test_values_computed_by_a_tiny_backbone_are_never_ranked():
    records = [record(m, "p1", quality(v, wiring=True)) for m, v in (("a", 1.0), ("b", 2.0))]
    for cell in cells(build(RUN, records)).values():
        assert cell.wiring
        assert cell.mark is None
        assert "random weights" in str(cell.unranked)


def test_a_row_that_was_not_asked_prompts_the_others_answered_is_shown_but_not_ranked():
    ranked = cells(build(RUN, [*answers("a", SHARP), *answers("b", CLOSE), *answers("c", [0.99] * 5)]))
    assert ranked["c"].mark is None
    assert ranked["c"].unranked == "lacks 1 of 6 prompts that others answered"
    assert ranked["a"].mark == "best"


def test_a_model_that_failed_where_others_answered_is_neither_best_nor_tied_and_says_so():
    easy_only, crashed = answers("c", [0.99] * 5), record("c", "p005", status="oom")
    ranked = cells(build(RUN, [*answers("a", SHARP), *answers("b", CLOSE), *easy_only, crashed]))
    assert (ranked["c"].mark, ranked["c"].tied, ranked["c"].rank) == ("second", False, 2)
    assert ranked["c"].remarks == ("1 of 6 prompts failed",)
    assert (ranked["a"].mark, ranked["b"].rank) == ("best", 3)


@pytest.mark.parametrize("status", ["skipped", "interrupted"])
def test_a_test_that_was_skipped_or_stopped_is_no_failure_of_its_model(status):
    lost = record("b", "p005", status=status)
    ranked = cells(build(RUN, [*answers("a", SHARP), *answers("b", CLOSE[:5]), lost]))
    assert (ranked["b"].rank, ranked["b"].unranked) == (None, "lacks 1 of 6 prompts that others answered")


@pytest.mark.parametrize("bad", [0.0, 0.2, 0.6, 0.9])
@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_failed_prompt_is_never_an_advantage(bad, better):
    """Whatever the clip would have been worth: failing puts the model where the worst value would, or behind."""

    def place(*last: Record) -> tuple[float, float]:
        values = {"a": [0.5] * 6, "b": [0.3] * 6, "c": [0.7] * 6, "d": [0.1] * 6}
        others = [
            record(m, f"p{i}", quality(v, "ssim", better=better)) for m, of in values.items() for i, v in enumerate(of)
        ]
        mine = [record("mine", f"p{i}", quality(0.8, "ssim", better=better)) for i in range(5)]
        (table,) = build(RUN, [*others, *mine, *last]).tables
        row = next(row for row in table.rows if row.model == "mine")
        return row.cells[0].rank, row.mean_rank

    answered = place(record("mine", "p5", quality(bad, "ssim", better=better)))
    failed = place(record("mine", "p5", status="crashed"))
    assert all(one >= other for one, other in zip(failed, answered, strict=True))


def test_a_value_of_the_whole_set_is_not_the_best_where_clips_failed():
    def fvd(model: str, value: float) -> Record:
        return record(
            model, None, quality(value, "fvd", better="lower", n=6, reason="N = 6: mostly bias"), nodeid=model
        )

    lost = [*answers("b", SHARP[:5]), record("b", "p005", status="crashed")]
    ranked = cells(build(RUN, [*answers("a", SHARP), *lost, fvd("a", 300.0), fvd("b", 200.0)]), "fvd")
    assert {m: (c.mark, c.own_n) for m, c in ranked.items()} == {"a": ("best", 6), "b": ("second", 6)}
    assert ranked["b"].remarks == ("N = 6: mostly bias", "1 of 6 prompts failed")
    assert ranked["a"].remarks == ("N = 6: mostly bias",)


def test_where_every_model_failed_somewhere_nobody_is_best():
    first = [*answers("a", SHARP[:5]), record("a", "p005", status="crashed")]
    second = [*answers("b", CLOSE)[1:], record("b", "p000", status="crashed")]
    assert {cell.mark for cell in cells(build(RUN, [*first, *second])).values()} == {None}


def test_random_weights_compete_for_latency_but_only_on_the_same_hardware():
    board = build(
        RUN,
        [
            record("a", "p1", latency(2.0)),
            record("b", "p1", latency(1.0), weights="random"),
            record("c", "p1", latency(0.1), weights="tiny"),
            record("d", "p1", latency(0.2), hardware="H100"),
        ],
    )
    marks = {model: cell.mark for model, cell in cells(board, "latency").items()}
    assert marks == {"a": "second", "b": "best", "c": None, "d": None}


def test_a_reused_clip_has_no_latency_and_is_counted():
    board = build(RUN, [record("a", "p1", quality(1), latency(0.01), reused_from="run-0")])
    (row,) = board.rows
    assert row.reused == board.reused == 1
    assert cells(board)["a"].mean == 1
    assert cells(board, "latency")["a"].mean is None
    assert "cache" in cells(board, "latency")["a"].reasons[0][0]


def test_what_is_measured_once_per_model_is_missing_in_no_other_test_and_still_ranked():
    """Under xdist it is another prompt's test that loads the model, and it may be several."""
    load = Measurement(name="load_time", value=3.0, unit="s", better="lower", kind="performance")
    slow = Measurement(name="load_time", value=9.0, unit="s", better="lower", kind="performance")
    one = [record("a", "p1", quality(1), load), record("a", "p2", quality(1)), record("a", "p3", quality(1))]
    two = [record("b", "p1", quality(1)), record("b", "p2", quality(1), slow), record("b", "p3", quality(1))]
    ranked = cells(build(RUN, [*one, *two]), "load_time")
    assert {m: (c.mean, c.n, c.missing, c.mark) for m, c in ranked.items()} == {
        "a": (3, 1, 0, "best"),
        "b": (9, 1, 0, "second"),
    }


def test_values_over_one_prompt_are_tied_only_if_their_own_intervals_overlap():
    def fvd(model: str, value: float, half: float) -> Record:
        interval = (value - half, value + half)
        return record(model, None, Measurement(name="fvd", value=value, unit="1", better="lower", interval=interval))

    ranked = cells(build(RUN, [fvd("a", 100, 10), fvd("b", 115, 10), fvd("c", 300, 10)]), "fvd")
    assert {model: cell.tied for model, cell in ranked.items()} == {"a": True, "b": True, "c": False}
    untested = cells(build(RUN, [*answers("a", [1.0]), *answers("b", [2.0])]))
    assert not any(cell.tied for cell in untested.values())


def columns_of(model: str, prompts: int = 6, **values: float) -> list[Record]:
    return [
        record(model, f"p{i}", *(quality(v + i / 1000, name.replace("_at_", ".")) for name, v in values.items()))
        for i in range(prompts)
    ]


def test_models_are_ordered_by_metrics_in_which_all_are_ranked():
    """A metric that one of two models lacks would compare a mean over two ranks with a mean over one."""
    board = build(RUN, [*columns_of("a", one=0.9, two=0.1), *columns_of("b", one=0.8)])
    (table,) = board.tables
    assert {row.model: row.mean_rank for row in table.rows} == {"a": 1, "b": 2}
    assert table.order == Order(families=("one",), left_out=("two",), prompts=6, of_prompts=6)


def test_models_are_ordered_on_the_prompts_that_all_were_asked():
    board = build(RUN, [*columns_of("a", one=0.5), *columns_of("b", 2, one=0.8)])
    (table,) = board.tables
    assert [(row.model, row.mean_rank) for row in table.rows] == [("b", 1), ("a", 2)]
    assert table.order == Order(families=("one",), left_out=(), prompts=2, of_prompts=6)


def test_a_family_counts_once():
    """Else whoever leads in four sizes of one metric leads the table."""
    first = columns_of("a", psnr=30, psnr_at_256=30, psnr_at_512=30, one=0.1, two=0.1)
    second = columns_of("b", psnr=20, psnr_at_256=20, psnr_at_512=20, one=0.9, two=0.9)
    (table,) = build(RUN, [*first, *second]).tables
    assert [row.model for row in table.rows] == ["b", "a"]
    assert table.rows[0].mean_rank == pytest.approx((2 + 1 + 1) / 3)
    assert table.order.families == ("psnr", "one", "two")


def test_yardsticks_are_ranked_among_themselves_and_stand_below_the_models():
    frozen, shapes = answers("calibration-frozen", [9.0] * 6), answers("calibration-shapes", [8.0] * 6)
    board = build(RUN, [*frozen, *shapes, *answers("a", SHARP), *answers("b", BLURRED)])
    assert {model: cell.mark for model, cell in cells(board).items()} == {
        "a": "best",
        "b": "second",
        "calibration-frozen": "best",
        "calibration-shapes": "second",
    }
    assert [row.model for row in board.rows] == ["a", "b", "calibration-frozen", "calibration-shapes"]


def test_benchmarks_that_measure_quality_come_first():
    board = build(RUN, [record("a", "p1", latency(1), benchmark="a_efficiency"), *answers("a", [1])])
    assert [table.benchmark for table in board.tables] == ["test_generation", "a_efficiency"]


def test_no_record_makes_an_empty_leaderboard():
    assert build(RUN, []).tables == ()


def test_importing_the_analysis_imports_neither_numpy_nor_scipy_nor_torch_nor_pytest():
    code = "import sys, pytest_vdb.analysis; print([m for m in ('numpy','scipy','torch','pytest') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_a_missing_value_that_knows_no_version_stands_in_the_column_of_those_that_do():
    known = Measurement(name="clip_similarity", unit="cosine", better="higher", value=0.3, version="1+vit-b-32")
    absent = Measurement(name="clip_similarity", unit="cosine", better="higher", value=None, reason="no weights")
    (table,) = build(RUN, [record("a", "p1", known), record("a", "p2", absent)]).tables
    assert [column.version for column in table.columns] == ["1+vit-b-32"]
    assert table.rows[0].cells[0].missing == 1


def test_what_is_measured_of_the_whole_set_lacks_no_clip_and_no_clip_lacks_it():
    of_set = record("a", None, quality(7.0, "fvd", better="lower", interval=(6, 8)), nodeid="vdb-sets::a")
    board = build(RUN, [*answers("a", [0.1, 0.2]), of_set])
    (clips, whole) = cells(board)["a"], cells(board, "fvd")["a"]
    assert (clips.missing, clips.n) == (0, 2)
    assert (whole.missing, whole.mean, whole.interval) == (0, 7.0, (6, 8))


def test_published_values_stand_in_the_measured_column_unranked_in_a_row_of_their_own():
    published = record("a", None, quality(9.0), nodeid="a.json::a", weights=None, published="a.json", hardware=None)
    measured = [record(m, "p1", quality(v, version="2+net")) for m, v in (("a", 0.1), ("b", 0.2))]
    board = build(RUN, [published, *measured])
    (table,) = board.tables
    assert [column.version for column in table.columns] == ["2+net"]
    assert [(row.model, row.published) for row in table.rows] == [("b", None), ("a", None), ("a", "a.json")]
    cell = table.rows[-1].cells[0]
    assert (cell.mean, cell.mark, cell.unranked) == (9.0, None, "published in a.json, not measured here")
    assert table.rows[0].cells[0].mark == "best"


# who made it, in which benchmark, with which parameters, of which sample


def test_two_models_of_one_node_id_are_two_rows():
    """Two folders of clips of one name, scored for two models, have the same node ids."""
    board = build(RUN, [record(m, "p1", quality(v), nodeid="videos::p1.mp4") for m, v in (("wan", 1.0), ("cog", 2.0))])
    assert {row.model: row.cells[0].mean for row in board.rows} == {"wan": 1.0, "cog": 2.0}


def test_two_benchmarks_of_one_function_are_two_tables_with_names_that_tell_them_apart():
    records = [
        record("a", "p1", quality(v), benchmark=f"{file}.py::test_g", nodeid=f"{file}.py::test_g[a]")
        for file, v in (("x", 1.0), ("y", 3.0))
    ]
    tables = build(RUN, records).tables
    assert [(t.benchmark, t.name, t.rows[0].cells[0].mean) for t in tables] == [
        ("x.py::test_g", "x.py::test_g", 1.0),
        ("y.py::test_g", "y.py::test_g", 3.0),
    ]


def test_an_earlier_versions_record_is_superseded_by_the_same_test_of_this_one():
    nodeid = "b/test_g.py::test_g[a-p1]"
    old = record("a", "p1", quality(1.0), benchmark="test_g", nodeid=nodeid)
    new = record("a", "p1", quality(2.0), benchmark="b/test_g.py::test_g", nodeid=nodeid)
    assert only_cell(build(RUN, [old, new])).mean == 2.0
    assert build(RUN, [old]).tables[0].name == "test_g"


def test_tests_that_measure_nothing_count_in_one_row_whatever_their_parameters():
    checks = [record("a", None, nodeid=f"n[{name}]", parameters={"check": name}) for name in ("shape", "memory")]
    (row,) = build(RUN, checks).rows
    assert (row.tests, row.parameters) == (2, {})


def test_parameters_of_the_users_own_are_rows_of_their_own():
    records = [
        record("a", "p1", quality(v), nodeid=f"n[{s}]", parameters={"strength": s})
        for s, v in (("0.9", 1.0), ("0.5", 3.0))
    ]
    board = build(RUN, records)
    assert {row.parameters["strength"]: row.cells[0].mean for row in board.rows} == {"0.9": 1.0, "0.5": 3.0}
    crashed = record("a", "p2", status="crashed", weights=None, recipe_digest=None, parameters={"strength": "0.5"})
    (row,) = [row for row in build(RUN, [*records, crashed]).rows if row.parameters["strength"] == "0.5"]
    assert row.counts == {"passed": 1, "crashed": 1}


def test_samples_of_another_seed_are_further_samples_and_not_later_tries():
    def sample(seed: int, value: float) -> Record:
        return record("a", "p1", quality(value), nodeid="n", seed=seed)

    board = build(RUN, [sample(1, 1.0), sample(2, 3.0), sample(2, 5.0)])
    assert (only_cell(board).mean, board.rows[0].tests) == (3.0, 2)


def test_prompts_of_two_suites_with_one_id_are_two_prompts():
    records = [
        record("a", "p1", quality(v), nodeid=text, prompt_text=text) for v, text in ((1.0, "a cat"), (3.0, "dog"))
    ]
    assert only_cell(build(RUN, records)).by_prompt == {"p1: a cat": 1.0, "p1: dog": 3.0}
    assert build(RUN, records).rows[0].prompts == 2
    rivals = [*records, record("b", "p1", quality(9.0), nodeid="b", prompt_text="a cat")]
    assert cells(build(RUN, rivals))["b"].unranked == "lacks 1 of 2 prompts that others answered"


def test_two_revisions_of_a_models_weights_are_two_rows():
    records = [record("a", "p1", quality(v), nodeid=str(v), revision=r) for r, v in (("abc", 1.0), ("def", 2.0))]
    lost = record("a", "p2", status="crashed", weights=None, recipe_digest=None, hardware=None, revision=None)
    assert sorted((row.revision, row.tests) for row in build(RUN, [*records, lost]).rows) == [("abc", 2), ("def", 1)]


def test_means_that_differ_by_rounding_alone_share_their_rank():
    ranked = cells(build(RUN, [*answers("a", [0.1 + 0.2]), *answers("b", [0.3]), *answers("c", [0.2])]))
    assert {model: (cell.rank, cell.mark) for model, cell in ranked.items()} == {
        "a": (1.5, "best"),
        "b": (1.5, "best"),
        "c": (3.0, "second"),
    }


def test_tests_that_were_tried_again_are_counted():
    board = build(RUN, [record("a", "p1", quality(1), attempts=2), record("a", "p2", quality(1))])
    assert board.rows[0].retried == 1


@pytest.mark.parametrize(
    ("status", "failure", "line"),
    [
        ("xfailed", Failure(type="AssertionError", message="fp16 NaN"), "failed as expected: fp16 NaN"),
        ("xfailed", None, "failed as expected"),
        ("interrupted", Failure(type="KeyboardInterrupt", message="stopped"), "interrupted: stopped"),
        ("crashed", Failure(type="crashed", message="worker 'gw0' died"), "crashed: worker 'gw0' died"),
        ("not_run", Failure(type="LoadFailed", message="no"), "not run: LoadFailed: no"),
        ("paused", None, "paused"),
    ],
)
def test_every_outcome_is_told_as_what_it_is(status, failure, line):
    lost = record("a", "p2", quality(9), status=status, failure=failure)
    board = build(RUN, [*answers("a", [1.0]), lost])
    assert only_cell(board).reasons == ((line, 1),)
    assert only_cell(board).mean == 1.0
    assert board.counts == {"passed": 1, status: 1}


def frames_per_second(model: str, *rates: float, **more: Any) -> list[Record]:
    rate = {"name": "throughput", "unit": "frames/s", "better": "higher", "kind": "performance"}
    return [record(model, f"p{at}", Measurement(value=one, **rate), **more) for at, one in enumerate(rates)]


def test_a_rate_over_prompts_is_all_frames_over_all_seconds():
    cell = only_cell(build(RUN, frames_per_second("a", 10.0, 30.0)))
    assert cell.mean == pytest.approx((30 + 30) / (30 / 10 + 30 / 30))
    assert cell.by_prompt == {"p0": 10.0, "p1": 30.0}


def test_samples_of_a_prompt_are_too():
    found = [one for sample in (0, 1) for one in frames_per_second("a", 10.0 * 3**sample, sample=sample)]
    assert only_cell(build(RUN, found)).by_prompt == {"p0": pytest.approx(15.0)}


def test_who_is_fastest_is_asked_of_times():
    """By a mean of ratios `a` would lead, 20 to 18, and take longer for everything."""
    board = build(RUN, [*frames_per_second("a", 10.0, 30.0), *frames_per_second("b", 18.0, 18.0)])
    assert {row.model: row.cells[0].rank for row in board.rows} == {"a": 2.0, "b": 1.0}


def test_the_interval_of_a_rate_is_that_of_its_time_turned_over():
    rates = [20.0 + at % 5 for at in range(40)]
    rate = only_cell(build(RUN, frames_per_second("a", *rates))).interval
    times = [record("a", f"p{at}", latency(1 / one)) for at, one in enumerate(rates)]
    time = only_cell(build(RUN, times)).interval
    assert rate == pytest.approx((1 / time[1], 1 / time[0]))


def test_a_rate_of_nothing_has_neither_interval_nor_error():
    cell = only_cell(build(RUN, frames_per_second("a", 0.0, 30.0, 20.0)))
    assert (cell.mean, cell.interval) == (0.0, None)


def test_a_failed_prompt_is_no_advantage_in_a_rate():
    slow = frames_per_second("a", 10.0, 10.0, 1.0)
    failing = [*frames_per_second("b", 10.0, 10.0), record("b", "p2", status="failed")]
    board = build(RUN, [*slow, *failing])
    assert {row.model: row.cells[0].rank for row in board.rows} == {"a": 1.0, "b": 2.0}
