"""What people prefer: a line per model, a line per rater, how far raters agree, and which metrics see it as they do.

Who failed more checks than a glance would excuse is left out, and named. Who only votes like a coin is named and kept:
to leave out everyone who disagrees would make the others look sure.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.analysis.votes import Vote
from pytest_vdb.records import Measurement, Record, from_plain
from pytest_vdb.results.ledger import PREFERENCE, STRENGTHS

if TYPE_CHECKING:
    from pytest_vdb.statistics.preferences import Strengths, Votes

ELO_PER_LOG_ODDS = 400 / math.log(10)
ELO_ON_AVERAGE = 1000.0
_INATTENTIVE_ODDS = 100.0
"""From here on a rater votes like a coin: one of a hundred who look comes to as much by chance."""
_LEAST_RATERS = 5
"""Below, too few others say what people prefer."""
_MISSED_BY_CHANCE = 0.05
"""Checks that people miss who look."""
_EXCUSED = 0.01
"""Failing as many checks is left out where people who look would do so less often."""


_PairOfModels = tuple[str | None, tuple[str, ...]]
"""A prompt, and the two models that answered it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """One model."""

    model: str
    votes: int
    won: int
    tied: int
    elo: float | None
    """1000 on average over the models; 400 more are ten times the odds of being preferred."""
    interval: tuple[float, float] | None
    reason: str | None
    """Why there is no strength, or no interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rater:
    """One rater."""

    name: str
    votes: int
    checks: int
    failed: int
    coin_odds: float | None
    """How many times likelier the votes are if a coin threw them than if they were like the others'."""
    is_left_out: bool

    @property
    def remark(self) -> str | None:
        """What to know of these votes."""
        if self.is_left_out:
            failed = _is_careless(self.checks, self.failed)
            return f"left out: failed {self.failed} of {self.checks} checks" if failed else "left out by name"
        if self.coin_odds is not None and self.coin_odds >= _INATTENTIVE_ODDS:
            return "votes like a coin"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How often a metric calls better what people prefer."""

    metric: str
    agreeing: float
    """Share of the votes in which it does, in [0, 1]; half of those where the metric sees no difference."""
    votes: int
    interval: tuple[float, float] | None
    """95%, over prompts; None: there are fewer than three, or they are all alike, which says nothing of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """All that the votes say."""

    models: tuple[Preferred, ...]
    """The preferred ones first."""
    raters: tuple[Rater, ...]
    votes: int
    """That count: of raters who are not left out, checks apart."""
    alpha: float | None
    """Krippendorff's, of raters who were asked the same pair; None: none were, or all answers are one."""
    metrics: tuple[Seen, ...] = ()


def count(votes: Sequence[Vote], records: Iterable[Record] = (), *, without: Collection[str] = ()) -> Preferences:
    """Count votes.

    Args:
        votes: those of checks among them.
        records: of the clips that were shown, for what metrics say of them.
        without: raters to leave out besides.
    """
    from pytest_vdb.statistics.preferences import nominal_alpha, strengths

    careless = {name for name, checks in _checks(votes).items() if _is_careless(*checks)} | set(without)
    asked = [vote for vote in votes if not vote.is_check]
    counting = [vote for vote in asked if vote.rater not in careless]
    models = sorted({side.model for vote in asked for side in (vote.left, vote.right)})
    arrays = arrays_of(counting, models)
    found = strengths(arrays, len(models)) if counting else None
    return Preferences(
        models=_lines_of_models(counting, models, found),
        raters=_lines_of_raters(votes, models, careless),
        votes=len(counting),
        alpha=nominal_alpha(_answers_of_raters(counting)),
        metrics=_seen_by_metrics(counting, records),
    )


def _checks(votes: Iterable[Vote]) -> dict[str, tuple[int, int]]:
    """Rater -> checks, and failed ones."""
    found: dict[str, tuple[int, int]] = {}
    for vote in votes:
        if vote.is_check:
            checks, failed = found.get(vote.rater, (0, 0))
            found[vote.rater] = checks + 1, failed + (not vote.is_attentive)
    return found


def _is_careless(checks: int, failed: int) -> bool:
    """Whether people who look would hardly ever fail so many."""
    from scipy.special import bdtrc

    return failed > 0 and bool(bdtrc(failed - 1, checks, _MISSED_BY_CHANCE) < _EXCUSED)


def arrays_of(votes: Sequence[Vote], models: Sequence[str]) -> Votes:
    """Votes as arrays; models by their places, raters by those of their sorted names."""
    import numpy as np

    from pytest_vdb.statistics.preferences import Votes

    places = {model: at for at, model in enumerate(models)}
    raters = {name: at for at, name in enumerate(sorted({vote.rater for vote in votes}))}
    won = {"left": 1.0, "tie": 0.5, "right": 0.0}
    return Votes(
        np.array([places[vote.left.model] for vote in votes], np.intp),
        np.array([places[vote.right.model] for vote in votes], np.intp),
        np.array([won[vote.choice] for vote in votes], np.float64),
        np.array([raters[vote.rater] for vote in votes], np.intp),
    )


def _lines_of_models(votes: Sequence[Vote], models: Sequence[str], found: Strengths | None) -> tuple[Preferred, ...]:
    from pytest_vdb.statistics.preferences import LEAST_RATERS

    shown, won, tied = Counter[str](), Counter[str](), Counter[str]()
    for vote in votes:
        for side, name in ((vote.left, "left"), (vote.right, "right")):
            shown[side.model] += 1
            won[side.model] += vote.choice == name
            tied[side.model] += vote.choice == "tie"
    lines = []
    half = None if found is None else found.half_widths()
    for at, model in enumerate(models):
        strength = math.nan if found is None else float(found.values[at])
        elo = None if math.isnan(strength) else ELO_ON_AVERAGE + ELO_PER_LOG_ODDS * strength
        reach = math.nan if half is None else ELO_PER_LOG_ODDS * float(half[at])
        reason = None
        if elo is None:
            reason = "no vote counts" if found is None else found.unranked.get(at, "nobody to compare it with")
        elif math.isnan(reach):
            reason = f"no interval: the votes are of fewer than {LEAST_RATERS} raters"
        lines.append(
            Preferred(
                model=model,
                votes=shown[model],
                won=won[model],
                tied=tied[model],
                elo=elo,
                interval=None if elo is None or math.isnan(reach) else (elo - reach, elo + reach),
                reason=reason,
            )
        )
    return tuple(sorted(lines, key=lambda one: (one.elo is None, -(one.elo or 0.0), one.model)))


def _lines_of_raters(votes: Sequence[Vote], models: Sequence[str], careless: Collection[str]) -> tuple[Rater, ...]:
    from pytest_vdb.statistics.preferences import odds_of_a_coin

    asked = [vote for vote in votes if not vote.is_check]
    names, checks = sorted({vote.rater for vote in votes}), _checks(votes)
    voting = sorted({vote.rater for vote in asked})
    odds: dict[str, float] = {}
    if len(voting) >= _LEAST_RATERS:
        odds = {voting[at]: value for at, value in odds_of_a_coin(arrays_of(asked, models), len(models))}
    by_rater = Counter(vote.rater for vote in asked)
    return tuple(
        Rater(
            name=name,
            votes=by_rater[name],
            checks=checks.get(name, (0, 0))[0],
            failed=checks.get(name, (0, 0))[1],
            coin_odds=_with_checks(odds.get(name), *checks.get(name, (0, 0))),
            is_left_out=name in careless,
        )
        for name in names
    )


def _with_checks(odds: float | None, checks: int, failed: int) -> float | None:
    """A coin fails half of the checks."""
    from pytest_vdb.statistics.preferences import MOST_LOG_ODDS

    if odds is None:
        return None
    failing, passing = math.log(0.5 / _MISSED_BY_CHANCE), math.log(0.5 / (1 - _MISSED_BY_CHANCE))
    return math.exp(min(math.log(odds) + failed * failing + (checks - failed) * passing, MOST_LOG_ODDS))


def _answers_of_raters(votes: Iterable[Vote]) -> list[tuple[_PairOfModels, str]]:
    """The pair that was shown, in either order, and the model that was preferred, or a tie: of each rater the first."""
    found: dict[tuple[str, _PairOfModels], str] = {}
    for vote in votes:
        pair = vote.left.prompt, tuple(sorted((vote.left.model, vote.right.model)))
        preferred = {"left": vote.left.model, "right": vote.right.model, "tie": ""}[vote.choice]
        found.setdefault((vote.rater, pair), preferred)
    return [(pair, preferred) for (_, pair), preferred in found.items()]


def _seen_by_metrics(votes: Sequence[Vote], records: Iterable[Record]) -> tuple[Seen, ...]:
    """Of metrics that say which of two clips is better."""
    values = _values_of_clips(records)
    found = []
    for metric in sorted({name for of_clip in values.values() for name in of_clip}):
        by_prompt: dict[str, list[float]] = {}
        for vote in votes:
            sides = [values.get((side.model, side.prompt), {}).get(metric) for side in (vote.left, vote.right)]
            left, right = sides
            if left is None or right is None or vote.choice == "tie":
                continue
            agreeing = 0.5 if left == right else float((left > right) == (vote.choice == "left"))
            by_prompt.setdefault(vote.left.prompt or "", []).append(agreeing)
        if by_prompt:
            found.append(_share_with_interval(metric, by_prompt))
    return tuple(sorted(found, key=lambda one: (-one.agreeing, one.metric)))


def _values_of_clips(records: Iterable[Record]) -> dict[tuple[str, str | None], dict[str, float]]:
    """(model, prompt) -> metric -> the mean over its samples, the higher the better."""
    lists: dict[tuple[str, str | None], dict[str, list[float]]] = {}
    for record in records:
        for one in record.measurements if record.prompt is not None else ():
            if one.value is not None and _tells_clips_apart(one):
                signed = one.value if one.better == "higher" else -one.value
                lists.setdefault((record.model, record.prompt), {}).setdefault(one.name, []).append(signed)
    return {
        clip: {name: math.fsum(values) / len(values) for name, values in by_name.items()}
        for clip, by_name in lists.items()
    }


def _tells_clips_apart(measured: Measurement) -> bool:
    return measured.kind == "quality" and measured.better != "neutral" and not measured.wiring


def _share_with_interval(metric: str, by_prompt: Mapping[str, Sequence[float]]) -> Seen:
    """With the interval of a ratio whose units are prompts: several votes on one are not so many votes."""
    votes = sum(map(len, by_prompt.values()))
    share = math.fsum(map(math.fsum, by_prompt.values())) / votes
    interval, n = None, len(by_prompt)
    if n > 2:
        from scipy.stats import t

        apart = math.fsum((math.fsum(values) - share * len(values)) ** 2 for values in by_prompt.values())
        reach = float(t.ppf(0.975, n - 1)) * math.sqrt(apart * n / (n - 1)) / votes
        interval = (max(0.0, share - reach), min(1.0, share + reach)) if reach > 0 else None
    return Seen(metric=metric, agreeing=share, votes=votes, interval=interval)


def records_of(
    found: Preferences, run: str, models: Mapping[str, Mapping[str, Any]], *, where: Path | None = None
) -> list[Record]:
    """A record of each model, as if a test had measured what people prefer.

    Args:
        run: what the poll is called.
        models: model -> what tells its row of a leaderboard from others of it.
        where: the file that says so.

    Raises:
        RecordError: what is said of a model is nothing that a record says.
    """
    return [_record_of_model(one, run, models.get(one.model, {}), where) for one in found.models]


def _record_of_model(one: Preferred, run: str, setup: Mapping[str, Any], where: Path | None) -> Record:
    test = {"nodeid": f"{PREFERENCE}[{one.model}]", "benchmark": PREFERENCE, "status": "passed"}
    record = from_plain({**setup, **test, "run": run, "model": one.model}, Record, where=where)
    return replace(record, measurements=(_elo_of(one),))


def _elo_of(one: Preferred) -> Measurement:
    return Measurement(
        name="preference",
        value=one.elo,
        unit="Elo",
        better="higher",
        reason=one.reason,
        n=max(1, one.votes),
        interval=one.interval,
        version=STRENGTHS,
    )
