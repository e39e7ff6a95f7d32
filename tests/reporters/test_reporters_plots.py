"""Plots from what records hold: what is there is drawn, what is not is said, and no name breaks a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import example_run as example
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.analysis.tables import Table
from pytest_vdb.records import ClipFiles, Measurement, Record
from pytest_vdb.reporters.plots.categories import heatmap_by_category
from pytest_vdb.reporters.plots.contract import MOST_MODELS, Absent, Plot, figure
from pytest_vdb.reporters.plots.lines import frame_series, memory_timeline, thinned_ends
from pytest_vdb.reporters.plots.radar import radar
from pytest_vdb.reporters.plots.roofline import roofline
from pytest_vdb.reporters.plots.stages import stage_breakdown
from pytest_vdb.reporters.text import distinct_names

RUN = example.example_run()
HOSTILE = "</title><script>alert(1)</script>&\"'\u202e\x00" + "長" * 200
CLIP = ClipFiles(digest="d", frames=9, height=64, width=96, fps=8.0)
STAGES = {"text_encoding_time": 1.0, "denoising_time": 20.0, "decoding_time": 3.0, "other_time": 0.5}


def quality(name: str, value: float | None, **more) -> Measurement:
    return Measurement(name=name, value=value, **{"unit": "1", "better": "higher"} | more)


def cost(name: str, value: float | None, **more) -> Measurement:
    return Measurement(name=name, value=value, kind="performance", **{"unit": "s", "better": "lower"} | more)


def answered(model: str, prompt: str, *measured: Measurement, **more) -> Record:
    settings = {"weights": "hub", "clip": CLIP, "hardware": "NVIDIA H100 80GB HBM3"}
    recipe = {"recipe": example.RECIPE | {"weights": "hub", "dtype": "bfloat16"}}
    return example.answer(RUN, model, prompt, **settings | recipe | {"measurements": measured} | more)


def table_of(*records: Record) -> Table:
    (table,) = build(RUN, records).tables
    return table


def measured_everything(level: float) -> tuple[Measurement, ...]:
    three = [quality(name, level, better=better) for name, better in (("a", "higher"), ("b", "lower"), ("c", "higher"))]
    stages = [cost(name, seconds * (1 + level)) for name, seconds in STAGES.items()]
    roof = [
        cost("mfu", 0.2 + level / 10, unit="1", better="neutral"),
        cost("operation_intensity", 500.0, unit="operations/byte", better="neutral"),
    ]
    return *three, *stages, *roof


def of_many(n: int, name: str = "model") -> Table:
    """Each has everything, over two categories of prompts."""
    models = [f"{name}{at}" if n > 1 else name for at in range(n)]
    return table_of(
        *(
            answered(model, prompt, *measured_everything(at / n))
            for at, model in enumerate(models)
            for prompt in ("motion-01", "style-01")
        )
    )


def plots_of(table: Table) -> dict[str, Plot | Absent]:
    names = distinct_names(table) if len(table.rows) < 300 else {at: f"m{at}" for at in range(300)}
    series = table.rows[0].records[0]
    place = next(at for at, column in enumerate(table.columns) if column.kind == "quality")
    return {
        "stages": stage_breakdown(table, names),
        "heatmap": heatmap_by_category(table, names, place),
        "radar": radar(table, names),
        "roofline": roofline(table, names),
        "frames": frame_series("a", [series], [series.model]),
        "memory": memory_timeline(series),
    }


def test_every_plot_is_a_picture_with_a_name_a_description_and_a_table():
    plots = plots_of(of_many(3))
    assert {name for name, plot in plots.items() if isinstance(plot, Plot)} == {
        "stages",
        "heatmap",
        "radar",
        "roofline",
    }
    for plot in plots.values():
        shown = ET.fromstring(figure(plot))
        if isinstance(plot, Plot):
            (picture,) = shown.iter("svg")
            assert picture.get("role") == "img"
            assert [picture[at].tag for at in (0, 1)] == ["title", "desc"]
            assert [picture[at].text for at in (0, 1)] == [plot.title, plot.caption]
            assert len(list(shown.iter("tr"))) == len(plot.rows) + 1
            assert all(len(row) == len(plot.header) for row in plot.rows)


def test_hostile_names_stand_in_pictures_and_tables_as_they_are_seen():
    for plot in plots_of(of_many(2, HOSTILE)).values():
        html = figure(plot)
        assert "<script" not in html
        assert "\u202e" not in html
        ET.fromstring(html)
    one = answered(HOSTILE, "motion-01", quality("a", 1.0, series=(1.0, 2.0)))
    for plot in (frame_series(HOSTILE, [one], [HOSTILE]), frame_series("a", [one, one], [HOSTILE, "b"])):
        ET.fromstring(figure(plot))


def test_of_three_hundred_models_the_first_are_drawn_and_the_others_are_said():
    few = of_many(3)
    for name, plot in plots_of(replace(few, rows=few.rows * 100)).items():
        if name in {"stages", "heatmap", "roofline"}:
            assert len(plot.rows) == MOST_MODELS
            assert "Not drawn: 280 more models." in plot.caption
            assert len(figure(plot)) < 20_000


def test_equal_values_and_one_model_are_no_numbers_divided_by_nothing():
    equal = table_of(
        *(answered(model, p, *measured_everything(0.0)) for model in "xy" for p in ("motion-01", "style-01"))
    )
    drawn = plots_of(equal)
    assert "Equal in a, b, c: drawn halfway." in drawn["radar"].caption
    for plot in (*drawn.values(), *plots_of(of_many(1)).values()):
        assert "nan" not in figure(plot)
    assert plots_of(of_many(1))["radar"].reason.startswith("fewer than two models")


def test_without_any_value_every_plot_says_why():
    (table,) = build(RUN, [answered("x", "motion-01", quality("a", None, reason="no weights"))]).tables
    for plot in plots_of(table).values():
        assert isinstance(plot, Absent)
        assert plot.reason
        assert plot.reason in "".join(ET.fromstring(figure(plot)).itertext())
    assert frame_series("a", [table.rows[0].records[0]], ["x"]).reason == "no weights"


def test_the_parts_of_a_bar_add_up_to_the_call_where_only_some_calls_had_a_stage():
    every = answered("x", "motion-01", cost("denoising_time", 8.0), cost("decoding_time", 4.0), cost("other_time", 1.0))
    none = cost("decoding_time", None, reason="the pipeline did not do this")
    without = answered("x", "style-01", cost("denoising_time", 10.0), none, cost("other_time", 3.0))
    table = table_of(every, without)
    ((_, text, _, denoising, decoding, _, other, together),) = stage_breakdown(table, distinct_names(table)).rows
    assert [text, denoising, decoding, other, together] == ["–", "9.00", "2.00", "2.00", "13.00"]


def test_a_heatmap_has_the_means_of_categories_and_leaves_out_what_random_networks_computed():
    table = table_of(
        answered("x", "motion-01", quality("a", 0.2)),
        answered("x", "style-01", quality("a", 0.4)),
        answered("y", "motion-01", quality("a", 0.8)),
        answered("z", "motion-01", quality("a", 0.9, wiring=True)),
    )
    plot = heatmap_by_category(table, distinct_names(table), 0)
    assert plot.header == ("Model", "motion dynamics", "style")
    assert set(plot.rows) == {("x", "0.200", "0.400"), ("y", "0.800", "–")}


def test_prompts_of_one_name_and_two_texts_have_their_own_categories():
    texts = ({"prompt_text": "one", "category": "A"}, {"prompt_text": "two", "category": "B"})
    table = table_of(*(answered("x", "p", quality("a", float(at)), seed=at, **text) for at, text in enumerate(texts)))
    plot = heatmap_by_category(table, distinct_names(table), 0)
    assert (plot.header, plot.rows) == (("Model", "A", "B"), (("x", "0.00", "1.00"),))


def test_a_radar_goes_from_the_worst_to_the_best_and_is_open_where_a_value_is_missing():
    records = [
        answered(model, "motion-01", quality("a", a), quality("b", b, better="lower"), quality("c", c, reason="torn"))
        for model, a, b, c in (("x", 1.0, 0.1, 5.0), ("y", 2.0, 0.2, None), ("z", 3.0, 0.3, 6.0))
    ]
    table = table_of(*records)
    plot = radar(table, distinct_names(table))
    lines = [line.get("class") for line in ET.fromstring(plot.svg).iter("line") if "y1" in line.attrib]
    by_name = dict(zip(plot.header[1:], (lines.count(f"line c{at}") for at in range(3)), strict=True))
    assert (
        by_name["y"] - by_name["x"] == -2
    )  # two sides of three end at the value that is missing; the key has one each
    assert "Without a value on some axis, so their lines are open there: y." in plot.caption
    chosen = radar(table, distinct_names(table), [0, 1, 2, 0, 1, 2])
    assert "Not drawn: 1 more model." in chosen.caption


def test_the_roofline_knows_what_holds_a_call_back_and_leaves_out_other_devices():
    measured = [cost("mfu", 0.3, unit="1", better="neutral")]
    low, high = (cost("operation_intensity", at, unit="operations/byte", better="neutral") for at in (100.0, 900.0))
    table = table_of(
        answered("dense", "motion-01", *measured, high),
        answered("sparse", "motion-01", *measured, low),
        answered("elsewhere", "motion-01", *measured, low, hardware="NVIDIA A100-SXM4-80GB"),
        answered("unknown", "motion-01", *measured, low, hardware="a toaster"),
    )
    plot = roofline(table, distinct_names(table))
    assert {row[0]: row[-1] for row in plot.rows} == {"dense": "products", "sparse": "memory"}
    assert plot.title.endswith("NVIDIA H100 SXM")
    assert "1 model measured on another device" in plot.caption


def test_a_series_says_what_it_counts_and_whose_is_missing():
    pairs = answered("x", "motion-01", quality("a", 0.5, series=tuple(float(at) for at in range(8))))
    whole = answered("y", "motion-01", quality("a", 0.5, series=tuple(float(at) for at in range(9))))
    none = answered("z", "motion-01", quality("a", 0.5))
    assert frame_series("a", [pairs], ["x"]).header == ("pair of neighbouring frames", "x")
    assert frame_series("a", [whole], ["y"]).header == ("frame", "y")
    both = frame_series("a", [pairs, whole, none], ["x", "y", "z"])
    assert both.header[0] == "value in order"
    assert both.rows[-1] == ("9", "–", "8.000")
    assert "Without such values: z." in both.caption
    ET.fromstring(figure(frame_series("a", [replace(pairs, measurements=(quality("a", 1.0, series=(1.0,)),))], ["x"])))


def test_memory_over_a_call_begins_at_nothing_and_says_how_often_it_was_looked_at():
    looked = cost(
        "memory_timeline", 900.0, unit="MiB", better="neutral", reason="20 looks per second", series=(500.0, 900.0)
    )
    plot = memory_timeline(answered("x", "motion-01", looked))
    assert "20 looks per second" in plot.caption
    assert [row[1] for row in plot.rows] == ["500.0", "900.0"]
    absent = memory_timeline(answered("x", "motion-01"))
    assert "--vdb-memory-rate" in absent.reason
    assert "no course" in memory_timeline(answered("x", "motion-01", replace(looked, series=None))).reason


def test_of_a_long_series_no_peak_is_lost():
    values = [0.0] * 10_000
    values[7_777], values[3_333] = 5.0, -5.0
    kept = thinned_ends(values, 600)
    assert len(kept) <= 600
    assert {(7_777, 5.0), (3_333, -5.0)} <= set(kept)
    assert [place for place, _ in kept] == sorted(place for place, _ in kept)


@pytest.mark.parametrize("value", [1e300, -1e200])
def test_what_has_no_place_in_a_drawing_is_said(value):
    one = answered("x", "motion-01", quality("a", value, series=(value, 1.0)))
    assert "too large" in frame_series("a", [one], ["x"]).reason
