"""What comparisons and gates answered once, they answer again: of runs in which everything happens, in both schemas.

`python tests/cli/test_cli_answers.py` writes the answers down anew, where another answer is the right one.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from varied_runs import keep, run_of, stopped_early, varied

from pytest_vdb import files
from pytest_vdb.cli import main

ANSWERS = Path(__file__).parents[2] / "fixtures" / "answers"
LAST, BEFORE = "runs/20260109-000000-abcdef", "runs/20260104-000000-abcdef"
OF_CLIPS = "sharpness:-1%,temporal_flicker:+1%,clip_similarity:-1%,vbench.*:-1%,own:-1%,motion_amount:5%"
COSTS = "latency:+10%,load_time:+5%,peak_memory_*:+0.05%"
RULES = f"{OF_CLIPS},{COSTS}"
MORE = f"{RULES},fvd:+2%,sharpness@worse:-0.1"
WRONG = "sharpness:+1%,fvd:-2%,latency:0.1min"
"""Directions and a unit that mean nothing."""
COMMANDS: dict[str, list[str]] = {
    "compare.json": ["compare", LAST, BEFORE, "--json"],
    "compare-any-recipe.json": ["compare", LAST, BEFORE, "--any-recipe", "--model", "retuned,sized", "--json"],
    "compare-models.json": ["compare", LAST, "steady", "worse", "--json"],
    "compare-metrics.json": ["compare", LAST, BEFORE, "--metrics", "sharp*,latency", "--model", "worse", "--json"],
    "compare.md": ["compare", LAST, BEFORE, "--markdown"],
    "compare.html": ["compare", LAST, BEFORE, "--html", "page.html"],
    "gate.json": ["gate", LAST, "--baseline", BEFORE, "--fail-on", MORE, "--json"],
    "gate-history.json": ["gate", LAST, "--baseline", "history:4", "--fail-on", MORE, "--json"],
    "gate-of-few.json": ["gate", BEFORE, "--baseline", LAST, "--fail-on", WRONG, "--json"],
    "gate-early.json": [
        "gate",
        f"early/{LAST}",
        "--baseline",
        f"early/{BEFORE}",
        "--fail-on",
        f"{OF_CLIPS},{COSTS}",
        "--json",
    ],
    "gate.md": ["gate", LAST, "--baseline", BEFORE, "--fail-on", MORE, "-o", "page.md", "--strict"],
}
_STYLE = re.compile(r"<(style|script)[^>]*>.*?</\1>|<meta[^>]*Security-Policy[^>]*>", re.DOTALL)


def write_runs(output: Path, *, in_full: bool) -> None:
    """Five sessions, and two of a gate that may stop early."""
    for day in (1, 2, 3, 4, 9):
        run = run_of(day)
        keep(output, run, varied(run, day), in_full=in_full)
    order = tuple(f"p{prompt:02}" for prompt in range(40))
    for day in (4, 9):
        run = run_of(day, order=order if day == 9 else ())
        keep(output / "early", run, stopped_early(run, day), in_full=in_full)


def answered(words: list[str]) -> str:
    """Exit status and all that is said; of a page, the page."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    pages = [Path(word) for word in words if word.startswith("page.")]
    said = "".join(_STYLE.sub("", page.read_text(encoding="utf-8")) for page in pages) or out.getvalue()
    return f"{said}\n{err.getvalue()}exit {status}\n"


@pytest.fixture(scope="module", params=["schema 1", "schema 2"])
def kept_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output: Path = tmp_path_factory.mktemp("output")
    write_runs(output, in_full=request.param == "schema 1")
    return output


@pytest.mark.parametrize("name", COMMANDS)
def test_an_answer_is_what_it_was(name: str, kept_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kept_runs)
    assert as_told(answered(COMMANDS[name]), name) == as_told((ANSWERS / name).read_text(encoding="utf-8"), name)


def as_told(text: str, name: str) -> Any:
    """JSON as what it says, its numbers but for rounding, which another processor does otherwise."""
    if not name.endswith(".json"):
        return text
    said, _, rest = text.rpartition("]")
    return json.loads(f"{said}]", parse_float=_Rounded), rest


class _Rounded(float):
    """Equal to what differs from it by rounding alone."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and math.isclose(self, other, rel_tol=1e-9, abs_tol=1e-13)

    __hash__ = float.__hash__


def write_answers(folder: Path) -> None:
    """All of them, into a folder."""
    with tempfile.TemporaryDirectory() as output:
        write_runs(Path(output), in_full=False)
        began = Path.cwd()
        os.chdir(output)
        texts = {name: answered(words) for name, words in COMMANDS.items()}
        os.chdir(began)
    for name, text in texts.items():
        files.write(folder / name, text)


if __name__ == "__main__":
    write_answers(Path(sys.argv[1]) if sys.argv[1:] else ANSWERS)
