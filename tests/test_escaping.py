"""What a terminal, a CI runner and a spreadsheet would obey is shown to them and not obeyed."""

import json

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import json_text, lines, spreadsheet, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[31mred", "\\x1b[31mred"), ("a\u202eb", "a\\u202eb"), ("\ud800", "\\ud800"), ("two\nlines", "two lines")],
)
def test_what_a_terminal_obeys_is_shown(text, shown):
    assert visible(text) == shown
    assert visible(text).encode()


@pytest.mark.parametrize("order", ["::error::gone", "  ::set-output name=a::b", "##[error]gone"])
def test_no_line_is_an_order_to_a_ci_runner(order):
    first, second = lines(f"before\n{order}").split("\n")
    assert first == "before"
    assert second.lstrip().startswith("\\")
    assert order.lstrip() in second


@pytest.mark.parametrize(
    "formula", ["=1+1", " +1", "-1", "@x", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20x", "\u22121"]
)
def test_no_field_is_a_formula(formula):
    assert spreadsheet(formula).startswith("'")


def test_json_keeps_its_value_and_shows_what_is_invisible():
    value = {"name": "a\u202eb\x9f\U000e0001c", "half": "\ud800"}
    text = json_text(json.dumps(value, ensure_ascii=False))
    assert text.isascii()
    assert json.loads(text) == value


def test_an_error_is_shown_and_not_obeyed():
    error = VdbError("\x1b[2Jgone", where="a\u202e.mp4", mend="do\nthis")
    assert str(error) == "a\\u202e.mp4: \\x1b[2Jgone\n  do this"
