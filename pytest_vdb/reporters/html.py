"""The leaderboard as one HTML file that asks nothing of anyone: no request, no library, every text escaped.

Its policy (CSP) allows its own style and script by their hashes, pictures that lie inside it, and clips beside it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_vdb.analysis.readings import failure_line
from pytest_vdb.analysis.tables import Cell, Column, Leaderboard, Row, Table, dimmed
from pytest_vdb.escaping import shortened, visible
from pytest_vdb.figures import Notation, notation
from pytest_vdb.files import is_file
from pytest_vdb.privacy import name_of
from pytest_vdb.records import SCORED, Measurement, Record, Run
from pytest_vdb.reporters import charts
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.standings_page import KINDS, standings_of_page
from pytest_vdb.reporters.text import (
    ARROWS,
    BETTER,
    LEGEND,
    LONGEST_NAME,
    STATUS_WORDS,
    count_in_words,
    count_notes,
    counted,
    distinct_names,
    heading,
    interval_in_brackets,
    missing_lines,
    notation_of,
    order_note,
    outcomes,
    recipe_words,
    remark_lines,
    retries_line,
    stopped_line,
    tests_short,
    title,
    unit,
    weights_note,
    weights_words,
    words_of_status,
)

if TYPE_CHECKING:
    import jinja2
from pytest_vdb.results.journal import RUNS

TEMPLATES = Path(__file__).parent / "templates"
MOST_CARDS = 600
"""Clips shown on the whole page: more belong into records.jsonl and would make it slow."""
MOST_BARS = 2_000
POSTERS_BYTES = 6 * 2**20
"""Of posters inside the page; further ones are linked like the clips."""
POSTER_BYTES, POSTER_PIXELS = 2**20, 2**25
"""Of one poster at most: ours are a small part of it, and what is larger is none of ours."""
MOST_TEXT = 2_000
"""Characters of a prompt on a clip's card: the whole of it is in records.jsonl."""


def render(board: Leaderboard, *, root: Path | None = None, running: str | None = None) -> str:
    """The page, to be put into `root`.

    Args:
        board: what to show.
        root: the folder that holds `runs/RUN/`: links are made only to what lies there, posters are put into the page.
            None: the page links to where things would be, and contains no pictures.
        running: how far the run is, where it goes on; None: it has ended.
    """
    from markupsafe import Markup

    style, script = (source_of_template(f"leaderboard.{kind}") for kind in ("css", "js"))
    files = Files(root)
    cards = max(4, min(24, MOST_CARDS // max(1, len(board.rows))))
    return page_of_template("leaderboard.html.j2").render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        run=board.run,
        title=title(board),
        when=when(board.run),
        outcome=[(_class(status), visible(words), n) for status, words, n in outcomes(board.counts)],
        stopped=running or stopped_line(board),
        reused=counted(board.reused, "clip") if board.reused else None,
        standings=standings_of_page(board),
        tables=[_table_of_page(table, index, files, cards) for index, table in enumerate(board.tables)],
        legend=LEGEND,
        environment=environment_of(board.run),
        command=visible(shortened(str(board.run.options.get("command") or ""), MOST_TEXT)),
        options=_own_options(board.run),
    )


FORMAT = Format(name="html", files=lambda board, output: {"leaderboard.html": render(board, root=output)})


def page_of_template(name: str) -> jinja2.Template:
    """A template in which all that comes from outside is escaped, and what is not given is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["shown"] = visible
    return environment.get_template(name)


def policy(style: str, script: str = "", *, connect: bool = False) -> str:
    """The Content-Security-Policy that lets exactly this style and this script run.

    Args:
        connect: let the script ask the server that the page came from, and nobody else.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data: 'self'",
            "media-src 'self'",
            *(("connect-src 'self'",) if connect else ()),
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


class Files:
    """What lies beside the page, by links that cannot lead out of its folder."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self.inlined = 0

    def link(self, run: str, relative: str) -> str | None:
        """URL of a file in a run's folder; None when there is no such file or it would lie outside of that folder."""
        path = within(run, relative)
        if path is None or (self.root is not None and self._file(run, path) is None):
            return None
        return "/".join(quote(part, safe="") for part in (RUNS, run, *path.split("/")))

    def poster(self, run: str, relative: str | None) -> str | None:
        """The picture itself as a `data:` URL, or a link once the page has enough of them; None: it is no picture."""
        path = within(run, relative) if relative else None
        if path is None or self.root is None:
            return self.link(run, path) if path else None
        file = self._file(run, path)
        content = content_of_poster(file) if file is not None else None
        if content is None:
            return None
        if self.inlined + len(content) > POSTERS_BYTES:
            return self.link(run, path)
        self.inlined += len(content)
        return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"

    def _file(self, run: str, path: str) -> Path | None:
        """The file that lies there, if it is one and lies in the run's folder, wherever links lead."""
        assert self.root is not None
        try:
            folder = (self.root / RUNS / run).resolve()
            file = (folder / path).resolve()
            return file if file.is_relative_to(folder) and is_file(file) else None
        except (OSError, ValueError, RuntimeError):  # a name that no system has, a link that leads to itself
            return None


def within(run: str, relative: str) -> str | None:
    """The path of a file below its run's folder, or None where it could lead elsewhere on some system."""
    parts = posixpath.normpath(relative).split("/")
    if run in {"", ".", ".."} or re.search(r"[/\\\x00]", run) or re.search(r"[\\:\x00]", relative):
        return None
    return None if parts[0] in {"", ".", ".."} else "/".join(parts)


def content_of_poster(file: Path) -> bytes | None:
    """The content of a picture that can be decoded, or None: whatever else calls itself a poster stays out."""
    from PIL import Image

    try:
        with file.open("rb") as stream:
            content = stream.read(POSTER_BYTES + 1)
        if len(content) > POSTER_BYTES or not content.startswith(b"\xff\xd8\xff"):
            return None
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.width * image.height > POSTER_PIXELS:
                return None
            image.draft("RGB", (64, 64))  # decodes all of it, small
            image.load()
    except Exception:  # noqa: BLE001 - Pillow raises what it likes at broken files; one costs its picture, not the page
        return None
    return content


@dataclass(frozen=True, slots=True)
class _Scale:
    """What a column's cells share."""

    column: Column
    notation: Notation
    ranked: tuple[Cell, ...]
    """Only these have a bar: beside the others' values it would show nothing."""
    bars: bool


def _table_of_page(table: Table, index: int, files: Files, cards: int) -> dict[str, Any]:
    names = distinct_names(table)
    bars = len(table.rows) * len(table.columns) <= MOST_BARS
    scales = []
    for at, column in enumerate(table.columns):
        cells = tuple(row.cells[at] for row in table.rows)
        scales.append(
            _Scale(column, notation_of(cells), tuple(c for c in cells if c.mean is not None and not dimmed(c)), bars)
        )
    valued = [any(row.cells[at].mean is not None for row in table.rows) for at in range(len(table.columns))]
    columns = list(zip(table.columns, valued, strict=True))
    return {
        "id": f"t{index}",
        "name": visible(shortened(table.name, 2 * LONGEST_NAME)),
        "benchmark": visible(table.benchmark),
        "columns": [_column_of_page(column, table, valued=any(valued), empty=not has) for column, has in columns],
        "kinds": [(kind, words) for kind, words in KINDS.items() if kind in {c.kind for c in table.columns}],
        "rows": [
            _row_of_page(row, names[at], f"t{index}r{at}", scales, files, cards) for at, row in enumerate(table.rows)
        ],
        "notes": [visible(note) for note in weights_note(table)],
        "counts": [visible(note) for note in (*count_notes(table), order_note(table)) if note is not None],
        "remarks": [visible(line) for line in remark_lines(table)],
        "again": visible(again) if (again := retries_line(table.rows)) else None,
        "missing": [(counted(n, "test"), visible(where), visible(why)) for where, why, n in missing_lines(table)],
    }


def _column_of_page(column: Column, table: Table, *, valued: bool, empty: bool) -> dict[str, Any]:
    """`valued`: whether any column of the table has a value; `empty`: whether this one has none."""
    name = visible(shortened(heading(column, table.columns), LONGEST_NAME))
    return {
        "name": name,
        "words": name.replace("_", " "),
        "unit": visible(shortened(unit(column), LONGEST_NAME)),
        "arrow": ARROWS[column.better],
        "better": BETTER[column.better],
        "first": "ascending" if column.better == "lower" else "descending",
        "kind": column.kind,
        "empty": valued and empty,
        "title": f"{visible(column.name)}, version {visible(column.version)}: {BETTER[column.better]}",
    }


def _row_of_page(row: Row, name: str, key: str, scales: Sequence[_Scale], files: Files, cards: int) -> dict[str, Any]:
    shown = _most_telling(row.records, cards)
    return {
        "id": key,
        "name": visible(shortened(name, 2 * LONGEST_NAME)),
        "weights": weights_words(row),
        "weights_kind": "published" if row.published is not None else row.weights or "unknown",
        "recipe": recipe_words(row),
        "tests": tests_short(row),
        "share": row.passed / row.tests,
        "none_tried": row.counts.get("skipped", 0) == row.tests,
        "lost": [
            (_class(status), visible(words), n) for status, words, n in outcomes(row.counts) if status != "passed"
        ],
        "retried": row.retried,
        "reused": row.reused,
        "cells": [_cell_of_page(cell, scale) for cell, scale in zip(row.cells, scales, strict=True)],
        "facts": _facts(row),
        "runs": [_run_links(run, files) for run in row.runs],
        "clips": [_card_of_record(record, files) for record in shown],
        "more": len(row.records) - len(shown),
        "search": visible(f"{name} {weights_words(row)} {row.hardware or ''} {row.task or ''}").lower(),
    }


def _class(status: str) -> str:
    """What the style knows it by."""
    return status if status in STATUS_WORDS else "unknown"


def _cell_of_page(cell: Cell, scale: _Scale) -> dict[str, Any]:
    reasons = "; ".join(f"{reason} ({counted(n, 'test')})" for reason, n in cell.reasons)
    write = scale.notation.write
    said = [f"{write(cell.mean)} {unit(scale.column)}".strip()]
    if cell.interval is not None:
        said.append(f"95% interval {' to '.join(map(write, cell.interval))}")
    elif cell.no_interval:
        said.append(f"no interval: {cell.no_interval}")
    said.append(count_in_words(cell))
    said += cell.remarks
    if cell.unranked:
        said.append(f"not ranked: {cell.unranked}")
    if cell.tied and cell.mark != "best":
        said.append(f"not told apart from the best{'' if cell.p is None else f' (p = {cell.p:.2f})'}")
    if reasons:
        said.append(f"missing: {reasons}")
    return {
        "value": cell.mean,
        "text": write(cell.mean),
        "interval": interval_in_brackets(cell, scale.notation),
        "remarks": [visible(remark) for remark in cell.remarks],
        "group": 2 if cell.mean is None else 1 if dimmed(cell) else 0,
        "mark": cell.mark,
        "tied": cell.tied and cell.mark != "best",
        "unranked": dimmed(cell),
        "incomplete": cell.mean is not None and cell.missing > 0,
        "missing": cell.missing,
        "reasons": visible(reasons) or "no test measured it",
        "title": visible("; ".join(said)),
        "bar": _drawn(charts.interval_bar(cell, scale.ranked)) if scale.bars and not dimmed(cell) else "",
    }


def _facts(row: Row) -> list[tuple[str, str]]:
    facts = [("model", row.model), *row.parameters.items()]
    facts += [("recipe", f"{row.recipe_digest or 'unknown'}"), ("hardware", row.hardware or "unknown")]
    if row.revision:
        facts.append(("revision", row.revision))
    if row.task:
        facts.append(("task", row.task))
    facts += [(key.replace("_", " "), _in_plain_words(value)) for key, value in row.recipe.items() if value is not None]
    return [(visible(key), visible(value)) for key, value in facts]


def _run_links(run: str, files: Files) -> dict[str, str | None]:
    manifest, records = files.link(run, "run.json"), files.link(run, "records.jsonl")
    return {"id": visible(run), "manifest": manifest, "records": records}


def _most_telling(records: Sequence[Record], most: int) -> list[Record]:
    """All of them if they fit; else those that did not pass first."""
    if len(records) <= most:
        return list(records)
    return sorted(records, key=lambda record: record.status == "passed")[:most]


def _card_of_record(record: Record, files: Files) -> dict[str, Any]:
    clip = record.clip
    return {
        "prompt": visible(shortened(record.prompt or "no prompt", 2 * LONGEST_NAME)),
        "text": visible(shortened(record.prompt_text or "", MOST_TEXT)),
        "category": visible(record.category or ""),
        "seed": record.seed,
        "passed": record.status == "passed",
        "status": _class(record.status),
        "status_words": visible(words_of_status(record.status)),
        "attempts": record.attempts,
        "preview": files.link(record.run, clip.preview) if clip and clip.preview else None,
        "poster": files.poster(record.run, clip.poster) if clip else None,
        "no_clip": _no_clip(record),
        "size": f"{clip.frames} frames, {clip.width}×{clip.height}, {clip.fps:g} fps" if clip else None,
        "width": clip.width if clip else 16,
        "height": clip.height if clip else 9,
        "reused_from": visible(record.reused_from) if record.reused_from else None,
        "measured": [_value_of_card(m) for m in sorted(record.measurements, key=lambda m: m.kind != "quality")],
        "notes": [visible(note) for note in record.notes],
        "failure": None if record.status == "passed" else visible(failure_line(record)),
        "traceback": _visible_lines(record.failure.traceback) if record.failure and record.failure.traceback else None,
    }


def _no_clip(record: Record) -> str:
    """Why there is nothing to watch."""
    if record.status != "passed" or record.clip is None:
        return "no clip"
    return "the clip lies where it was scored" if record.run.startswith(SCORED) else "clip not kept"


def _value_of_card(measurement: Measurement) -> dict[str, Any]:
    value = measurement.value
    return {
        "name": visible(shortened(measurement.name, LONGEST_NAME).replace("_", " ")),
        "text": notation([value], significant=4).write(value),
        "unit": visible(unit(measurement)),
        "reason": visible(measurement.reason) if value is None and measurement.reason else None,
        "wiring": measurement.wiring,
        "spark": _drawn(charts.sparkline(measurement.series)) if measurement.series else "",
    }


def environment_of(run: Run) -> list[tuple[str, str]]:
    """What a report says of where it ran, as names and values."""
    about = run.environment
    commit = about.git_commit[:12] if about.git_commit else None
    dirty = " with uncommitted changes" if about.git_dirty else ""
    facts = [
        ("hardware", about.hardware),
        ("processor", f"{about.cpu}, {counted(about.cpu_count, 'core')}, {about.memory_mib / 1024:.1f} GiB"),
        *(
            ("graphics", f"{gpu.name}{f', {gpu.memory_mib / 1024:.0f} GiB' if gpu.memory_mib else ''}")
            for gpu in about.gpus
        ),
        ("driver", about.driver),
        ("CUDA", about.cuda),
        ("system", about.platform),
        ("Python", about.python),
        *about.packages.items(),
        ("git commit", f"{commit}{dirty}" if commit else None),
        *((f"suite {name}", digest) for name, digest in run.suites.items()),
    ]
    return [(visible(key), visible(value)) for key, value in facts if value]


def _own_options(run: Run) -> dict[str, str]:
    """This plugin's own, without folders. Earlier versions kept the whole command line, other plugins' values in it."""
    kept = {key: value for key, value in run.options.items() if key not in {"arguments", "command"}}
    return {visible(key): visible(shortened(_in_plain_words(value), MOST_TEXT)) for key, value in kept.items()}


def when(run: Run) -> str:
    """`14 January 2026, 09:30 UTC, 53 s`."""
    try:
        start = datetime.fromisoformat(run.started_at)
    except ValueError:
        return visible(run.started_at)
    zone = " UTC" if start.utcoffset() is not None and not start.utcoffset() else ""
    words = f"{start.day} {start:%B %Y, %H:%M}{zone}"
    if run.finished_at is None:
        return f"{words}, not finished"
    try:
        seconds = (datetime.fromisoformat(run.finished_at) - start).total_seconds()
    except (ValueError, TypeError):
        return words
    minutes, rest = divmod(round(seconds), 60)
    return f"{words}, {f'{minutes} min ' if minutes else ''}{rest} s"


def _in_plain_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_in_plain_words(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(_in_plain_words(one) for one in value) or "none"
    if isinstance(value, str) and re.match(r"/|~|\\\\|[A-Za-z]:[\\/]", value):
        return name_of(value)
    return "none" if value is None else str(value)


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.replace("\r\n", "\n").split("\n")))


def _drawn(svg: str) -> Any:
    """SVG from `charts`, which escapes what it is given."""
    from markupsafe import Markup

    return Markup(svg)


def source_of_template(name: str) -> str:
    """The text of a style or script that lies beside the pages."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
