"""The history in a terminal: a sparkline, the first run of a change, and what is missing."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.history import trends
from pytest_vdb.reporters import history_page
from pytest_vdb.reporters.history import BARS, PLAIN_BARS, WIDEST_SPARK, render, sparkline, standing
from pytest_vdb.results.history import Asked, Figure, RunInShort


def figure(value, **changes) -> Figure:
    given = {
        "metric": "latency",
        "version": "1",
        "unit": "s",
        "better": "lower",
        "kind": "performance",
        "n": 4,
        "over": "x",
    }
    return Figure(**given | {"value": value} | changes)


def night(day, *figures, commit="0123456789abcdef", dirty=False, **asked) -> RunInShort:
    given = {"benchmark": "b", "model": "wan", "weights": "hub", "recipe": "r", "hardware": "H100", "revision": None}
    one = Asked(**given | {"prompts": "p", "figures": figures} | asked)
    began = f"2026-01-{day:02}T00:00:00+00:00"
    return RunInShort(run=f"run{day:02}", began=began, commit=commit, dirty=dirty, branch="main", asked=(one,))


@pytest.mark.parametrize(
    ("values", "drawn"),
    [
        ([], ""),
        ([3.0], "▄"),
        ([2.0, 2.0], "▄▄"),
        ([0.0, 7.0, 3.0], "▁█▄"),
        ([float(value) for value in range(8)], BARS),
    ],
)
def test_a_sparkline_goes_from_the_lowest_to_the_highest(values, drawn):
    assert sparkline(values) == drawn
    assert sparkline(values, bars=PLAIN_BARS) == drawn.translate(str.maketrans(BARS, PLAIN_BARS))


def test_many_runs_share_columns_and_none_is_left_out():
    drawn = sparkline([0.0] * 500 + [1.0] * 500)
    assert drawn == "▁" * (WIDEST_SPARK // 2) + "█" * (WIDEST_SPARK // 2)


def test_the_first_bad_run_and_commit_are_named():
    nights = [
        night(day, figure(2.0 if day < 12 else 3.0), commit=f"{day:040}", dirty=day == 12) for day in range(1, 21)
    ]
    said = " ".join(render(trends(nights), width=60).split())
    assert "3.000 s +50.0% worse" in said
    assert (
        "latency of wan: worse: 2.000 -> 3.000 s (+50.0%) from run run12 (commit 0000000000 and changed files) on;"
        in said
    )
    assert "the last before: run run11 (commit 0000000000)" in said


def test_where_neither_way_is_better_it_changed():
    nights = [night(day, figure(2.0 if day < 12 else 3.0, better="neutral", kind="quality")) for day in range(1, 21)]
    assert [standing(series) for series in trends(nights)] == ["changed"]


def test_few_runs_and_none_that_changed_are_told_apart():
    assert "too few runs" in render(trends([night(1, figure(1.0)), night(2, figure(1.5))]))
    assert "steady" in render(trends([night(day, figure(1.0)) for day in range(1, 11)]))


def test_what_has_no_value_is_a_dash_and_the_reason():
    nights = [night(1, figure(1.0)), night(2, why="failed: BadClip: one colour")]
    table, _, notes = render(trends(nights)).partition("\n\n")
    assert "–" in table
    assert "latency of wan: the newest has no value: failed: BadClip: one colour (run run02)" in notes


def test_a_mean_over_other_prompts_has_its_mark():
    quality = {"metric": "sharpness", "unit": "1", "better": "higher", "kind": "quality"}
    nights = [night(day, figure(0.5, **quality, over="x" if day < 4 else "y")) for day in range(1, 5)]
    said = render(trends(nights))
    assert "0.5000*" in said
    assert "* over other prompts than most runs: not compared" in said


def test_series_of_one_metric_are_told_apart_and_strange_names_shown():
    nights = [night(1, figure(1.0), model="a\x1b[31m"), night(2, figure(1.0), model="a\x1b[31m", hardware="A100")]
    said = render(trends(nights), width=200)
    assert "latency (hardware A100)" in said
    assert "latency (hardware H100)" in said
    assert "\x1b" not in said


def test_what_was_zero_has_a_difference_and_no_share():
    assert "+2" in render(trends([night(1, figure(0.0)), night(2, figure(2.0))]))
    assert render([]) == ""


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_draws_every_run_and_names_the_first_bad_one():
    nights = [night(day, figure(2.0 if day < 12 else 3.0), commit=f"{day:040}") for day in range(1, 21)]
    page = history_page.render(trends(nights))
    assert page.count("<circle") == 20
    assert page.count('class="band"') == 2
    assert page.count('class="turn worse"') == 1
    assert "worse: 2.000 -&gt; 3.000 s (+50.0%) from run run12" in page
    assert "20 runs, 2026-01-01 to 2026-01-20; 1 series: 1 worse" in page


def test_what_got_worse_stands_first():
    nights = [night(day, figure(2.0, metric="a"), figure(2.0 if day < 12 else 3.0, metric="z")) for day in range(1, 21)]
    page = history_page.render(trends(nights))
    assert page.index("z of wan") < page.index("a of wan")


def test_a_run_over_other_prompts_is_hollow_and_in_no_level():
    kinds = {"kind": "quality", "unit": "1"}
    nights = [
        night(day, figure(9.0 if day == 5 else 2.0, over="y" if day == 5 else "x", **kinds)) for day in range(1, 13)
    ]
    page = history_page.render(trends(nights))
    assert page.count('<circle class="other"') == 1
    assert "1 hollow point: over other prompts than most runs, not compared" in page
    assert page.count('class="band"') == 1


def test_without_a_value_there_is_no_drawing_and_the_reason():
    page = history_page.render(trends([night(1, figure(None, why="no clip was made"))]))
    assert "<circle" not in page
    assert "the newest has no value: no clip was made" in page


def test_names_from_outside_are_no_markup():
    page = history_page.render(trends([night(1, figure(1.0, metric="<b>m"), model="</script>", commit="<i>")]))
    assert not {"<b>", "</script>", "<i>"} & {page[at : at + 9] for at in range(len(page))}
    assert "<b>m" not in page
    assert "&lt;b&gt;m of &lt;/script&gt;" in page


def test_equal_values_are_one_line():
    page = history_page.render(trends([night(day, figure(0.0)) for day in range(1, 4)]))
    assert page.count("<circle") == 3
    assert "nan" not in page
