"""What a gate can see beside the noise, and which margins lie below their noise floor: known before the night.

A change is caught where the gate's own test sees it with a power of 80%, at its own level among all rules that are
judged together (`decisions`). A margin below the smallest change that is caught cannot be held: unchanged runs would be
`inconclusive`, or need luck.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

from pytest_vdb.analysis.benchmarks import shown_names
from pytest_vdb.analysis.decisions import BETWEEN_SESSIONS, levels_of
from pytest_vdb.analysis.noise import floors_of
from pytest_vdb.analysis.readings import EXACT_COSTS
from pytest_vdb.analysis.rules import Rule, rule_for
from pytest_vdb.errors import OptionError
from pytest_vdb.escaping import few
from pytest_vdb.figures import figure_alone
from pytest_vdb.records import Baseline
from pytest_vdb.results.noise import Floor, Noise, load_noise
from pytest_vdb.statistics.sessions import LEAST_SESSIONS, smallest_ratio
from pytest_vdb.statistics.together import reachable_level
from pytest_vdb.statistics.verdicts import POWER, smallest_change

_MOST_UNITS = 100_000
"""Prompts or sessions beyond which nobody asks how many would do."""
_MOST_SAID = 8
"""Margins that are told before a gate begins, one by one."""
_BEYOND_NUMBERS = 700.0
"""Logarithms of ratios that are no number any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What a gate can see of one metric of one model."""

    floor: Floor
    rule: Rule | None
    """None: of a gate that accepts no change for the worse at all."""
    margin: float
    """>= 0, how much worse it may get, in the metric's unit."""
    smallest: float | None = None
    """How much worse than the margin it must get to be seen, in the metric's unit; None: it cannot be, or nobody
    knows."""
    catches: float | None = None
    """How much worse it must get to be seen: the margin and `smallest` together."""
    below: bool = False
    """Whether the margin lies below the noise floor."""
    earlier: int = 0
    """Sessions that a cost is compared with."""
    needed: int | None = None
    """Prompts, or earlier sessions, with which the margin would lie above: an estimate."""
    too_few: bool = False
    """Whether so few prompts can show nothing at all."""

    @property
    def is_known(self) -> bool:
        """Whether anything can be said of the rule."""
        return self.smallest is not None or self.too_few


def limits_of(floors: Sequence[Floor], rules: Sequence[Rule] = ()) -> tuple[Limit, ...]:
    """What the gate can see if it compares with these sessions, for all rules together.

    Args:
        floors: of `floors_of`; those that no rule speaks of are left out. Without rules, each as if asked alone.
        rules: the gate's.
    """
    if not rules:
        alone = [(floor, levels_of([floor.way])[floor.way]) for floor in floors]
        return tuple(_limit(floor, None, earlier=floor.sessions, level=level) for floor, level in alone)
    nearest = _by_place(floors).values()
    asked = [(floor, rule) for floor in nearest if (rule := rule_for(rules, floor.metric, floor.model)) is not None]
    return _limits_together([(floor, rule, floor.sessions) for floor, rule in asked])


def limits_of_gate(noise: Noise | None, baseline: Baseline, rules: Sequence[Rule]) -> tuple[Limit, ...]:
    """What a gate that compares with a baseline will see; what has no known noise is there without figures.

    Args:
        noise: what `vdb noise` kept; None: what the costs of the baseline's own history show.
        baseline: what will be compared with.
        rules: the gate's.
    """

    def is_asked(metric: str, model: str) -> bool:
        return rule_for(rules, metric, model) is not None

    asked = floors_of([baseline], is_asked)
    nights = floors_of([baseline, *baseline.history], is_asked) if baseline.history else asked
    counts = {_place_of_floor(floor): floor.sessions for floor in nights}
    known = _by_place(noise.floors if noise is not None else _of_many_nights(nights))
    together = []
    for floor in asked:
        rule = rule_for(rules, floor.metric, floor.model)
        if rule is not None and floor.value is not None:
            found = known.get(_place_of_floor(floor))
            between = found.between if found is not None else None
            within = found.within if found is not None and floor.way == "sets" else floor.within
            beside = replace(floor, between=between, within=within, reason=None if found is None else found.reason)
            together.append((beside, rule, max(1, counts.get(_place_of_floor(floor), 1))))
    return _limits_together(together)


def _of_many_nights(floors: Iterable[Floor]) -> Iterable[Floor]:
    """Costs alone: the quality of earlier runs may have changed on purpose, and is not compared with all of them."""
    return (floor for floor in floors if floor.way == "costs" and floor.sessions >= LEAST_SESSIONS)


def _by_place(floors: Iterable[Floor]) -> dict[tuple[object, ...], Floor]:
    """One per metric and model: of the same seeds, as a gate has them, or where none is known of other ones."""
    ordered = sorted(floors, key=lambda floor: floor.seeds == "same")
    return {_place_of_floor(floor): floor for floor in ordered}


def _place_of_floor(floor: Floor) -> tuple[object, ...]:
    """What must agree for a noise to be that of another run's metric."""
    hardware = floor.hardware if floor.way == "costs" else None
    function = floor.benchmark.rpartition("::")[2]
    return function, floor.model, floor.metric, floor.version, floor.weights, floor.recipe, hardware


def _limits_together(asked: Sequence[tuple[Floor, Rule, int]]) -> tuple[Limit, ...]:
    """At the gate's level, Holm's or better: the first of all rules that are tested in one way."""
    counts = Counter(floor.way for floor, rule, _ in asked for _ in range(_directions(floor, rule)))
    levels = levels_of(counts)
    return tuple(
        _limit(floor, rule, earlier=earlier, level=levels[floor.way], family=counts[floor.way])
        for floor, rule, earlier in asked
    )


def _directions(floor: Floor, rule: Rule) -> int:
    """In which the gate looks: both, where neither is better and the rule does not say which is worse."""
    return 2 if floor.better == "neutral" and not rule.sign else 1


def _limit(floor: Floor, rule: Rule | None, *, earlier: int, level: float, family: int = 1) -> Limit:
    value = floor.value or 0.0
    margin = 0.0 if rule is None else rule.margin(value, kind=floor.kind, unit=floor.unit)
    limit = Limit(floor=floor, rule=rule, margin=margin, earlier=earlier if floor.way == "costs" else 0)
    if floor.between is None or floor.value is None:
        return limit
    if floor.way == "costs":
        return _limit_of_cost(limit, level / family)
    if floor.way == "sets":
        return _limit_of_sets(limit, level / family)
    return _limit_of_prompts(limit, level, family)


def _limit_of_prompts(limit: Limit, level: float, family: int) -> Limit:
    floor, spread = limit.floor, limit.floor.between or 0.0

    def seen_by(prompts: int) -> float | None:
        reached = reachable_level(level, prompts)
        return smallest_change(spread, prompts, confidence=1 - reached / family) if reached else None

    def would_do(prompts: int) -> bool:
        smallest = seen_by(prompts)
        return smallest is not None and smallest <= limit.margin

    smallest = seen_by(floor.prompts)
    if smallest is not None and smallest <= limit.margin:
        return replace(limit, smallest=smallest, catches=limit.margin + smallest)
    needed = _first_that(would_do) if limit.margin or not spread else None
    catches = None if smallest is None else limit.margin + smallest
    below, too_few = limit.rule is not None, smallest is None
    return replace(limit, smallest=smallest, catches=catches, below=below, needed=needed, too_few=too_few)


def _limit_of_sets(limit: Limit, level: float) -> Limit:
    """The gate takes the jackknife's word; without one it cannot tell."""
    floor = limit.floor
    if floor.within is None:
        return limit
    error = max(math.sqrt(2) * floor.within, floor.between or 0.0)
    smallest = (_quantile_of(1 - level) + _quantile_of(POWER)) * error
    below = limit.rule is not None and limit.margin < smallest
    return replace(limit, smallest=smallest, catches=limit.margin + smallest, below=below)


def _limit_of_cost(limit: Limit, level: float) -> Limit:
    """Ratios of sessions: as the gate, by Student's prediction interval over enough of them, else hardly trusted."""
    floor, spread = limit.floor, limit.floor.between or 0.0
    value, falls = abs(floor.value or 0.0), floor.better != "higher"
    if not value:
        return limit
    share = limit.margin / value
    allowed = math.log1p(share) if falls else -math.log1p(-share) if share < 1 else math.inf
    reach = _reach_of_cost(floor, limit.earlier, level)

    def as_change(log_ratio: float) -> float:
        if log_ratio > _BEYOND_NUMBERS:
            return math.inf
        return value * (math.expm1(log_ratio) if falls else -math.expm1(-log_ratio))

    def would_do(earlier: int) -> bool:
        smallest = smallest_ratio(spread, earlier, confidence=1 - level)
        return smallest is not None and smallest <= allowed

    below = limit.rule is not None and allowed < reach
    return replace(
        limit,
        smallest=as_change(reach),
        catches=None if math.isinf(allowed) else as_change(allowed + reach),  # no rate falls by all of it
        below=below,
        needed=_first_that(would_do) if below and allowed > 0 else None,
    )


def _reach_of_cost(floor: Floor, earlier: int, level: float) -> float:
    """The logarithm of the ratio that is seen beyond the margin."""
    spread = floor.between or 0.0
    if floor.metric in EXACT_COSTS:  # compared as they are
        return _quantile_of(1 - level) * math.sqrt(2) * spread
    reach = smallest_ratio(spread, earlier, confidence=1 - level)
    if reach is not None:
        return reach
    return math.sqrt(2) * (_quantile_of(1 - level) * BETWEEN_SESSIONS + _quantile_of(POWER) * spread)


def _quantile_of(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _first_that(would_do: Callable[[int], bool]) -> int | None:
    """The least number from 2 on that would do; None beyond reason."""
    high = 2
    while not would_do(high):
        high *= 2
        if high > _MOST_UNITS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if would_do(middle) else (middle, high)
    return high


# --- in words ---------------------------------------------------------------------------------------------------------


def said_before(kept: Path | None, baseline: Baseline, rules: Sequence[Rule], *, strict: bool, where: str) -> list[str]:
    """What a gate says before it begins: a line per margin below its noise floor, and what no noise is known of.

    Args:
        kept: what `vdb noise --save` wrote; None: the costs of the baseline's own history speak.
        baseline: what will be compared with.
        rules: the gate's.
        strict: whether a margin below the floor that the file has ends the gate here.
        where: the option that names the file.

    Raises:
        OptionError: where the user is strict.
        RecordError: the file cannot be read as a noise floor.
    """
    if kept is None:
        if len(baseline.history) + 1 < LEAST_SESSIONS:
            return []
        return _first_few(sentences_of(limits_of_gate(None, baseline, rules)))
    limits = limits_of_gate(load_noise(kept), baseline, rules)
    below = sentences_of(limits)
    if below and strict:
        more = f", and {len(below) - 1} more" if len(below) > 1 else ""
        mend = "widen the margin, take more prompts or earlier sessions, or do not be strict"
        raise OptionError(f"{below[0]}{more}", where=where, mend=mend)
    unknown = dict.fromkeys(f"{limit.floor.metric} of {limit.floor.model}" for limit in limits if not limit.is_known)
    told = _first_few(below)
    return [*told, f"{kept.name} has no noise floor of {few(list(unknown))}"] if unknown else told


def _first_few(below: list[str]) -> list[str]:
    """A header is no report."""
    left = len(below) - _MOST_SAID
    return [*below[:_MOST_SAID], f"{left} more margins lie below their noise floor"] if left > 1 else below


def sentence(limit: Limit, *, where: str = "") -> str | None:
    """`latency:+1% of wan lies below its noise floor (±3.2% between sessions): this gate can catch +6% or more`.

    None: the margin lies above it, or nobody knows.

    Args:
        limit: of a rule.
        where: what to add to the model's name: the benchmark, where there are several.
    """
    floor, rule = limit.floor, limit.rule
    if not limit.below or rule is None:
        return None
    subject = f"{floor.metric}:{rule.allowance} of {floor.model}{where}"
    if limit.too_few:
        could = f"; {limit.needed:,} could" if limit.needed is not None else ""
        return f"{subject}: {_prompts_in_words(floor.prompts)} can show no change at all{could}"
    told = f"{subject} lies below its noise floor ({_noise_in_words(limit)}): "
    told += f"this gate can catch {change_in_words(limit, limit.catches)} or more"
    return told + _what_would_do(limit)


def sentences_of(limits: Sequence[Limit]) -> list[str]:
    """One per margin that lies below its noise floor."""
    names = shown_names(limit.floor.benchmark for limit in limits)
    told = (sentence(limit, where=f" ({names[limit.floor.benchmark]})" if len(names) > 1 else "") for limit in limits)
    return [one for one in told if one is not None]


def _noise_in_words(limit: Limit) -> str:
    floor = limit.floor
    if floor.way == "costs":
        told = f"±{percents(floor.between or 0.0)} between sessions"
        trusted = limit.earlier >= LEAST_SESSIONS or floor.metric in EXACT_COSTS
        before = "one earlier session is" if limit.earlier == 1 else f"{limit.earlier} earlier sessions are"
        return told if trusted else f"{told}, and {before} trusted only as far as ±{percents(BETWEEN_SESSIONS)}"
    if floor.way == "sets":
        return f"±{in_unit(floor, floor.within)} by the jackknife"
    return f"a prompt differs by ±{in_unit(floor, floor.between)} between sessions, {_prompts_in_words(floor.prompts)}"


def _prompts_in_words(prompts: int) -> str:
    return f"{prompts:,} prompt{'' if prompts == 1 else 's'}"


def _what_would_do(limit: Limit) -> str:
    if limit.floor.way == "sets":
        return ""
    if limit.needed is None:
        no_number = limit.floor.way == "costs" and limit.floor.metric not in EXACT_COSTS
        return "; no number of earlier sessions would do" if no_number else ""
    if limit.floor.way == "costs":
        return f"; {limit.needed:,} earlier sessions would do (history:{limit.needed})"
    return f"; about {limit.needed:,} prompts would do"


def change_in_words(limit: Limit, amount: float | None) -> str:
    """`+6%`; of what has no share, or is allowed in the metric's unit, that."""
    floor, rule = limit.floor, limit.rule
    if amount is None:
        return "nothing"
    sign = {"lower": "+", "higher": "-"}.get(floor.better, (rule.sign if rule is not None else "") or "±")
    share = amount / abs(floor.value) if floor.value and (rule is None or rule.relative is not None) else math.inf
    is_share = share < 1 or (sign == "+" and math.isfinite(share))  # nothing falls by more than all of it
    return sign + (percents(share) if is_share else in_unit(floor, amount))


def percents(share: float) -> str:
    """`3.2%`."""
    return f"{figure_alone(100 * share, significant=2)}%"


def in_unit(floor: Floor, amount: float | None) -> str:
    """`0.31 s`, or a dash."""
    unit = "" if floor.unit in {"", "1"} else f" {floor.unit}"
    return f"{figure_alone(amount, significant=2)}{unit}"
