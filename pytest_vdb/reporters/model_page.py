"""The page of one model: its card, recipe and device, what was measured of it, how to run it again, and every prompt.

A line of the standings has one page, beside the leaderboard; clips and posters are linked where they lie.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.tables import Leaderboard, Row, Standing, Standings
from pytest_vdb.escaping import file_names, shortened, visible
from pytest_vdb.figures import figure_alone
from pytest_vdb.records import SCORED, CardFacts, Measurement, Record
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.overview import heading_of_standings, metric_in_words, place_in_words
from pytest_vdb.reporters.pages import (
    BESIDE,
    LEADERBOARD,
    MOST_TEXT,
    UP,
    Files,
    markup,
    page_of_template,
    policy,
    source_of_template,
)
from pytest_vdb.reporters.placed_plots import plots_of_model
from pytest_vdb.reporters.prompts_table import tables_of_prompts
from pytest_vdb.reporters.side_by_side import SideBySide
from pytest_vdb.reporters.tables_page import (
    WrittenTable,
    cell_of_page,
    class_of_status,
    kind_of_weights,
    outcomes_besides_passed,
)
from pytest_vdb.reporters.text import (
    ARROWS,
    BETTER,
    LONGEST_NAME,
    counted,
    distinct_names,
    in_plain_words,
    outcomes,
    recipe_words,
    unit,
    weights_words,
    words_of_status,
)

MODELS = f"{BESIDE}/models"
"""The folder in which the pages lie."""
_MOST_CARDS, _CARDS_OF_A_PAGE = 1_200, (6, 200)
"""Clips that are shown as cards, on all pages together and on one of them; a table has the others."""
_MOST_TEXTS = 20_000
"""Records on all pages together of which each has its prompt's text in that table."""


def paths_of_models(board: Leaderboard) -> tuple[tuple[str, ...], ...]:
    """Of each line of each of the board's standings the path of its page, from the leaderboard's folder."""
    names = [list(distinct_names(one.table).values()) for one in board.standings]
    found = iter(file_names([name for of_one in names for name in of_one]))
    return tuple(tuple(f"{MODELS}/{next(found, '')}.html" for _ in of_one) for of_one in names)


@dataclass(frozen=True)
class Shelf:
    """What the pages of a board's models have in common."""

    board: Leaderboard
    tables: Sequence[WrittenTable]
    files: Files
    """As seen from `MODELS`."""
    environment: Sequence[tuple[str, str]]
    """Where the board's run ran, as names and values."""
    compared: SideBySide
    """The pages of prompts, to which clips lead."""

    @cached_property
    def cards(self) -> int:
        """How many a page has at most."""
        least, most = _CARDS_OF_A_PAGE
        return max(least, min(most, _MOST_CARDS // sum(len(one.lines) for one in self.board.standings)))

    @cached_property
    def has_texts(self) -> bool:
        """Whether the table of all prompts has their texts."""
        return sum(len(line.row.records) for one in self.board.standings for line in one.lines) <= _MOST_TEXTS


def render(shelf: Shelf, standings: Standings, at: int, names: Mapping[int, str]) -> str:
    """The page of a line.

    Args:
        shelf: what all pages share.
        standings: of which the line is one.
        at: its place.
        names: what the lines are called there.
    """
    line = standings.lines[at]
    row = line.row
    shown = _most_telling(row.records, shelf.cards)
    style = "".join(map(source_of_template, ("leaderboard.css", "model.css", "plots.css")))
    script = source_of_template("model.js")
    tables = tables_of_prompts(row.records, shelf.files, texts=shelf.has_texts) if len(shown) < len(row.records) else []
    return page_of_template("model.html.j2").render(
        policy=policy(style, script),
        style=markup(style),
        script=markup(script),
        name=visible(shortened(names[at], 2 * LONGEST_NAME)),
        back=f"{UP}{LEADERBOARD}",
        section=heading_of_standings(standings),
        weights=weights_words(row),
        weights_kind=kind_of_weights(row),
        recipe_words=visible(shortened(recipe_words(row), 2 * LONGEST_NAME)),
        hardware=visible(row.hardware or ""),
        outcome=[(class_of_status(status), visible(words), n) for status, words, n in outcomes(row.counts)],
        retried=row.retried,
        reused=row.reused,
        places=_places_in_words(standings, line),
        facts=[(title, facts) for title, facts in _facts_of_row(row, shelf) if facts],
        runs=[_links_of_run(run, shelf.files) for run in row.runs],
        command=_command_of_row(row, shelf.board),
        benchmarks=[_benchmark_of_page(shelf.tables[table], index) for table, index in sorted(line.facets.items())],
        plots=plots_of_model(standings, at, names),
        clips=[_card_of_record(record, shelf.files, shelf.compared.link_of(row, record)) for record in shown],
        several=len(line.facets) > 1,
        records=len(row.records),
        tables=tables,
    )


def _places_in_words(standings: Standings, line: Standing) -> list[tuple[str, str, int]]:
    """(metric, rank, of how many models): where it stands, in the metric that ranks first before others."""
    columns = standings.table.columns
    order = sorted(range(len(columns)), key=lambda at: (at != standings.lead, at))
    found = [(columns[at], line.places[at]) for at in order]
    return [
        (visible(metric_in_words(column.name)), place_in_words(place), place.of)
        for column, place in found
        if place is not None
    ]


def _facts_of_row(row: Row, shelf: Shelf) -> list[tuple[str, list[tuple[str, str]]]]:
    """What is known of the model, of its recipe and of its device, each under its title."""
    run = shelf.board.run
    known = run.models.get(row.model, CardFacts())
    parameters = None if known.parameters is None else f"{known.parameters:g} billion"
    about: list[tuple[str, object]] = [
        ("model", row.model),
        *row.parameters.items(),
        ("family", known.family),
        ("licence", known.licence),
        ("task", row.task),
        ("repository", known.repository),
        ("revision", row.revision),
        ("pipeline", known.pipeline),
        ("parameters of the denoiser", parameters),
        ("download", None if known.download_gb is None else f"{known.download_gb:g} GB"),
        ("weights", weights_words(row)),
        ("published in", row.published),
    ]
    recipe = [*((key.replace("_", " "), value) for key, value in row.recipe.items()), ("digest", row.recipe_digest)]
    ran_here = run.id in row.runs and row.hardware == run.environment.hardware
    device = shelf.environment if ran_here else [("hardware", row.hardware)]
    told = (("Model", about), ("Recipe", recipe), ("Device", device))
    return [
        (title, [(visible(key), visible(in_plain_words(value))) for key, value in facts if value is not None])
        for title, facts in told
    ]


def _links_of_run(run: str, files: Files) -> dict[str, str | None]:
    manifest, records = files.link(run, "run.json"), files.link(run, "records.jsonl")
    return {"id": visible(run), "manifest": manifest, "records": records}


def _command_of_row(row: Row, board: Leaderboard) -> str | None:
    """The run's own command for this model alone; None where no command makes it, or the run that is told is another.

    The weights are said even where they are the default, which depends on whether models are named.
    """
    command = board.run.options.get("command")
    if not command or board.run.id not in row.runs or row.weights not in {"hub", "local", "random", "tiny", "none"}:
        return None
    try:
        words = shlex.split(str(command))
    except ValueError:
        return None
    kept = [word for word in words if not word.startswith(("--vdb-models=", "--vdb-weights="))]
    weights = [] if row.weights == "none" else [f"--vdb-weights={row.weights}"]
    return visible(shortened(shlex.join([*kept, f"--vdb-models={row.model}", *weights]), MOST_TEXT))


def _benchmark_of_page(one: WrittenTable, index: int) -> dict[str, Any]:
    """What a benchmark says of the model, a metric a line; what is to know of all of them is said once."""
    row = one.table.rows[index]
    cells = [(cell_of_page(cell, of, bar=True), of) for cell, of in zip(row.cells, one.columns, strict=True)]
    told = [cell["told"] for cell, _ in cells if cell["value"] is not None]
    common = [text for text in told[0] if all(text in of_one for of_one in told)] if len(told) > 1 else []
    return {
        "name": visible(shortened(one.table.name, 2 * LONGEST_NAME)),
        "tests": f"{row.passed} of {counted(row.tests, 'test')} passed",
        "lost": outcomes_besides_passed(row),
        "common": "; ".join(common),
        "has_bars": any(cell["bar"] for cell, _ in cells),
        "metrics": [
            {
                "name": visible(shortened(of.column.name, LONGEST_NAME)).replace("_", " "),
                "version": visible(shortened(of.column.version, LONGEST_NAME)),
                "unit": visible(shortened(unit(of.column), LONGEST_NAME)),
                "arrow": ARROWS[of.column.better],
                "better": BETTER[of.column.better],
                "cell": cell,
                "told": "; ".join(text for text in cell["told"] if text not in common),
            }
            for cell, of in cells
        ],
    }


def _most_telling(records: Sequence[Record], most: int) -> list[Record]:
    """All of them if they fit; else those that did not pass first."""
    if len(records) <= most:
        return list(records)
    lost = [record for record in records if record.status != "passed"]
    return (lost + [record for record in records if record.status == "passed"])[:most]


def _card_of_record(record: Record, files: Files, beside: str | None) -> dict[str, Any]:
    clip = record.clip
    return {
        "prompt": visible(shortened(record.prompt or "no prompt", 2 * LONGEST_NAME)),
        "sample": record.sample_index,
        "text": visible(shortened(record.prompt_text or "", MOST_TEXT)),
        "category": visible(shortened(record.category or "", LONGEST_NAME)),
        "benchmark": visible(shortened(record.benchmark_name, LONGEST_NAME)),
        "test": visible(shortened(record.nodeid, 4 * LONGEST_NAME)),
        "seed": record.seed,
        "passed": record.status == "passed",
        "status": class_of_status(record.status),
        "status_words": visible(words_of_status(record.status)),
        "attempts": record.attempts,
        "preview": files.link(record.run, clip.preview) if clip else None,
        "poster": files.link(record.run, clip.poster) if clip else None,
        "no_clip": _no_clip(record),
        "beside": beside,
        "size": f"{clip.frames} frames, {clip.width}×{clip.height}, {clip.fps:g} fps" if clip else None,
        "width": clip.width if clip else 16,
        "height": clip.height if clip else 9,
        "reused_from": visible(record.reused_from) if record.reused_from else None,
        "measured": _values_of_card(record.measurements),
        "notes": [visible(note) for note in record.notes],
        "failure": None if record.status == "passed" else visible(failure_line(record)),
        "traceback": _visible_lines(record.failure.traceback) if record.failure and record.failure.traceback else None,
    }


def _no_clip(record: Record) -> str:
    """Why there is nothing to watch."""
    if record.status != "passed" or record.clip is None:
        return "no clip"
    return "the clip lies where it was scored" if record.run.startswith(SCORED) else "clip not kept"


def _values_of_card(measurements: Sequence[Measurement]) -> Any:
    """All of them, quality first; nothing of what comes from outside is left unescaped."""
    return markup("\n".join(map(_value_of_card, sorted(measurements, key=lambda one: one.kind != "quality"))))


def _value_of_card(measurement: Measurement) -> str:
    """A line of a card: its name, its course over the frames, its figure or why there is none.

    Written here and not by the template: there are tens of thousands.
    """
    beginning = _beginning_on_card(measurement.name, unit(measurement), wiring=measurement.wiring)
    spark = charts.sparkline(measurement.series) if measurement.series else ""
    value, reason = measurement.value, measurement.reason
    shown = _missing_on_card(reason) if value is None and reason else figure_alone(value, significant=4)
    return f"{beginning}<dd>{spark}{shown}</dd></div>"


@lru_cache(maxsize=4096)
def _beginning_on_card(name: str, in_unit: str, *, wiring: bool) -> str:
    """What a line has before its figure, the same on all cards."""
    from markupsafe import escape

    shown = escape(visible(shortened(name, LONGEST_NAME).replace("_", " ")))
    of_unit = f' <span class="unit">{escape(visible(in_unit))}</span>' if in_unit else ""
    if wiring:
        return f'<div class="wiring"><dt>{shown}{of_unit} <span class="hidden-text">(wiring only)</span></dt>'
    return f"<div><dt>{shown}{of_unit}</dt>"


def _missing_on_card(reason: str) -> str:
    from markupsafe import escape

    why = escape(visible(reason))
    dash = '<span aria-hidden="true">–</span>'
    return f'<span class="missing" title="{why}">{dash}<span class="hidden-text">missing: {why}</span></span>'


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.replace("\r\n", "\n").split("\n")))
