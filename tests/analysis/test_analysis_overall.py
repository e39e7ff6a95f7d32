"""An overall score is made only where it is asked for, says of what, and scores nothing that is missing as 0."""

from __future__ import annotations

import csv as stdlib_csv
import io
import json as stdlib_json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.analysis.aggregates import TOTAL
from pytest_vdb.analysis.overall import overall_of
from pytest_vdb.analysis.tables import Leaderboard, Standings
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.records import Environment, Measurement, Record, Run
from pytest_vdb.reporters import terminal
from pytest_vdb.reporters.formats import csv, html, json, latex, markdown
from pytest_vdb.reporters.methods import plain_methods

ENVIRONMENT = Environment(
    python="3.12.1", platform="Linux", hardware="H100", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
)
RUN = Run(id="run-1", started_at="2026-01-01T00:00:00Z", environment=ENVIRONMENT)
PROMPTS = 12


def scored(model: str, *, prompts: int = PROMPTS, weights: Any = "hub", **levels: float | None) -> list[Record]:
    """Answers with metrics of these levels; `low_` ones are better low."""
    rng = np.random.default_rng([len(model), prompts])
    made = []
    for at in range(prompts):
        measured = tuple(
            Measurement(
                name=name.replace("__", "."),
                value=None if level is None else float(level + 0.01 * at + rng.normal(0, 0.001)),
                unit="1",
                better="lower" if name.startswith("low_") else "higher",
                reason="no weights" if level is None else None,
            )
            for name, level in levels.items()
        )
        made.append(
            Record(
                run="run-1",
                nodeid=f"t.py::test_generation[{model}-p{at:02}]",
                benchmark="t.py::test_generation",
                model=model,
                status="passed",
                prompt=f"p{at:02}",
                task="t2v",
                weights=weights,
                recipe_digest="r1",
                hardware="H100",
                measurements=measured,
            )
        )
    return made


def board(overall: str | None, *records: list[Record]) -> Leaderboard:
    run = RUN if overall is None else replace(RUN, options={"overall": overall})
    return build(run, [record for part in records for record in part])


def only(made: Leaderboard) -> Standings:
    (standings,) = made.standings
    return standings


def scores(made: Leaderboard) -> dict[str, float | None]:
    assert only(made).table.columns[0].name == "overall"
    return {line.row.model: line.row.cells[0].mean for line in only(made).lines}


def mean_of(made: Leaderboard, model: str, metric: str) -> float:
    standings = only(made)
    at = [column.name for column in standings.table.columns].index(metric)
    (mean,) = [line.row.cells[at].mean for line in standings.lines if line.row.model == model]
    assert mean is not None
    return mean


def test_there_is_none_where_nobody_asks():
    made = board(None, scored("a", x=0.2), scored("b", x=0.4))
    assert "overall" not in {column.name for column in only(made).table.columns}
    assert only(made).overall is None


def test_a_weighted_mean_is_that_of_the_means_and_ranks_first():
    made = board("x:3,low_y:1:2..0", scored("a", x=0.2, low_y=1.0), scored("bb", x=0.4, low_y=1.2))
    for model in ("a", "bb"):
        expected = (3 * mean_of(made, model, "x") + (2 - mean_of(made, model, "low_y")) / 2) / 4
        assert scores(made)[model] == pytest.approx(expected)
    standings = only(made)
    assert standings.lead == 0
    assert [line.row.model for line in standings.lines] == ["bb", "a"]
    assert [line.row.cells[0].mark for line in standings.lines] == ["best", "second"]
    assert standings.overall == (
        "overall is the weighted mean of x (weight 3), low_y (weight 1, 2 as 0 and 0 as 1) (as asked for)"
    )


def test_its_interval_is_that_of_the_prompts_shares():
    made = board("x:1,y:1", scored("a", x=0.2, y=0.4), scored("bb", x=0.4, y=0.4))
    alone = board("x:1", scored("a", x=0.2), scored("bb", x=0.4))
    for one in (made, alone):
        cell = only(one).lines[0].row.cells[0]
        assert cell.interval is not None
        assert cell.interval[0] < cell.mean < cell.interval[1]
        assert cell.n == PROMPTS
    of_metric = only(alone).lines[0].row.cells[1]
    assert only(alone).lines[0].row.cells[0].interval == pytest.approx(of_metric.interval)


def test_dimensions_of_different_prompts_make_one_score_of_all_prompts():
    records = []
    for model, level in (("a", 0.2), ("bb", 0.4)):
        for at, record in enumerate(scored(model, x=level, y=level + 0.1)):
            kept = record.measurements[:1] if at < 4 else record.measurements[1:]  # x of 4 prompts, y of 8 others
            records.append(replace(record, measurements=kept))
    made = board("x:1,y:3", records)
    standings = only(made)
    for line in standings.lines:
        cell = line.row.cells[0]
        x, y = (mean_of(made, line.row.model, metric) for metric in ("x", "y"))
        assert cell.mean == pytest.approx((x + 3 * y) / 4)
        assert cell.n == PROMPTS
        assert cell.mean == pytest.approx(sum(cell.by_prompt.values()) / PROMPTS)
        assert cell.interval is not None
    assert places_of(standings) == {"bb": 1, "a": 2}


def places_of(standings: Standings) -> dict[str, int]:
    return {line.row.model: line.places[0].lowest for line in standings.lines if line.places[0] is not None}


def test_what_no_model_has_is_left_out_for_all_and_named():
    levels = {"vbench__imaging_quality": 0.6, "vbench__scene": 0.4}
    made = board("vbench.total", scored("a", **levels), scored("bb", **dict.fromkeys(levels, 0.1)))
    expected = (4 * mean_of(made, "a", "vbench.imaging_quality") + mean_of(made, "a", "vbench.scene") / 0.8222) / 5
    assert scores(made)["a"] == pytest.approx(expected)
    about = only(made).overall
    assert about is not None
    assert about.startswith("overall is vbench.total, VBench's total score: four parts quality, one part semantic (")
    assert "14 of 16 dimensions are missing: subject_consistency, " in about


def test_who_lacks_what_others_have_is_shown_and_not_ranked():
    made = board("x:1,y:1", scored("a", x=0.9, y=None), scored("bb", x=0.4, y=0.4), scored("ccc", x=0.5, y=0.5))
    (cell,) = [line.row.cells[0] for line in only(made).lines if line.row.model == "a"]
    assert cell.mean == pytest.approx(mean_of(made, "a", "x"))  # of what is there, no 0 for the other
    assert cell.unranked == "1 of 2 dimensions is missing: y"
    assert cell.rank is None
    assert only(made).lines[0].row.model == "ccc"


def test_nothing_is_made_of_nothing_and_the_reason_is_told():
    made = board("vbench.total", scored("a", x=0.9), scored("bb", x=0.4))
    assert only(made).table.columns[0].name == "x"
    assert (only(made).overall or "").startswith("no overall score: 16 of 16 dimensions are missing: ")
    assert "No overall score: 16 of 16" in markdown.render(made).replace("\\", "")


def test_a_metric_that_is_better_low_needs_its_worst_and_its_best():
    made = board("low_y:1", scored("a", low_y=0.9), scored("bb", low_y=0.4))
    assert only(made).overall == (
        "no overall score: a better value of low_y would lower it; write NAME:WEIGHT:WORST..BEST"
    )


def test_a_failed_prompt_is_no_advantage():
    failing = scored("a", x=0.9)
    failing[3] = replace(failing[3], status="failed", measurements=())
    made = board("x:1", failing, scored("bb", x=0.4), scored("ccc", x=0.5))
    (line,) = [line for line in only(made).lines if line.row.model == "a"]
    assert line.row.cells[0].mark not in {"best", "tied"}
    assert line.places[0].lowest > 1


def test_what_is_measured_once_gives_no_interval_and_no_rank():
    once = [
        replace(record, nodeid=f"{record.nodeid}-set", prompt=None, measurements=(measured,))
        for model, value in (("a", 0.3), ("bb", 0.6))
        for record in scored(model, prompts=1, x=0.1)
        for measured in [Measurement(name="of_set", value=value, unit="1", better="higher")]
    ]
    made = board("x:1,of_set:1", scored("a", x=0.2), scored("bb", x=0.4), once)
    cell = only(made).lines[0].row.cells[0]
    assert cell.mean is not None
    assert cell.interval is None
    assert cell.no_interval == "1 value: at least 3 are needed"
    assert only(made).lines[0].places[0] is None


def test_tiny_weights_have_no_score():
    made = board("x:1", scored("a", weights="tiny", x=0.2), scored("bb", weights="tiny", x=0.4))
    assert only(made).table.columns[0].name == "x"
    assert only(made).overall is None


def test_how_it_is_made_stands_beside_it_in_every_format():
    made = board("x:3,y:1", scored("a", x=0.2, y=0.4), scored("bb", x=0.4, y=0.4))
    told = "verall is the weighted mean of x (weight 3), y (weight 1) (as asked for)"
    texts = (markdown.render(made), terminal.render(made, width=200), html.render(made), latex.render(made))
    for text in (*texts, plain_methods(made)):
        assert told in " ".join(text.replace("\\", "").split())
    (first, _) = stdlib_csv.DictReader(io.StringIO(csv.render_standings(made)))
    assert told in first["overall_remarks"]
    assert float(first["overall"]) == scores(made)["bb"]
    (standings,) = stdlib_json.loads(json.render(made))["standings"]
    assert told in standings["overall"]
    assert (standings["columns"][0]["name"], standings["columns"][0]["benchmark"]) == ("overall", None)


@pytest.mark.parametrize(
    "text",
    [
        *("x:0", "x:-1", "x:1:2", "x:1:3..3", "x:1,x:2", "x:nan", ":1", "x:1:a..b", "x,y:1", ","),
        *("x:1e308,y:1e308", "x:1e-310", "x:1:0..1e-310", "x:1:-1e308..1e308", "x:1:inf..0", "x:1:1e300..2e300"),
    ],
)
def test_what_is_no_score_is_refused(text):
    with pytest.raises(OptionError, match="--overall"):
        overall_of(text, where="--overall")


def test_a_benchmarks_score_is_known_by_its_name():
    assert overall_of("vbench.total") is TOTAL
    with pytest.raises(UnknownName, match=r"unknown score 'vbench\.totl'\n  did you mean 'vbench\.total'"):
        overall_of("vbench.totl")
