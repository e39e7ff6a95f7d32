"""What was found, as one JSON and one page: kept in docs/gpu if it was no rehearsal. No host, user, path or UUID."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.errors import RecordError
from pytest_vdb.escaping import file_name, lines
from pytest_vdb.figures import MISSING, notation
from pytest_vdb.privacy import Privacy
from pytest_vdb.records import Environment, from_plain, to_plain

from .rows import Check, Figure, MeasuredModel, Row, Value

SCHEMA = 1
EXACT = 1e6
"""Whole numbers below are counts, or as good as such."""
UUID = re.compile(r"\b(?:GPU-|MIG-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{8}([0-9a-f]{4})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one part found."""

    name: str
    seconds: float
    checks: tuple[Check, ...] = ()
    figures: tuple[Figure, ...] = ()
    models: tuple[MeasuredModel, ...] = ()
    failed: str | None = None
    """What it raised; what it found before is kept."""
    cut: str | None = None
    """Why it was ended before it was done: that is no failure."""

    @classmethod
    def of(
        cls, name: str, seconds: float, rows: Iterable[Row], *, failed: str | None = None, cut: str | None = None
    ) -> Part:
        """Rows by their kind, in order."""
        rows = tuple(rows)
        return cls(
            name=name,
            seconds=round(seconds, 3),
            checks=tuple(row for row in rows if isinstance(row, Check)),
            figures=tuple(row for row in rows if isinstance(row, Figure)),
            models=tuple(row for row in rows if isinstance(row, MeasuredModel)),
            failed=failed,
            cut=cut,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`docs/gpu/NAME-DATE.json`."""

    rehearsal: bool
    """Whether its figures are of nothing: tiny models on a processor."""
    card: str
    date: str
    minutes: float
    """That were allowed."""
    seconds: float
    """That it took."""
    environment: Environment
    parts: tuple[Part, ...] = field(default_factory=tuple)
    schema: int = SCHEMA

    @property
    def failed(self) -> tuple[str, ...]:
        """What disagrees with its second source, and parts that ended otherwise than they should."""
        checks = (f"{part.name}: {one.what}" for part in self.parts for one in part.checks if one.passed is False)
        return (*checks, *(f"{part.name}: {part.failed}" for part in self.parts if part.failed))


def private(report: Report) -> Report:
    """Without what tells who ran it where: no commit's branch either, and of UUIDs the end."""
    machine = report.environment
    cards = tuple(dataclasses.replace(gpu, uuid=None) for gpu in machine.gpus)
    plain = to_plain(dataclasses.replace(report, environment=dataclasses.replace(machine, gpus=cards, git_branch=None)))
    return from_plain(_kept_as(Privacy(Path.cwd()).plain(plain)), Report)


def write(report: Report, folder: Path) -> tuple[Path, Path]:
    """JSON and page, under the card's name and the day; a second one of a day gets a number.

    Raises:
        OutputError: the folder cannot be written.
    """
    name = "rehearsal" if report.rehearsal else f"{_slug(report.card)}-{report.date}"
    number, place = 1, files.make_folder(folder)
    while files.is_there(place / f"{_numbered(name, number)}.json"):
        number += 1
    stem = _numbered(name, number)
    return (
        files.write(place / f"{stem}.json", json.dumps(to_plain(report), indent=1) + "\n"),
        files.write(place / f"{stem}.md", page(report)),
    )


def read(path: Path) -> Report:
    """What `write` wrote.

    Raises:
        RecordError: it is no such JSON, with the field.
    """
    return from_plain(files.read_json(path, error=RecordError), Report)


# The page -----------------------------------------------------------------------------------------------------------


def page(report: Report) -> str:
    """Markdown, as it is kept and printed."""
    sections = [_head_of_page(report), *(_section_of_part(part) for part in report.parts)]
    return "\n\n".join(filter(None, sections)) + "\n"


def _head_of_page(report: Report) -> str:
    machine = report.environment
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    said = [f"# {'Rehearsal' if report.rehearsal else f'{report.card}, {report.date}'}", ""]
    if report.rehearsal:
        said += [
            "Tiny models on a processor, which shows that the script runs. **No figure here is a result.**",
            "",
        ]
    said += [
        f"`tox -e gpu`, {report.seconds:.0f} s of {report.minutes:g} minutes. Driver {machine.driver or MISSING}, CUDA "
        f"{machine.cuda or MISSING}, Python {machine.python}, {machine.platform}; {len(machine.gpus)} GPU(s), "
        f"{machine.cpu_count} of {machine.cpu}; {versions}.",
        "",
        f"**{len(report.failed)} failed:**" if report.failed else "Every check that could be made passed.",
        *(f"- {lines(one)}" for one in report.failed),
    ]
    return "\n".join(said)


def _section_of_part(part: Part) -> str:
    head = f"## {part.name.capitalize()}\n\n{part.seconds:.1f} s."
    if part.failed:
        head += f" **It failed: {lines(part.failed)}**"
    if part.cut:
        head += f" It was cut: {lines(part.cut)}."
    tables = (
        _table(("what", "ours", "second source", "", "difference", "tolerated", ""), map(_of_check, part.checks)),
        _models_in_markdown(part.models),
        _table(("what", "value", "goal", ""), map(_of_figure, part.figures)),
    )
    return "\n\n".join(filter(None, (head, *tables)))


def _of_check(one: Check) -> Sequence[str]:
    word = {True: "agrees", False: "**DIFFERS**", None: "not checked"}[one.passed]
    unit = "" if one.unit == "1" else f" {one.unit}"
    return (
        one.what,
        _figure_written(one.ours) + unit,
        _figure_written(one.second) + unit,
        one.source,
        _figure_written(one.difference),
        _figure_written(one.tolerance),
        f"{word}: {one.reason}" if one.reason else word,
    )


def _of_figure(one: Figure) -> Sequence[str]:
    unit = "" if one.unit == "1" else f" {one.unit}"
    met = {True: "met", False: "not met", None: None}[one.met]
    return (
        one.what,
        _figure_written(one.value) + unit,
        one.goal or MISSING,
        "; ".join(filter(None, (met, one.reason))),
    )


MODEL_ROWS: tuple[tuple[str, Callable[[MeasuredModel], Value]], ...] = (
    ("steps", lambda one: None if one.steps is None else f"{one.steps} of {one.recipe.get('steps')}"),
    ("latency s", lambda one: one.latency_s),
    ("published s", lambda one: one.published_s),
    ("predicted s", lambda one: one.predicted_s),
    ("from", lambda one: one.predicted_low_s),
    ("to", lambda one: one.predicted_high_s),
    ("predicted s without that figure", lambda one: one.predicted_blind_s),
    ("s per step", lambda one: one.step_s),
    ("energy J", lambda one: one.joules),
    ("published J", lambda one: one.published_joules),
    ("predicted J", lambda one: one.predicted_joules),
    ("power W", lambda one: one.watts),
    ("share of the peak (MFU)", lambda one: one.utilisation),
    ("allocated MiB", lambda one: one.allocated_mib),
    ("reserved MiB", lambda one: one.reserved_mib),
    ("outside MiB", lambda one: one.outside_mib),
    ("needed MiB, estimated", lambda one: None if one.needed_gib is None else one.needed_gib * 1024),
    ("loading s", lambda one: one.load_s),
)
"""A row of the page for each; a column for each model."""


def _models_in_markdown(models: Sequence[MeasuredModel]) -> str:
    if not models:
        return ""
    stages = list(dict.fromkeys(stage for one in models for stage in one.stages_s))
    rows = [(what, *(_figure_written(read(one)) for one in models)) for what, read in MODEL_ROWS]
    rows += [(f"{stage} s", *(_figure_written(one.stages_s.get(stage)) for one in models)) for stage in stages]
    table = _table(("", *(one.model for one in models)), rows)
    return "\n".join((table, "", *_remarks_of_report(models)))


def _remarks_of_report(models: Sequence[MeasuredModel]) -> Iterable[str]:
    for one in models:
        recipe = " ".join(f"{name}={value}" for name, value in one.recipe.items())
        yield f"- {one.model}: {lines(recipe)}"
        for told in (
            *(f"left out: {setting}" for setting in one.left_out),
            f"published by {one.published_by}" if one.published_by else "nothing is published of it on this card",
            f"predicted from: {one.rests_on}" if one.rests_on else "no prediction: the card is not in our table",
            *([one.reason] if one.reason else []),
        ):
            yield f"    - {lines(told)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    written = [f"| {' | '.join(map(_markdown_of_value, row))} |" for row in rows]
    if not written:
        return ""
    return "\n".join((f"| {' | '.join(header)} |", f"|{'---|' * len(header)}", *written))


def _markdown_of_value(text: str) -> str:
    return lines(text).replace("|", "\\|")


def _figure_written(value: Value) -> str:
    """As figures are everywhere: three digits at least."""
    if isinstance(value, str):
        return value
    if value is not None and float(value).is_integer() and abs(value) < EXACT:
        return f"{value:,.0f}"
    return MISSING if value is None else notation([value]).write(value)


def _kept_as(value: Any) -> Any:
    """Of UUIDs the end, which tells two apart, mostly; None for NaN and infinity, which JSON does not know."""
    if isinstance(value, str):
        return UUID.sub(r"…\1", value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _kept_as(one) for key, one in value.items()}
    return [_kept_as(one) for one in value] if isinstance(value, list | tuple) else value


def _slug(name: str) -> str:
    return file_name("-".join(re.findall(r"[a-z0-9.]+", name.casefold())) or "card")


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"
