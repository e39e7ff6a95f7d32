"""The scores that benchmarks make of their dimensions, VBench's total among them, under a leaderboard in the terminal.

They are no columns: made of columns that are ranked already, they would count twice.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.aggregates import AGGREGATES, DIMENSIONS, Aggregate, score_of, usual, why_absent
from pytest_vdb.analysis.tables import Leaderboard, Row, Table
from pytest_vdb.escaping import lines, visible
from pytest_vdb.figures import MISSING, notation
from pytest_vdb.reporters.grid import Side, fitted, grid
from pytest_vdb.reporters.text import counted, distinct_names

HEADING = "Scores made of the dimensions' means:"
_LONGEST_MODEL = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """What a row of a leaderboard gives."""

    name: str
    row: Row
    means: Mapping[str, float]
    """Of the dimensions that it has a value of, in one version."""
    missing: int
    """Tests that should have given one of these values and did not."""


def render(board: Leaderboard, *, width: int = 100) -> str:
    """The models that have a score and those that others published, below them why one has none and what its file means
    by its means; nothing where there is neither.
    """
    return lines("\n\n".join(filter(None, (_scores_of_table(table, width) for table in board.tables))))


def _scores_of_table(table: Table, width: int) -> str:
    models = [model for model in _models_of(table) if model.row.published is not None or usual(model.means)]
    if not models:
        return ""
    shown = _shown_scores(models)
    notes = [f"{aggregate.name}: {aggregate.about}" for aggregate in shown]
    notes += [note for model in models for note in _notes_on_model(model, shown)]
    wrapped = (
        textwrap.fill(visible(note), width, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        for note in notes
    )
    return "\n\n".join((HEADING, _table_of_scores(models, shown), "\n".join(wrapped)))


def _models_of(table: Table) -> Iterator[_Model]:
    """The rows whose pixels mean something and that have a value of some dimension, yardsticks left out."""
    names = distinct_names(table)
    for at, row in enumerate(table.rows):
        valued = [
            (column.name, cell)
            for column, cell in zip(table.columns, row.cells, strict=True)
            if column.name in DIMENSIONS and cell.mean is not None and not cell.wiring
        ]
        versions = Counter(metric for metric, _ in valued)
        if valued and row.real and not row.yardstick:
            means = {metric: cell.mean for metric, cell in valued if versions[metric] == 1 and cell.mean is not None}
            yield _Model(name=names[at], row=row, means=means, missing=sum(cell.missing for _, cell in valued))


def _shown_scores(models: Sequence[_Model]) -> list[Aggregate]:
    """What some model has; of what others published also VBench's own, so that it is said why there is none."""
    had = {aggregate.name for model in models for aggregate in usual(model.means)}
    published = any(model.row.published is not None for model in models)
    return [one for one in AGGREGATES if one.name in had or (published and not one.alone)]


def _table_of_scores(models: Sequence[_Model], shown: Sequence[Aggregate]) -> str:
    columns = []
    for aggregate in shown:
        values = [score_of(aggregate, one.means).value if aggregate in usual(one.means) else None for one in models]
        columns.append([aggregate.name, *map(notation(values, significant=4).write, values)])
    names = ["model", *(fitted(visible(model.name), _LONGEST_MODEL) for model in models)]
    sides: list[Side] = ["left"]
    sides += ["right"] * len(columns)
    return grid(list(zip(names, *columns, strict=True)), sides, rule_after=1)


def _notes_on_model(model: _Model, shown: Sequence[Aggregate]) -> Iterator[str]:
    without = [aggregate for aggregate in shown if aggregate not in usual(model.means) and not aggregate.alone]
    if (why := why_absent(without, model.means)) is not None:
        yield f"{MISSING} {model.name}: {why}"
    if model.missing:
        yield f"{model.name}: {counted(model.missing, 'value')} of its dimensions missing, the scores are of the rest"
    if model.row.published is not None:
        for note in dict.fromkeys(note for record in model.row.records for note in record.notes):
            yield f"{model.name}: {note}"
