"""How numbers, names and outcomes are told in every report."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.row_names import distinct_names as distinct_names  # reporters and exports call rows alike
from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table
from pytest_vdb.escaping import shortened
from pytest_vdb.figures import MISSING, Notation, notation
from pytest_vdb.privacy import name_of
from pytest_vdb.records import SCORED, Definition, Measurement, Status
from pytest_vdb.results.ledger import STRENGTHS

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
    """How the figures of one column are written, its intervals' ends as well."""
    cells = list(cells)
    return notation([cell.mean for cell in cells], apart=_ranked_apart(cells), halves=map(_half_width, cells))


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
    """Whether two ranked cells are both not told apart from the best, or nearer than a tenth of their intervals.

    Where only one was told apart from the best, they must be printed apart however wide their intervals are.
    """
    leading = [cell.tied or cell.mark == "best" for cell in (one, other)]
    if any(leading):
        return all(leading)
    halves = [_half_width(cell) for cell in (one, other)]
    assert one.mean is not None
    assert other.mean is not None
    return all(half is not None and abs(one.mean - other.mean) < half / 10 for half in halves)


def _half_width(cell: Cell) -> float | None:
    """Half of what the interval spans, which need not lie evenly about the mean."""
    return None if cell.mean is None or cell.interval is None else (cell.interval[1] - cell.interval[0]) / 2


def interval_in_brackets(cell: Cell, written: Notation) -> str | None:
    """`[0.79, 0.83]`, or None where there is none."""
    if cell.mean is None or cell.interval is None:
        return None
    return f"[{', '.join(map(written.write, cell.interval))}]"


def count_of(cell: Cell) -> int:
    """Of how many prompts a value is; of what was measured of a whole set, of how many clips or the like."""
    return cell.n if cell.own_n is None else cell.own_n


def count_in_words(cell: Cell) -> str:
    """`6 prompts`; `n = 16` of what was measured of a whole set."""
    return counted(cell.n, "prompt") if cell.own_n is None else f"n = {cell.own_n:,}"


def count_notes(table: Table) -> list[str]:
    """From how many prompts the values are, or a metric of the whole set from how many clips; and where it differs."""
    usual: dict[str, list[str]] = {}
    fewer: dict[str, list[str]] = {}
    names = distinct_names(table)
    for at, column in enumerate(table.columns):
        counts = Counter(count_in_words(row.cells[at]) for row in table.rows if row.cells[at].mean is not None)
        if not counts:
            continue
        most = counts.most_common(1)[0][0]
        usual.setdefault(most, []).append(heading(column, table.columns))
        for index, row in enumerate(table.rows):
            if row.cells[at].mean is not None and count_in_words(row.cells[at]) != most:
                here = f"{count_in_words(row.cells[at])} in {heading(column, table.columns)}"
                fewer.setdefault(shortened(names[index], LONGEST_NAME), []).append(here)
    if not usual:
        return []
    told = list(usual) if len(usual) == 1 else [f"{n} ({_some(columns)})" for n, columns in usual.items()]
    lines = [f"Values of {'; '.join(told)}."]
    lines += [f"{name}: {', '.join(here)}." for name, here in list(fewer.items())[:_MOST_EXCEPTIONS]]
    if (more := len(fewer) - _MOST_EXCEPTIONS) > 0:
        lines.append(f"And {counted(more, 'more row')} with other counts: see the CSV.")
    return lines


_MOST_EXCEPTIONS = 8


def remark_lines(table: Table) -> list[str]:
    """`fvd: N = 16 clips: most of it can be bias (2 rows)`: what must be known of values that there are."""
    said: dict[tuple[str, str], int] = {}
    for at, column in enumerate(table.columns):
        for row in table.rows:
            for remark in row.cells[at].remarks if row.cells[at].mean is not None else ():
                key = heading(column, table.columns), remark
                said[key] = said.get(key, 0) + 1
    by_remark: dict[tuple[str, int], list[str]] = {}
    for (column_name, remark), rows in said.items():
        by_remark.setdefault((remark, rows), []).append(column_name)
    found = [(rows, f"{_some(names)}: {remark}") for (remark, rows), names in by_remark.items()]
    return [f"{line} ({counted(rows, 'row')})" for rows, line in sorted(found, key=lambda one: -one[0])]


def order_note(table: Table) -> str | None:
    """By what the rows are ordered: over which metrics, and on how many prompts; None where nothing competes."""
    order = table.order
    if order is None:
        return None
    others = f"not over {_some(list(order.left_out))}, in which not every model is ranked" if order.left_out else ""
    if not order.families:
        return f"No metric ranks every model, so no mean rank orders the rows ({others or 'nothing was measured'})."
    over = f"Ordered by the mean rank over {_some(list(order.families))}"
    if order.prompts:
        all_of_them = order.prompts == order.of_prompts
        of = f"{order.prompts:,}" if all_of_them else f"{order.prompts:,} of {order.of_prompts:,}"
        over += f", on the {of} prompts that every model was asked"
    return f"{'; '.join(filter(None, (over, others)))}."


def notes_under(table: Table, most: int) -> list[str]:
    """What must be said under a table: of how many values, in which order, of what weights, and why some are missing.

    Args:
        table: of a benchmark.
        most: lines on what is to be known of values, and as many on those that are missing; the last one says of how
            many more there is no line.
    """
    notes = [note for note in (*count_notes(table), order_note(table)) if note is not None]
    notes += [*weights_note(table), *remark_lines(table)[:most]]
    if (again := retries_line(table.rows)) is not None:
        notes.append(again)
    missing = missing_lines(table)
    notes += [f"{MISSING} {counted(n, 'test')}, {where}: {why}" for where, why, n in missing[:most]]
    if (more := len(missing) - most) > 0:
        notes.append(f"{MISSING} and {counted(more, 'further reason')}: see the HTML report or the CSV")
    return notes


def unit(column: Column | Measurement | Definition) -> str:
    """The unit, or nothing for a pure number and for a count whose name says it already."""
    return "" if column.unit in {"", "1", column.name} else column.unit


def heading(column: Column, columns: Iterable[Column]) -> str:
    """The column's name, with its version only where two versions stand side by side."""
    alike = [other for other in columns if other.name == column.name]
    return column.name if len(alike) < 2 else f"{column.name} v{column.version}"


def group_of(column: Column) -> str:
    """Under which heading a column stands: what people prefer, what it costs, or what the clips are worth."""
    if column.kind == "performance":
        return "costs"
    return "preference" if column.version == STRENGTHS else "quality"


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


def counted_models(rows: Sequence[Row]) -> str:
    """`3 models`; of models with several rows `6 settings of 2 models`, or `6 lines` where not all recipes differ."""
    models = {row.model for row in rows}
    if len(models) == len(rows):
        return counted(len(rows), "model")
    by_recipe = len({(row.model, row.recipe_digest) for row in rows}) == len(rows)
    return f"{counted(len(rows), 'setting' if by_recipe else 'line')} of {counted(len(models), 'model')}"


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


def in_plain_words(value: object) -> str:
    """A setting or an option; of a path its name alone."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={in_plain_words(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(in_plain_words(one) for one in value) or "none"
    if isinstance(value, str) and re.match(r"/|~|\\\\|[A-Za-z]:[\\/]", value):
        return name_of(value)
    return "none" if value is None else str(value)


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
    tests = sum(board.counts.values())
    return f"{counted(models, 'model')}, {counted(len(board.asked), 'prompt')}, {counted(tests, 'test')}"


def stopped_line(board: Leaderboard) -> str | None:
    """`the session was stopped: 18 of 60 tests left no record`, or None where all did, or nobody knows."""
    collected = board.run.collected
    if collected is None or board.recorded >= collected:
        return None
    return f"the session was stopped: {collected - board.recorded:,} of {counted(collected, 'test')} left no record"


FAILED_PROMPTS = (
    "A failed prompt counts as the worst value that there can be (where there is no worst, as the worst that any of "
    "these models has), and whoever failed where others answered is neither best nor called as good as the best."
)
"""How failures are weighed: never as an advantage."""
LEGEND = (
    "Mean over prompts (the samples of a prompt averaged first) with its 95% interval, which does not allow for "
    "failures too rare to be seen. Best and second best are marked among rows that were asked the same prompts. "
    f"{FAILED_PROMPTS} "
    '"not told apart" from the best: its lead is no larger than where the values of each prompt are dealt out to these '
    "models at random, corrected for their number, p >= 0.05."
)
