"""The leaderboard's page: the answer, a line per model, the benchmarks' tables; and the pages that it leads to.

What is about one model alone, every prompt and every clip, is on a page of that model; tables of benchmarks that would
make this one slow are on pages of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.escaping import file_names, shortened, visible
from pytest_vdb.records import Run
from pytest_vdb.reporters import model_page
from pytest_vdb.reporters.formats import Format
from pytest_vdb.reporters.overview import heading_of_standings
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
from pytest_vdb.reporters.placed_plots import plots_of_standings
from pytest_vdb.reporters.side_by_side import INDEX, PROMPTS, SideBySide
from pytest_vdb.reporters.standings_page import is_roomy, standings_of_page
from pytest_vdb.reporters.tables_page import WrittenTable, class_of_status, table_of_page, written
from pytest_vdb.reporters.text import (
    LEGEND,
    LONGEST_NAME,
    counted,
    distinct_names,
    in_plain_words,
    outcomes,
    stopped_line,
    title,
)

BENCHMARKS = f"{BESIDE}/benchmarks"
"""The folder in which the pages of benchmarks lie, whose tables are too large for the leaderboard's own."""
PLOTS = f"{BESIDE}/plots"
"""The folder of pages of plots, of standings that are too many lines to have them on the leaderboard's own."""
_MOST_CELLS = 1_500
"""Of all benchmarks' tables on the leaderboard's page."""


class Pages(Mapping[str, str]):
    """Path of each page, from the leaderboard's folder -> its text, made when it is asked for.

    Args:
        board: what to show.
        root: the folder that holds `runs/RUN/`: links are made only to what lies there. None: to where it would be.
        running: how far the run is, where it goes on; None: it has ended.
    """

    def __init__(self, board: Leaderboard, *, root: Path | None = None, running: str | None = None) -> None:
        self.board = board
        self._running = running
        self._root = root
        self._models = model_page.paths_of_models(board)
        of_models = {path: (of, at) for of, paths in enumerate(self._models) for at, path in enumerate(paths)}
        self._lines: Mapping[str, tuple[int, int]] = of_models
        names = file_names([table.name for table in board.tables]) if self._are_apart else []
        self._benchmarks = {f"{BENCHMARKS}/{name}.html": at for at, name in enumerate(names)}
        large = [at for at, standings in enumerate(board.standings) if not is_roomy(standings)]
        self._plots = {f"{PLOTS}/{at + 1}.html": at for at in large}

    def __getitem__(self, path: str) -> str:
        if path in self._lines:
            of, at = self._lines[path]
            standings = self.board.standings[of]
            return model_page.render(self._shelf, standings, at, self._names[of])
        if path in self._benchmarks:
            return self._page_of_benchmark(self._benchmarks[path])
        if path in self._plots:
            return self._page_of_plots(self._plots[path])
        if path != LEADERBOARD and path in self._compared.paths:
            return self._compared.page(path)
        if path != LEADERBOARD:
            raise KeyError(path)
        return self._leaderboard()

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        yield from self._benchmarks
        yield from self._plots
        yield from self._compared.paths
        yield LEADERBOARD

    def __len__(self) -> int:
        return len(self._lines) + len(self._benchmarks) + len(self._plots) + len(self._compared.paths) + 1

    @property
    def _are_apart(self) -> bool:
        """Whether the tables of benchmarks are on pages of their own."""
        return sum(len(table.rows) * len(table.columns) for table in self.board.tables) > _MOST_CELLS

    @cached_property
    def _files(self) -> Files:
        """As the pages beside the leaderboard see them: each folder is listed once for all of them."""
        return Files(self._root, up=UP)

    @cached_property
    def _compared(self) -> SideBySide:
        return SideBySide(self.board, self._files)

    @cached_property
    def _tables(self) -> tuple[WrittenTable, ...]:
        return tuple(written(table) for table in self.board.tables)

    @cached_property
    def _names(self) -> tuple[Mapping[int, str], ...]:
        """Of each of the standings what its lines are called."""
        return tuple(distinct_names(standings.table) for standings in self.board.standings)

    @cached_property
    def _shelf(self) -> model_page.Shelf:
        return model_page.Shelf(self.board, self._tables, self._files, environment_of(self.board.run), self._compared)

    def _links_of_table(self, table: int, up: str) -> dict[int, str]:
        """Row -> the page of its model."""
        return {
            line.facets[table]: up + path
            for standings, paths in zip(self.board.standings, self._models, strict=True)
            for line, path in zip(standings.lines, paths, strict=True)
            if table in line.facets
        }

    def _leaderboard(self) -> str:
        board, script = self.board, source_of_template("leaderboard.js")
        standings = standings_of_page(board, self._models, self._names)
        sources = ("leaderboard.css", "plots.css") if any(one["plots"] for one in standings) else ("leaderboard.css",)
        style = "".join((*map(source_of_template, sources), *map(_rule_of_section, standings)))
        pages_of_plots = {f"s{at}": path for path, at in self._plots.items()}
        tables = () if self._are_apart else self._tables
        return page_of_template("leaderboard.html.j2").render(
            policy=policy(style, script),
            style=markup(style),
            script=markup(script),
            run=board.run,
            title=title(board),
            when=when(board.run),
            outcome=_outcome_of_page(board),
            live=self._running is not None,
            stopped=self._running or stopped_line(board),
            reused=counted(board.reused, "clip") if board.reused else None,
            compared=INDEX if self._compared.are_there else None,
            standings=standings,
            pages_of_plots=pages_of_plots,
            tables=[table_of_page(one, f"t{at}", self._links_of_table(at, "")) for at, one in enumerate(tables)],
            apart=[_told_of_table(self._tables[at], path) for path, at in self._benchmarks.items()],
            legend=LEGEND,
            environment=environment_of(board.run),
            command=visible(shortened(str(board.run.options.get("command") or ""), MOST_TEXT)),
            options=_own_options(board.run),
        )

    def _page_of_plots(self, at: int) -> str:
        standings, style = self.board.standings[at], "".join(map(source_of_template, ("leaderboard.css", "plots.css")))
        return page_of_template("plots.html.j2").render(
            policy=policy(style),
            style=markup(style),
            script="",
            back=f"{UP}{LEADERBOARD}",
            heading=heading_of_standings(standings),
            plots=plots_of_standings(standings, self._names[at]),
        )

    def _page_of_benchmark(self, at: int) -> str:
        style, script = (source_of_template(f"leaderboard.{kind}") for kind in ("css", "js"))
        return page_of_template("benchmark.html.j2").render(
            policy=policy(style, script),
            style=markup(style),
            script=markup(script),
            back=f"{UP}{LEADERBOARD}",
            tables=[table_of_page(self._tables[at], "t0", self._links_of_table(at, UP))],
            legend=LEGEND,
        )


def render(board: Leaderboard, *, root: Path | None = None, running: str | None = None) -> str:
    """The leaderboard's own page; see `Pages`."""
    return Pages(board, root=root, running=running)[LEADERBOARD]


FORMAT = Format(
    name="html",
    files=lambda board, output: Pages(board, root=output),
    is_shared_out=True,
    folders=(model_page.MODELS, BENCHMARKS, PLOTS, PROMPTS),
)


def _rule_of_section(section: Mapping[str, Any]) -> str:
    """The line between quality and costs: as a rule it costs nothing for each of the cells."""
    if section["starts"] is None:
        return ""
    cell = section["starts"] + (4 if section["ranked"] else 3)
    return f"#{section['id']} td:nth-child({cell}) {{ border-left: 1px solid var(--line); }}\n"


def _outcome_of_page(board: Leaderboard) -> list[tuple[str, str, int]]:
    """(what the style knows it by, in words, tests)."""
    return [(class_of_status(status), visible(words), n) for status, words, n in outcomes(board.counts)]


def _told_of_table(one: WrittenTable, path: str) -> dict[str, str]:
    rows, columns = counted(len(one.table.rows), "row"), counted(len(one.table.columns), "metric")
    name = visible(shortened(one.table.name, 2 * LONGEST_NAME))
    return {"name": name, "link": path, "told": f"{rows}, {columns}"}


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
    return {visible(key): visible(shortened(in_plain_words(value), MOST_TEXT)) for key, value in kept.items()}


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
