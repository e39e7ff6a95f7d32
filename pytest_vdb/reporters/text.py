"""How numbers, names and outcomes are told in every report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from pytest_vdb.analysis.readings import failure_line, is_of_set
from pytest_vdb.analysis.row_names import distinct_names as distinct_names  # reporters and exports call rows alike
from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table
from pytest_vdb.escaping import shortened
from pytest_vdb.figures import Notation, notation
from pytest_vdb.records import SCORED, Measurement, Status

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

EVERY_COLUMN = "every column"
LONGEST_NAME = 80
"""Characters of a name in a table of a page."""


def notation_of(cells: Iterable[Cell]) -> Notation:
    """How the figures of one column are written."""
    cells = list(cells)
    return notation([cell.mean for cell in cells], apart=_ranked_apart(cells), halves=map(half_width, cells))


def _ranked_apart(cells: Iterable[Cell]) -> Iterator[tuple[float | None, float | None]]:
    """Neighbours in rank, without those that nobody can tell apart: their digits would be noise."""
    before: Cell | None = None
    for cell in sorted((cell for cell in cells if cell.rank is not None), key=lambda cell: cell.rank or 0.0):
        if before is not None:
            if _is_noise(before, cell):
                continue
            yield before.mean, cell.mean
        before = cell


def _is_noise(one: Cell, other: Cell) -> bool:
    """Whether two ranked cells are both not told apart from the best, or nearer than a tenth of their intervals."""
    if one.tied and other.tied:
        return True
    halves = [half_width(cell) for cell in (one, other)]
    assert one.mean is not None
    assert other.mean is not None
    return all(half is not None and abs(one.mean - other.mean) < half / 10 for half in halves)


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


def outcomes(counts: Mapping[Status, int]) -> list[tuple[Status, str, int]]:
    """(status, in words, tests): those that occurred, in the order in which they are told."""
    known = [(status, words) for status, words in STATUS_WORDS.items() if counts.get(status)]
    unknown = [(status, words_of_status(status)) for status in sorted(counts) if status not in STATUS_WORDS]
    return [(status, words, counts[status]) for status, words in (*known, *unknown)]


def words_of_status(status: Status) -> str:
    """`failed as expected`; what a later version of pytest-vdb may call an outcome, as it stands."""
    return STATUS_WORDS.get(status, status.replace("_", " "))


def status_words(counts: Mapping[Status, int]) -> str:
    """`35 passed, 1 failed, 6 skipped`."""
    return ", ".join(f"{n:,} {words}" for _, words, n in outcomes(counts))


def tests_short(row: Row) -> str:
    """`5/6` passed of all that were not skipped; `skipped` or `xfailed` where all were."""
    for status in ("skipped", "xfailed"):
        if row.counts.get(status, 0) == row.tests:
            return status
    return f"{row.passed}/{row.tests - row.counts.get('skipped', 0)}"


def retries_line(rows: Iterable[Row]) -> str | None:
    """`2 of 6 tests needed a second try: wan (2)`, or None where every test was tried once."""
    rows = list(rows)
    again = sum(row.retried for row in rows)
    if not again:
        return None
    most = max(record.attempts for row in rows for record in row.records)
    tries = "a second try" if most == 2 else f"up to {most} tries"
    models: Counter[str] = Counter()
    for row in rows:
        models[row.model] += row.retried
    models = +models
    named = ", ".join(f"{shortened(model, LONGEST_NAME)} ({n})" for model, n in models.most_common(8))
    more = f" and {counted(len(models) - 8, 'more model')}" if len(models) > 8 else ""
    return f"{again:,} of {counted(sum(row.tests for row in rows), 'test')} needed {tries}: {named}{more}"


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


def missing_lines(table: Table) -> list[tuple[str, str, int]]:
    """(column or "every column", reason, tests): why values are missing, each reason once, the most frequent first."""
    lost = Counter(failure_line(record) for row in table.rows for record in row.records if record.status != "passed")
    by_reason: dict[str, dict[str, int]] = {}
    for row in table.rows:
        for column, cell in zip(table.columns, row.cells, strict=True):
            for reason, n in cell.reasons:
                columns = by_reason.setdefault(reason, {})
                columns[column.name] = columns.get(column.name, 0) + n
    lines = [(EVERY_COLUMN, reason, n) for reason, n in lost.items()]
    for reason, columns in by_reason.items():
        if reason not in lost:
            everywhere = len(table.columns) > 1 and len(columns) == len(table.columns)
            lines.append((EVERY_COLUMN if everywhere else _some(list(columns)), reason, max(columns.values())))
    return sorted(lines, key=lambda line: (-line[2], line[0], line[1]))


def _some(columns: list[str]) -> str:
    """Their names, or of very many the first ones."""
    most = 12
    named = ", ".join(shortened(column, LONGEST_NAME) for column in columns[:most])
    return named if len(columns) <= most else f"{named} and {len(columns) - most} more"


def title(board: Leaderboard) -> str:
    """What the report is about, in one line."""
    models = len({row.model for row in board.rows})
    prompts = len({(r.prompt, r.prompt_text) for row in board.rows for r in row.records if r.prompt is not None})
    return f"{counted(models, 'model')}, {counted(prompts, 'prompt')}, {counted(sum(board.counts.values()), 'test')}"


def stopped_line(board: Leaderboard) -> str | None:
    """`the session was stopped: 18 of 60 tests left no record`, or None where all did, or nobody knows."""
    collected = board.run.collected
    tests = {r.nodeid for row in board.rows for r in row.records if r.run == board.run.id and not is_of_set(r)}
    if collected is None or len(tests) >= collected:
        return None
    return f"the session was stopped: {collected - len(tests):,} of {counted(collected, 'test')} left no record"


LEGEND = (
    "Mean over prompts (the samples of a prompt averaged first) with its 95% interval. Best and second best are marked "
    'among rows that answered the same prompts; "not told apart" from the best: paired t-test, '
    "Benjamini-Hochberg over the column, p >= 0.05."
)
