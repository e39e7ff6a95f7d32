"""How numbers and names are written in every report, and how a name from outside is made harmless."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pytest_vdb.analysis.leaderboard import Cell, Column, Leaderboard, Row, Table
from pytest_vdb.records import SCORED, Measurement, Status

MISSING = "–"
ARROWS = {"higher": "↑", "lower": "↓", "neutral": ""}
BETTER = {"higher": "higher is better", "lower": "lower is better", "neutral": "neither high nor low is better"}

STATUS_WORDS: dict[Status, str] = {
    "passed": "passed",
    "failed": "failed",
    "xfailed": "failed as expected",
    "oom": "out of memory",
    "crashed": "crashed",
    "quarantined": "quarantined",
    "interrupted": "interrupted",
    "not_run": "not run",
    "skipped": "skipped",
}
"""In the order in which they are told."""


def decimals(cells: Iterable[Cell]) -> int:
    """How many decimals a column needs so that its smallest figure keeps three significant digits: 0 to 4."""
    sizes = [abs(cell.mean) for cell in cells if cell.mean is not None and abs(cell.mean) >= 5e-5]
    if not sizes:
        return 3
    if max(sizes) >= 1_000:
        return 1 if min(sizes) < 100 else 0
    return min(4, max(0, 2 - math.floor(math.log10(min(sizes)))))


def figure(value: float | None, places: int) -> str:
    """`0.812`, `12,345`, or an en dash."""
    if value is None:
        return MISSING
    text = f"{value:,.{places}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def half_width(cell: Cell) -> float | None:
    """Of the cell's interval when it is symmetric about the mean, else None."""
    if cell.mean is None or cell.interval is None:
        return None
    below, above = cell.mean - cell.interval[0], cell.interval[1] - cell.mean
    return above if math.isclose(below, above, rel_tol=1e-6, abs_tol=1e-12) else None


def unit(column: Column | Measurement) -> str:
    """The unit, or nothing for a pure number and for a count whose name says it already."""
    return "" if column.unit in {"", "1", column.name} else column.unit


def heading(column: Column, columns: Iterable[Column]) -> str:
    """The column's name, with its version only where two versions stand side by side."""
    alike = [other for other in columns if other.name == column.name]
    return column.name if len(alike) < 2 else f"{column.name} v{column.version}"


def weights_words(row: Row) -> str:
    """What the weights are, in words that cannot be misread."""
    if row.published is not None:
        return "published, not measured here"
    if row.yardstick and row.weights == "none":
        return "calibration"
    match row.weights:
        case "tiny":
            return "tiny random weights"
        case "random":
            return "random weights"
        case "none":
            return "clips from files" if all(run.startswith(SCORED) for run in row.runs) else "no weights"
        case "hub":
            return "published weights"
        case "local":
            return "local weights"
        case None:
            return "weights unknown"


def weights_name(row: Row) -> str:
    """The same in one word."""
    return "published" if row.published is not None else row.weights or "?"


def weights_note(table: Table) -> list[str]:
    """What must be said about rows whose pixels mean nothing, and about values from tiny networks."""
    tiny = sum(row.weights == "tiny" for row in table.rows)
    random = sum(row.weights == "random" for row in table.rows)
    wiring = sorted(
        {c.name for row in table.rows for c, cell in zip(table.columns, row.cells, strict=True) if cell.wiring}
    )
    notes = []
    if sources := sorted({row.published for row in table.rows if row.published is not None}):
        notes.append(f"Values from {', '.join(sources)} were published by others and not measured here: never ranked.")
    if tiny:
        notes.append(
            f"{counted(tiny, 'row')} with tiny random weights: a shrunken architecture that was never trained. "
            "It proves that the wiring works; its values say nothing about the model and are never ranked."
        )
    if random:
        notes.append(
            f"{counted(random, 'row')} with random weights: the full-size architecture, never trained. "
            "Speed and memory are real, pixels are not: quality is never ranked."
        )
    if any(row.yardstick for row in table.rows):
        notes.append("Calibration rows are clips of known quality: yardsticks, compared among themselves only.")
    if wiring:
        notes.append(f"Computed by tiny random networks, so only proof of the wiring: {', '.join(wiring)}.")
    return notes


def counted(n: int, noun: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def status_words(counts: dict[Status, int] | Row) -> str:
    """`35 passed, 1 failed, 6 skipped`."""
    by_status = dict(counts.counts) if isinstance(counts, Row) else counts
    return ", ".join(f"{by_status[status]:,} {word}" for status, word in STATUS_WORDS.items() if by_status.get(status))


def tests_short(row: Row) -> str:
    """`5/6` passed of all that should have; `skipped` when nothing was tried."""
    skipped = row.counts.get("skipped", 0)
    if skipped == row.tests:
        return "skipped"
    return f"{row.passed}/{row.tests - skipped}"


def recipe_words(row: Row) -> str:
    """`17 frames, 64x64, 2 steps`: what of the recipe most changes the numbers."""
    recipe = row.recipe
    parts = []
    if recipe.get("frames"):
        parts.append(f"{recipe['frames']} frames")
    if recipe.get("width") and recipe.get("height"):
        parts.append(f"{recipe['width']}×{recipe['height']}")
    if recipe.get("steps"):
        parts.append(f"{recipe['steps']} steps")
    if recipe.get("dtype"):
        parts.append(str(recipe["dtype"]))
    return ", ".join(parts)


def distinct_names(table: Table) -> dict[int, str]:
    """Row position -> the model's name, with what sets it apart where one model has several rows."""
    names: dict[int, str] = {}
    for at, row in enumerate(table.rows):
        twins = [other for other in table.rows if other.model == row.model and other is not row]
        apart: list[str] = []
        if row.published is not None and twins:
            apart.append("published")
        if row.published is None and any(other.weights != row.weights for other in twins):
            apart.append(row.weights or "?")
        if any(other.recipe_digest != row.recipe_digest for other in twins):
            apart.append((row.recipe_digest or "no recipe")[:6])
        if any(other.hardware != row.hardware for other in twins):
            apart.append(row.hardware or "?")
        names[at] = row.model + (f" ({', '.join(apart)})" if apart else "")
    return names


def missing_lines(table: Table) -> list[tuple[str, str, int]]:
    """(column or "every column", reason, tests): why values are missing, each reason once, the most frequent first."""
    by_reason: dict[str, dict[str, int]] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            for reason, n in cell.reasons:
                columns = by_reason.setdefault(reason, {})
                columns[column.name] = columns.get(column.name, 0) + n
    lines = []
    for reason, columns in by_reason.items():
        everywhere = len(table.columns) > 1 and len(columns) == len(table.columns)
        lines.append(("every column" if everywhere else ", ".join(columns), reason, max(columns.values())))
    return sorted(lines, key=lambda line: (-line[2], line[0], line[1]))


def title(board: Leaderboard) -> str:
    """What the report is about, in one line."""
    models = len({row.model for row in board.rows})
    prompts = len({record.prompt for row in board.rows for record in row.records if record.prompt is not None})
    return f"{counted(models, 'model')}, {counted(prompts, 'prompt')}, {counted(sum(board.counts.values()), 'test')}"


LEGEND = (
    "Mean over prompts (the samples of a prompt averaged first) with its 95% interval. Best and second best are marked "
    'among rows that answered the same prompts; "not told apart" from the best: paired t-test, '
    "Benjamini-Hochberg over the column, p >= 0.05."
)
