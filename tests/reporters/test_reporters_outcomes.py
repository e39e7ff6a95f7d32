"""Every report tells what became of a test, how often it was tried, in which benchmark and with which parameters."""

from __future__ import annotations

import csv as stdlib_csv
import dataclasses
import io
from collections.abc import Callable

import example_run as example
import pytest

from pytest_vdb.analysis import build
from pytest_vdb.analysis.gate import judge
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.records import Baseline, Record
from pytest_vdb.reporters import gate, terminal
from pytest_vdb.reporters.formats import csv, html, latex, markdown

RUN = example.example_run()
FORMATS: dict[str, Callable[[Leaderboard], str]] = {
    "terminal": lambda board: " ".join(terminal.render(board, width=140).split()),
    "html": html.render,
    "csv": csv.render,
    "markdown": markdown.render,
    "latex": lambda board: latex.render(board).replace("{}", ""),
}
every_format = pytest.mark.parametrize("render", FORMATS.values(), ids=FORMATS)


def board_with(*records: Record) -> Leaderboard:
    return build(RUN, [*(example.answer(RUN, "cogvideox-2b", prompt) for prompt in example.PROMPTS), *records])


@every_format
@pytest.mark.parametrize(
    ("status", "words"),
    [("xfailed", "failed as expected: fp16 NaN"), ("interrupted", "interrupted: fp16 NaN"), ("paused", "paused")],
)
def test_an_outcome_is_told_with_its_reason(render, status, words):
    assert words in render(board_with(example.lost(RUN, "wan", "style-01", status, "Exception", "fp16 NaN")))


@every_format
def test_an_outcome_is_told_where_nothing_was_measured_at_all(render):
    failed = [example.lost(RUN, "wan", prompt, "xfailed", "Exception", "fp16 NaN") for prompt in example.PROMPTS]
    text = render(build(RUN, failed))
    assert "xfailed" in text or "failed as expected" in text
    if render is not FORMATS["csv"]:  # which has no column to give a reason in
        assert "fp16 NaN" in text


@every_format
def test_tests_that_needed_a_second_try_are_told(render):
    tried = [example.answer(RUN, "wan", prompt, attempts=2) for prompt in ("style-01", "physics-01")]
    text = render(board_with(*tried))
    if render is FORMATS["csv"]:
        rows = {row["model"]: row["retried"] for row in stdlib_csv.DictReader(io.StringIO(text))}
        assert rows == {"wan": "2", "cogvideox-2b": "0"}
    else:
        assert "2 of 8 tests needed a second try: wan (2)" in text
    assert "second try" not in render(board_with())


@every_format
def test_a_session_that_was_stopped_says_how_many_tests_left_no_record(render):
    records = [example.answer(RUN, "wan", prompt) for prompt in example.PROMPTS]
    of_set = dataclasses.replace(records[0], prompt=None, seed=None, nodeid="vdb-sets::wan")
    for collected, left in ((60, 54), (6, 0), (None, 0)):
        board = build(dataclasses.replace(RUN, collected=collected), [*records, of_set])
        if render is not FORMATS["csv"]:
            assert (f"session was stopped: {left} of 60 tests left no record" in render(board)) == bool(left)


def test_more_tries_than_two_are_counted():
    tried = [example.answer(RUN, "wan", prompt, attempts=n) for prompt, n in (("style-01", 3), ("physics-01", 2))]
    assert "needed up to 3 tries: wan (2)" in FORMATS["terminal"](board_with(*tried))
    assert "tried 3 times" in example.pages_of_models(board_with(*tried))


@every_format
def test_parameters_are_part_of_a_rows_name(render):
    made = [
        example.answer(RUN, "wan", "style-01", nodeid=s, parameters={"strength": s, "mode": "fast"}, weights="hub")
        for s in ("0.9", "0.5")
    ]
    text = render(build(RUN, made))
    if render is FORMATS["latex"]:
        assert "wan (strength=0.9, mode=fast)" in text.replace("\\", "") or "wan (mode=fast, strength=0.9)" in text
    else:
        for strength in ("0.9", "0.5"):
            assert f"mode=fast, strength={strength}" in text


def test_a_long_name_keeps_what_tells_rows_apart_in_the_terminal():
    model = "a-model-whose-name-is-longer-than-any-terminal-has-room-for"
    made = [example.answer(RUN, model, "style-01", nodeid=s, parameters={"strength": s}) for s in ("0.9", "0.5")]
    text = terminal.render(build(RUN, made), width=100)
    assert "(strength=0.9)" in text
    assert "(strength=0.5)" in text


@every_format
def test_benchmarks_of_one_function_are_called_by_what_tells_them_apart(render):
    made = [
        example.answer(RUN, "wan", "style-01", nodeid=file, benchmark=f"benchmarks/{file}.py::test_generation")
        for file in ("fast", "slow")
    ]
    text = render(build(RUN, made)).replace("\\_", "_")
    assert "fast.py::test_generation" in text
    assert "slow.py::test_generation" in text
    alone = render(build(RUN, made[:1])).replace("\\_", "_")
    assert "test_generation" in alone or render is FORMATS["terminal"]
    if render is not FORMATS["html"]:  # whose heading has it as its tooltip
        assert "fast.py" not in alone


def test_a_verdict_says_in_which_of_two_benchmarks_of_one_name_it_was():
    def made(scale: float) -> list[Record]:
        records = []
        for file in ("fast", "slow"):
            about = {"benchmark": f"benchmarks/{file}.py::test_generation"}
            records += [
                example.answer(RUN, "calibration-shapes", prompt, nodeid=f"{file}-{prompt}", **about)
                for prompt in example.PROMPTS
            ]
        return records

    found = judge(made(1.0), RUN, Baseline(run=RUN, records=tuple(made(1.0))), parse_rules("sharpness:-2%"))
    assert "`fast.py::test_generation calibration-shapes`" in gate.render_markdown(found)
    lines = gate.render_terminal(found, width=400).splitlines()
    assert lines[0].endswith("(fast.py::test_generation)")
    assert lines[1].endswith("(slow.py::test_generation)")


def test_the_page_of_an_earlier_versions_run_tells_neither_its_command_line_nor_folders():
    kept = {"arguments": ["--api-token", "v0g0n"], "weights_dir": "/home/zaphod/w", "reference": r"C:\sets\real.npz"}
    page = html.render(build(dataclasses.replace(RUN, options=kept), [example.answer(RUN, "wan", "style-01")]))
    assert "<dd>real.npz</dd>" in page
    for secret in ("v0g0n", "api-token", "zaphod", r"C:\sets"):
        assert secret not in page
