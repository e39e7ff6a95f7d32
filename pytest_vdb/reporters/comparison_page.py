"""Two sides as one HTML file: the table, why, and the prompts that changed most with both clips side by side.

As self-contained as the leaderboard's page and under the same policy: it asks nothing of anyone, and plays clips where
they lie.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vdb.analysis.changes import Change, most_changed
from pytest_vdb.analysis.comparison import Comparison, Contrast, Pairs, Side
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import MISSING
from pytest_vdb.files import is_file
from pytest_vdb.records import Record
from pytest_vdb.reporters.comparison import (
    HEADER,
    figures_of_change,
    heading_of_benchmark,
    lines_of_sides,
    link_to_preview,
    names_of_benchmarks,
    notes_of_comparison,
    row_of_contrast,
    summary,
)
from pytest_vdb.reporters.pages import (
    MOST_TEXT,
    content_of_poster,
    page_of_template,
    policy,
    source_of_template,
    within,
)
from pytest_vdb.reporters.text import LONGEST_NAME


def render(comparisons: Sequence[Comparison], *, beside: Path | None = None) -> str:
    """The page.

    Args:
        comparisons: one section each.
        beside: see `section_of`.
    """
    return page_of([section_of(comparison, beside=beside) for comparison in comparisons])


def page_of(sections: Sequence[Mapping[str, Any]]) -> str:
    """The same of sections that are made already."""
    from markupsafe import Markup

    style = source_of_template("leaderboard.css") + source_of_template("comparison.css")
    return page_of_template("comparison.html.j2").render(
        policy=policy(style),
        style=Markup(style),
        header=HEADER,
        sections=sections,
    )


def section_of(comparison: Comparison, *, beside: Path | None = None) -> dict[str, Any]:
    """One comparison, as the page's template takes it: texts and numbers alone.

    Args:
        comparison: what to show.
        beside: the folder that the page will lie in; clips that are not where they were recorded are left out.
    """
    names = names_of_benchmarks(comparison)
    labels = [visible(shortened(side.label, LONGEST_NAME)) for side in (comparison.first, comparison.second)]
    return {
        "labels": labels,
        "sides": [visible(" ".join(line.split())) for line in lines_of_sides(comparison)],
        "summary": summary(comparison),
        "benchmarks": [
            {"heading": visible(heading_of_benchmark(pairs, names)), "rows": rows}
            for pairs in comparison.benchmarks
            if (rows := _rows_of_page(comparison, pairs))
        ],
        "notes": [visible(note.removeprefix(f"{MISSING} ")) for note in notes_of_comparison(comparison)],
        "changes": [_change_of_page(change, comparison, beside) for change in most_changed(comparison)],
    }


def _rows_of_page(comparison: Comparison, pairs: Pairs) -> list[dict[str, Any]]:
    return [_line_of_page(one) for one in comparison.contrasts if one.benchmark == pairs.benchmark]


def _line_of_page(one: Contrast) -> dict[str, Any]:
    name, *figures, finding = row_of_contrast(one)
    return {
        "name": visible(shortened(name, LONGEST_NAME)),
        "figures": figures,
        "finding": finding,
        "class": one.finding.replace(" ", "-"),
        "title": visible("; ".join(filter(None, (one.null and f"p is of: {one.null}", one.obstacle, *one.remarks)))),
    }


def _change_of_page(change: Change, comparison: Comparison, beside: Path | None) -> dict[str, Any]:
    first, second, difference = figures_of_change(change)
    sides = ((comparison.first, change.pair[0], first), (comparison.second, change.pair[1], second))
    return {
        "prompt": visible(shortened(change.prompt or "no prompt", 2 * LONGEST_NAME)),
        "text": visible(shortened(change.text, MOST_TEXT)),
        "metric": visible(shortened(change.metric, LONGEST_NAME)),
        "difference": difference,
        "times": f"{change.times_usual:.1f}",
        "clips": [_clip_of_side(*side, beside) for side in sides],
    }


def _clip_of_side(side: Side, record: Record, value: str, beside: Path | None) -> dict[str, Any]:
    clip = record.clip
    return {
        "label": visible(shortened(side.label, LONGEST_NAME)),
        "value": value,
        "link": link_to_preview(side, record, beside),
        "poster": _poster_of(side, record),
        "width": clip.width if clip else 16,
        "height": clip.height if clip else 9,
    }


def _poster_of(side: Side, record: Record) -> str | None:
    """The picture itself as a `data:` URL; None: there is none, or it is no picture."""
    relative = None if record.clip is None or record.clip.poster is None else within(record.run, record.clip.poster)
    if relative is None:
        return None
    try:
        folder = side.folder.resolve()
        file = (folder / relative).resolve()
        content = content_of_poster(file) if file.is_relative_to(folder) and is_file(file) else None
    except (OSError, ValueError, RuntimeError):
        return None
    return None if content is None else f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
