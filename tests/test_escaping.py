"""What a terminal, a CI runner and a spreadsheet would obey is shown to them and not obeyed."""

import json
import re

import pytest

from pytest_vdb.errors import VdbError
from pytest_vdb.escaping import file_name, file_names, inert, json_text, lines, shortened, spreadsheet, visible


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


STRANGE = [
    *(
        "../../x",
        "/etc/passwd",
        "..\\..\\x",
        "C:\\x",
        "",
        ".",
        "..",
        ".hidden",
        "a.",
        "a ",
        "x" * 300,
        "模型",
        "\ud800",
    ),
    *("CON", "aux.mp4", "com1", "nul.tar.gz", "a/b", "a\x00b", "-rf", "~", "a\nb", "\u202egnp.exe", "wan2.1-t2v-1.3b"),
]


@pytest.mark.parametrize("name", STRANGE)
def test_no_name_leaves_its_folder_or_is_a_device(name):
    made = file_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+~-]{0,74}", made)
    assert made.partition(".")[0].lower() not in {"con", "aux", "com1", "nul"}


def test_two_names_are_never_one_file():
    assert file_name("wan2.1-t2v-1.3b") == "wan2.1-t2v-1.3b"
    assert len({file_name(name) for name in STRANGE}) == len(STRANGE)
    assert len({file_name(f"模型{number}") for number in range(2_000)}) == 2_000


def test_names_in_one_folder_stay_readable_and_differ_where_case_is_ignored():
    assert file_names(["Veo 3", "wan"]) == ["Veo_3", "wan"]
    made = file_names(["A", "a", "x y", "x_y", "x y", "模型", *STRANGE])
    assert len({name.lower() for name in made}) == len(made)


def test_a_long_name_keeps_both_ends():
    assert shortened("wan2.1 (strength=0.9)", 11) == "wan2.…=0.9)"
    assert shortened("wan", 3) == "wan"
    assert len(shortened("x" * 10_000, 80)) == 80


def test_another_programs_output_keeps_its_colours_but_gives_no_orders():
    assert inert("\x1b[31mred\n::error::x\n a::b") == "\x1b[31mred\n\\::error::x\n a::b"
