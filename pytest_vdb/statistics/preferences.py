"""Who is preferred, from votes between two: strengths whose intervals know that the votes of one rater belong together.

The model is Bradley and Terry's (Biometrika 39, 1952): of two contenders the first wins with the odds
`exp(strength - strength)`; a tie is half a win of each. Raters differ in taste, so a rater is drawn whole: the
intervals are those of the jackknife over raters in one step (the sandwich CR3 of Bell and McCaffrey, Survey Methodology
28, 2002), with Student's quantile of as many degrees of freedom as there are raters but one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

LEAST_RATERS = 3
"""Below, nobody knows how much raters differ."""
MOST_LOG_ODDS = 700.0
"""Beyond, a number holds no odds."""
_ROUNDS = 100
_MOST_CELLS = 2**20
"""Of raters' tables that are worked on at once."""
_STILL = 1e-10
"""Newton's step below which the strengths stand."""


@dataclass(frozen=True, slots=True)
class Votes:
    """Votes as arrays of one length."""

    first: Places
    """Number of the contender that was shown first."""
    second: Places
    won: Floats
    """By the first: 1; by the second: 0; a tie: 0.5."""
    rater: Places

    def where(self, chosen: NDArray[np.bool_] | Places) -> Votes:
        """Some of them."""
        return Votes(self.first[chosen], self.second[chosen], self.won[chosen], self.rater[chosen])

    def __len__(self) -> int:
        return len(self.won)


@dataclass(frozen=True, slots=True)
class Strengths:
    """What the votes say of each contender."""

    values: Floats
    """Natural logarithms of odds, 0 on average; NaN where there is none."""
    covariance: Floats
    """Of the values; NaN where nobody knows."""
    degrees: int
    """Of freedom: the raters but one."""
    unranked: Mapping[int, str]
    """Contender -> why it has no strength."""

    def half_widths(self, confidence: float = 0.95) -> Floats:
        """Of the intervals around the values; NaN below `LEAST_RATERS` raters."""
        if self.degrees + 1 < LEAST_RATERS:
            return np.full(len(self.values), math.nan)
        from scipy.stats import t

        variances = np.diag(self.covariance)
        half: Floats = t.ppf((1 + confidence) / 2, self.degrees) * np.sqrt(variances)
        return half


def strengths(votes: Votes, contenders: int) -> Strengths:
    """Fit strengths to votes.

    A contender that won, or lost, every vote against those that remain has no finite strength, and is left out with the
    reason; the largest group whose members can all be compared remains.

    Args:
        votes: at least one.
        contenders: how many there are; each has its number below it.
    """
    wins = _wins(votes, contenders)
    values = _fitted_where_comparable(wins)
    covariance = np.full((contenders, contenders), math.nan)
    kept = np.flatnonzero(np.isfinite(values))
    inside = votes.where(np.isin(votes.first, kept) & np.isin(votes.second, kept))
    degrees = len(np.unique(inside.rater)) - 1
    if degrees > 0:
        places = np.full(contenders, -1)
        places[kept] = np.arange(len(kept))
        own = Votes(places[inside.first], places[inside.second], inside.won, inside.rater)
        covariance[np.ix_(kept, kept)] = _covariance(own, values[kept])
    return Strengths(values, covariance, degrees, _why_unranked(wins, set(kept.tolist())))


def chance(difference: Floats) -> Floats:
    """Of the stronger one's win, by the difference of strengths."""
    won: Floats = 1 / (1 + np.exp(-difference))
    return won


def telling(found: Strengths) -> Floats:
    """How much one more vote between two would narrow what is known of their difference: `(contenders, contenders)`.

    The variance of the difference times that of the vote: nothing where the winner is certain, or the difference known.
    NaN where nobody knows: such a pair tells most.
    """
    apart = found.values[:, None] - found.values[None, :]
    variances = np.diag(found.covariance)
    of_difference = variances[:, None] + variances[None, :] - 2 * found.covariance
    won = chance(apart)
    told: Floats = of_difference * won * (1 - won)
    return told


def odds_of_a_coin(votes: Votes, contenders: int) -> Iterator[tuple[int, float]]:
    """Raters, and how many times likelier their votes are if a coin threw them than if they were like the others'.

    A rater like the others comes to 100 and more in one of a hundred cases at most, by Markov's inequality. Always the
    left one, or any rule that does not look at the clips, is a coin: sides are dealt at random. Ties tell nothing.
    """
    wins = _wins(votes, contenders)
    for own in _by_rater(votes.rater):
        mine = votes.where(own)
        apart = _fitted_where_comparable(wins - _wins(mine, contenders))
        difference = apart[mine.first] - apart[mine.second]
        told = np.isfinite(difference) & (mine.won != 0.5)
        likely = chance(np.where(mine.won > 0.5, difference, -difference)[told])
        log_odds = -np.log(2 * likely).sum()
        yield int(votes.rater[own[0]]), math.exp(min(max(log_odds, -MOST_LOG_ODDS), MOST_LOG_ODDS))


def nominal_alpha(answers: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Krippendorff's alpha of answers without an order: 1 is agreement, 0 what chance would give.

    Args:
        answers: (what was asked, the answer), one of each rater; what only one was asked does not count.

    Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), whose example is a test of ours.
    """
    by_item: dict[Hashable, dict[Hashable, int]] = {}
    for item, answer in answers:
        counts = by_item.setdefault(item, {})
        counts[answer] = counts.get(answer, 0) + 1
    several = [counts for counts in by_item.values() if sum(counts.values()) > 1]
    total: dict[Hashable, int] = {}
    disagreeing = 0.0
    for counts in several:
        n = sum(counts.values())
        disagreeing += (n * n - sum(count * count for count in counts.values())) / (n - 1)
        for answer, count in counts.items():
            total[answer] = total.get(answer, 0) + count
    values = sum(total.values())
    by_chance = values * values - sum(count * count for count in total.values())
    return None if by_chance == 0 else 1 - (values - 1) * disagreeing / by_chance


def _wins(votes: Votes, contenders: int) -> Floats:
    """Of each (row) over each (column); ties are half a win of both."""
    wins: Floats = _wins_by_rater(votes, np.zeros(len(votes), np.intp), contenders)[0]
    return wins


def _wins_by_rater(votes: Votes, rater: Places, contenders: int) -> Floats:
    """The same of each rater: `(raters, contenders, contenders)`."""
    size = (int(rater.max(initial=0)) + 1) * contenders**2
    row, column = (rater * contenders + votes.first) * contenders, (rater * contenders + votes.second) * contenders
    wins: Floats = np.bincount(row + votes.second, votes.won, size).astype(np.float64)
    wins += np.bincount(column + votes.first, 1 - votes.won, size)
    return wins.reshape(-1, contenders, contenders)


def _fitted_where_comparable(wins: Floats) -> Floats:
    """The strengths, 0 on average, of the largest group in which all won and lost against the rest of it, directly or
    through others; NaN outside."""
    from scipy.sparse.csgraph import connected_components

    _, group = connected_components(wins > 0, directed=True, connection="strong")
    kept = np.flatnonzero(group == np.argmax(np.bincount(group)))
    values = np.full(len(wins), math.nan)
    if len(kept) > 1:
        values[kept] = _fitted_to_wins(wins[np.ix_(kept, kept)])
    return values


def _why_unranked(wins: Floats, kept: set[int]) -> dict[int, str]:
    unranked = {}
    for one in sorted(set(range(len(wins))) - kept):
        won, lost = wins[one].any(), wins[:, one].any()
        if not won and not lost:
            unranked[one] = "nobody voted on it"
        elif not lost:
            unranked[one] = "it won every vote: its strength has no bound"
        elif not won:
            unranked[one] = "it lost every vote: its strength has no bound"
        else:
            unranked[one] = "the votes do not compare it with the others: it beat none of them, or none of them beat it"
    return unranked


def _fitted_to_wins(wins: Floats) -> Floats:
    """By Newton's method; the likelihood has one maximum, because everybody can be compared."""
    values = np.zeros(len(wins))
    votes = wins + wins.T
    for _ in range(_ROUNDS):
        likely = chance(values[:, None] - values[None, :])
        slope = (wins - votes * likely).sum(1)
        step = np.linalg.pinv(_curvature(votes * likely * (1 - likely))) @ slope
        largest = float(np.abs(step).max())
        values += step / max(1.0, largest)  # further than 1 at once the parabola is not the likelihood
        if largest < _STILL:
            break
    centred: Floats = values - values.mean()
    return centred


def _covariance(votes: Votes, values: Floats) -> Floats:
    contenders = len(values)
    likely = chance(values[:, None] - values[None, :])
    weight = likely * (1 - likely)
    wins = _wins(votes, contenders)
    inverse = np.linalg.pinv(_curvature((wins + wins.T) * weight))
    inner = np.zeros((contenders, contenders))
    _, rater = np.unique(votes.rater, return_inverse=True)
    raters, at_once = int(rater.max()) + 1, max(1, _MOST_CELLS // contenders**2)
    for first in range(0, raters, at_once):
        own = (rater >= first) & (rater < first + at_once)
        won = _wins_by_rater(votes.where(own), rater[own] - first, contenders)
        asked = won + won.transpose(0, 2, 1)
        pulled = (won - asked * likely).sum(2)
        share = _curvature(asked * weight) @ inverse
        alone = np.linalg.pinv(np.eye(contenders) - share) @ pulled[:, :, None]  # as if the fit had not seen the rater
        inner += np.einsum("rik,rjk->ij", alone, alone)
    covariance: Floats = np.asarray(inverse @ inner @ inverse, np.float64) * (raters - 1) / raters
    return covariance


def _by_rater(rater: Places) -> list[Places]:
    """The places of each rater's votes."""
    order = np.argsort(rater, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(rater[order])) + 1)


def _curvature(weights: Floats) -> Floats:
    """Of the likelihood, by the weight of each pair's votes: `(..., contenders, contenders)`."""
    curvature: Floats = np.eye(weights.shape[-1]) * weights.sum(-1)[..., None] - weights
    return curvature
