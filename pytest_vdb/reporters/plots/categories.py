"""How well each model does what kind of prompt: a heatmap of one metric, models down and categories across."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Column, Row, Table
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING, Notation, notation
from pytest_vdb.records import Record
from pytest_vdb.reporters.drawing import LARGEST_DRAWN, escaped, told, words_at
from pytest_vdb.reporters.overview import metric_in_words
from pytest_vdb.reporters.plots.contract import (
    MOST_MODELS,
    WIDTH,
    Absent,
    Drawn,
    Plot,
    drawing,
    left_out,
    name_in_table,
    short_name,
)
from pytest_vdb.reporters.text import BETTER, counted, unit
from pytest_vdb.statistics.means import mean_of

MOST_CATEGORIES = 12
_TOP, _LINE = 96, 26
"""Pixels: of the slanted words above, of a model."""
_NAMES = 200
"""Pixels of the models' names."""
_SHADES = 7
_LONGEST_MODEL, _LONGEST_CATEGORY = 26, 20


@dataclass(frozen=True, slots=True)
class _Field:
    """One model's answers to the prompts of one category."""

    mean: float
    prompts: int


@dataclass(frozen=True, slots=True)
class _Shading:
    """How fields are written and coloured."""

    written: Notation
    low: float
    high: float
    falls: bool
    """Whether the lowest is the best."""

    def shade(self, value: float) -> int:
        """0 of the worst, 6 of the best; where all are equal the one between."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round((1 - share if self.falls else share) * (_SHADES - 1))


_Line = tuple[str, Mapping[str, _Field]]
"""A model's name, and what it did by category."""


def heatmap_by_category(table: Table, names: Mapping[int, str], column: int) -> Drawn:
    """The mean of a metric over the prompts of each category, the better the darker.

    Belongs on the leaderboard, below the standings of a task, for the column by which they are ranked (`lead`).

    Args:
        table: standings, or a benchmark's.
        names: of its rows, as `distinct_names` gives them; rows that it lacks are left out.
        column: a metric of quality with a value of each prompt.

    Returns:
        Twenty models and twelve categories at most, both as the table and the prompts have them. What random networks
        computed is left out, and where the pixels of a model mean nothing.
    """
    what = table.columns[column]
    title = f"{metric_in_words(what.name)} by category of prompts"
    every = [(names[at], table.rows[at]) for at in names if _means_something(table.rows[at], column)]
    found = [(name, fields) for name, row in every[:MOST_MODELS] if (fields := _fields_of_row(row, column))]
    categories = list(dict.fromkeys(category for _, fields in found for category in sorted(fields)))
    if not found:
        return Absent(title=title, reason="no model has a value of a prompt that says its category")
    if len(categories) < 2:
        return Absent(title=title, reason=f"all prompts are of one category: {short_name(categories[0])}")
    means = [field.mean for _, fields in found for field in fields.values()]
    if max(map(abs, means)) > LARGEST_DRAWN:
        return Absent(title=title, reason="a value is too large to be drawn")
    shown = categories[:MOST_CATEGORIES]
    caption = _caption_of_heatmap(what, len(every) - len(found), len(categories) - len(shown))
    how = _Shading(notation(means), min(means), max(means), falls=what.better == "lower")
    wide = (WIDTH - _NAMES) / len(shown)
    parts = list(_heads(shown, wide))
    for at, (name, fields) in enumerate(found):
        y = _TOP + at * _LINE
        parts.append(words_at(0, y + 17, _fitting(name, _LONGEST_MODEL), "start", "name"))
        for place, category in enumerate(shown):
            whose = short_name(category)
            parts.append(_shaded(fields.get(category), (_NAMES + place * wide, y, wide), how, whose))
    return Plot(
        title=title,
        svg=drawing(title, caption, _TOP + len(found) * _LINE + 4, parts),
        caption=caption,
        header=("Model", *(name_in_table(category) for category in shown)),
        rows=tuple(_row_of_heatmap(line, shown, how.written) for line in found),
    )


def _means_something(row: Row, column: int) -> bool:
    return row.real and not row.cells[column].wiring and row.cells[column].mean is not None


def _fields_of_row(row: Row, column: int) -> dict[str, _Field]:
    means = row.cells[column].by_prompt
    categories = _categories_of(row.records, means)
    by_category: dict[str, list[float]] = defaultdict(list)
    for prompt, value in means.items():
        if prompt in categories:
            by_category[categories[prompt]].append(value)
    return {category: _Field(mean_of(values), len(values)) for category, values in by_category.items()}


def _categories_of(records: Iterable[Record], called: Container[str]) -> dict[str, str]:
    """Prompt, as a cell calls it, -> its category. Of two texts with one id cells name both."""
    found = {}
    for record in records:
        if record.prompt is not None and record.category is not None:
            name = record.prompt if record.prompt in called else f"{record.prompt}: {record.prompt_text}"
            found[name] = record.category
    return found


def _caption_of_heatmap(what: Column, models: int, categories: int) -> str:
    measured = unit(what)
    direction = "higher" if what.better == "neutral" else "better"
    said = f"Mean over the prompts of a category{f' in {measured}' if measured else ''}, {BETTER[what.better]}. "
    said += f"The {direction} among those shown, the stronger the colour."
    return said + left_out(models, "model") + left_out(categories, "category")


def _heads(categories: Sequence[str], wide: float) -> Iterator[str]:
    """Slanted, so that they need not fit a field."""
    for at, category in enumerate(categories):
        x, y = _NAMES + (at + 0.5) * wide, _TOP - 8
        text = escaped(_fitting(category, _LONGEST_CATEGORY))
        yield f'<text class="tick" x="{x:.1f}" y="{y}" transform="rotate(-35 {x:.1f} {y})">{text}</text>'


def _shaded(field: _Field | None, at: tuple[float, float, float], how: _Shading, whose: str) -> str:
    """A field with its figure, and of how many prompts that is where a pointer rests on it."""
    x, y, wide = at
    box = f'x="{x + 1:.1f}" y="{y + 1:.1f}" width="{wide - 2:.1f}" height="{_LINE - 2}" rx="3"'
    if field is None:
        said, kind, text = f"{whose}: no value", "field none", MISSING
    else:
        text = how.written.write(field.mean)
        said, kind = f"{whose}: {text}, {counted(field.prompts, 'prompt')}", f"field h{how.shade(field.mean)}"
    figure_of_it = words_at(x + wide / 2, y + 17, text, "middle", "figure")
    return f'<g>{told(said)}<rect class="{kind}" {box}/>{figure_of_it}</g>'


def _row_of_heatmap(line: _Line, categories: Sequence[str], written: Notation) -> tuple[str, ...]:
    name, fields = line
    return name_in_table(name), *(
        written.write(fields[category].mean) if category in fields else MISSING for category in categories
    )


def _fitting(name: str, most: int) -> str:
    return shortened(visible(name), most)
