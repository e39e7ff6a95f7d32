"""The short table at the end of a session, in any encoding."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_characters_shows_the_table_line_by_line(project, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("COLUMNS", "160")  # all columns: pytester cannot read the dots that stand for others
    result = project.run_in_subprocess("good", "--vdb-prompts=smoke:1", "--vdb-metrics=sharpness")
    text = result.stdout.str()
    assert "UnicodeEncodeError" not in text + result.stderr.str()
    assert "\\n" not in text, "pytest's own way out: one line of escapes"
    header = next(line for line in result.outlines if line.startswith("model "))
    assert header.endswith("?")  # the arrow that says which way is better


@pytest.mark.slow
@pytest.mark.parametrize("taken", [0, 1024 * 1024 - 400, 1024 * 1024])
def test_the_summary_page_of_a_job_ends_at_githubs_limit_and_says_so(project, monkeypatch, tmp_path, taken):
    """Of a page that is a byte too long GitHub shows nothing; other programs of the step write to it, too."""
    page = tmp_path / "summary.md"
    page.write_text("x" * taken)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    project.run_in_subprocess("good", "--vdb-prompts=smoke:1", "--vdb-metrics=sharpness")
    text = page.read_text()
    assert len(text.encode()) <= 1024 * 1024
    assert ("lines left out" in text) == (0 < taken < 1024 * 1024)
    assert text.startswith("x" * taken)
    assert ("# Video benchmark" in text) == (taken < 1024 * 1024)
