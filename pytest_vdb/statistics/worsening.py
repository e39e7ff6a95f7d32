"""A family of rules judged together: how much worse each metric got, with intervals that all may be believed at once.

The rules of one gate make one family, whatever their number of prompts: a gate that has nothing to report alarms in at
most 5% of runs, and not each of its rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.statistics.exchangeable import sign_flip_intervals, sign_flip_p_values
from pytest_vdb.statistics.families import SIGNIFICANCE, holm, holm_levels
from pytest_vdb.statistics.verdicts import Ends, Judgement, judge_worsening

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Worsening:
    """How much worse one metric got, and what that means beside its margin."""

    judgement: Judgement
    p: float
    """Of "the centre of the change lies at the nearer edge of the margin, or within", two-sided, of this rule alone."""
    adjusted: float
    """By Holm over the family."""
    corrected: Ends
    """Its interval at the level at which Holm judged it; infinite where so few prompts cannot reach that."""
    alone: Ends
    """Its interval for itself."""
    identical: bool
    """Every prompt gave the same on both sides: nothing differs that a test could weigh."""


def judge_family(
    changes: Sequence[Sequence[float]], margins: Sequence[float], *, significance: float = SIGNIFICANCE
) -> tuple[Worsening, ...]:
    """Each rule's verdict, with any wrong `regressed` or `improved` among them as rare as `significance`.

    Null of each: the differences are symmetric about a centre no farther out than its margin (exchangeable pairs have
    theirs at zero). Assumed: prompts are independent; a change beyond the margin moves prompts alike, but for
    symmetric noise.

    Args:
        changes: of each rule, how much worse each prompt's mean got, in the metric's unit; at least one prompt.
        margins: >= 0, of each rule.
        significance: of the family.

    Returns:
        In the rules' order. Prompts that are the same on both sides, one and all, are `equivalent`: that is a fact of
        these prompts, not an estimate.
    """
    p_values = _p_values_beyond(changes, margins)
    adjusted, levels = holm(p_values), holm_levels(p_values, significance=significance)
    corrected = _intervals_of_changes(changes, levels)
    alone = _intervals_of_changes(changes, [1 - significance] * len(changes))
    same = [not any(own) for own in changes]
    return tuple(
        Worsening(
            judgement="equivalent" if same[at] else judge_worsening(corrected[at], margin, alone=alone[at]),
            p=p_values[at],
            adjusted=adjusted[at],
            corrected=corrected[at],
            alone=alone[at],
            identical=same[at],
        )
        for at, margin in enumerate(margins)
    )


def _p_values_beyond(changes: Sequence[Sequence[float]], margins: Sequence[float]) -> list[float]:
    """Of each rule, on the side to which its mean has moved; doubled, because either side might have been that."""
    p_values = [1.0] * len(changes)
    for members in _of_equal_length(changes):
        columns, allowed = _stacked(changes, members), np.array([margins[at] for at in members])
        beyond = np.sign(columns.mean(axis=0)) * columns - allowed
        for at, p in zip(members, sign_flip_p_values(beyond, alternative="greater"), strict=True):
            p_values[at] = min(1.0, 2 * float(p))
    return p_values


def _intervals_of_changes(changes: Sequence[Sequence[float]], levels: Sequence[float]) -> list[Ends]:
    ends = [(-np.inf, np.inf)] * len(changes)
    for members in _of_equal_length(changes):
        confidence = np.array([levels[at] for at in members])
        found = sign_flip_intervals(_stacked(changes, members), confidence=confidence)
        for at, (low, high) in zip(members, found, strict=True):
            ends[at] = float(low), float(high)
    return ends


def _of_equal_length(changes: Sequence[Sequence[float]]) -> list[list[int]]:
    """The rules' places, those on equally many prompts together: they share the patterns of signs."""
    places: dict[int, list[int]] = {}
    for at, own in enumerate(changes):
        places.setdefault(len(own), []).append(at)
    return list(places.values())


def _stacked(changes: Sequence[Sequence[float]], members: Sequence[int]) -> NDArray[np.float64]:
    """`(prompts, members)`."""
    return np.array([changes[at] for at in members], dtype=np.float64).T
