"""A strange or broken record still gives a correct page, in every format."""

from __future__ import annotations

import csv as stdlib_csv
import io
import math
import re
from html.parser import HTMLParser

import example_run as example
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.records import Failure, Measurement, Record
from pytest_vdb.reporters import terminal
from pytest_vdb.reporters.formats import csv, html, json, latex, markdown

RUN = example.example_run()


def measured(name: str, value: float, **more) -> Measurement:
    return Measurement(name=name, value=value, unit="1", better="higher", **more)


def wild(number: int) -> tuple[Measurement, ...]:
    return tuple(measured(f"metric_{at}", at + number) for at in range(500))


BARE = Record(run=RUN.id, nodeid="n", benchmark="b", model="bare", status="passed")
STRANGE = {
    "nothing is known": BARE,
    "nothing was measured": example.answer(RUN, "m", "p", measurements=()),
    "not a number": example.answer(RUN, "m", "p", measurements=(measured("a", math.nan), measured("b", math.inf))),
    "an interval that is none": example.answer(
        RUN, "m", "p", measurements=(measured("a", 1.0, interval=(math.nan, math.inf), series=(1.0, math.nan)),)
    ),
    "vast and tiny": example.answer(
        RUN, "m", "p", measurements=(measured("a", 1e308), measured("b", 5e-324), measured("c", -1e-300))
    ),
    "an outcome of a later version": example.lost(RUN, "m", "p", "paused", "Paused", "for lunch"),  # type: ignore[arg-type]
    "a failure without words": example.answer(
        RUN, "m", "p", status="failed", measurements=(), clip=None, failure=Failure(type="", message="", traceback="")
    ),
    "500 metrics": example.answer(RUN, "m", "p", measurements=wild(1)),
    "a long prompt": example.answer(RUN, "m", "p", prompt_text="word " * 2_000),
    "a long word": example.answer(RUN, "m" * 10_000, "p" * 10_000, prompt_text="w" * 10_000, category="c" * 10_000),
    "a long metric": example.answer(RUN, "m", "p", measurements=(measured("x" * 10_000, 1.0),)),
    "a metric named like a column": example.answer(
        RUN,
        "m",
        "p",
        measurements=tuple(measured(name, 7.0) for name in ("model", "tests", "passed", "run", "a", "a_low")),
    ),
    "right to left": example.answer(RUN, "مودل שלום", "p", prompt_text="קטה על ספסל"),
}


class Structure(HTMLParser):
    """Whether every element that is opened is closed, where it should be."""

    VOID = frozenset({"meta", "input", "br", "img", "line", "circle", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def boards(record: Record) -> list[Leaderboard]:
    others = [example.answer(RUN, "cogvideox-2b", prompt, benchmark=record.benchmark) for prompt in example.PROMPTS]
    return [build(RUN, [record]), build(RUN, [*others, record])]


TAKES_LONG = {"500 metrics"}


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(record, id=name, marks=[pytest.mark.slow] * (name in TAKES_LONG))
        for name, record in STRANGE.items()
    ],
)
def test_a_strange_record_gives_a_correct_page(record):
    for board in boards(record):
        texts = page, of_models, values, report, shown, tex, _ = [
            html.render(board),
            example.pages_of_models(board),
            csv.render(board),
            markdown.render(board),
            terminal.render(board),
            latex.render(board),
            json.render(board),
        ]
        assert Structure(page).open == Structure(of_models).open == []
        assert len(board.rows) in {1, 2}
        rows = list(stdlib_csv.reader(io.StringIO(values)))
        assert len(rows) == 1 + len(board.rows)
        assert len({len(row) for row in rows}) == 1
        assert len(set(rows[0])) == len(rows[0])
        tables = re.findall(r"(?:^\|.*\n)+", report, re.MULTILINE)
        assert len(tables) == len(board.standings) + len(board.tables)
        for table in tables:
            assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1
        of_lines = list(stdlib_csv.reader(io.StringIO(csv.render_standings(board))))
        assert len({len(row) for row in of_lines}) == 1
        assert len(set(of_lines[0])) == len(of_lines[0])
        assert max(map(len, shown.splitlines())) <= 100
        assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") >= 1
        for text in texts:
            assert "nan" not in text.lower().replace("the result was nan", "")
            assert str(board.counts.get("passed", 0)) in text


def test_no_metric_takes_a_columns_name():
    (row,) = stdlib_csv.DictReader(io.StringIO(csv.render(build(RUN, [STRANGE["a metric named like a column"]]))))
    assert (row["model"], row["tests"], row["passed"]) == ("m", "1", "1")
    assert row["model (metric)"] == row["tests (metric)"] == row["a"] == row["a_low (metric)"] == "7.0"


def test_no_figure_of_a_clip_is_rounded_to_nothing():
    record = example.answer(RUN, "m", "p", measurements=(measured("a", 2e-6), measured("b", 34.1234)))
    page = example.pages_of_models(build(RUN, [record]))
    assert "2.000e-6</dd>" in page
    assert "34.12</dd>" in page


@pytest.mark.parametrize("name", ["中文模型名称" * 3, "모델", "🎬🎥", "e\u0301" * 10, "模型" * 40])
def test_a_terminals_columns_line_up_in_every_script(name):
    from pytest_vdb.reporters.grid import width_of

    made = [example.answer(RUN, one, "p", measurements=(measured("a", 1.0),)) for one in (name, "wan")]
    lines = terminal.render(build(RUN, made), width=100).splitlines()
    shown = [line for line in lines if line.endswith("(1.00)")]
    assert len({width_of(line) for line in shown}) == 1
    assert len(shown) == 2
