"""What tools that keep a figure per model and metric are told: the leaderboard's rows, and what is to be said of them.

The figures are the leaderboard's own, so a tracker shows what the report shows: means over prompts with their interval
and n. What is missing is left out and counted with its reason, and never a 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from pytest_vdb import __version__
from pytest_vdb.analysis.row_names import distinct_names
from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table
from pytest_vdb.exports.contract import LeftOut, counted
from pytest_vdb.records import Run, digest

LOW, HIGH, PROMPTS = "low", "high", "n"
"""Behind a metric's name: the ends of the 95% interval, and over how many prompts the mean is."""

PROJECT = "pytest-vdb"
"""What an experiment or project is called where the user names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One metric of one row."""

    name: str
    """The metric's, with its version only where two versions stand side by side."""
    column: Column
    cell: Cell

    @property
    def figures(self) -> dict[str, float]:
        """The mean by the metric's name, and beside it interval and n; nothing where nothing was measured."""
        if self.cell.mean is None:
            return {}
        low, high = self.cell.interval or (None, None)
        ends = {LOW: low, HIGH: high, PROMPTS: float(self.cell.n)}
        return {self.name: self.cell.mean} | {f"{self.name}/{end}": at for end, at in ends.items() if at is not None}

    @property
    def definition(self) -> dict[str, Any]:
        """Unit, direction, version, n and interval, and what is missing and why: as plain values."""
        column, cell = self.column, self.cell
        said: dict[str, Any] = {"unit": column.unit, "better": column.better, "kind": column.kind}
        said |= {"version": column.version, "n": cell.n, "interval": list(cell.interval) if cell.interval else None}
        said |= {"missing": cell.missing, "reasons": dict(cell.reasons)}
        return said | {"unranked": cell.unranked, "wiring": cell.wiring}


@dataclass(frozen=True, kw_only=True)
class Summarised:
    """One row of the leaderboard: what a tracker calls a run."""

    run: Run
    table: Table
    row: Row
    name: str
    """Distinct in its table."""

    @property
    def id(self) -> str:
        """Sixteen hex digits: the same row of the same run has the same ones, wherever it is exported."""
        row = self.row
        setup = [row.weights, row.recipe_digest, row.hardware, row.revision, row.published]
        return digest([list(row.runs), row.benchmark, row.model, sorted(row.parameters.items()), *setup])

    @property
    def started_s(self) -> float:
        """When its run began, in seconds since 1970; 0 where nobody knows: these tools take no other word for it."""
        return _seconds_of(self.run.started_at)

    @property
    def finished_s(self) -> float:
        """When its run ended, or when it began where it was stopped before."""
        return _seconds_of(self.run.finished_at or self.run.started_at)

    @property
    def test(self) -> str:
        """As pytest would call it, `test_generation[wan2.1-t2v-1.3b]`; with its weights where pixels mean nothing."""
        unreal = "" if self.row.real else f" ({self.row.weights or 'unknown'} weights)"
        return f"{self.table.name}[{self.name}]{unreal}"

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """Of every column, also where nothing was measured."""
        columns = self.table.columns
        names = _names_with_versions(columns)
        return tuple(
            Summary(name=name, column=column, cell=cell)
            for name, column, cell in zip(names, columns, self.row.cells, strict=True)
        )

    @property
    def figures(self) -> dict[str, float]:
        """Every metric's mean, interval and n."""
        return {name: value for summary in self.summaries for name, value in summary.figures.items()}

    @property
    def values(self) -> int:
        """How many metrics have a value."""
        return sum(summary.cell.mean is not None for summary in self.summaries)

    @cached_property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that any metric has a value of, in one order: a value's step is its prompt's place in it."""
        return tuple(sorted({prompt for summary in self.summaries for prompt in summary.cell.by_prompt if prompt}))

    def steps(self) -> Iterator[tuple[int, str, dict[str, float]]]:
        """Of each prompt its number, its name and its values by metric."""
        for step, prompt in enumerate(self.prompts):
            found = {s.name: s.cell.by_prompt[prompt] for s in self.summaries if prompt in s.cell.by_prompt}
            yield step, prompt, found

    @cached_property
    def about(self) -> dict[str, str]:
        """What the row is, as words: where it was made, of what, with which outcome, and whether it may be ranked."""
        row, environment = self.row, self.run.environment
        suites = sorted({record.suite for record in row.records if record.suite})
        said: dict[str, object] = {
            "model": row.model,
            "benchmark": row.benchmark,
            "parameters": ", ".join(f"{name}={value}" for name, value in row.parameters.items()),
            "weights": row.weights,
            "ranked": "yes" if row.real and not row.yardstick and row.published is None else self.why_unranked,
            "task": row.task,
            "revision": row.revision,
            "recipe": row.recipe_digest,
            "suite": ", ".join(suites),
            "hardware": row.hardware,
            "run": ", ".join(row.runs),
            "started_at": self.run.started_at,
            "commit": environment.git_commit,
            "tests": ", ".join(f"{n} {status}" for status, n in row.counts.items()),
            "reused_clips": row.reused,
            "pytest_vdb": __version__,
        }
        return {name: str(value) for name, value in said.items() if value not in (None, "")}

    @property
    def why_unranked(self) -> str:
        """Why its quality is compared with no model's."""
        if self.row.published is not None:
            return f"no: published in {self.row.published}, not measured here"
        if self.row.yardstick:
            return "no: a calibration model, which measures the metrics"
        return f"no: {self.row.weights or 'unknown'} weights, whose pixels mean nothing"

    @property
    def definitions(self) -> dict[str, dict[str, Any]]:
        """What each metric is, by name."""
        return {summary.name: summary.definition for summary in self.summaries}


def summarised(board: Leaderboard) -> list[Summarised]:
    """Every row of every table."""
    return [
        Summarised(run=board.run, table=table, row=row, name=name)
        for table in board.tables
        for row, name in zip(table.rows, distinct_names(table).values(), strict=True)
    ]


def left_out(rows: Sequence[Summarised]) -> tuple[LeftOut, ...]:
    """What is missing in the rows: tests that should have given a value, each with its reason."""
    return counted(
        (summary.name, reason, n) for row in rows for summary in row.summaries for reason, n in summary.cell.reasons
    )


def as_text(value: object) -> str:
    """A value of a setting or a definition, for a tool that takes text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seconds_of(moment: str) -> float:
    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0


def _names_with_versions(columns: Sequence[Column]) -> list[str]:
    names = [column.name for column in columns]
    return [c.name if names.count(c.name) == 1 else f"{c.name}.v{c.version}" for c in columns]
