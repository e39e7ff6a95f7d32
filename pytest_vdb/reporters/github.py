"""What a job on GitHub shows: verdicts as annotations, one page for its summary and comment, cut at their limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_vdb.analysis.pinned import saved_in_words
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import shortened, workflow_command
from pytest_vdb.reporters import gate
from pytest_vdb.reporters.formats import markdown
from pytest_vdb.reporters.text import counted, status_words

if TYPE_CHECKING:
    from pytest_vdb.analysis.gate import Verdict

STEP_SUMMARY_LIMIT = 1024 * 1024
"""Bytes of `$GITHUB_STEP_SUMMARY` that GitHub takes from one step; of more it shows nothing."""
COMMENT_LIMIT = 65_536
"""Characters of a comment that GitHub takes; counted as bytes here, which are never fewer."""
MOST_ANNOTATIONS = 10
"""Errors of one step that GitHub shows; further ones it drops without a word."""
_LONGEST_REASON = 1_000


def page(verdicts: Sequence[Verdict], board: Leaderboard, *, strict: bool = False) -> str:
    """The gate and the leaderboard below it, as Markdown."""
    saved = saved_in_words(board.run, (record for row in board.rows for record in row.records))
    gates = gate.render_markdown(verdicts, strict=strict, saved=saved)
    return "\n".join([*filter(None, [gates]), markdown.render(board)])


def cut(text: str, most: int) -> str:
    """A page of at most so many bytes: whole lines of it, and one that says how many are left out.

    Args:
        text: the page.
        most: bytes of UTF-8; what is too small for the line that says so gets nothing.
    """
    lines = text.splitlines(keepends=True)
    sizes = [len(line.encode("utf-8", "backslashreplace")) for line in lines]
    if sum(sizes) <= most:
        return text
    room = most - len(_left_out(len(lines)).encode())
    kept = 0
    while sizes[kept] <= room:
        room -= sizes[kept]
        kept += 1
    return "".join(lines[:kept]) + _left_out(len(lines) - kept) if room >= 0 else ""


def _left_out(lines: int) -> str:
    return f"\n**{counted(lines, 'line')} left out, as GitHub takes no more: all of it is in the job's artefact.**\n"


def annotated(
    verdicts: Sequence[Verdict], file_of_benchmark: Callable[[str], str | None], *, strict: bool = False
) -> list[str]:
    """The worst verdicts as commands to the runner, the worst first: an error for what fails, else a warning.

    Args:
        verdicts: of the gate.
        file_of_benchmark: the file of a benchmark, relative to the repository's top, or None where nobody knows.
        strict: whether what is inconclusive fails.
    """
    commands = []
    for verdict in gate.worst(verdicts, strict=strict)[:MOST_ANNOTATIONS]:
        file = None if verdict.benchmark is None else file_of_benchmark(verdict.benchmark)
        level = "error" if verdict.fails(strict=strict) else "warning"
        reason = shortened(verdict.reason, _LONGEST_REASON)
        commands.append(workflow_command(level, reason, file=file, title=f"vdb gate: {verdict.outcome}"))
    return commands


def failure(status: int, board: Leaderboard | None) -> str:
    """The annotation of a session that failed for another reason than its gate.

    Args:
        status: what pytest ended with.
        board: of its run; None: it left none.
    """
    what = "it left no record" if board is None else status_words(board.counts)
    return workflow_command("error", f"pytest ended with {status}: {what}; see the log", title="vdb benchmark")
