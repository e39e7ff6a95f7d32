"""The noise floor for a terminal and as Markdown: how much sessions differ, and which margins lie below it."""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.decisions import BETWEEN_SESSIONS
from pytest_vdb.analysis.margins import Limit, change_in_words, in_unit, percents, sentences_of
from pytest_vdb.escaping import few, lines, shortened, visible
from pytest_vdb.figures import figure_alone
from pytest_vdb.reporters.formats.markdown import code, plain
from pytest_vdb.reporters.grid import Side, fitted, grid
from pytest_vdb.reporters.text import counted
from pytest_vdb.results.noise import Floor, Noise
from pytest_vdb.statistics.sessions import LEAST_SESSIONS, most_spread
from pytest_vdb.statistics.verdicts import POWER

_HEAD = ("model", "metric", "n", "value", "within", "between", "catches")
_SIDES: tuple[Side, ...] = ("left", "left", "right", "right", "right", "right", "right")
_LONGEST_OF_NOISE = 40
"""Cells of a model's and a metric's name."""
_MOST_NAMES = 12
_LONGEST_REASON = 160


def render_terminal(noise: Noise, limits: Sequence[Limit], judged: Sequence[Limit] = (), *, width: int = 100) -> str:
    """A table of what differs, a line per model of what never does, and the rules.

    Args:
        noise: what was measured.
        limits: of each metric alone.
        judged: of the gate's rules, all together.
        width: of the lines around the table.
    """
    parts = [_title_of_noise(noise)]
    noisy = [limit for limit in limits if limit.floor.between]
    if noisy:
        names = shown_names(limit.floor.benchmark for limit in noisy)
        parts.append(grid([_HEAD, *(_row_of_limit(limit, names) for limit in noisy)], _SIDES, rule_after=1))
    told = [*_exactly_equal(limits), *_unknown_floors(limits), *_remarks_of_floors(limits), *_how_to_read(noisy)]
    parts += ["\n".join(_wrapped_noise(line, width) for line in told), *_rules_in_words(judged, width)]
    return lines("\n\n".join(filter(None, parts)))


def render_markdown(noise: Noise, limits: Sequence[Limit], judged: Sequence[Limit] = ()) -> str:
    """The same, with a row for everything that is known."""
    known = [limit for limit in limits if limit.floor.between is not None]
    names = shown_names(limit.floor.benchmark for limit in known)
    page = ["# Noise floor", "", plain(_title_of_noise(noise)), ""]
    page += [f"| {' | '.join(_HEAD)} |", "| :-- | :-- | --: | --: | --: | --: | --: |"]
    for limit in known:
        model, metric, *figures = _row_of_limit(limit, names)
        page.append(f"| {' | '.join([code(model), code(metric), *map(plain, figures)])} |")
    notes = [*_unknown_floors(limits), *_remarks_of_floors(limits), *_how_to_read(known), *sentences_of(judged)]
    return "\n".join([*page, "", *(f"- {plain(note)}" for note in notes)]) + "\n"


def _title_of_noise(noise: Noise) -> str:
    environment = noise.run.environment
    commit = environment.git_commit and environment.git_commit[:10]
    changed = " and changed files" if environment.git_dirty else ""
    of = f" of commit {commit}{changed}" if commit else ""
    return visible(f"{counted(len(noise.sessions), 'session')}{of} on {environment.hardware}")


def _row_of_limit(limit: Limit, names: dict[str, str]) -> list[str]:
    floor = limit.floor
    benchmark = f"{names[floor.benchmark]} " if len(names) > 1 else ""
    seeds = " (other seeds)" if floor.seeds == "other" else ""
    unit = "" if floor.unit in {"", "1"} else f" {floor.unit}"
    if floor.way == "costs":
        within = None if floor.within is None or not floor.value else floor.within / abs(floor.value)
        spreads = ["" if spread is None else f"±{percents(spread)}" for spread in (within, floor.between)]
    else:
        spreads = ["" if spread is None else f"±{in_unit(floor, spread)}" for spread in (floor.within, floor.between)]
    if floor.between == 0:
        spreads[1] = "0"
    return [
        fitted(visible(f"{benchmark}{floor.model}"), _LONGEST_OF_NOISE),
        fitted(visible(f"{floor.metric}{seeds}"), _LONGEST_OF_NOISE),
        f"{floor.prompts} x {floor.sessions}",
        f"{figure_alone(floor.value, significant=4)}{visible(unit)}",
        *map(visible, spreads),
        _caught_in_words(limit),
    ]


def _caught_in_words(limit: Limit) -> str:
    if limit.too_few:
        return "nothing"
    if limit.smallest is None:
        return ""
    return "any" if limit.smallest == 0 else visible(change_in_words(limit, limit.smallest))


def _exactly_equal(limits: Sequence[Limit]) -> list[str]:
    """What the sessions gave to the last digit."""
    by_metrics: dict[tuple[str, ...], list[str]] = defaultdict(list)
    of_model: dict[tuple[str, str], list[str]] = defaultdict(list)
    for limit in limits:
        if limit.floor.between == 0:
            seeds = " (other seeds)" if limit.floor.seeds == "other" else ""
            of_model[limit.floor.benchmark, limit.floor.model].append(f"{limit.floor.metric}{seeds}")
    for (_, model), metrics in of_model.items():
        by_metrics[tuple(metrics)].append(model)
    told = "the very same in all sessions, no noise at all"
    return [
        f"{told}: {few(metrics, _MOST_NAMES)} of {few(_once(models), _MOST_NAMES)}"
        for metrics, models in by_metrics.items()
    ]


def _unknown_floors(limits: Sequence[Limit]) -> list[str]:
    by_reason: dict[str, list[Floor]] = defaultdict(list)
    for limit in limits:
        if limit.floor.reason is not None:
            by_reason[shortened(limit.floor.reason, _LONGEST_REASON)].append(limit.floor)
    return [f"not known: {_metrics_and_models(floors)}: {reason}" for reason, floors in by_reason.items()]


def _remarks_of_floors(limits: Sequence[Limit]) -> list[str]:
    by_remark: dict[str, list[Floor]] = defaultdict(list)
    for limit in limits:
        for remark in limit.floor.remarks if limit.floor.reason is None else ():
            by_remark[remark].append(limit.floor)
    return [f"{_metrics_and_models(floors)}: {remark}" for remark, floors in by_remark.items()]


def _metrics_and_models(floors: Sequence[Floor]) -> str:
    metrics, models = (_once(getattr(floor, of) for floor in floors) for of in ("metric", "model"))
    return f"{few(metrics, _MOST_NAMES)} of {few(models, _MOST_NAMES)}"


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _how_to_read(limits: Sequence[Limit]) -> list[str]:
    if not limits:
        return []
    told = [
        "n: prompts x sessions; within: over the prompts of one session; between: of sessions (of a metric, the "
        "difference of a prompt's two means; of a cost, the sessions' medians); catches: the least change for the "
        f"worse that a rule alone, with no margin, would see in {100 * POWER:.0f} of 100 gates"
    ]
    fewest = min((limit.floor.sessions for limit in limits if limit.floor.way == "costs"), default=LEAST_SESSIONS)
    if fewest < LEAST_SESSIONS:
        told.append(
            f"costs: {counted(fewest, 'session')} show only roughly how much sessions differ (it may be "
            f"{most_spread(fewest):.2g} times as much), and a gate trusts fewer than {LEAST_SESSIONS} only as far as "
            f"±{percents(BETWEEN_SESSIONS)}"
        )
    return told


def _rules_in_words(judged: Sequence[Limit], width: int) -> list[str]:
    if not judged:
        return []
    known = [limit for limit in judged if limit.is_known]
    names = shown_names(limit.floor.benchmark for limit in judged)
    above = [_caught_by_rule(limit, names) for limit in known if not limit.below]
    unknown = f"no noise floor is known of {len(judged) - len(known)}"
    told = [f"{len(above)} of {len(known)} margins lie above their noise floor"] if known else []
    head = f"rules: {'; '.join([*told, *([unknown] if len(known) < len(judged) else [])])}"
    caught = [f"what these catch: {few(above, _MOST_NAMES)}"] if above else []
    return ["\n".join(_wrapped_noise(line, width) for line in (head, *caught, *sentences_of(judged)))]


def _caught_by_rule(limit: Limit, names: dict[str, str]) -> str:
    floor = limit.floor
    where = f" ({names[floor.benchmark]})" if len(names) > 1 else ""
    return f"{floor.metric} of {floor.model}{where} {change_in_words(limit, limit.catches)}"


def _wrapped_noise(text: str, width: int) -> str:
    return textwrap.fill(visible(text), width, subsequent_indent="  ", break_on_hyphens=False)
