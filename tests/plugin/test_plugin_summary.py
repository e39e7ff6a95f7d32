"""The short table at the end of a session, in any encoding."""

from __future__ import annotations

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_characters_shows_the_table_line_by_line(project, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    result = project.run_in_subprocess("good", "--vdb-prompts=smoke:1", "--vdb-metrics=sharpness")
    text = result.stdout.str()
    assert "UnicodeEncodeError" not in text + result.stderr.str()
    assert "\\n" not in text, "pytest's own way out: one line of escapes"
    header = next(line for line in result.outlines if line.startswith("model "))
    assert header.endswith("?")  # the arrow that says which way is better
