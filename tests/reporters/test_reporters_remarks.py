"""Every value keeps its n and what must be known of it, in every report; and each says how it ranks."""

from __future__ import annotations

import csv as stdlib_csv
import dataclasses
import html as stdlib_html
import io
import re
from collections.abc import Callable

import example_run as example
import pytest

from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.records import Measurement, Record
from pytest_vdb.reporters import terminal
from pytest_vdb.reporters.formats import csv, html, latex, markdown

BIAS = "FVD of 16 clips: most of it can be bias"
RUN = example.example_run()


def measured(name: str, value: float, **more: object) -> Measurement:
    return Measurement(**{"name": name, "value": value, "unit": "1", "better": "higher"} | more)


def answers(model: str, values: list[float]) -> list[Record]:
    made = []
    for at, value in enumerate(values):
        prompt = list(example.PROMPTS)[at]
        made.append(example.answer(RUN, model, prompt, measurements=(measured("ssim", value),), weights="hub"))
    return made


def of_set(model: str, value: float) -> Record:
    fvd = measured("fvd", value, better="lower", n=16, interval=(value - 9, value + 9), reason=BIAS)
    nodeid = f"vdb-sets::test_generation[{model}]"
    known = {"nodeid": nodeid, "prompt": None, "prompt_text": None, "seed": None, "clip": None, "weights": "hub"}
    return dataclasses.replace(example.answer(RUN, model, "style-01", measurements=(fvd,)), **known)


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    good, steady = [0.81, 0.82, 0.80, 0.83, 0.79, 0.81], [0.71, 0.72, 0.70, 0.73, 0.69, 0.71]
    lost = example.lost(RUN, "fails", list(example.PROMPTS)[5], "crashed", "Killed", "by the kernel", weights="hub")
    records = [*answers("good", good), *answers("steady", steady), *answers("fails", [0.9] * 5), lost]
    return build(RUN, [*records, of_set("good", 100.0), of_set("steady", 300.0)])


RENDERERS = [
    pytest.param(lambda board: terminal.render(board, width=120), id="terminal"),
    pytest.param(markdown.render, id="markdown"),
    pytest.param(latex.render, id="latex"),
    pytest.param(html.render, id="html"),
    pytest.param(csv.render, id="csv"),
]
Renderer = Callable[[Leaderboard], str]


def words(text: str) -> str:
    """Without what markup and folding add."""
    bare = stdlib_html.unescape(re.sub(r"<[^>]+>|\\_?|\{\}", " ", text))
    return re.sub(r"\W+", " ", bare)


@pytest.mark.parametrize("render", RENDERERS)
def test_what_must_be_known_of_a_value_stands_in_every_report(board, render: Renderer):
    shown = words(render(board))
    assert words(BIAS) in shown
    assert words("1 of 6 prompts failed") in shown


@pytest.mark.parametrize("render", RENDERERS[:-1])
def test_every_report_says_from_how_many_and_by_what_it_is_ordered(board, render: Renderer):
    shown = words(render(board))
    assert "6 prompts ssim n 16 fvd" in shown
    assert words("fails: 5 prompts in ssim") in shown
    assert words("the worst value that there can be") in shown
    if render is not RENDERERS[0].values[0]:  # the terminal has the standings alone
        assert words("Ordered by the mean rank over ssim, on the 6 prompts that every model was asked") in shown
        assert words("not over fvd, in which not every model is ranked") in shown
    assert words("Ranked by ssim. A rank is 1 and the number of models that are significantly better") in shown


def test_the_csv_has_n_remark_rank_and_the_reason_for_each_gap(board):
    rows = {row["model"]: row for row in stdlib_csv.DictReader(io.StringIO(csv.render(board)))}
    assert (rows["good"]["fvd_n"], rows["good"]["fvd_remarks"]) == ("16", BIAS)
    assert (rows["fails"]["ssim_n"], rows["fails"]["ssim_remarks"]) == ("5", "1 of 6 prompts failed")
    assert [rows[model]["ssim_rank"] for model in ("good", "steady", "fails")] == ["1.0", "2.0", "3.0"]
    assert float(rows["steady"]["ssim_p_as_good_as_best"]) < 0.05
    assert rows["good"]["mean_rank"] == "1.0"
    assert (rows["fails"]["ssim_low"] != "", rows["fails"]["ssim_why_no_interval"]) == (True, "")
    few = build(RUN, answers("good", [0.8, 0.9]))
    (row,) = stdlib_csv.DictReader(io.StringIO(csv.render(few)))
    assert (row["ssim_low"], row["ssim_why_no_interval"]) == ("", "2 values: at least 3 are needed")


def test_the_page_and_the_markdown_show_where_the_interval_ends(board):
    (cell,) = [row.cells[0] for row in board.rows if row.model == "good"]
    low, high = cell.interval
    shown = f"[{low:.3f}, {high:.3f}]"
    assert shown in html.render(board)
    assert shown.replace("[", "\\[").replace("]", "\\]") in markdown.render(board)


def test_the_tooltip_of_a_value_says_how_far_it_can_be_trusted(board):
    titles = re.findall(r'<td class="quality[^>]*title="([^"]*)"', html.render(board))
    assert any("n = 16" in title and BIAS in title for title in titles)
    assert any("5 prompts" in title and "1 of 6 prompts failed" in title for title in titles)


def test_two_that_are_told_apart_are_printed_apart_however_wide_their_bars_are():
    """Prompts differ by far more than models do: paired, a tenth of the bars' width is plain."""
    hard = [0.1, 0.9, 0.3, 0.7, 0.5, 0.6]
    records = [*answers("first", [v + 0.00031 for v in hard]), *answers("second", hard)]
    board = build(RUN, records)
    shown = [re.findall(r"\d\.\d+", line.split("6/6")[1])[0] for line in _rows(markdown.render(board))]
    assert len(set(shown)) == 2
    assert not any(row.cells[0].tied for row in board.rows)


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("| `first`", "| `second`"))]
