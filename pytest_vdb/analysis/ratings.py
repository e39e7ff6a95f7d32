"""Reading what people said of clips, and what metrics did: tables by model and prompt, joined to pairs.

| file | read as |
|---|---|
| `.json`, `{id: {"prompt": text, "models": {model: [ratings]}}}` (T2VScore's layout) | ratings |
| `.csv`, or `.jsonl` of ratings: columns for the model, the prompt (id or text) and any figures | ratings or scores |
| a run (`records.jsonl`, `run.json` or its folder), or what `vdb score` wrote | scores |

Several figures of one model and prompt (raters, or samples) are averaged.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb.analysis.correlation import Pair
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.records import Record
from pytest_vdb.results import journal

MODEL_COLUMNS = ("model", "model_name")
ID_COLUMNS = ("prompt_id", "id", "video_id")
TEXT_COLUMNS = ("prompt_text", "prompt", "text")
RATING_COLUMNS = ("rating", "human", "human_rating", "score")

Key = tuple[str, str]
"""Model, and the prompt's id or text."""


@dataclass(frozen=True, slots=True)
class Table:
    """One figure per model and prompt."""

    by_id: dict[Key, float] = field(default_factory=dict)
    by_text: dict[Key, float] = field(default_factory=dict)


def read_ratings(path: Path, column: str | None = None) -> Table:
    """What people said.

    Args:
        path: see the module's table.
        column: of a CSV or JSONL; None: the first of `RATING_COLUMNS` that is there.

    Raises:
        RecordError: a file that is missing, or not of a known layout.
        UnknownName: no such column.
    """
    if path.suffix.lower() == ".json":
        return _from_nested(path)
    rows = _rows(path)
    found = column or next((name for name in RATING_COLUMNS if name in rows[0]), None)
    if found is None:
        raise RecordError(
            f"no column of ratings among {', '.join(rows[0])}",
            where=path,
            mend=f"name it one of {', '.join(RATING_COLUMNS)}, or say which: --rating COLUMN",
        )
    return _from_rows(rows, found, path)


def read_scores(path: Path, metric: str) -> Table:
    """What a metric gave.

    Raises:
        RecordError: a file that is missing, or not of a known layout.
        UnknownName: it holds no such metric, with those that it may have meant.
    """
    if path.suffix.lower() == ".csv":
        return _from_rows(_rows(path), metric, path)
    alone = path.is_file() and not (path.parent / journal.RUN).exists()
    records = journal.read_records(path)[0] if alone else journal.read(path)[1]
    last = {record.nodeid: record for record in records}  # `vdb score` appends a clip that it measured again
    return _from_records(last.values(), metric, path)


def pair_up(scores: Table, ratings: Table) -> tuple[Pair, ...]:
    """The clips that both tables know: by the prompts' ids, or by their texts where more are found that way."""
    by_id = sorted(scores.by_id.keys() & ratings.by_id.keys())
    by_text = sorted(scores.by_text.keys() & ratings.by_text.keys())
    if len(by_text) > len(by_id):
        return _pairs(by_text, scores.by_text, ratings.by_text)
    return _pairs(by_id, scores.by_id, ratings.by_id)


def _pairs(keys: Sequence[Key], scores: Mapping[Key, float], ratings: Mapping[Key, float]) -> tuple[Pair, ...]:
    return tuple(Pair(model=key[0], prompt=key[1], score=scores[key], rating=ratings[key]) for key in keys)


def _from_nested(path: Path) -> Table:
    """T2VScore's layout."""
    try:
        loaded = json.loads(_text(path))
        by_id, by_text = [], []
        for name, entry in loaded.items():
            for model, ratings in entry["models"].items():
                values = [float(rating) for rating in (ratings if isinstance(ratings, list) else [ratings])]
                by_id += [((str(model), str(name)), value) for value in values]
                by_text += [((str(model), str(entry["prompt"])), value) for value in values]
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f"not a file of ratings: {type(error).__name__}: {error}",
            where=path,
            mend='the layout is {id: {"prompt": text, "models": {model: [ratings]}}}',
        ) from None
    return Table(_means(by_id), _means(by_text))


def _from_rows(rows: Sequence[Mapping[str, Any]], column: str, path: Path) -> Table:
    if column not in rows[0]:
        raise UnknownName("column", column, rows[0].keys(), where=path, mend=f"It has: {', '.join(rows[0])}.")
    model, name, text = (
        next((known for known in columns if known in rows[0]), None)
        for columns in (MODEL_COLUMNS, ID_COLUMNS, TEXT_COLUMNS)
    )
    if name is None and text is None:
        raise RecordError(
            f"no column names the prompt among {', '.join(rows[0])}",
            where=path,
            mend=f"add one of {', '.join((*ID_COLUMNS, *TEXT_COLUMNS))}",
        )
    name = name or text  # a column `prompt` may hold ids as well as texts: `pair_up` takes what fits better
    by_id, by_text = [], []
    for number, row in enumerate(rows, start=1):
        if row.get(column) in (None, ""):
            continue
        try:
            value = float(row[column])
        except (TypeError, ValueError):
            raise RecordError(
                f"{column} is {row[column]!r} in row {number}", where=path, mend="give a number, or nothing"
            ) from None
        of = str(row[model]) if model else ""
        by_id += [((of, str(row[name])), value)] if name else []
        by_text += [((of, str(row[text])), value)] if text else []
    return Table(_means(by_id), _means(by_text))


def _from_records(records: Iterable[Record], metric: str, path: Path) -> Table:
    records = list(records)
    found = [(record, measured) for record in records if (measured := record.measurement(metric)) is not None]
    if not found:
        known = dict.fromkeys(m.name for record in records for m in record.measurements)
        raise UnknownName("metric", metric, known, where=path, mend=f"It has: {', '.join(known) or 'none'}.")
    real = [(record, m.value) for record, m in found if m.value is not None and not m.wiring]
    return Table(
        _means(((record.model, record.prompt), value) for record, value in real if record.prompt),
        _means(((record.model, record.prompt_text), value) for record, value in real if record.prompt_text),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV or JSONL, at least one."""
    text = _text(path)
    try:
        if path.suffix.lower() == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = list(csv.DictReader(io.StringIO(text)))
    except (json.JSONDecodeError, csv.Error) as error:
        raise RecordError(f"cannot be read: {error}", where=path, mend="give a CSV with a header, or JSONL") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise RecordError("it holds no rows", where=path, mend="give a CSV with a header, or JSONL")
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot be read: {error}", where=path, mend="check the path") from None


def _means(figures: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """The mean of each key's figures that are finite."""
    grouped: dict[Key, list[float]] = {}
    for key, value in figures:
        if math.isfinite(value):
            grouped.setdefault(key, []).append(value)
    return {key: math.fsum(values) / len(values) for key, values in grouped.items()}
