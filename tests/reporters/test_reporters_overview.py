"""The answer in one sentence is computed and true; the plot shows who is beaten by nobody; both come first."""

from __future__ import annotations

import re
from typing import Any

import example_run as example
import numpy as np
import pytest

from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.analysis.row_names import distinct_names
from pytest_vdb.records import Measurement, Record
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.formats import html
from pytest_vdb.reporters.overview import answers, plain_text, telling_columns

RUN = example.example_run()
MORE = {"weights": "hub", "clip": None, "hardware": "H100"}


def model(name: str, level: float, *, seconds: float | None = None, prompts: int = 8, **more: Any) -> list[Record]:
    """Answers whose clip similarity is about `level`, on prompts that differ."""
    made = []
    for at, noise in enumerate(np.random.default_rng(len(name)).normal(0, 0.002, prompts)):
        value = level + 0.01 * at + float(noise)
        measurements = [Measurement(name="clip_similarity", value=value, unit="1", better="higher")]
        if seconds is not None:
            cost: dict[str, Any] = {"better": "lower", "kind": "performance"}
            measurements.append(Measurement(name="latency", value=seconds, unit="s", **cost))
            measurements.append(Measurement(name="fits_on", value=24.0, unit="GB", **cost))
        made.append(example.answer(RUN, name, f"p{at}", **MORE | {"measurements": tuple(measurements)} | more))
    return made


def board(*records: list[Record]) -> Leaderboard:
    return build(RUN, [record for part in records for record in part])


def said(*records: list[Record]) -> str:
    return plain_text(answers(board(*records))[0])


def test_one_that_is_better_than_all_others_is_best_and_what_it_costs_is_told():
    found = said(model("a", 0.2, seconds=10.0), model("bb", 0.4, seconds=95.0), model("ccc", 0.3, seconds=20.0))
    assert re.fullmatch(
        r"Of 3 models bb is best in clip similarity \(0\.4\d+ over 8 prompts\); "
        r"it takes 95\.0 s a clip on H100 and fits on a card of 24 GB\.",
        found,
    )


def test_of_those_that_are_not_told_apart_the_cheapest_is_named():
    found = said(model("a", 0.4, seconds=10.0), model("bb", 0.4005, seconds=95.0), model("ccc", 0.2, seconds=1.0))
    assert "leads in clip similarity" in found
    assert "is not told apart from" in found
    assert "ccc" not in found
    assert "; of these a costs least: it takes 10.0 s a clip on H100" in found


def test_costs_of_two_devices_are_not_compared():
    found = said(model("a", 0.4, seconds=10.0), model("bb", 0.4, seconds=95.0, hardware="A100"), model("ccc", 0.2))
    assert "is not told apart from" in found
    assert "costs least" not in found


def test_few_prompts_tell_no_model_apart():
    alike = [model(name, level, prompts=4) for name, level in (("a", 0.2), ("bb", 0.3), ("ccc", 0.4))]
    assert said(*alike) == "None of 3 models is told apart from the others in clip similarity over 4 prompts."
    assert said(*alike[:2]) == "Neither of 2 models is told apart from the other in clip similarity over 4 prompts."


def test_points_of_a_sweep_are_counted_as_settings_and_not_as_models():
    fast, slow = ({"recipe": {"steps": steps}, "recipe_digest": str(steps)} for steps in (10, 50))
    points = [*model("a", 0.2, **fast), *model("a", 0.4, **slow)]
    assert said(points).startswith("Of 2 settings of 1 model a (steps=50) is best")
    assert said(points, model("bb", 0.3)).startswith("Of 3 settings of 2 models a (steps=50) is best")
    few = [record for record in points if record.prompt in {"p0", "p1", "p2", "p3"}]
    assert said(few).startswith("Neither of 2 settings of 1 model is told apart from the other")
    revisions = [*model("a", 0.2, revision="x" * 40), *model("a", 0.4, revision="y" * 40)]
    assert said(revisions).startswith("Of 2 lines of 1 model ")


def test_a_leader_whose_rivals_failed_is_said_to_lead_and_not_to_be_best():
    failing = [*model("a", 0.4)[:7], example.lost(RUN, "a", "p7", "failed", "BadClip", "black", **MORE)]
    found = said(failing, model("bb", 0.4), model("ccc", 0.2))
    assert re.match(r"Of 3 models bb leads in clip similarity \(.*\) and is told apart from [12] of 2 others\.", found)


def test_one_model_has_nothing_to_be_ranked_against():
    found = said(model("a", 0.4, seconds=10.0))
    assert found.startswith("One model, and nothing to rank it against: a has clip similarity 0.4")
    assert " and takes 10.0 s a clip on H100 and fits on a card of 24 GB." in found
    lost = [example.lost(RUN, "a", "p1", "failed", "BadClip", "black", **MORE)]
    assert said(lost) == "One model, and nothing to rank it against: a has no value."


def test_models_that_share_no_metric_cannot_be_ranked():
    other = [example.answer(RUN, "bb", "p1", **MORE | {"measurements": ()})]
    assert said(model("a", 0.4), other).startswith("None of 2 models can be ranked")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("random", "1 model with random weights, whose pixels mean nothing"),
        ("tiny", "1 model with tiny random weights, which prove the wiring only"),
    ],
)
def test_untrained_weights_alone_are_not_ranked(weights, words):
    assert said(model("a", 0.4, weights=weights)) == f"Nothing here can be ranked: {words}."
    yardsticks = model("calibration-x", 0.4, weights="none")
    assert said(model("a", 0.4, weights=weights), yardsticks).endswith(f"{words}, and 1 yardstick of known quality.")


def test_each_task_has_its_own_answer_and_untrained_weights_have_none_beside_models():
    both = board(
        model("a", 0.2),
        model("bb", 0.4),
        model("c", 0.4, task="i2v"),
        model("dd", 0.2, task="i2v"),
        model("r", 1, weights="tiny"),
    )
    first, second, untrained = (plain_text(answer) for answer in answers(both))
    assert first.startswith("Of 2 models bb is best")
    assert second.startswith("Of 2 models c is best")
    assert untrained == ""


def test_no_record_gives_no_answer_and_a_page_that_says_so():
    assert answers(build(RUN, [])) == []
    assert "there is nothing to show" in html.render(build(RUN, []))


def test_the_metric_of_the_ranks_and_the_first_cost_tell_most():
    (standings,) = board(model("a", 0.2, seconds=1.0), model("bb", 0.4, seconds=2.0)).standings
    names = [standings.table.columns[at].name for at in telling_columns(standings, 9)]
    assert names == ["clip_similarity", "latency", "fits_on"]
    assert len(telling_columns(standings, 2)) == 2


# the plot


def plot(*records: list[Record]) -> charts.Scatter | None:
    (standings,) = board(*records).standings
    assert standings.lead is not None
    assert standings.cost is not None
    return charts.pareto(standings, distinct_names(standings.table), standings.lead, standings.cost)


def test_who_is_beaten_in_both_is_drawn_hollow():
    drawn = plot(model("a", 0.2, seconds=10.0), model("bb", 0.4, seconds=90.0), model("ccc", 0.3, seconds=95.0))
    assert drawn is not None
    assert re.findall(r'<circle class="beaten"[^>]*><title>(\w+)</title>', drawn.svg) == ["ccc"]
    assert "logarithmic" in drawn.caption


def test_another_device_is_left_out_of_the_plot_and_said():
    models = [model("a", 0.2, seconds=10.0), model("bb", 0.4, seconds=90.0)]
    drawn = plot(*models, model("ccc", 0.3, seconds=95.0, hardware="A100"))
    assert drawn is not None
    assert "Not drawn: 1 model measured on another device." in drawn.caption
    assert "ccc" not in drawn.svg
    assert "logarithmic" in drawn.caption


@pytest.mark.parametrize("seconds", [(0.0, 5.0), (-3.0, 5.0), (5.0, 5.0), (1e-300, 1e90), (1e-7, 3e-7)])
def test_strange_costs_give_a_drawing_of_numbers_alone(seconds):
    drawn = plot(*(model(name, 0.4, seconds=value) for name, value in zip(("a", "bb"), seconds, strict=True)))
    assert drawn is not None
    assert not re.search(r"\b(nan|inf)\b", drawn.svg)
    numbers = [float(one) for one in re.findall(r'(?:cx|cy|x1|x2|y1|y2|x|y)="(-?[\d.]+)"', drawn.svg)]
    assert min(numbers) >= 0
    assert max(numbers) <= charts.CHART_WIDTH


def test_one_point_and_values_beyond_drawing_are_no_plot():
    assert plot(model("a", 0.2, seconds=1.0), model("bb", 0.4)) is None
    assert plot(model("a", 0.2, seconds=1.0), model("bb", 0.4, seconds=1e120)) is None


def test_names_of_points_hide_no_other_name():
    many = [model(f"model-{'x' * at}", 0.3 + 0.003 * at, seconds=10.0 * (1 + at)) for at in range(12)]
    drawn = plot(*many)
    assert drawn is not None
    boxes = []
    names = r'class="name" x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)">([^<]+)<'
    for x, y, anchor, name in re.findall(names, drawn.svg):
        wide = 7 * len(name)
        left = float(x) - (wide if anchor == "end" else 0)
        boxes.append((left, left + wide, float(y)))
    assert len(boxes) > 3
    for at, one in enumerate(boxes):
        beside = [other for other in boxes[:at] if abs(one[2] - other[2]) < 11]
        assert not [other for other in beside if one[0] < other[1] and other[0] < one[1]]


# the page


def test_the_page_begins_with_the_answer_and_the_plot_and_then_has_a_line_per_model():
    text = html.render(board(model("a", 0.2, seconds=10.0), model("bb", 0.4, seconds=95.0)))
    at = [
        text.index(part)
        for part in ('class="answer"', '<svg class="scatter"', '<table id="s0"', "Benchmark by benchmark")
    ]
    assert at == sorted(at)
    assert text.count('<svg class="scatter"') == 1
    assert text.count('href="leaderboard-files/models/bb.html"') == 2  # of the line, and of the benchmark's row


def test_five_hundred_metrics_have_few_columns_in_the_standings_and_all_in_the_tables():
    wild = tuple(Measurement(name=f"m{at}", value=float(at), unit="1", better="higher") for at in range(500))
    text = html.render(build(RUN, [example.answer(RUN, "a", "p1", **MORE | {"measurements": wild})]))
    assert text.count('data-of="s0"') == 24
    assert "476 more metrics: see the tables of the benchmarks below." in text
    assert text.count('data-of="t0"') == 500


def test_tables_too_large_for_the_page_are_on_pages_of_their_own():
    wild = tuple(Measurement(name=f"m{at}", value=float(at), unit="1", better="higher") for at in range(600))
    records = [example.answer(RUN, model, "p1", **MORE | {"measurements": wild}) for model in ("a", "b", "c")]
    made = html.Pages(build(RUN, records))
    text = made["leaderboard.html"]
    assert '<a href="leaderboard-files/benchmarks/test_generation.html">test_generation</a>' in text
    assert "3 rows, 600 metrics" in text
    assert 'id="t0"' not in text
    apart = made["leaderboard-files/benchmarks/test_generation.html"]
    assert apart.count('data-of="t0"') == 600
    assert apart.count('href="../../leaderboard-files/models/') == 3
