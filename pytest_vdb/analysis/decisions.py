"""From what two runs measured to verdicts, all rules at once: what got worse by more than its margin, surely?

Any wrong `regressed` in a whole run is to be as rare as 1 in 20. What is asked of prompts, of whole sets and of costs
is tested in its own way, and each way has its share of that one:

- *prompts* (a value per prompt): both runs are the same thing twice, so where nothing has changed, a prompt's answers
  might as well have stood the other way round (`statistics.together`);
- *sets* (one value of all clips): both by what swapping the clips of random prompts between the runs gives and by the
  jackknife's error of the difference, Holm's correction; where no features were kept, by the bars of either side alone;
- *costs* (seconds, joules): the session is the unit, for a machine's mood shifts all prompts of a night. One earlier
  session is not trusted beyond `BETWEEN_SESSIONS`; several show how much sessions differ.
- *blocks* (costs of two versions that ran in turns): that mood cancels within a block, and the blocks' ratios show how
  much is left; Holm's correction.

`equivalent` says that it got worse by less than the margin, at 1 in 20 for each rule.

A gate that was allowed to stop early asks of prompts otherwise: bets on the sign of each, in the order in which they
came, are evidence that may be looked at after every one of them (`statistics.stopping`). Sets and costs are asked as
ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Literal

from pytest_vdb.statistics.families import SIGNIFICANCE, holm
from pytest_vdb.statistics.means import by_size, mean_of
from pytest_vdb.statistics.sessions import LEAST_SESSIONS, one_more
from pytest_vdb.statistics.verdicts import prompts_that_decide

if TYPE_CHECKING:
    from pytest_vdb.statistics.sessions import Ratio

Way = Literal["prompts", "sets", "costs", "blocks"]
Decision = Literal["regressed", "improved", "equivalent", "inconclusive"]

SHARES: Mapping[Way, float] = {"sets": 0.01, "costs": 0.005, "blocks": 0.015}
"""Of `SIGNIFICANCE`, where a run asks in several ways; prompts, or what else is asked, have the rest: beside blocks
enough for five of them, whose p is 1/32 at least."""
BETWEEN_SESSIONS = 0.26
"""How much sessions on a shared machine differ, as a standard deviation of logarithms: measured on shared CI, and taken
where a single earlier session cannot show it."""
LEVEL_OF_BETS = SIGNIFICANCE - SHARES["sets"] - SHARES["costs"]
"""Of any wrong `regressed` by prompts where a gate may stop early: what else is asked is not known by then, and has its
share in any case."""
LEAST_PROMPTS_TO_PASS = 29
"""Before `equivalent` or `improved` ends a model's tests: what fails in a tenth of the prompts shows itself among so
many in 19 of 20 cases. Bets on signs cannot tell of failures that they have not seen."""
_FOR_EVERY_RULE = NormalDist().inv_cdf(1 - SIGNIFICANCE)


@dataclass(frozen=True, slots=True)
class Swapping:
    """What swapping the clips of random prompts between two runs shows of a set."""

    prompts: int
    p: Callable[[int], float]
    """Of "both runs are the same", two-sided, by that many swaps: slow, so asked only where it matters."""

    @property
    def least(self) -> float:
        """The smallest p that worsening can have."""
        return 2.0**-self.prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How much worse something got, as far as two runs show it. Positive is worse."""

    way: Way
    margin: float
    """>= 0, how much worse it may get, in the metric's unit."""
    worse: Mapping[str | None, float]
    """Of each prompt; of sets and costs a single figure."""
    either: bool = False
    """Whether both directions are worse: of a neutral metric under a rule without a sign."""
    error: float | None = None
    """Standard error of a set's figure, or of the logarithm of a cost's ratio."""
    error_to_pass: float | None = None
    """Of a set, by either side's bar alone: `equivalent` has to be sure by that, too."""
    degrees: int | None = None
    """Of freedom of that error; None: it is known, or taken as known."""
    log_ratio: float | None = None
    log_margin: float | None = None
    """Of costs: of how many times as much it costs now, and may cost."""
    blocks: int = 0
    """Of either side, where they ran in turns."""
    exact: bool = False
    """Whether the figure has no noise."""
    cut_short: bool = False
    """Whether there are more prompts, which were not needed or not asked yet."""
    swapping: Swapping | None = None
    """Of a set whose clips can be swapped between the runs."""
    why_unsure: str = "one value on each side, and nothing says how sure they are"
    """Said of a figure that has no error."""

    @property
    def unchanged(self) -> bool:
        """Whether not one figure differs."""
        return not any(self.worse.values())

    @property
    def mean(self) -> float:
        """How much worse it got."""
        return mean_of(list(self.worse.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows from the evidence."""

    decision: Decision
    p: float | None = None
    """Of "it got worse by no more than the margin", corrected for all rules that were asked in this way."""
    needed: int | None = None
    """Prompts, or blocks, that would decide."""
    remark: str = ""
    """Why nothing can be decided."""
    e_value: float | None = None
    """What a stake of 1 has become at most in the game that speaks for the decision; None: nobody bet."""


def decide(evidence: Sequence[Evidence], *, bets_among: int | None = None) -> tuple[Judgement, ...]:
    """One judgement each, in order.

    Args:
        evidence: of all rules; where prompts are bet on, each one's prompts in the order in which they came.
        bets_among: how many rules may ask prompts in a gate that was allowed to stop early; None: it was not.
    """
    found: list[Judgement] = [Judgement(decision="inconclusive")] * len(evidence)
    by_way: dict[Way, list[int]] = {}
    for at, one in enumerate(evidence):
        if (plain := _without_chance(one)) is not None:
            found[at] = plain
        else:
            by_way.setdefault(one.way, []).append(at)
    levels = levels_of(by_way)
    if bets_among is not None and (places := by_way.pop("prompts", [])):
        bets = [bets_on(evidence[at]) for at in places]
        for at, judgement in zip(places, judge_bets(bets, bets_among), strict=True):
            found[at] = judgement
    for way, places in by_way.items():
        for at, judgement in zip(places, _WAYS[way]([evidence[at] for at in places], levels[way]), strict=True):
            found[at] = judgement
    return tuple(found)


def levels_of(ways: Iterable[Way]) -> dict[Way, float]:
    """The share of `SIGNIFICANCE` that each way has, of those that a run asks in."""
    asked = list(ways)
    levels = {way: SHARES.get(way, 0.0) for way in asked}
    if asked:
        first = "prompts" if "prompts" in asked else asked[0]
        levels[first] = SIGNIFICANCE - sum(level for way, level in levels.items() if way != first)
    return levels


def _without_chance(one: Evidence) -> Judgement | None:
    """What needs no test: values that are the same, and figures without noise."""
    if one.unchanged and not one.cut_short:
        return Judgement(decision="equivalent")
    if not one.exact:
        return None
    worse = abs(one.mean) if one.either else one.mean
    if worse > one.margin:
        return Judgement(decision="regressed")
    return Judgement(decision="improved" if worse < -one.margin else "equivalent")


# --- prompts ----------------------------------------------------------------------------------------------------------


def _judge_prompts(evidence: Sequence[Evidence], level: float) -> list[Judgement]:
    import numpy as np

    from pytest_vdb.statistics.exchangeable import least_pairs
    from pytest_vdb.statistics.together import least_p_value, turned_p_values

    prompts = list(dict.fromkeys(prompt for one in evidence for prompt in one.worse))
    table = np.array([[one.worse.get(prompt, math.nan) for one in evidence] for prompt in prompts])
    margins = np.array([one.margin for one in evidence])
    either = np.array([one.either for one in evidence])
    p = turned_p_values(np.concatenate([table - margins, -table[:, either] - margins[either]], axis=1))
    corrected, mirrored = p[: len(evidence)], iter(p[len(evidence) :])
    smallest = [
        min(float(own), float(next(mirrored))) if one.either else float(own)
        for one, own in zip(evidence, corrected, strict=True)
    ]
    beside = iter(_beside_margins([one for one, own in zip(evidence, smallest, strict=True) if own >= level]))
    judgements = []
    for one, smaller in zip(evidence, smallest, strict=True):
        judgement = replace(next(beside) if smaller >= level else Judgement(decision="regressed"), p=smaller)
        least = least_p_value(len(one.worse))
        if judgement.decision == "inconclusive" and least >= level:
            needed = least_pairs(level, alternative="greater") + 1  # one more: so that others in the way are no bar
            few = f"{len(one.worse)} prompt{'' if len(one.worse) == 1 else 's'} cannot show it, {needed} could"
            judgement = replace(judgement, needed=max(needed, judgement.needed or 0), remark=few)
        judgements.append(judgement)
    return judgements


def _beside_margins(evidence: Sequence[Evidence]) -> list[Judgement]:
    """Of what did not surely get worse by more than its margin: is it sure that it did not?"""
    ends = _ends_of_means(evidence)
    within = [
        (max(-low, high) if one.either else high) < one.margin for one, (low, high) in zip(evidence, ends, strict=True)
    ]
    refuted = iter(_refuted([one for one, is_within in zip(evidence, within, strict=True) if is_within]))
    return [
        _passing(one, high) if is_within and next(refuted) else _undecided_by_prompts(one)
        for one, (_, high), is_within in zip(evidence, ends, within, strict=True)
    ]


def _passing(one: Evidence, high: float) -> Judgement:
    """`high`: how much worse it got at most."""
    return Judgement(decision="improved" if not one.either and high < -one.margin < 0 else "equivalent")


def _undecided_by_prompts(one: Evidence) -> Judgement:
    import numpy as np

    values = np.array(list(one.worse.values()))
    spread = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    change = abs(one.mean) if one.either else one.mean
    needed = prompts_that_decide(spread, one.margin, change=max(0.0, change) if change > one.margin else 0.0)
    return Judgement(decision="inconclusive", needed=needed if needed is None or needed > len(values) else None)


def _ends_of_means(evidence: Sequence[Evidence]) -> list[tuple[float, float]]:
    """Between which each mean lies, at 1 in 20 for either end."""
    import numpy as np

    from pytest_vdb.statistics.intervals import mean_intervals

    found = np.empty((len(evidence), 2))
    for places, columns in by_size([list(one.worse.values()) for one in evidence]):
        ends = mean_intervals(columns, confidence=1 - 2 * SIGNIFICANCE, unseen="near")
        extremes = np.stack((columns.min(axis=0), columns.max(axis=0)), axis=1)
        found[places] = np.where(np.isnan(ends), extremes, ends)  # all the same, or a single one: only turning tells
    return [(low, high) for low, high in found.tolist()]


def _refuted(evidence: Sequence[Evidence]) -> list[bool]:
    """Whether turning prompts round refutes, too, that it got worse by the margin or more; either way where both are
    worse."""
    import numpy as np

    from pytest_vdb.statistics.exchangeable import sign_flip_p_values

    asked = [(at, sign) for at, one in enumerate(evidence) for sign in ((1, -1) if one.either else (1,))]
    beyond = [[sign * value - evidence[at].margin for value in evidence[at].worse.values()] for at, sign in asked]
    p = np.empty(len(asked))
    for places, columns in by_size(beyond):
        p[places] = sign_flip_p_values(columns, alternative="less")
    doubted = {at for (at, _), own in zip(asked, p.tolist(), strict=True) if own >= SIGNIFICANCE}
    return [at not in doubted for at in range(len(evidence))]


# --- prompts, of a gate that may stop early ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bets:
    """What the prompts of one rule have shown at most, as e-values."""

    beyond: float
    within: float
    better: float
    """For being worse by more than the margin, by less, and better by more."""


def bets_on(one: Evidence) -> Bets:
    """Of one rule, whose prompts are in the order in which they came."""
    import numpy as np

    from pytest_vdb.statistics.stopping import evidence_beside_margins

    worse = np.array([list(one.worse.values())]).T
    least = LEAST_PROMPTS_TO_PASS if one.cut_short else min(LEAST_PROMPTS_TO_PASS, len(worse))
    shown = evidence_beside_margins(worse, np.array([one.margin]), either=np.array([one.either]), least=least)
    better = shown.better[-1, 0] if one.margin > 0 else 0.0
    return Bets(float(shown.beyond[-1, 0]), float(shown.within[-1, 0]), float(better))


def judge_bets(bets: Sequence[Bets], among: int) -> list[Judgement]:
    """What was bet on, all rules of the family at once.

    Once said, `regressed` stays however many prompts follow, and likewise that nothing regressed: e-values are the most
    that they have been, and what other rules show later only lowers the p of this one.

    Args:
        bets: of each rule that has prompts so far.
        among: how many rules the family has, also those that have none yet.
    """
    waiting = [1.0] * max(0, among - len(bets))
    p_values = holm([min(1.0, 1 / max(one.beyond, 1.0)) for one in bets] + waiting)[: len(bets)]
    return [_judge_bet(one, p, max(among, len(bets))) for one, p in zip(bets, p_values, strict=True)]


def _judge_bet(one: Bets, p: float, among: int) -> Judgement:
    if p <= LEVEL_OF_BETS:
        return Judgement(decision="regressed", p=p, e_value=one.beyond)
    if one.better >= 1 / SIGNIFICANCE:
        return Judgement(decision="improved", p=p, e_value=one.better)
    if one.within >= 1 / SIGNIFICANCE:
        return Judgement(decision="equivalent", p=p, e_value=one.within)
    remark = f"the bets tell neither: {among / LEVEL_OF_BETS:.0f} says that it regressed, and they reached "
    remark += f"{one.beyond:.2g}; {1 / SIGNIFICANCE:.0f} that it did not, and they reached {one.within:.2g}"
    return Judgement(decision="inconclusive", p=p, e_value=one.beyond, remark=remark)


# --- sets and costs ---------------------------------------------------------------------------------------------------


def _judge_sets(evidence: Sequence[Evidence], level: float) -> list[Judgement]:
    """Whoever says `regressed` is right about both: that something changed, and that it is beyond the margin."""
    swaps = math.ceil(_SWAPS_PER_LEAST * len(evidence) / level)
    tails = [_p_of_set(one, level, swaps) for one in evidence]
    judgements = _judge_figures(evidence, level, [(one.mean, one.margin) for one in evidence], tails)
    of_one_side = [level / 2 if one.either else level for one in evidence]
    return [
        replace(judgement, remark=_too_few_to_swap(one.swapping.prompts, most))
        if judgement.decision == "inconclusive" and one.swapping and one.swapping.least >= most
        else judgement
        for one, judgement, most in zip(evidence, judgements, of_one_side, strict=True)
    ]


_SWAPS_PER_LEAST = 4
"""Random swaps for each that the smallest p needs which Holm's correction asks for."""


def _p_of_set(one: Evidence, level: float, swaps: int) -> float | None:
    """The larger p of both questions; the swaps are not asked where the jackknife's alone is too large."""
    if one.error is None:
        return None
    p = _p_beyond(one.mean, one.margin, one)
    if p >= level or one.swapping is None:
        return p
    # Swapping everything turns the difference round, so of those as extreme as it one half is worse.
    return max(p, one.swapping.p(swaps) / (1 if one.either else 2))


def _too_few_to_swap(prompts: int, level: float) -> str:
    needed = math.floor(-math.log2(level)) + 1
    return f"the clips of {prompts} prompt{'' if prompts == 1 else 's'} cannot show it, those of {needed} could"


def _judge_costs(evidence: Sequence[Evidence], level: float) -> list[Judgement]:
    figures = [(one.log_ratio or 0.0, one.log_margin or 0.0) for one in evidence]
    tails = [
        None if one.error is None else _p_beyond(*figure, one) for one, figure in zip(evidence, figures, strict=True)
    ]
    return _judge_figures(evidence, level, figures, tails)


def _judge_blocks(evidence: Sequence[Evidence], level: float) -> list[Judgement]:
    """As costs, and what is inconclusive says how many blocks would decide, if they differ as these do."""
    return [
        replace(judgement, needed=_blocks_that_decide(one, level / len(evidence)))
        if judgement.decision == "inconclusive"
        else judgement
        for one, judgement in zip(evidence, _judge_costs(evidence, level), strict=True)
    ]


def _blocks_that_decide(one: Evidence, level: float) -> int | None:
    """An estimate from the change and the spread that were found; None where those are not known."""
    if one.error is None or one.log_ratio is None or one.log_margin is None:
        return None
    level = level if one.log_ratio > one.log_margin else SIGNIFICANCE
    change = max(0.0, one.log_ratio)
    spread = one.error * math.sqrt(one.blocks)
    needed = prompts_that_decide(spread, one.log_margin, change=change, confidence=1 - level)
    if needed is None or needed > _MOST_BLOCKS:
        return None
    needed = max(needed + _FOR_AN_UNKNOWN_SPREAD, one.blocks + 1)
    return needed + needed % 2  # the order of a turn alternates


_MOST_BLOCKS = 1_000
"""Nobody runs more."""
_FOR_AN_UNKNOWN_SPREAD = 2
"""Blocks that Student's t asks for beyond what the normal law does, at the numbers of blocks that people run."""


def _judge_figures(
    evidence: Sequence[Evidence], level: float, figures: Sequence[tuple[float, float]], tails: Sequence[float | None]
) -> list[Judgement]:
    """One figure each beside its margin, of a known or estimated standard error."""
    return [
        _judge_figure(*figure, one, rejected=p is not None and p < level, p=p)
        for one, figure, p in zip(evidence, figures, holm(tails), strict=True)
    ]


def _judge_figure(worse: float, margin: float, one: Evidence, *, rejected: bool, p: float | None) -> Judgement:
    if rejected:
        return Judgement(decision="regressed", p=p)
    if one.error is None:
        return Judgement(decision="inconclusive", remark=one.why_unsure)
    reach = _quantile(one.degrees) * max(one.error, one.error_to_pass or 0.0)
    if (abs(worse) if one.either else worse) + reach < margin:
        better = not one.either and worse + reach < -margin < 0
        return Judgement(decision="improved" if better else "equivalent", p=p)
    times = None
    if one.way == "sets":  # an error shrinks as the root of the number of clips
        times = prompts_that_decide(one.error, margin, change=worse if worse > margin else 0.0)
    remark = "" if times is None or times > _MOST_TIMES else f"about {times:,} times as many clips would tell"
    return Judgement(decision="inconclusive", p=p, remark=remark)


_MOST_TIMES = 1_000
"""Nobody makes more."""


def _p_beyond(worse: float, margin: float, one: Evidence) -> float:
    """One-sided p of "worse by no more than the margin"; both ways where either is worse."""
    assert one.error is not None
    if one.error == 0:
        return 0.0 if (abs(worse) if one.either else worse) > margin else 1.0
    far = (abs(worse) if one.either else worse) - margin
    p = _tail(far / one.error, one.degrees)
    return min(1.0, 2 * p) if one.either else p


def _tail(t: float, degrees: int | None) -> float:
    if degrees is None:
        return 1 - NormalDist().cdf(t)
    from scipy.special import stdtr

    return float(stdtr(degrees, -t))


def _quantile(degrees: int | None) -> float:
    if degrees is None:
        return _FOR_EVERY_RULE
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - SIGNIFICANCE))


_WAYS: Mapping[Way, Callable[[Sequence[Evidence], float], list[Judgement]]] = {
    "prompts": _judge_prompts,
    "sets": _judge_sets,
    "costs": _judge_costs,
    "blocks": _judge_blocks,
}


def evidence_of_cost(
    now: float, sessions: Sequence[float], *, margin: float, lower_is_better: bool, exact: bool
) -> Evidence:
    """A session's cost beside earlier ones.

    Args:
        now: its median.
        sessions: each earlier session's median, the newest first; at least one.
        margin: in the metric's unit.
        lower_is_better: seconds; False: frames per second.
        exact: whether the cost has no noise.
    """
    before = median(sessions)
    worse = now - before if lower_is_better else before - now
    plain = Evidence(way="costs", margin=margin, worse={None: worse}, exact=exact)
    if exact or min(now, *sessions) <= 0 or (not lower_is_better and margin >= before):
        return plain
    centre, error, degrees = math.log(before), BETWEEN_SESSIONS * math.sqrt(2), None
    if len(sessions) >= LEAST_SESSIONS:
        degrees = len(sessions) - 1
        centre, error = one_more(sessions)
    ratio = math.log(now) - centre
    return replace(
        plain,
        log_ratio=ratio if lower_is_better else -ratio,
        log_margin=_log_margin(margin, before, lower_is_better=lower_is_better),
        error=error,
        degrees=degrees,
    )


def evidence_of_blocks(
    found: Ratio, before: float, now: float, *, margin: float, lower_is_better: bool, exact: bool
) -> Evidence:
    """A cost of two versions that ran in turns.

    Args:
        found: how many times as much the later version costs.
        before, now: the medians of either version's blocks.
        margin: in the metric's unit.
        lower_is_better: seconds; False: frames per second.
        exact: whether the cost has no noise.
    """
    rise = now - before if found.ratio is None else before * (found.ratio - 1)
    worse = rise if lower_is_better else -rise
    plain = Evidence(
        way="blocks", margin=margin, worse={None: worse}, exact=exact, why_unsure=found.interval.reason or ""
    )
    if exact or found.ratio is None or found.error is None:
        return plain
    if not lower_is_better and margin >= before:
        return replace(plain, why_unsure="the margin is as large as the figure itself")
    ratio = math.log(found.ratio)
    return replace(
        plain,
        log_ratio=ratio if lower_is_better else -ratio,
        log_margin=_log_margin(margin, before, lower_is_better=lower_is_better),
        error=found.error,
        degrees=found.degrees,
        blocks=found.blocks,
    )


def _log_margin(margin: float, before: float, *, lower_is_better: bool) -> float:
    """How many times as much it may cost, as a logarithm; of a rate, the time that it stands for."""
    return math.log1p(margin / before) if lower_is_better else -math.log1p(-margin / before)


def error_of_sets(*intervals: tuple[float, float] | None) -> float | None:
    """Of the difference of two sets' values, from their 95% intervals; None where one has none."""
    halves = [None if ends is None else (ends[1] - ends[0]) / 2 for ends in intervals]
    if any(half is None for half in halves):
        return None
    return math.sqrt(sum((half or 0.0) ** 2 for half in halves)) / NormalDist().inv_cdf(0.975)
