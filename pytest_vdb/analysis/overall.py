"""One score per model over several metrics: only where someone asks for it, and says of what and with which weights.

It is a column of the standings. What no model has is left out for all of them, weights in proportion, and said; what
only one model lacks is left out of its score, which is shown and not ranked. Nothing that is missing counts as 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_vdb.analysis.aggregates import AGGREGATES, Aggregate, LinearForm, Part, lacking, linear_form
from pytest_vdb.analysis.bounds import KnownMetrics
from pytest_vdb.analysis.ranking import OF_THE_SET, rank
from pytest_vdb.analysis.readings import NOT_MEASURED
from pytest_vdb.analysis.tables import NEUTRAL, Cell, Column, Row
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.escaping import few
from pytest_vdb.records import OVERALL

OPTION = "overall"
"""What a run keeps of it among its options."""
_WRITTEN = "write NAME:WEIGHT or NAME:WEIGHT:WORST..BEST, comma-separated, or one of: " + ", ".join(
    one.name for one in AGGREGATES
)
_RANGE = re.compile(r"(?P<worst>.+?)\.\.(?P<best>.+)")
_MOST_NAMED = 16
_LEAST, _MOST = 1e-12, 1e12
"""Weights and ends of a scale with which a score can be computed."""


def overall_of(text: str, *, where: str | None = None) -> Aggregate:
    """What is asked for: an aggregate that a benchmark publishes, or a weighted mean of one's own.

    Args:
        text: `vbench.total`; `clip_similarity:2, temporal_flicker:1:0.2..0`: with what counts as 0 and as 1.
        where: the text stands there.

    Raises:
        UnknownName: no such aggregate.
        OptionError: no weighted list.
    """
    terms = [term.strip() for term in text.split(",") if term.strip()]
    if len(terms) == 1 and ":" not in terms[0]:
        known = {one.name: one for one in AGGREGATES}
        if terms[0] not in known:
            raise UnknownName("score", terms[0], known, where=where, mend=_WRITTEN)
        return known[terms[0]]
    parts = tuple(_part_of(term, where) for term in terms)
    names = [str(part.of) for part in parts]
    if not parts or len(set(names)) < len(names):
        raise OptionError(f"{text!r}", where=where, mend=f"each metric once; {_WRITTEN}")
    told = few([_part_in_words(part) for part in parts], _MOST_NAMED)
    return Aggregate(name=text, about=f"the weighted mean of {told}", source="as asked for", parts=parts)


def _part_of(term: str, where: str | None) -> Part:
    name, *numbers = (piece.strip() for piece in term.split(":"))
    ends = _RANGE.fullmatch(numbers[1]) if len(numbers) == 2 else None
    try:
        weight = float(numbers[0])
        low, high = (0.0, 1.0) if ends is None else (float(ends["worst"]), float(ends["best"]))
    except (IndexError, ValueError):
        weight, low, high = 0.0, 0.0, 0.0
    sound = name and len(numbers) in {1, 2} and (len(numbers) == 1 or ends is not None)
    sizes = weight, abs(high - low)
    if not sound or not all(_LEAST <= size <= _MOST for size in sizes) or max(abs(low), abs(high)) > _MOST:
        mend = f"a weight above 0, and ends that differ, from {_LEAST:g} to {_MOST:g}; {_WRITTEN}"
        raise OptionError(f"{term!r}", where=where, mend=mend)
    return Part(of=name, weight=weight, low=low, high=high)


def _part_in_words(part: Part) -> str:
    ends = "" if (part.low, part.high) == (0.0, 1.0) else f", {part.low:g} as 0 and {part.high:g} as 1"
    return f"{part.of} (weight {part.weight:g}{ends})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """The score of the models of one task."""

    about: str
    """How it is made, and of what it is not; or why there is none."""
    column: Column | None
    """None: no model has any dimension, or a dimension does not say which way is better."""
    cells: tuple[Cell, ...]
    """Of each row, marked as any metric's; empty where there is no column."""


def overall_among(
    aggregate: Aggregate, columns: Sequence[Column], metrics: Sequence[str], rows: Sequence[Row], known: KnownMetrics
) -> Overall:
    """The score of each row.

    Args:
        aggregate: which.
        columns: of the rows.
        metrics: their names without the benchmark's.
        rows: models of one task, and yardsticks.
        known: what metrics can be.
    """
    places = _places_of_dimensions(aggregate, columns, metrics, rows)
    missing = [name for name in aggregate.dimensions if name not in places]
    form = linear_form(aggregate, places)
    why_not = (
        f"no overall score: {lacking(aggregate, missing)}" if form is None else _misdirected(form, places, columns)
    )
    if form is None or why_not is not None:
        return Overall(about=why_not or "", column=None, cells=())
    unit = "1" if aggregate.scale == 1.0 else "%"
    column = Column(name=OVERALL, unit=unit, better="higher", kind="quality", version=aggregate.name)
    made = [_score_of_row(aggregate, {name: row.cells[at] for name, at in places.items()}) for row in rows]
    ranked = rank([replace(row, cells=(cell,)) for row, cell in zip(rows, made, strict=True)], [column], known).rows
    return Overall(about=_how(aggregate, missing), column=column, cells=tuple(row.cells[0] for row in ranked))


def _how(aggregate: Aggregate, missing: Sequence[str]) -> str:
    name = "" if aggregate.name not in {one.name for one in AGGREGATES} else f"{aggregate.name}, "
    told = f"overall is {name}{aggregate.about} ({aggregate.source})"
    return f"{told}; {lacking(aggregate, missing)}: it is of the others alone" if missing else told


def _places_of_dimensions(
    aggregate: Aggregate, columns: Sequence[Column], metrics: Sequence[str], rows: Sequence[Row]
) -> dict[str, int]:
    """The column of each dimension that some model has; what stands in two, of two benchmarks or versions, is none."""
    found: dict[str, int] = {}
    for name in aggregate.dimensions:
        places = [at for at, metric in enumerate(metrics) if metric == name and columns[at].kind == "quality"]
        if len(places) == 1 and any(row.cells[places[0]].mean is not None for row in rows if not row.yardstick):
            found[name] = places[0]
    return found


def _misdirected(form: LinearForm, places: Mapping[str, int], columns: Sequence[Column]) -> str | None:
    """Why nothing can be made of metrics of which a better value would lower the score; None: there is none such."""
    wrong = [
        name
        for name, slope in form.slopes.items()
        if (slope > 0 and columns[places[name]].better == "lower")
        or (slope < 0 and columns[places[name]].better == "higher")
    ]
    if not wrong:
        return None
    return (
        f"no overall score: a better value of {few(wrong, _MOST_NAMED)} would lower it; write NAME:WEIGHT:WORST..BEST"
    )


def _score_of_row(aggregate: Aggregate, cells: Mapping[str, Cell]) -> Cell:
    """Of one model, as the cell of a metric: each prompt's value is its share."""
    here = {name: cell for name, cell in cells.items() if cell.mean is not None}
    form = linear_form(aggregate, here)
    if form is None:
        return Cell(mean=None, reasons=((NOT_MEASURED, 1),), unranked="there is no value")
    mean = form.offset + sum(slope * (here[name].mean or 0.0) for name, slope in form.slopes.items())
    shares = _shares_of_prompts(form, here)
    interval, no_interval = _interval_of_shares(list(shares.values()))
    return Cell(
        mean=mean,
        interval=interval,
        no_interval=no_interval,
        by_prompt=shares,
        failed=frozenset().union(*(cell.failed for cell in here.values())),
        asked=max(cell.asked for cell in here.values()),
        missing=max(cell.missing for cell in here.values()),
        wiring=any(cell.wiring for cell in here.values()),
        unranked=_why_not_compared(cells),
    )


def _why_not_compared(cells: Mapping[str, Cell]) -> str | None:
    """A dimension that others have and this model lacks, or whose own value is not compared."""
    absent = [name for name, cell in cells.items() if cell.mean is None]
    if absent:
        are = "is" if len(absent) == 1 else "are"
        return f"{len(absent)} of {len(cells)} dimensions {are} missing: {few(absent, _MOST_NAMED)}"
    kept = ((name, cell.unranked) for name, cell in cells.items() if cell.unranked not in {None, NEUTRAL})
    return next((f"{name}: {why}" for name, why in kept), None)


def _shares_of_prompts(form: LinearForm, cells: Mapping[str, Cell]) -> dict[str, float]:
    """Prompt -> what it adds to the score, times the number of prompts: their mean is the score.

    A dimension that is measured once for a whole set belongs to no prompt: then there is one value, of the set.
    """
    if any(OF_THE_SET in cell.by_prompt for cell in cells.values()):
        score = form.offset + sum(slope * (cells[name].mean or 0.0) for name, slope in form.slopes.items())
        return {OF_THE_SET: score}
    asked = sorted({prompt for cell in cells.values() for prompt in cell.by_prompt})
    shares = dict.fromkeys(asked, form.offset)
    for name, slope in form.slopes.items():
        weight = slope * len(asked) / cells[name].n
        for prompt, value in cells[name].by_prompt.items():
            shares[prompt] += weight * value
    return shares


def _interval_of_shares(shares: Sequence[float]) -> tuple[tuple[float, float] | None, str | None]:
    """95% of the mean of the shares, as of any metric without bounds; or why there is none."""
    import numpy as np

    from pytest_vdb.statistics.intervals import mean_intervals, why_no_interval

    values = np.array(shares, dtype=np.float64)
    if (reason := why_no_interval(values)) is not None:
        return None, reason
    low, high = mean_intervals(values[:, None], unseen="near")[0].tolist()
    return (low, high), None
