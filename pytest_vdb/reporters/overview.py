"""What a reader wants first: which model, in one sentence that was computed; and what of the standings tells most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_vdb.analysis.standings import TIMES
from pytest_vdb.analysis.tables import Leaderboard, Place, Row, Standings, Table, dimmed
from pytest_vdb.escaping import few, shortened
from pytest_vdb.figures import Notation, figure_alone
from pytest_vdb.records import Task
from pytest_vdb.reporters.text import (
    LONGEST_NAME,
    count_in_words,
    counted,
    counted_models,
    distinct_names,
    interval_in_brackets,
    notation_of,
    recipe_words,
    unit,
)

TASKS: dict[Task | None, str] = {
    "t2v": "Text to video",
    "i2v": "Image to video",
    "v2v": "Video to video",
    None: "Models of an unknown task",
}
FITS_ON = "fits_on"
_FIRST_COSTS = ("peak_memory_reserved", "peak_memory_allocated", FITS_ON, "energy", *TIMES, "peak_rss", "throughput")
"""What people choose by beside the first cost, in this order; others follow."""
_MOST_TIED = 3
"""Names of models that the sentence says, of those that are not told apart."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of a sentence."""

    text: str
    name: bool = False
    """Whether it is what a model is called."""


def plain_text(sentence: Sequence[Said]) -> str:
    """The sentence without emphasis."""
    return "".join(piece.text for piece in sentence)


def place_in_words(place: Place | None) -> str:
    """`1`, `2–3`; nothing where nobody asked for it."""
    if place is None:
        return ""
    return str(place.lowest) if place.lowest == place.highest else f"{place.lowest}–{place.highest}"


def metric_in_words(name: str) -> str:
    """`clip similarity`; of two benchmarks' columns also whose it is, as that is called."""
    metric, bracket, benchmark = name.partition(" (")
    return f"{shortened(metric, LONGEST_NAME).replace('_', ' ')}{bracket}{shortened(benchmark, LONGEST_NAME)}"


def heading_of_standings(standings: Standings) -> str:
    """What the section is called."""
    if not standings.trained:
        return "Tiny and random weights"
    rows = standings.table.rows
    return "Calibration" if all(row.yardstick for row in rows) else TASKS.get(standings.task, str(standings.task))


def answers(board: Leaderboard) -> list[list[Said]]:
    """A sentence for each of the board's standings, empty where there is nothing to say; the first one always says."""
    found = [_answer_in_words(standings) for standings in board.standings]
    if found and not any(_models_of_standings(standings) for standings in board.standings):
        found[0] = [Said(_why_nothing_is_ranked([row for one in board.standings for row in one.table.rows]))]
    return found


def _models_of_standings(standings: Standings) -> list[int]:
    """The lines of trained models that were measured here."""
    rows = enumerate(standings.table.rows) if standings.trained else ()
    return [at for at, row in rows if not row.yardstick and row.published is None]


def _why_nothing_is_ranked(rows: Sequence[Row]) -> str:
    kinds = Counter(_kind_of_row(row) for row in rows)
    parts = [
        f"{counted(kinds[kind], noun)} {words}"
        for kind, noun, words in (
            ("tiny", "model", "with tiny random weights, which prove the wiring only"),
            ("random", "model", "with random weights, whose pixels mean nothing"),
            ("published", "row", "that others published"),
            ("yardstick", "yardstick", "of known quality"),
        )
        if kinds[kind]
    ]
    return f"Nothing here can be ranked: {', and '.join(parts)}."


def _kind_of_row(row: Row) -> str:
    return "published" if row.published is not None else "yardstick" if row.yardstick else row.weights or "unknown"


def _answer_in_words(standings: Standings) -> list[Said]:
    models = _models_of_standings(standings)
    if not models:
        return []
    names = {at: shortened(name, LONGEST_NAME) for at, name in distinct_names(standings.table).items()}
    lead = standings.lead
    if lead is None:
        return [*_without_ranks(standings, models, names)]
    ranked = [at for at in models if standings.lines[at].places[lead] is not None]
    first = [at for at in ranked if _place(standings, at, lead).lowest == 1]
    rows = [standings.table.rows[at] for at in ranked]
    metric = metric_in_words(standings.table.columns[lead].name)
    over = f" over {count_in_words(rows[0].cells[lead])}"
    if len(first) == len(ranked):
        which = (
            f"Neither of {counted_models(rows)} is told apart from the other"
            if len(rows) == 2
            else f"None of {counted_models(rows)} is told apart from the others"
        )
        return [Said(f"{which} in {metric}{over}"), *_cheapest(standings, first, names)]
    best = first[0]
    opening = [Said(f"Of {counted_models(rows)} "), Said(names[best], name=True)]
    value = f"{metric} ({_figure_of_line(standings, best, lead, interval=False)}{over})"
    if len(first) > 1:
        tied = _enumerated([names[at] for at in first[1:]])
        return [
            *opening,
            Said(f" leads in {value} and is not told apart from "),
            *tied,
            *_cheapest(standings, first, names),
        ]
    place = _place(standings, best, lead)
    if place.highest == 1:
        return [*opening, Said(f" is best in {value}"), *_cost_of_best(standings, best)]
    apart = f" leads in {value} and is told apart from {place.of - place.highest} of {counted(place.of - 1, 'other')}"
    return [*opening, Said(apart), *_cost_of_best(standings, best)]


def _place(standings: Standings, at: int, column: int) -> Place:
    place = standings.lines[at].places[column]
    assert place is not None
    return place


def _enumerated(names: Sequence[str]) -> Iterator[Said]:
    """`a`; `a and b`; `a, b, c and 4 others`."""
    shown = names if len(names) <= _MOST_TIED else names[:_MOST_TIED]
    rest = len(names) - len(shown)
    for at, name in enumerate(shown):
        if at:
            yield Said(" and " if at == len(shown) - 1 and not rest else ", ")
        yield Said(name, name=True)
    if rest:
        yield Said(f" and {counted(rest, 'other')}")


def _without_ranks(standings: Standings, models: Sequence[int], names: dict[int, str]) -> Iterator[Said]:
    """Of one model, or of several of which no two were measured alike."""
    if len(models) > 1:
        named = counted_models([standings.table.rows[at] for at in models])
        yield Said(f"None of {named} can be ranked: no two have a metric of quality on the same prompts.")
        return
    only = models[0]
    yield Said("One model, and nothing to rank it against: ")
    yield Said(names[only], name=True)
    quality = next(
        (at for at in _quality_first(standings) if standings.table.rows[only].cells[at].mean is not None), None
    )
    said = []
    if quality is not None:
        said.append(
            f" has {metric_in_words(standings.table.columns[quality].name)} {_figure_of_line(standings, only, quality)}"
        )
    if standings.cost is not None and standings.table.rows[only].cells[standings.cost].mean is not None:
        said.append(f" {_cost_in_words(standings, only)}")
    yield Said(f"{' and'.join(said) or ' has no value'}.")


def _quality_first(standings: Standings) -> list[int]:
    return [at for at, c in enumerate(standings.table.columns) if c.kind == "quality" and c.better != "neutral"]


def _cost_of_best(standings: Standings, best: int) -> Iterator[Said]:
    if standings.cost is not None and standings.table.rows[best].cells[standings.cost].mean is not None:
        yield Said(f"; it {_cost_in_words(standings, best)}")
    yield Said(".")


def _cheapest(standings: Standings, among: Sequence[int], names: dict[int, str]) -> Iterator[Said]:
    """Which of them costs least, where they were measured on the same device."""
    found = standings.cost
    rows = [(at, standings.table.rows[at]) for at in among]
    priced = [(row.cells[found].mean, at, row.hardware) for at, row in rows if found is not None]
    known = [(value, at) for value, at, _ in priced if value is not None]
    if found is None or len(known) < 2 or len({device for value, _, device in priced if value is not None}) != 1:
        yield Said(".")
        return
    sign = 1 if standings.table.columns[found].better == "lower" else -1
    cheapest = min(known, key=lambda one: sign * one[0])[1]
    yield Said("; of these ")
    yield Said(names[cheapest], name=True)
    yield Said(f" costs least: it {_cost_in_words(standings, cheapest)}.")


def _cost_in_words(standings: Standings, at: int) -> str:
    """`takes 95.2 s a clip on NVIDIA H100 80GB HBM3 and fits on a card of 24 GB`."""
    assert standings.cost is not None
    column, row = standings.table.columns[standings.cost], standings.table.rows[at]
    name = column.name.partition(" (")[0]
    mean = row.cells[standings.cost].mean
    value = f"{figure_alone(mean)} {unit(column)}".rstrip()
    told = f"takes {value} a clip" if name in TIMES else f"has {metric_in_words(column.name)} {value}"
    told += f" on {shortened(row.hardware, LONGEST_NAME)}" if row.hardware else ""
    cells = zip(standings.table.columns, row.cells, strict=True)
    size = next((cell.mean for one, cell in cells if one.name == FITS_ON), None)
    return told if size is None else f"{told} and fits on a card of {size:g} GB"


def _figure_of_line(standings: Standings, at: int, column: int, *, interval: bool = True) -> str:
    """`0.312 [0.304, 0.319]`."""
    written = notation_beside(standings, standings.table.rows[at], column)
    cell = standings.table.rows[at].cells[column]
    ends = interval_in_brackets(cell, written) if interval else None
    return " ".join(filter(None, (written.write(cell.mean), ends)))


def notation_beside(standings: Standings, row: Row, column: int) -> Notation:
    """How the figures of a column are written in a row: with the digits of models, or with those of yardsticks."""
    if standings.table.columns[column].name.partition(" (")[0] == FITS_ON:
        return Notation(0)  # what cards are called by
    rows = (other for other in standings.table.rows if other.yardstick == row.yardstick)
    return notation_of(other.cells[column] for other in rows)


def telling_columns(standings: Standings, most: int) -> list[int]:
    """The columns that tell most, at most so many: of quality and of cost in turns, the most telling ones first."""
    columns, lead = standings.table.columns, standings.lead
    quality = sorted(
        (at for at, column in enumerate(columns) if column.kind == "quality"),
        key=lambda at: (at != lead, columns[at].better == "neutral", not _is_ranked(standings, at), at),
    )
    costs = sorted(
        (at for at, column in enumerate(columns) if column.kind != "quality"),
        key=lambda at: (at != standings.cost, columns[at].better == "neutral", _order_of_cost(columns[at].name), at),
    )
    order: list[int] = []
    while quality or costs:
        order += [*quality[:1], *costs[:1]]
        quality, costs = quality[1:], costs[1:]
    return order[:most]


def _order_of_cost(name: str) -> int:
    cost = name.partition(" (")[0]
    return _FIRST_COSTS.index(cost) if cost in _FIRST_COSTS else len(_FIRST_COSTS)


def _is_ranked(standings: Standings, at: int) -> bool:
    return any(line.places[at] is not None or not dimmed(line.row.cells[at]) for line in standings.lines)


def recipe_of_all(standings: Standings) -> str | None:
    """What of the recipe most changes the numbers, where several lines have it and no line has another."""
    recipes = {recipe_words(row) for row in standings.table.rows if not row.yardstick and row.published is None}
    recipe = next(iter(recipes)) if len(recipes) == 1 and len(standings.lines) > 1 else None
    return recipe or None


def notes_on_standings(standings: Standings) -> list[str]:
    """By which metric the lines are ranked, whose costs are shown, and what of the ranks must be known."""
    notes = []
    if (recipe := recipe_of_all(standings)) is not None:
        notes.append(f"All models: {recipe}.")
    if standings.overall is not None:
        notes.append(f"{standings.overall[0].upper()}{standings.overall[1:]}.")
    if standings.lead is not None:
        metric = metric_in_words(standings.table.columns[standings.lead].name)
        notes.append(
            f"Ranked by {metric}. A rank is 1 and the number of models that are significantly better, with how far "
            "down it may reach: all pairs of models are asked at once, and any wrong answer is as rare as 1 in 20."
        )
    if standings.timed:
        costs = few([metric_in_words(name) for name in standings.timed], 12)
        notes.append(f"Measured by the benchmark that times a warm model, not while prompts were answered: {costs}.")
    devices = sorted({row.hardware for row in standings.table.rows if row.hardware is not None})
    if len(devices) > 1:
        notes.append(
            f"Costs were measured on {len(devices)} devices, and compare on the same one only: {few(devices, 4)}."
        )
    return notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """Standings as a table of few columns, for reports that are no page."""

    heading: str
    answer: str
    """A sentence, or nothing."""
    table: Table
    """The lines, with the columns that tell most, quality before costs."""
    ranks: tuple[str, ...] | None
    """Of each line; None: no two models are ranked."""
    notes: tuple[str, ...]
    notations: Mapping[bool, tuple[Notation, ...]]
    """How the figures of each column are written, of models and of yardsticks."""

    def notation_at(self, row: Row, column: int) -> Notation:
        """How a row's figure is written."""
        return self.notations[row.yardstick][column]


def fronts(board: Leaderboard, most: int, columns: Sequence[str] = ()) -> list[Front]:
    """Of each of the board's standings, with at most so many columns.

    Args:
        columns: the names of those that are wanted, in this order; of others than these none is told of. Empty: those
            that tell most, quality before costs.
    """
    said = answers(board)
    found = []
    for at, standings in enumerate(board.standings):
        if columns:
            places = {column.name: place for place, column in enumerate(standings.table.columns)}
            found.append(_front_of(standings, plain_text(said[at]), [places[one] for one in columns if one in places]))
        else:
            shown = sorted(
                telling_columns(standings, most), key=lambda place: standings.table.columns[place].kind != "quality"
            )
            front = _front_of(standings, plain_text(said[at]), shown)
            more = len(standings.table.columns) - len(shown)
            rest = (f"{counted(more, 'more metric')}: see the tables of the benchmarks.",) if more else ()
            found.append(replace(front, notes=(*front.notes, *rest)))
    return found


def _front_of(standings: Standings, answer: str, shown: Sequence[int]) -> Front:
    whole, lead = standings.table, standings.lead
    rows = tuple(replace(row, cells=tuple(row.cells[at] for at in shown)) for row in whole.rows)
    kinds = {row.yardstick: row for row in whole.rows}
    return Front(
        heading=heading_of_standings(standings),
        answer=answer,
        table=replace(whole, columns=tuple(whole.columns[at] for at in shown), rows=rows),
        ranks=None if lead is None else tuple(place_in_words(line.places[lead]) for line in standings.lines),
        notes=tuple(notes_on_standings(standings)),
        notations={yard: tuple(notation_beside(standings, row, at) for at in shown) for yard, row in kinds.items()},
    )
