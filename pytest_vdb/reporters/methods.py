"""How a leaderboard was measured, in a paragraph of a paper: only what the records and `run.json` say was done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_vdb.analysis.tables import Cell, Leaderboard, Row
from pytest_vdb.escaping import few, shortened
from pytest_vdb.metrics.papers import papers
from pytest_vdb.records import SCORED
from pytest_vdb.reporters.bibliography import cited
from pytest_vdb.reporters.text import (
    FAILED_PROMPTS,
    LONGEST_NAME,
    counted,
    recipe_words,
    status_words,
    stopped_line,
    unit,
    weights_words,
)

_MOST_NAMED = 12
"""Models, recipes, packages or metrics that a sentence names."""
_LIBRARIES = ("pytest-vdb", "torch", "diffusers", "transformers")


@dataclass(frozen=True, slots=True)
class Stated:
    """A piece of the paragraph."""

    text: str
    papers: tuple[str, ...] = ()
    """Cited behind it, by their keys."""


def methods(board: Leaderboard) -> list[Stated]:
    """The paragraph: models, prompts, seeds, settings, metrics, statistics, hardware and versions."""
    if not board.rows:
        return [Stated("No test left a record.")]
    said = [
        _models_sentence(board),
        *_prompts_sentences(board),
        *_settings_sentence(board.rows),
        *_outcomes_sentences(board),
        *_metrics_sentence(board),
        *_costs_sentence(board),
        *_statistics_sentences(board),
        *_versions_sentence(board),
    ]
    return [Stated(f"{' ' if at and not one.joined else ''}{one.text}", one.papers) for at, one in enumerate(said)]


def plain_methods(board: Leaderboard) -> str:
    """The paragraph as text, with authors and years for citations."""
    return "".join(one.text + _authors_in_brackets(one.papers) for one in methods(board))


def _authors_in_brackets(keys: Sequence[str]) -> str:
    return f" ({'; '.join(papers()[key].short for key in keys)})" if keys else ""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence, or a part of one that is `joined` to what is before it."""

    text: str
    papers: tuple[str, ...] = ()
    joined: bool = False


def _models_sentence(board: Leaderboard) -> _Sentence:
    """Each model once, with the weights that it had."""
    kinds: dict[str, list[str]] = {}
    for row in board.rows:
        names = kinds.setdefault(weights_words(row), [])
        if row.model not in names:
            names.append(row.model)
    told = [f"{counted(len(names), 'model')} ({kind}: {_some_names(names)})" for kind, names in kinds.items()]
    return _Sentence(f"The leaderboard has {_enumeration(told)}.")


def _prompts_sentences(board: Leaderboard) -> Iterator[_Sentence]:
    """How many prompts, of which suites, how many samples each, and where the seeds are from."""
    if not board.asked:
        return
    suites = sorted({r.suite for row in board.rows for r in row.records if r.suite is not None})
    of = f" of {_some_names(suites)}" if suites else ""
    yield _Sentence(f"They were asked {counted(len(board.asked), 'prompt')}{of}.")
    if (samples := _samples_in_words(board.rows)) is not None:
        yield _Sentence(samples)
    seed = board.run.options.get("seed")
    generated = [row for row in board.rows if row.seeds is not None]
    if isinstance(seed, int) and generated and all(row.runs == (board.run.id,) for row in generated):
        yield _Sentence(
            f"The seed of a clip follows from the base seed {seed}, its prompt and the number of the sample alone."
        )


def _samples_in_words(rows: Sequence[Row]) -> str | None:
    """Seeds with which each row answered a prompt; None where no seed is known."""
    counts = [n for row in rows if row.seeds is not None for n in row.seeds]
    if not counts:
        return None
    told = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"Each model was asked each of its prompts with {told} {'seed' if told == '1' else 'seeds'}."


def _settings_sentence(rows: Iterable[Row]) -> Iterator[_Sentence]:
    recipes = list(dict.fromkeys(words for row in rows if row.published is None and (words := recipe_words(row))))
    if len(recipes) == 1:
        yield _Sentence(f"The recipe of all was {_some_names(recipes)}.")
    elif recipes:
        more = "; …" if len(recipes) > _MOST_NAMED else ""
        yield _Sentence(
            f"The recipes were {'; '.join(map(_some_names, ([one] for one in recipes[:_MOST_NAMED])))}{more}."
        )


def _outcomes_sentences(board: Leaderboard) -> Iterator[_Sentence]:
    yield _Sentence(f"Of {counted(sum(board.counts.values()), 'test')} {status_words(board.counts)}.")
    if (stopped := stopped_line(board)) is not None:
        yield _Sentence(f"{stopped[0].upper()}{stopped[1:]}.")
    if board.run.order:
        yield _Sentence("Prompts were answered in a pinned random order, so that a gate could end tests early.")
    if board.reused:
        yield _Sentence(f"{counted(board.reused, 'clip')} came from the cache, and have no cost.")
    if any(row.published is not None for row in board.rows):
        yield _Sentence("Published figures were not measured here, and are not ranked.")


def _metrics_sentence(board: Leaderboard) -> Iterator[_Sentence]:
    """Every metric of quality that has a value, each with its papers."""
    of_metrics = cited(board)
    for at, (metric, keys) in enumerate(of_metrics.items()):
        start = " Quality was measured by " if not at else " and " if at == len(of_metrics) - 1 else ", "
        yield _Sentence(f"{start}{shortened(metric, LONGEST_NAME)}", keys, joined=True)
    if of_metrics:
        yield _Sentence(".", joined=True)


def _costs_sentence(board: Leaderboard) -> Iterator[_Sentence]:
    """Which costs have a value, and on which devices."""
    costs: dict[str, str] = {}
    devices: dict[str, None] = {}
    for table in board.tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if column.kind == "performance" and cell.mean is not None:
                    costs.setdefault(column.name, unit(column))
                    if row.hardware is not None and row.published is None:
                        devices.setdefault(row.hardware)
    if costs and devices:
        told = [f"{name} in {measured}" if measured else name for name, measured in costs.items()]
        yield _Sentence(f"Costs ({_some_names(told)}) were measured on {_some_names(devices)}.")


def _statistics_sentences(board: Leaderboard) -> Iterator[_Sentence]:
    """Only of what some cell has: an interval, a test, a rank, a failed prompt."""
    cells = [cell for row in board.rows for cell in row.cells if cell.mean is not None]
    if any(cell.n > 1 for cell in cells):
        rates = any(column.is_rate for table in board.tables for column in table.columns)
        harmonic = " (of what is made in a time the harmonic mean)" if rates else ""
        yield _Sentence(f"A value is the mean over prompts{harmonic}, the samples of a prompt averaged first.")
    if any(cell.interval is not None and cell.own_n is None for cell in cells):
        yield _Sentence("Its interval covers the mean over such prompts with 95%.")
    if any(cell.p is not None for cell in cells):
        yield _Sentence(
            "A model is not told apart from the best where the best one's lead is no larger than where the values of "
            "each prompt are dealt out to the models at random, corrected for their number (p >= 0.05)."
        )
    if any(standings.lead is not None for standings in board.standings):
        yield _Sentence(
            "A rank is 1 and the number of models that are significantly better; all pairs of models are asked at "
            "once, by turning whole prompts round, at a level of 5%."
        )
    for standings in board.standings:
        if standings.overall is not None:
            yield _Sentence(f"{standings.overall[0].upper()}{standings.overall[1:]}.")
    if any(_weighs_failures(cell) for cell in cells):
        yield _Sentence(FAILED_PROMPTS)


def _weighs_failures(cell: Cell) -> bool:
    return bool(cell.failed) and cell.rank is not None


def _versions_sentence(board: Leaderboard) -> Iterator[_Sentence]:
    """Of this run; where records of other runs stand beside it, it says whose they are."""
    about = board.run.environment
    known: Mapping[str, str] = about.packages
    told = [f"{name} {known[name]}" for name in _LIBRARIES if name in known]
    told += [f"Python {about.python}"] if about.python else []
    told += [f"{name} {value}" for name, value in (("CUDA", about.cuda), ("driver", about.driver)) if value]
    whose = {run for row in board.rows if row.published is None for run in row.runs if not run.startswith(SCORED)}
    if not told or board.run.id not in whose:
        return
    which = "It ran" if len(whose) == 1 else f"Run {board.run.id}, one of {len(whose)}, ran"
    yield _Sentence(f"{which} on {shortened(about.hardware, LONGEST_NAME)} with {_some_names(told)}.")


def _some_names(names: Iterable[str]) -> str:
    return few([shortened(name, LONGEST_NAME) for name in names], _MOST_NAMED)


def _enumeration(parts: Sequence[str]) -> str:
    """`a`; `a and b`; `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
