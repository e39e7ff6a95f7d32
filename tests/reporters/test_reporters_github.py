"""What GitHub's page of a job shows: ten annotations, the worst first, and pages that end where GitHub's limits are."""

from __future__ import annotations

import pytest

from pytest_vdb.analysis.gate import Outcome, Verdict
from pytest_vdb.reporters.github import COMMENT_LIMIT, MOST_ANNOTATIONS, annotated, cut


def verdict(outcome: Outcome, model: str = "wan", *, now: float | None = None, reason: str | None = None) -> Verdict:
    """On a baseline of 1 with a margin of .1."""
    return Verdict(
        benchmark="benchmarks/test_generation.py::test_generation",
        model=model,
        metric="sharpness",
        rule="sharpness:-10%",
        outcome=outcome,
        reason=reason or f"sharpness of {model}",
        baseline_mean=None if now is None else 1.0,
        mean=now,
        margin=0.1,
    )


def shown(*verdicts: Verdict, strict: bool = False) -> list[str]:
    return annotated(verdicts, lambda benchmark: benchmark.partition("::")[0], strict=strict)


def test_the_worst_come_first_and_what_is_well_is_not_shown():
    told = shown(
        verdict("equivalent", "a"),
        verdict("inconclusive", "b"),
        verdict("missing", "c"),
        verdict("regressed", "d", now=0.8),
        verdict("improved", "e", now=1.5),
        verdict("incomparable", "f"),
        verdict("regressed", "g", now=0.1),
    )
    assert [line.rpartition(" of ")[2] for line in told] == ["g", "d", "c", "f", "b"]
    assert [line.split()[0] for line in told] == ["::error"] * 4 + ["::warning"]
    assert told[0] == ("::error file=benchmarks/test_generation.py,title=vdb gate%3A regressed::sharpness of g")


def test_where_the_user_is_strict_what_cannot_be_told_is_an_error():
    assert shown(verdict("inconclusive"), strict=True)[0].startswith("::error ")


def test_at_most_ten_are_shown():
    verdicts = [verdict("regressed", f"m{number}", now=number / 100) for number in range(60)]
    told = shown(*verdicts)
    assert [line.rpartition(" of ")[2] for line in told] == [f"m{number}" for number in range(MOST_ANNOTATIONS)]


@pytest.mark.parametrize("name", ["a\n::set-output name=x::y", "a\r\n::stop-commands::x", "a%0A::error::b", "\x1b[31m"])
def test_no_name_is_a_command_of_its_own(name):
    (line,) = shown(verdict("missing", name))
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert line.startswith("::error file=benchmarks/test_generation.py,title=vdb gate%3A missing::sharpness of ")
    assert "a%0A" not in line or "\n" in name or "\r" in name


def test_a_page_that_fits_is_left_as_it_is():
    assert cut("ä\n" * 10, 30) == "ä\n" * 10


@pytest.mark.parametrize("most", [COMMENT_LIMIT, 1024 * 1024, 500, 101])
def test_a_page_is_cut_between_lines_and_says_how_much_is_missing(most):
    page = "".join(f"| ä {number} |\n" for number in range(200_000))
    short = cut(page, most)
    kept, told = short.split("\n\n")
    assert len(short.encode()) <= most
    assert page.startswith(kept)
    assert f"{200_000 - len(kept.splitlines()):,} lines left out" in told
    assert len(short.encode()) > most - 30, "as much as fits"


def test_where_not_even_the_line_about_it_fits_there_is_nothing():
    assert cut("a\n" * 100, 20) == ""
    assert cut("a\n" * 100, -5) == ""
