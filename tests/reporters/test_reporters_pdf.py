"""The leaderboard as a PDF: whatever the records hold, it is typeset, and the same records are the same bytes."""

from __future__ import annotations

import sys

import example_run as example
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.errors import OutputError
from pytest_vdb.records import Measurement, Record
from pytest_vdb.reporters import charts, formats
from pytest_vdb.reporters.formats import pdf
from pytest_vdb.reporters.text import distinct_names

pytest.importorskip("typst", reason="the extra pdf is not installed")
pytestmark = pytest.mark.slow  # typesets

RUN = example.example_run()


def record(model: str, **more) -> Record:
    plain = {"run": RUN.id, "nodeid": f"t.py::t[{model}]", "benchmark": "t.py::t", "status": "passed", "weights": "hub"}
    return Record(**{**plain, "model": model, "prompt": "p0", **more})


def metric(name: str, value: float | None = 1.0, reason: str | None = None) -> Measurement:
    return Measurement(name=name, value=value, unit="1", better="higher", reason=reason)


def test_the_same_records_give_the_same_bytes():
    made = [pdf.render(build(RUN, example.example_records(RUN))) for _ in range(2)]
    assert made[0].startswith(b"%PDF-")
    assert made[0] == made[1]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [record("only-one", measurements=(metric("sharpness"),))],
        [record("failed", status="failed")],
        [record('#import "x"; $a$ \\ * _ @ <b> ${', measurements=(metric("m", None, "#panic(1)"),))],
        [record("模型", prompt="字"), record("نموذج"), record("🎬")],
        [record("\x00\x1b[31m\u202e")],
        [record("wide", measurements=tuple(metric(f"metric_{at}") for at in range(500)))],
        [record(f"m{at}", measurements=(metric("sharpness", float(at)),)) for at in range(130)],
        [record("x" * 10_000, prompt="y" * 10_000, measurements=(metric("m"),))],
    ],
    ids=["nothing", "one", "no value", "markup", "scripts", "controls", "500 columns", "130 rows", "long"],
)
def test_whatever_records_hold_is_text(records):
    assert pdf.render(build(RUN, records)).startswith(b"%PDF-")


def test_names_that_are_markup_stand_in_the_plot():
    def of_model(model: str, seconds: float) -> list[Record]:
        cost = Measurement(name="latency", value=seconds, unit="s", better="lower", kind="performance")
        measured = metric("sharpness", seconds), cost
        return [record(model, prompt=f"p{at}", nodeid=f"{model}{at}", measurements=measured) for at in range(3)]

    board = build(RUN, [*of_model('<b>&"]]>', 2.0), *of_model("#a$", 3.0)])
    (standings,) = board.standings
    assert charts.of_standings(standings, distinct_names(standings.table)) is not None
    assert pdf.render(board).startswith(b"%PDF-")


def test_it_is_written_where_it_is_asked_for():
    assert "pdf" not in formats.chosen("all")
    assert formats.chosen("all,pdf") == (*formats.chosen("all"), "pdf")
    assert formats.chosen("pdf") == ("pdf",)


def test_without_typst_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(OutputError, match="a PDF needs typst") as error:
        pdf.render(build(RUN, []))
    assert "pytest-vdb[pdf]" in str(error.value)
