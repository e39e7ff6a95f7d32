"""Whether votes are counted as they should be: how often intervals hold the strengths, and who clicks is found.

python benchmarks/perf/preferences.py [--polls 200]

Raters are drawn with a taste of their own (a normal deviation of each model's strength, of that spread); a strength is
then that of everybody's votes: of each pair the share that all raters there could be would give. Those who click at
random are no part of everybody. Prints the figures of docs/arena.md in two minutes.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from pytest_vdb.statistics.preferences import Votes, odds_of_a_coin, strengths

LIKE_A_COIN = 100


@dataclass(frozen=True)
class Case:
    """One kind of poll."""

    raters: int
    votes: int
    """Of each rater."""
    models: int
    taste: float = 0.0
    ties: float = 0.0
    clickers: int = 0


CASES = (
    Case(1000, 30, 10),
    Case(1000, 30, 10, taste=0.7),
    Case(25, 40, 6, taste=0.7, ties=0.2),
    Case(10, 40, 6, taste=0.7, ties=0.2),
    Case(5, 40, 6, taste=0.7, ties=0.2),
    Case(3, 40, 6, taste=0.7, ties=0.2),
    Case(100, 40, 6, taste=0.5, ties=0.1, clickers=3),
    Case(100, 100, 6, taste=0.5, ties=0.1, clickers=3),
)


def poll(case: Case, true: np.ndarray, raters: int, votes: int, drawn: np.random.Generator) -> Votes:
    """So many votes of each rater; those who click at random are the first ones."""
    n = raters * votes
    rater = np.repeat(np.arange(raters), votes)
    first = drawn.integers(0, case.models, n)
    second = (first + drawn.integers(1, case.models, n)) % case.models
    taste = drawn.normal(0, case.taste, (raters, case.models)) + true
    likely = 1 / (1 + np.exp(taste[rater, second] - taste[rater, first]))
    won = np.where(rater < case.clickers, drawn.random(n) < 0.5, drawn.random(n) < likely).astype(float)
    won[drawn.random(n) < case.ties] = 0.5
    return Votes(first, second, won, rater)


def everybody(case: Case, true: np.ndarray) -> Votes:
    """One vote of each pair, which is won by the share that it has among all raters; as of one rater."""
    first, second = np.triu_indices(case.models, 1)
    deviations, weights = np.polynomial.hermite_e.hermegauss(40)
    apart = (true[first] - true[second])[:, None] + case.taste * np.sqrt(2) * deviations
    share = (1 / (1 + np.exp(-apart))) @ (weights / weights.sum())
    won = (1 - case.ties) * share + case.ties / 2
    return Votes(first, second, won, np.zeros_like(first))


def simulated(case: Case, polls: int) -> tuple[float, float | None, float | None]:
    """Shares: of strengths within their 95% intervals, of clickers called so, and of others called so."""
    inside, found, wrong = [], [], []
    for seed in range(polls):
        drawn = np.random.default_rng([seed, case.raters, case.votes])
        true = drawn.normal(0, 1, case.models)
        votes = poll(case, true, case.raters, case.votes, drawn)
        told = strengths(votes, case.models)
        off = np.abs(told.values - strengths(everybody(case, true), case.models).values)
        inside += (off <= told.half_widths())[np.isfinite(told.values)].tolist()
        if case.clickers:
            for rater, odds in odds_of_a_coin(votes, case.models):
                (found if rater < case.clickers else wrong).append(odds >= LIKE_A_COIN)
    return float(np.mean(inside)), *(float(np.mean(seen)) if seen else None for seen in (found, wrong))


def main() -> None:
    """Print a row for each kind of poll."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--polls", type=int, default=200)
    polls = parser.parse_args().polls
    print("| raters | votes of each | models | taste | ties | within 95% | clickers found | others called so |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        inside, found, wrong = ("–" if share is None else f"{100 * share:.1f}%" for share in simulated(case, polls))
        told = (case.raters, case.votes, case.models, case.taste, case.ties, inside, found, wrong)
        print(f"| {' | '.join(map(str, told))} |", flush=True)


if __name__ == "__main__":
    main()
