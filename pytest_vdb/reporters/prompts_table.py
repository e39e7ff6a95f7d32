"""Every prompt of a model with its scores, a line each: figures by the hundred thousand, which are written in bulk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation, notation
from pytest_vdb.records import Definition, Measured, Metrics, Record
from pytest_vdb.reporters.pages import Files, markup
from pytest_vdb.reporters.tables_page import class_of_status
from pytest_vdb.reporters.text import LONGEST_NAME, unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LONGEST_TEXT = 120
"""Characters of a prompt in a line."""
_SIGNIFICANT = 4


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
    measured = Measured.of_all(records)
    definitions: dict[str, Definition] = {}
    for metrics in dict.fromkeys(one.metrics for one in measured):
        for definition in metrics.definitions:
            definitions.setdefault(definition.name, definition)
    numbers = _numbers_of(list(definitions), measured)
    return {
        "name": visible(shortened(records[0].benchmark_name, LONGEST_NAME)),
        "columns": [
            (visible(shortened(name, LONGEST_NAME)).replace("_", " "), visible(shortened(unit(one), LONGEST_NAME)))
            for name, one in definitions.items()
        ],
        "lines": markup("\n".join(_lines_of_table(records, numbers, files, texts=texts))),
    }


def _numbers_of(names: Sequence[str], measured: Sequence[Measured]) -> NDArray[np.float64]:
    """`(records, names)`: the value of each record in each metric; nan where it has none."""
    import numpy as np

    alike: dict[Metrics, list[int]] = {}
    for at, one in enumerate(measured):
        alike.setdefault(one.metrics, []).append(at)
    numbers = np.full((len(measured), len(names)), np.nan)
    for metrics, lines in alike.items():
        found = np.frombuffer(b"".join([measured[at].numbers for at in lines]), np.float64).reshape(len(lines), -1)
        if len(alike) == 1 and [*metrics.places.values()] == [*range(len(metrics.definitions))]:
            return found
        columns = [at for at, name in enumerate(names) if name in metrics.places]
        numbers[np.ix_(lines, columns)] = found[:, [metrics.places[names[at]] for at in columns]]
    return numbers


def _notation_of_column(values: NDArray[np.float64]) -> Notation:
    """Of so many values the smallest and the largest decide."""
    sizes = abs(values)
    sizes = sizes[sizes > 0]
    return notation([sizes.min(), sizes.max()] if sizes.size else [], significant=_SIGNIFICANT)


def _lines_of_table(
    records: Sequence[Record], numbers: NDArray[np.float64], files: Files, *, texts: bool
) -> Iterator[str]:
    from pytest_vdb.reporters.decimals import lines_of_figures

    columns = numbers.shape[1]
    figures = lines_of_figures(numbers, [_notation_of_column(one) for one in numbers.T], before="<td>", after="</td>")
    for record, cells in zip(records, figures, strict=True):
        shown = cells if record.status == "passed" or not columns else _why_lost(record, columns)
        yield f"{_start_of_line(record, files, texts=texts)}{shown}</tr>"


def _why_lost(record: Record, columns: int) -> str:
    """One cell instead of the figures."""
    from markupsafe import escape

    span = f' colspan="{columns}"' if columns > 1 else ""
    return f'<td{span} class="lost">{escape(visible(failure_line(record)))}</td>'


def _start_of_line(record: Record, files: Files, *, texts: bool) -> str:
    """Prompt, clip and outcome. A link is quoted already."""
    name = _name_in_line(record.prompt)
    link = files.link(record.run, record.clip.preview) if record.clip is not None else None
    shown = name if link is None else f'<a href="{link}">{name}</a>'
    sample = f" <small>sample {record.sample_index}</small>" if record.sample_index else ""
    about = _text_in_line(record.prompt_text) if texts else ""
    outcome = "" if record.status == "passed" else f' class="{class_of_status(record.status)}"'
    return f'<tr{outcome}><th scope="row">{shown}{sample}{about}</th>'


@lru_cache(maxsize=16_384)
def _name_in_line(prompt: str | None) -> str:
    """The same in the tables of all models."""
    from markupsafe import escape

    return str(escape(visible(shortened(prompt or "no prompt", LONGEST_NAME))))


@lru_cache(maxsize=16_384)
def _text_in_line(text: str | None) -> str:
    from markupsafe import escape

    return f"<small>{escape(visible(shortened(text, _LONGEST_TEXT)))}</small>" if text else ""
