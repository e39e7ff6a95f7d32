"""Every prompt of a model with its scores, a line each: hundreds of thousands of figures, so they are written in bulk.

A line whose metrics are those of the table's head, and which has nothing but values, is formatted in one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, Notation, notation
from pytest_vdb.records import Definition, Measured, Record
from pytest_vdb.reporters.pages import Files, markup
from pytest_vdb.reporters.tables_page import class_of_status
from pytest_vdb.reporters.text import LONGEST_NAME, unit

_LONGEST_TEXT = 120
"""Characters of a prompt in a line."""
_SIGNIFICANT = 4
_NO_COMMA = 999
"""Below it no figure has a thousands separator, however it is rounded."""


@dataclass(frozen=True, slots=True)
class _Figures:
    """The columns of figures: what is measured, and how its values are written."""

    names: tuple[str, ...]
    notations: tuple[Notation, ...]
    written: Callable[[Iterable[float]], str] | None
    """The cells of a line that has all of them; None: one of them is written with an exponent."""


def tables_of_prompts(records: Sequence[Record], files: Files, *, texts: bool) -> list[dict[str, Any]]:
    """A table for each benchmark.

    Args:
        records: of a model.
        files: what lies in the runs, as seen from the page.
        texts: whether a line has the text of its prompt.
    """
    benchmarks: dict[str, list[Record]] = {}
    for record in records:
        benchmarks.setdefault(record.benchmark, []).append(record)
    return [_table_of_prompts(of_one, files, texts=texts) for of_one in benchmarks.values()]


def _table_of_prompts(records: Sequence[Record], files: Files, *, texts: bool) -> dict[str, Any]:
    measured = [Measured.of(record.measurements) for record in records]
    definitions: dict[str, Definition] = {}
    for metrics in dict.fromkeys(one.metrics for one in measured):
        for definition in metrics.definitions:
            definitions.setdefault(definition.name, definition)
    head = _head_of_table(list(definitions), measured)
    return {
        "name": visible(shortened(records[0].benchmark_name, LONGEST_NAME)),
        "columns": [
            (visible(shortened(name, LONGEST_NAME)).replace("_", " "), visible(shortened(unit(one), LONGEST_NAME)))
            for name, one in definitions.items()
        ],
        "lines": markup("\n".join(_lines_of_table(records, measured, head, files, texts=texts))),
    }


def _head_of_table(names: Sequence[str], measured: Sequence[Measured]) -> _Figures:
    columns = [list(column) for column in _columns_of(names, measured)]
    notations = tuple(map(_notation_of_values, columns))
    if any(one.scientific for one in notations):
        return _Figures(tuple(names), notations, None)
    if all(min(column, default=0) >= 0 and max(column, default=0) < _NO_COMMA for column in columns):
        short = "".join(f"<td>%.{one.places}f</td>" for one in notations)  # takes half the time of the other
        return _Figures(tuple(names), notations, lambda numbers: short % tuple(numbers))
    figures = "".join(f"<td>{{:z,.{one.places}f}}</td>" for one in notations)
    return _Figures(tuple(names), notations, lambda numbers: figures.format(*numbers))


def _columns_of(names: Sequence[str], measured: Sequence[Measured]) -> Iterable[Iterable[float]]:
    """The values of each column; in one step where all lines measured the same and lack nothing."""
    alike = len({one.metrics for one in measured}) == 1
    if alike and not any(one.special for one in measured):
        return zip(*(one.numbers for one in measured), strict=True) if names else ()
    found = ([one.named(name) for one in measured] for name in names)
    return ([m.value for m in column if m is not None and m.value is not None] for column in found)


def _notation_of_values(values: Iterable[float]) -> Notation:
    """Of so many values the smallest and the largest decide."""
    sizes = list(filter(None, map(abs, values)))
    return notation([min(sizes), max(sizes)] if sizes else [], significant=_SIGNIFICANT)


def _lines_of_table(
    records: Sequence[Record], measured: Sequence[Measured], head: _Figures, files: Files, *, texts: bool
) -> Iterable[str]:
    from markupsafe import escape

    first = next((one.metrics for one in measured), None)
    usual = first is not None and tuple(d.name for d in first.definitions) == head.names
    for record, one in zip(records, measured, strict=True):
        if record.status != "passed":
            lost = f'<td{_colspan(len(head.names))} class="lost">{escape(visible(failure_line(record)))}</td>'
            yield f"{_start_of_line(record, files, escape, texts=texts)}{lost if head.names else ''}</tr>"
        elif usual and head.written is not None and one.metrics is first and not one.special:
            yield f"{_start_of_line(record, files, escape, texts=texts)}{head.written(one.numbers)}</tr>"
        else:
            found = [one.named(name) for name in head.names]
            written = [
                MISSING if m is None else how.write(m.value) for m, how in zip(found, head.notations, strict=True)
            ]
            cells = "".join(f"<td>{text}</td>" for text in written)
            yield f"{_start_of_line(record, files, escape, texts=texts)}{cells}</tr>"


def _colspan(columns: int) -> str:
    return f' colspan="{columns}"' if columns > 1 else ""


def _start_of_line(record: Record, files: Files, escape: Callable[[str], str], *, texts: bool) -> str:
    """Prompt, clip and outcome. A link is quoted already."""
    name = escape(visible(shortened(record.prompt or "no prompt", LONGEST_NAME)))
    link = files.link(record.run, record.clip.preview) if record.clip is not None else None
    shown = name if link is None else f'<a href="{link}">{name}</a>'
    sample = f" <small>sample {record.sample_index}</small>" if record.sample_index else ""
    text = escape(visible(shortened(record.prompt_text or "", _LONGEST_TEXT))) if texts else ""
    about = f"<small>{text}</small>" if text else ""
    outcome = "" if record.status == "passed" else f' class="{class_of_status(record.status)}"'
    return f'<tr{outcome}><th scope="row">{shown}{sample}{about}</th>'
