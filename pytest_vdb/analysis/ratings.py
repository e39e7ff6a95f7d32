"""Reading what people said of clips, and what metrics did: tables by model and prompt, joined to pairs.

| file | read as |
|---|---|
| `.json`, `{id: {"prompt": text, "models": {model: [ratings]}}}` (T2VScore's layout) | ratings |
| `.csv`, or `.jsonl` of ratings: columns for the model, the prompt (id or text) and any figures | ratings or scores |
| a run (`records.jsonl`, `run.json` or its folder), a baseline, or what `vdb score` wrote | scores |

Several figures of one model and prompt (raters, or samples) are averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.analysis.correlation import Pair
from pytest_vdb.analysis.readings import definitions_in
from pytest_vdb.analysis.rows import TABLE, Line, lines_of_table, names_of_columns, quoted_value
from pytest_vdb.errors import RecordError, UnknownName
from pytest_vdb.records import Record
from pytest_vdb.results import baselines, journal, ledger, sources

MODEL_COLUMNS = ("model", "model_name")
ID_COLUMNS = ("prompt_id", "id", "video_id")
TEXT_COLUMNS = ("prompt_text", "prompt", "text")
RATING_COLUMNS = ("rating", "human", "human_rating", "score")

_NESTED = 'the layout is {id: {"prompt": text, "models": {model: [ratings]}}}'

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
    rows = lines_of_table(path)
    columns = names_of_columns(rows)
    found = column or next((name for name in RATING_COLUMNS if name in columns), None)
    if found is None:
        raise RecordError(
            f"no column of ratings among {', '.join(columns)}",
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
    if path.suffix.lower() == ".csv" or (path.suffix.lower() == ".jsonl" and not _holds_records(path)):
        return _from_rows(lines_of_table(path), metric, path)
    match sources.sort_of(path):
        case "run":
            _, run, _ = journal.read(path)
            records = {record.nodeid: record for record in run}  # a test that was tried again: its last try
            return _from_records(records.values(), metric, path)
        case "ledger":
            return _from_records(ledger.read(path).records, metric, path)
        case "baseline":
            return _from_records(baselines.load(path).records, metric, path)
        case "published":
            mend = "give a run, what vdb score wrote, or a CSV"
            raise RecordError("a result file of VBench names no prompts", where=path, mend=mend)


def pair_up(scores: Table, ratings: Table) -> tuple[Pair, ...]:
    """The clips that both tables know: by the prompts' ids, or by their texts where more are found that way."""
    by_id = sorted(scores.by_id.keys() & ratings.by_id.keys())
    by_text = sorted(scores.by_text.keys() & ratings.by_text.keys())
    if len(by_text) > len(by_id):
        return _pairs_of_keys(by_text, scores.by_text, ratings.by_text)
    return _pairs_of_keys(by_id, scores.by_id, ratings.by_id)


def _pairs_of_keys(keys: Sequence[Key], scores: Mapping[Key, float], ratings: Mapping[Key, float]) -> tuple[Pair, ...]:
    return tuple(Pair(model=key[0], prompt=key[1], score=scores[key], rating=ratings[key]) for key in keys)


def _from_nested(path: Path) -> Table:
    """T2VScore's layout."""
    loaded = files.read_json(path, error=RecordError, mend=_NESTED)
    by_id, by_text = [], []
    for name, entry in _dict(loaded, path, "it").items():
        entry = _dict(entry, path, f"the entry {name!r}")
        for model, ratings in _dict(entry.get("models"), path, f"`models` of {name!r}").items():
            for rating in ratings if isinstance(ratings, list) else [ratings]:
                value = _figure_of(rating, f"a rating of {model!r} in {name!r}", path, _NESTED)
                by_id += [((model, name), value)]
                by_text += [((model, entry["prompt"]), value)] if isinstance(entry.get("prompt"), str) else []
    return Table(_means_by_key(by_id), _means_by_key(by_text))


def _dict(value: object, path: Path, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    kind = "missing" if value is None else f"no object but {quoted_value(value)}"
    raise RecordError(f"not a file of ratings: {what} is {kind}", where=path, mend=_NESTED)


def _figure_of(value: object, what: str, path: Path, mend: str) -> float:
    """A figure; nothing (null, an empty cell, "nan") is not a number, and counts as not given."""
    if value is None or value == "":
        return math.nan
    try:
        if isinstance(value, str | int | float):
            number = float(value)
            if not math.isinf(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise RecordError(f"{what} is {quoted_value(value)}", where=path, mend=mend)


def _from_rows(rows: Sequence[Line], column: str, path: Path) -> Table:
    columns = names_of_columns(rows)
    if column not in columns:
        raise UnknownName("column", column, columns, where=path, mend=f"It has: {', '.join(columns)}.")
    model, name, text = (
        next((known for known in among if known in columns), None)
        for among in (MODEL_COLUMNS, ID_COLUMNS, TEXT_COLUMNS)
    )
    if name is None and text is None:
        raise RecordError(
            f"no column names the prompt among {', '.join(columns)}",
            where=path,
            mend=f"add one of {', '.join((*ID_COLUMNS, *TEXT_COLUMNS))}",
        )
    name = name or text  # a column `prompt` may hold ids as well as texts: `pair_up` takes what fits better
    by_id, by_text = [], []
    for row in rows:
        value = _figure_of(row.cells.get(column), column, row.place(path), "give a number, or nothing")
        if math.isnan(value):
            continue
        of = row.text(model, path) if model else ""
        by_id += [((of, row.text(name, path)), value)] if name else []
        by_text += [((of, row.text(text, path)), value)] if text else []
    return Table(_means_by_key(by_id), _means_by_key(by_text))


def _from_records(records: Iterable[Record], metric: str, path: Path) -> Table:
    records = list(records)
    found = [(record, measured) for record in records if (measured := record.measurement(metric)) is not None]
    if not found:
        known = dict.fromkeys(one.name for one in definitions_in(records))
        raise UnknownName("metric", metric, known, where=path, mend=f"It has: {', '.join(known) or 'none'}.")
    real = [(record, m.value) for record, m in found if m.value is not None and not m.wiring]
    return Table(
        _means_by_key(((record.model, record.prompt), value) for record, value in real if record.prompt),
        _means_by_key(((record.model, record.prompt_text), value) for record, value in real if record.prompt_text),
    )


def _holds_records(path: Path) -> bool:
    """Whether a JSONL is a run's or `vdb score`'s, by its first line that can be read."""
    for _, line in files.lines_in(path, error=RecordError, mend=TABLE):
        try:
            found = files.parse_json(line, where=path, error=RecordError)
        except RecordError:
            continue
        return isinstance(found, dict) and "nodeid" in found
    return False


def _means_by_key(figures: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """The mean of each key's figures that are given."""
    grouped: dict[Key, list[float]] = {}
    for key, value in figures:
        if math.isfinite(value):
            grouped.setdefault(key, []).append(value)
    return {key: math.fsum(values) / len(values) for key, values in grouped.items()}
