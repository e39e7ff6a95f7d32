"""How often the answers of `pytest_vdb.statistics` are wrong, and how often they see what is there: simulated.

    python benchmarks/perf/statistics.py                     # every table: about twenty minutes of one core
    python benchmarks/perf/statistics.py --draws 200         # shorter: about three minutes, and coarser
    python benchmarks/perf/statistics.py alarms ranks        # some of: alarms, power, few_prompts, catches, bars,
                                                             # sets, differences, margins, ranks, stopping, costs,
                                                             # turns, histories, steps, speed

Prints the Markdown tables of `docs/statistics.md`. Seeds are fixed; figures in per cent of the draws.
"""

# ruff: noqa: E402
from __future__ import annotations

import sys
from pathlib import Path

# This file is called like a module of the standard library, which others import: what lies beside it is not searched,
# and who imports it from beside it is given the standard library's.
sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]
if __name__ == "statistics":
    del sys.modules[__name__]
    import statistics  # noqa: F401

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from pytest_vdb.analysis.decisions import (
    LEAST_PROMPTS_TO_PASS,
    LEVEL_OF_BETS,
    Evidence,
    Judgement,
    Swapping,
    decide,
    error_of_sets,
    evidence_of_blocks,
)
from pytest_vdb.analysis.early import LEAST_PROMPTS_OF_COSTS
from pytest_vdb.metrics.contract import ReferenceFeatures, Score, SwapTester
from pytest_vdb.metrics.fvd import frechet_swaps, scored
from pytest_vdb.metrics.kernels import KVD_KERNEL, kernel_swaps, kvd
from pytest_vdb.statistics.best import p_values_against_best
from pytest_vdb.statistics.changes import Change, changed_p_values, changes
from pytest_vdb.statistics.exchangeable import sign_flip_intervals, sign_flip_p_values, sign_flips
from pytest_vdb.statistics.families import holm
from pytest_vdb.statistics.intervals import UNBOUNDED, Bounds, bounds_of_differences, mean_intervals, mean_p_values
from pytest_vdb.statistics.ranks import ranks_between, told_apart
from pytest_vdb.statistics.sessions import prediction_interval, ratio_of_blocks, smallest_ratio
from pytest_vdb.statistics.stopping import Shown, anytime_p_values, evidence_beside_margins, symmetric_e_values
from pytest_vdb.statistics.together import reachable_level, turned_p_values
from pytest_vdb.statistics.verdicts import smallest_change

Values = NDArray[np.float64]
METRICS = 20
SIGNIFICANCE = 0.05


def main() -> None:
    parts = {
        part.__name__: part
        for part in (
            alarms,
            power,
            few_prompts,
            catches,
            sets,
            bars,
            differences,
            margins,
            ranks,
            stopping,
            costs,
            turns,
            histories,
            steps,
            speed,
        )
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of: {', '.join(parts)} (default: all)")
    parser.add_argument("--draws", type=int, default=2_000, help="simulated runs per figure (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are: {', '.join(parts)}")
    for name in options.parts or parts:
        started = time.process_time()
        parts[name](options.draws)
        print(f"\n{options.draws} draws, {time.process_time() - started:.0f} CPU s\n", flush=True)


# --- the laws of values -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Law:
    """Values from a prompt's own normal effect and a sample's own normal noise, so that any may be correlated."""

    name: str
    make: Callable[[Values, Values], Values]
    bounds: Bounds = UNBOUNDED


def passes(chance: float) -> Callable[[Values, Values], Values]:
    """0/1 with that mean over prompts of which some are harder than others."""
    return lambda prompt, noise: (noise < ndtri(chance) * np.sqrt(1.25) + 0.5 * prompt).astype(np.float64)


def heavy(prompt: Values, noise: Values) -> Values:
    """Student's t with two degrees of freedom, whose quantiles have a closed form; its variance is infinite."""
    side = 2 * ndtr(noise) - 1
    return 0.5 * prompt + side * np.sqrt(2 / (1 - side**2))


def rarely_failing(prompt: Values, noise: Values) -> Values:
    return np.where(noise < ndtri(0.03), 0.0, np.clip(0.8 + 0.02 * prompt + 0.03 * noise, 0, 1))


LAWS = (
    Law("normal", lambda prompt, noise: 0.8 + 0.05 * prompt + 0.03 * noise),
    Law("lognormal", lambda prompt, noise: np.exp(0.5 * prompt + 0.85 * noise)),
    Law("heavy tails (t, 2)", heavy),
    Law("ties (rounded)", lambda prompt, noise: np.round(0.5 * prompt + noise)),
    Law("80% zeros", lambda prompt, noise: np.exp(0.3 * prompt) * np.maximum(noise - ndtri(0.8), 0)),
    Law("counts", lambda prompt, noise: np.floor(np.exp(0.7 + 0.5 * prompt + 0.5 * noise)), (0, None)),
    Law("0/1, p = .5", passes(0.5), (0, 1)),
    Law("0/1, p = .8", passes(0.8), (0, 1)),
    Law("0/1, p = .97", passes(0.97), (0, 1)),
    Law("rare failures (3%)", rarely_failing, (0, 1)),
)


def two_runs(
    rng: np.random.Generator, law: Law, prompts: int, samples: int, columns: int, shared: float = 0.0
) -> tuple[Values, Values]:
    """`(prompts, columns)` each: the prompts' means in two runs of the same thing.

    Args:
        shared: of the noise's variance, what all the metrics of one gate have in common.
    """
    effect = rng.standard_normal((prompts, 1, columns))
    sides = []
    for _ in range(2):
        noise = rng.standard_normal((prompts, samples, columns))
        if shared:
            common = rng.standard_normal((prompts, samples, columns // METRICS)).repeat(METRICS, axis=2)
            noise = np.sqrt(shared) * common + np.sqrt(1 - shared) * noise
        sides.append(law.make(effect, noise).mean(axis=1))
    return sides[0], sides[1]


# --- the same thing twice ---------------------------------------------------------------------------------------------

SIZES = ((6, 1), (6, 16), (12, 1), (30, 1), (30, 16), (100, 1), (200, 1))


def alarms(draws: int) -> None:
    """Gates of 20 rules, with nothing changed, that alarm."""
    heading("Gates of 20 rules that alarm, nothing changed (whole prompts turned round)")
    table_head("law", [f"{prompts} x {samples}" for prompts, samples in SIZES])
    rng = np.random.default_rng(1)
    for law in LAWS:
        row(law.name, [share(false_alarms(rng, law, *size, draws)) for size in SIZES])
    row("normal, correlated .8", [share(false_alarms(rng, LAWS[0], *size, draws, shared=0.8)) for size in SIZES])
    mixed = [share(np.concatenate([mixed_alarms(rng, *size, few) for few in in_turns(draws)])) for size in SIZES]
    row("all of them in one gate", mixed)


def false_alarms(
    rng: np.random.Generator, law: Law, prompts: int, samples: int, draws: int, shared: float = 0.0
) -> NDArray[np.bool_]:
    found = []
    for few in in_turns(draws):
        first, second = two_runs(rng, law, prompts, samples, few * METRICS, shared)
        found.append(any_found((first - second).reshape(prompts, few, METRICS)))
    return np.concatenate(found)


def mixed_alarms(rng: np.random.Generator, prompts: int, samples: int, draws: int) -> NDArray[np.bool_]:
    sides = [two_runs(rng, law, prompts, samples, draws * METRICS // len(LAWS)) for law in LAWS]
    by_law = [(first - second).reshape(prompts, draws, -1) for first, second in sides]
    return any_found(np.concatenate(by_law, axis=2))


def any_found(worse: Values) -> NDArray[np.bool_]:
    """Per gate of `(prompts, gates, rules)`: whether it alarms."""
    return np.array([turned_p_values(worse[:, gate]).min() < SIGNIFICANCE for gate in range(worse.shape[1])])


def holm_finds(p_values: Values) -> NDArray[np.bool_]:
    """Per gate of 20 metrics: whether Holm finds anything. His smallest p decides that."""
    return p_values.reshape(-1, METRICS).min(axis=1) * METRICS <= SIGNIFICANCE


def power(draws: int) -> None:
    """A change of -1% at a spread of the paired differences of 3%."""
    heading("A change of -1%, spread of paired differences 3%: found in")
    sizes = (30, 60, 100, 200)
    table_head("how", [f"{n} prompts" for n in sizes])
    rng = np.random.default_rng(2)
    by_n = [rng.normal(0.01, 0.03, (n, draws)) for n in sizes]
    row("gate, one metric, worse", [share(sign_flip_p_values(d, alternative="greater") < SIGNIFICANCE) for d in by_n])
    row("gate, one metric, either way", [share(sign_flip_p_values(d) < SIGNIFICANCE) for d in by_n])
    least = SIGNIFICANCE / METRICS
    row("gate, one of 20 (Holm), worse", [share(sign_flip_p_values(d, alternative="greater") < least) for d in by_n])
    row("gate, one of 20 (turned together), worse", [share(found_among_others(rng, n, draws // 4)) for n in sizes])
    row("compare, `near`", [share(mean_p_values(d) < SIGNIFICANCE) for d in by_n])
    row(
        "compare, `anywhere` within ±1",
        [share(mean_p_values(d, bounds=(-1, 1)) < SIGNIFICANCE) for d in by_n],
    )


def found_among_others(
    rng: np.random.Generator, prompts: int, draws: int, change: float = 0.01, margin: float = 0.0
) -> NDArray[np.bool_]:
    """Whether the one of 20 rules is found whose metric got worse; the others have not changed."""
    found = []
    for _ in range(draws):
        worse = rng.normal(0, 0.03, (prompts, METRICS))
        worse[:, 0] += change
        found.append(turned_p_values(worse - margin)[0] < SIGNIFICANCE)
    return np.array(found)


def few_prompts(draws: int) -> None:
    """What is plainly broken, on few prompts: a drop of 20% at a spread of 3%, a margin of 2%."""
    heading("A drop of 20%, spread of paired differences 3%, margin 2%: found among 20 rules in")
    sizes = (5, 6, 8, 12)
    table_head("how", [f"{n} prompts" for n in sizes])
    rng = np.random.default_rng(21)
    least = SIGNIFICANCE / METRICS
    alone = [
        share(sign_flip_p_values(rng.normal(0.18, 0.03, (n, draws)), alternative="greater") < least) for n in sizes
    ]
    row("each rule alone, Holm", alone)
    together = [share(found_among_others(rng, n, draws // 4, change=0.2, margin=0.02)) for n in sizes]
    row("turned together", together)


# --- sets with one value ----------------------------------------------------------------------------------------------

SEEN = 8
"""Numbers that the network says of a clip: the test does not know how many there are, and few are quick."""
SET_METRICS: dict[str, tuple[SwapTester, Callable[[Values, ReferenceFeatures], Score]]] = {
    "fvd": (frechet_swaps(ddof=1), lambda clips, reference: scored(list(clips), reference, ddof=1)),
    "kvd": (kernel_swaps(KVD_KERNEL), lambda clips, reference: kvd(list(clips.astype(np.float32)), reference)),
}


def sets(draws: int) -> None:
    """Gates of one rule on a set metric. A margin is what a shift of a quarter of a deviation does on average."""
    draws = max(1, draws // 5)
    heading(f"Gates of one rule on a metric of whole sets ({draws} draws): said in")
    sizes = (6, 12, 30, 100)
    table_head("metric, law, what changed: verdict", [f"{n} prompts" for n in sizes])
    for name in SET_METRICS:
        for law in (LAWS[0], LAWS[1], LAWS[9]):
            found = [judged_sets(np.random.default_rng(23), name, law, n, draws) for n in sizes]
            for what in found[0]:
                row(f"{name}, {law.name}, {what}", [one[what] for one in found])


def judged_sets(rng: np.random.Generator, name: str, law: Law, prompts: int, draws: int) -> dict[str, str]:
    """How often which verdict is given, of what changed."""
    reference = ReferenceFeatures(
        source="simulated", features=law.make(*rng.standard_normal((2, 200, SEEN))).astype(np.float32)
    )
    swaps, score = SET_METRICS[name]
    pairs = [two_sets(rng, law, prompts) for _ in range(draws)]
    step = 0.25 * float(np.mean([first.std() for first, _ in pairs]))
    worse = [(first, second + step) for first, second in pairs]
    much_worse = [(first, second + 2 * step) for first, second in pairs]
    nothing = {"permutations": 0, "seed": 0}
    usual = float(np.mean([-swaps(*pair, reference, **nothing).difference for pair in worse]))

    def said(pairs: Sequence[tuple[Values, Values]], margin: float, *, bars_alone: bool = False) -> list[Judgement]:
        return [
            decide([evidence_of_sets(swaps, score, pair, reference, margin, bars_alone=bars_alone)])[0]
            for pair in pairs
        ]

    return {
        "nothing: `regressed`": share_of(said(pairs, 0.0), "regressed"),
        "nothing: `regressed`, by bars alone": share_of(said(pairs, 0.0, bars_alone=True), "regressed"),
        "the margin: `regressed`": share_of(said(worse, usual), "regressed"),
        "the margin: `equivalent`": share_of(said(worse, usual), "equivalent"),
        "two such shifts, no margin: `regressed`": share_of(said(much_worse, 0.0), "regressed"),
        "two such shifts, no margin: `regressed`, by bars alone": share_of(
            said(much_worse, 0.0, bars_alone=True), "regressed"
        ),
    }


def two_sets(rng: np.random.Generator, law: Law, prompts: int) -> tuple[Values, Values]:
    """`(prompts, SEEN)` each, of the same thing."""
    effect = rng.standard_normal((prompts, SEEN))
    first, second = (law.make(effect, rng.standard_normal((prompts, SEEN))) for _ in range(2))
    return first, second


def evidence_of_sets(
    swaps: SwapTester,
    score: Callable[[Values, ReferenceFeatures], Score],
    pair: tuple[Values, Values],
    reference: ReferenceFeatures,
    margin: float,
    *,
    bars_alone: bool,
) -> Evidence:
    before, now = pair
    found = swaps(now, before, reference, permutations=0, seed=0)
    plain = Evidence(way="sets", margin=margin, worse={None: found.difference})
    of_bars = error_of_sets(*(score(side, reference).interval for side in pair))
    if bars_alone:
        return replace(plain, error=of_bars)

    def p(permutations: int) -> float:
        return swaps(now, before, reference, permutations=permutations, seed=0).p

    return replace(
        plain,
        swapping=Swapping(len(before), p),
        error=found.error and found.error.error,
        error_to_pass=of_bars,
        degrees=found.error and found.error.degrees,
    )


# --- where a mean lies ------------------------------------------------------------------------------------------------

LEVEL_SIZES = (3, 5, 8, 12, 30, 100, 200)


def catches(draws: int) -> None:
    """The least change that `vdb noise` says the gate catches, with the power of 80% that it states."""
    heading("The least change that `vdb noise` says a gate catches, normal differences: caught in (80 is meant)")
    sizes = (5, 6, 8, 12, 30, 100)
    table_head("rules", [f"{n} prompts" for n in sizes])
    rng = np.random.default_rng(22)
    for rules in (1, 4, METRICS):
        row(str(rules), [share(smallest_found(rng, n, rules, draws // 4)) for n in sizes])
    print()
    sessions = (5, 7, 10, 30)
    table_head("costs, level", [f"{n} earlier sessions" for n in sessions])
    for level in (0.05, 0.005):
        row(f"{100 * level:g}%", [share(smallest_ratio_found(rng, n, level, draws)) for n in sessions])


def smallest_found(rng: np.random.Generator, prompts: int, rules: int, draws: int) -> NDArray[np.bool_]:
    """Whether the one rule is found whose metric got worse by that much."""
    level = reachable_level(SIGNIFICANCE, prompts) / rules
    change = smallest_change(1.0, prompts, confidence=1 - level)
    worse = rng.normal(size=(draws, prompts, rules))
    worse[:, :, 0] += change
    return np.array([turned_p_values(one)[0] < SIGNIFICANCE for one in worse])


def smallest_ratio_found(rng: np.random.Generator, earlier: int, level: float, draws: int) -> NDArray[np.bool_]:
    """Whether a night that is slower by that much lies above the prediction interval of earlier ones."""
    nights = rng.normal(0, 0.05, (draws, earlier + 1))
    nights[:, -1] += smallest_ratio(0.05, earlier, confidence=1 - level)
    reach = stdtrit(earlier - 1, 1 - level) * nights[:, :-1].std(axis=1, ddof=1) * np.sqrt(1 + 1 / earlier)
    return np.asarray(nights[:, -1] - nights[:, :-1].mean(axis=1) > reach)


def bars(draws: int) -> None:
    """95% bars: how many of those that are given cover, beside Student's."""
    heading("95% bars of a mean that cover, of those that are given (refused), and width beside Student's")
    table_head("law, interval", [f"n = {n}" for n in LEVEL_SIZES])
    rng = np.random.default_rng(3)
    for law in LAWS:
        mean = float(np.mean(one_run(rng, law, 1_000, 2_000)))
        columns = {n: one_run(rng, law, n, draws) for n in LEVEL_SIZES}
        row(f"{law.name}: Student", [share(holds(student(values), mean)) for values in columns.values()])
        for unseen in ("near", "anywhere") if law.bounds == (0, 1) else ("near",):
            cells = []
            for values in columns.values():
                ends = mean_intervals(values, bounds=law.bounds, unseen=unseen)
                cells.append(covering(ends, mean, student(values)))
            row(f"{law.name}: `{unseen}`", cells)


def one_run(rng: np.random.Generator, law: Law, prompts: int, columns: int) -> Values:
    return law.make(rng.standard_normal((prompts, columns)), rng.standard_normal((prompts, columns)))


def differences(draws: int) -> None:
    """Two different things with the same mean: intervals of the difference that miss zero."""
    heading("Two things with equal means: 95% intervals of the mean difference that miss it")
    table_head("law, interval", [f"n = {n}" for n in LEVEL_SIZES])
    rng = np.random.default_rng(4)
    for name, draw, bounds in two_things():
        columns = [draw(rng, (n, draws)) for n in LEVEL_SIZES]
        row(f"{name}: Student", [share(~holds(student(values), 0)) for values in columns])
        for unseen in ("near", "anywhere") if bounds != UNBOUNDED else ("near",):
            found = [mean_intervals(values, bounds=bounds, unseen=unseen) for values in columns]
            row(f"{name}: `{unseen}`", [share(~holds(ends, 0)[~np.isnan(ends[:, 0])]) for ends in found])


def two_things() -> Iterator[tuple[str, Callable[[np.random.Generator, tuple[int, int]], Values], Bounds]]:
    """Name, paired differences with mean 0, and their bounds."""
    within = bounds_of_differences((0, 1))

    def failing(rng: np.random.Generator, shape: tuple[int, int], chance: float = 0.03) -> Values:
        """A fails rarely and is as much better elsewhere."""
        steady, failed = rng.normal(0.7, 0.03, shape), rng.random(shape) < chance
        return np.where(failed, 0.0, 0.7 / (1 - chance) + rng.normal(0, 0.03, shape)) - steady

    yield "normal", lambda rng, shape: rng.normal(0, 1, shape), UNBOUNDED
    yield (
        "lognormal A, steady B",
        lambda rng, shape: rng.lognormal(0, 1, shape) - np.exp(0.5) + rng.normal(0, 0.1, shape),
        UNBOUNDED,
    )
    yield "heavy tails (t, 2)", lambda rng, shape: rng.standard_t(2, shape), UNBOUNDED
    yield "0/1, p = .5", lambda rng, shape: 1.0 * (rng.random(shape) < 0.5) - (rng.random(shape) < 0.5), within
    yield "0/1, p = .95", lambda rng, shape: 1.0 * (rng.random(shape) < 0.95) - (rng.random(shape) < 0.95), within
    yield "A fails in 3%", failing, within
    yield "A fails in 10%", lambda rng, shape: failing(rng, shape, 0.1), within


def student(columns: Values) -> Values:
    """`(k, 2)`: today's interval."""
    n = len(columns)
    half = stdtrit(n - 1, 0.975) * columns.std(axis=0, ddof=1) / np.sqrt(n)
    return np.stack((columns.mean(axis=0) - half, columns.mean(axis=0) + half), axis=1)


def holds(ends: Values, mean: float) -> NDArray[np.bool_]:
    slack = 1e-9 * max(1.0, abs(mean))
    return (ends[:, 0] <= mean + slack) & (mean - slack <= ends[:, 1])


def covering(ends: Values, mean: float, beside: Values) -> str:
    given = ~np.isnan(ends[:, 0])
    widths, theirs = np.diff(ends[given]).ravel(), np.diff(beside[given]).ravel()
    compared = theirs > 0
    wider = f" {np.median(widths[compared] / theirs[compared]):.1f}x" if compared.any() else ""
    refused = f" ({share(~given)})" if not given.all() else ""
    return f"{share(holds(ends[given], mean))}{refused}{wider}"


# --- verdicts ---------------------------------------------------------------------------------------------------------


def margins(draws: int) -> None:
    """`equivalent` and `regressed` at a true change of exactly the margin, and of nothing."""
    heading("Verdicts at a margin of 2%, spread of paired differences 3%")
    sizes = (8, 30, 100, 200)
    table_head("true change, interval, verdict", [f"{n} prompts" for n in sizes])
    rng = np.random.default_rng(5)
    kinds: dict[str, Callable[[Values], Values]] = {
        "sign-flips": sign_flip_intervals,
        "`near`": mean_intervals,
        "`anywhere` within ±1": lambda values: mean_intervals(values, bounds=(-1, 1)),
    }
    worse: dict[str, Callable[[int], Values]] = {
        "the margin": lambda n: rng.normal(0.02, 0.03, (n, draws)),
        "the margin, of failures in 3%": lambda n: (
            0.66 * (rng.random((n, draws)) < 0.03) + rng.normal(0.0002, 0.03, (n, draws))
        ),
        "nothing": lambda n: rng.normal(0, 0.03, (n, draws)),
    }
    for what, draw in worse.items():
        columns = [draw(n) for n in sizes]
        for kind, interval in kinds.items():
            judged = [verdicts(interval(values)) for values in columns]
            for verdict in ("equivalent",) if what == "nothing" else ("equivalent", "regressed"):
                row(f"{what}: {kind}: `{verdict}`", [share(np.array(v) == verdict) for v in judged])


def verdicts(intervals: Values) -> list[str]:
    return ["regressed" if low > 0.02 else "equivalent" if high < 0.02 else "" for low, high in intervals]


# --- the best ---------------------------------------------------------------------------------------------------------


def ranks(draws: int) -> None:
    """Leaderboards of equal models that tell any of them apart from the best."""
    few = max(50, draws // 2)
    heading(f"Boards of equal models that tell any apart from the best ({few} boards each)")
    sizes = [(models, prompts) for models in (2, 5, 30) for prompts in (5, 8, 30, 100)]
    table_head("law", [f"{models} x {prompts}" for models, prompts in sizes])
    rng = np.random.default_rng(6)
    for law in (LAWS[0], LAWS[1], LAWS[4], LAWS[6]):
        row(law.name, [share(wrong_exclusions(rng, law, *size, few)) for size in sizes])
    row("one is worse by one spread: told apart", [share(found_the_worst(rng, *size, few)) for size in sizes])
    print()
    boards = {models: few // 10 if models == 30 else few * 3 // 10 for models, _ in sizes}
    heading(f"Boards of equal models that place any apart ({boards[2]} boards each, {boards[30]} of 30 models)")
    table_head("law", [f"{models} x {prompts}" for models, prompts in sizes])
    rng = np.random.default_rng(6)
    for law in (LAWS[0], LAWS[1], LAWS[4], LAWS[6]):
        for behind, words in ((0.0, ""), (10.0, ", but one far worse")):
            wrong = (wrong_ranks(rng, law, *size, boards[size[0]], behind) for size in sizes)
            row(f"{law.name}{words}", [share(found) for found in wrong])
    rng = np.random.default_rng(6)
    row("one is worse by one spread: is last", [share(found_the_last(rng, *size, boards[size[0]])) for size in sizes])


def board(rng: np.random.Generator, law: Law, models: int, prompts: int) -> Values:
    return law.make(rng.standard_normal((1, prompts)), rng.standard_normal((models, prompts)))


def wrong_exclusions(rng: np.random.Generator, law: Law, models: int, prompts: int, boards: int) -> NDArray[np.bool_]:
    found = (p_values_against_best(board(rng, law, models, prompts), deals=199) for _ in range(boards))
    return np.array([(p < SIGNIFICANCE).any() for p in found])


def found_the_worst(rng: np.random.Generator, models: int, prompts: int, boards: int) -> NDArray[np.bool_]:
    worst = np.zeros((models, 1))
    worst[0] = 0.03
    found = (p_values_against_best(board(rng, LAWS[0], models, prompts) - worst, deals=199) for _ in range(boards))
    return np.array([p[0] < SIGNIFICANCE for p in found])


def wrong_ranks(
    rng: np.random.Generator, law: Law, models: int, prompts: int, boards: int, behind: float
) -> NDArray[np.bool_]:
    """Whether any of the equal models, all but the first, is told apart from another; `behind` is of the first."""
    wrong = []
    for _ in range(boards):
        merits = board(rng, law, models, prompts)
        merits[0] -= behind
        wrong.append(told_apart(merits)[bool(behind) :, bool(behind) :].any())
    return np.array(wrong)


def found_the_last(rng: np.random.Generator, models: int, prompts: int, boards: int) -> NDArray[np.bool_]:
    """Whether a model that is worse than all others by one spread is said to be the last."""
    worst = np.zeros((models, 1))
    worst[0] = 0.03
    found = (ranks_between(board(rng, LAWS[0], models, prompts) - worst) for _ in range(boards))
    return np.array([ranks[0, 0] == models for ranks in found])


# --- stopping early ---------------------------------------------------------------------------------------------------


def stopping(draws: int) -> None:
    """Gates of 20 metrics that may stop after every prompt."""
    sizes = (20, 50, 100, 200)
    heading("Gates of 20 rules that may stop after any prompt, nothing changed: alarm (bets on signs, Holm)")
    table_head("law", [f"of {n} prompts" for n in sizes])
    rng = np.random.default_rng(7)
    for law in LAWS:
        row(law.name, [share(early_alarms(rng, law, n, draws)) for n in sizes])
    row("normal, correlated .8", [share(early_alarms(rng, LAWS[0], n, draws, shared=0.8)) for n in sizes])
    print()
    heading("One of 20 rules, of 100 prompts, so many spreads of the differences beyond its margin")
    table_head("change", ["found", "mean prompts", "saved"])
    for change in (0.33, 0.5, 1.0, 2.0):
        needed = prompts_needed(beside_margins(rng.normal(change, 1, (100, draws))).beyond >= METRICS / LEVEL_OF_BETS)
        row(f"{change:g}", [share(needed <= 100), *saving(np.minimum(needed, 100))])
    print()
    heading("A model under 20 rules, of 100 prompts: it stops when all of them are decided")
    table_head("margin in spreads, what changed", ["regressed, rightly", "wrongly", "mean prompts", "saved"])
    for margin in (0.5, 1.0):
        row(f"{margin:g}, nothing", model_that_stops(rng, margin, 0, draws // 4))
        for beyond in (0.5, 1.0):
            what = f"{margin:g}, one metric by {beyond:g} more than the margin"
            row(what, model_that_stops(rng, margin, margin + beyond, draws // 4))
    print()
    heading("A true change of exactly the margin (0.67 spreads of the noise): said at any time before the 100th prompt")
    table_head("it consists of", ["`equivalent`", "`regressed`, one rule alone"])
    for what, chance in (
        ("all prompts alike", 1.0),
        ("failures in 20%", 0.2),
        ("failures in 10%", 0.1),
        ("failures in 3%", 0.03),
    ):
        failures = 0.67 / chance * (rng.random((100, draws)) < chance)
        shown = beside_margins(failures + rng.normal(0, 1, (100, draws)), 0.67)
        row(what, [share(shown.within[-1] >= 1 / SIGNIFICANCE), share(shown.beyond[-1] >= 1 / LEVEL_OF_BETS)])
    same = [beside_margins(np.zeros((100, 1)), 0.02, least=least).within for least in (1, LEAST_PROMPTS_TO_PASS)]
    alone, waited = (prompts_needed(within >= 1 / SIGNIFICANCE)[0] for within in same)
    print(f"\nWhere every value is the same {alone} prompts show it, and {waited} are waited for.")


def beside_margins(worse: Values, margin: float = 0.0, least: int = LEAST_PROMPTS_TO_PASS) -> Shown:
    either = np.zeros(worse.shape[1], dtype=bool)
    return evidence_beside_margins(worse, np.full(len(either), margin), either=either, least=least)


def early_alarms(
    rng: np.random.Generator, law: Law, prompts: int, draws: int, shared: float = 0.0
) -> NDArray[np.bool_]:
    """Whether a gate that looks after every prompt alarms at any of them."""
    found = []
    for few in in_turns(draws):
        first, second = two_runs(rng, law, prompts, 1, few * METRICS, shared)
        p = anytime_p_values(symmetric_e_values(first - second))[-1].reshape(few, METRICS)
        found.append(p.min(axis=1) * METRICS <= LEVEL_OF_BETS)  # Holm: his smallest p decides
    return np.concatenate(found)


def prompts_needed(decided: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Of each column, how many prompts decide it; one more than there are: they do not."""
    return np.where(decided.any(axis=0), decided.argmax(axis=0) + 1, len(decided) + 1)


def saving(needed: NDArray[np.int64]) -> list[str]:
    return [f"{needed.mean():.0f}", f"{100 - needed.mean():.0f}%"]


def model_that_stops(rng: np.random.Generator, margin: float, change: float, draws: int) -> list[str]:
    """The first metric is worse by the change, the others are not; all that a gate of the package would say."""
    right, wrong, needed = [], [], []
    for _ in range(draws):
        worse = rng.normal(0, 1, (100, METRICS))
        worse[:, 0] += change
        shown = beside_margins(worse, margin)
        # Holm at each prompt: the largest of the k that are left must reach k / level.
        order = np.sort(shown.beyond, axis=1)[:, ::-1] >= (METRICS - np.arange(METRICS)) / LEVEL_OF_BETS
        regressed = (-shown.beyond).argsort(axis=1).argsort(axis=1) < np.cumprod(order, axis=1).sum(axis=1)[:, None]
        decided = regressed | (shown.within >= 1 / SIGNIFICANCE)
        stop = min(100, int(prompts_needed(decided.all(axis=1)[:, None])[0]))
        needed.append(stop)
        right.append(regressed[stop - 1, 0] and change > margin)
        wrong.append(regressed[stop - 1, 1:].any())
    return [share(np.array(right)) if change > margin else "–", share(np.array(wrong)), *saving(np.array(needed))]


# --- costs ------------------------------------------------------------------------------------------------------------


def costs(draws: int) -> None:
    """What a session's mood does to tests over prompts, to a history of sessions, and to blocks in turns."""
    heading("Costs: slower by 0, 5, 10%")
    table_head("noise, how", ["0%", "5%", "10%"])
    rng = np.random.default_rng(8)
    changes = (1.0, 1.05, 1.1)
    cells = []
    for change in changes:
        mood = rng.normal(0, 0.02, (1, draws))
        cells.append(share(sign_flip_p_values(np.log(change) + mood + rng.normal(0, 0.005, (30, draws))) <= 0.05))
    row("two sessions, 30 prompts taken as the unit (wrong), sessions differ by 2%", cells)
    for count, confidence, busy in ((10, 0.99, 0.0), (30, 0.99, 0.0), (30, 0.99, 0.05), (10, 0.95, 0.0)):
        cells = [share(beyond_history(rng, count, confidence, busy, change, draws)) for change in changes]
        neighbour = f", {busy:.0%} of sessions a third slower" if busy else ""
        row(f"history of {count}, {confidence:.0%}, sessions differ by 2%{neighbour}", cells)
    for blocks, noise in ((6, 0.005), (6, 0.02), (8, 0.02), (12, 0.02)):
        row(
            f"{blocks} blocks in turns, noise {noise:.1%} within a block",
            [share(slower_in_turns(rng, blocks, noise, change, draws)) for change in changes],
        )
    for noise in (0.005, 0.02, 0.05):
        cells = [share(beyond_history(rng, 10, 0.99, 0.0, change, draws, stopped=noise)) for change in changes]
        row(f"history of 10, 99%, tonight stopped after 10 of 100 prompts, which differ by {noise:.1%}", cells)


def beyond_history(
    rng: np.random.Generator,
    count: int,
    confidence: float,
    busy: float,
    change: float,
    draws: int,
    stopped: float | None = None,
) -> NDArray[np.bool_]:
    """`stopped`: how much the prompts of a session differ, where the last one has ten of them, as have the others."""
    shape = draws, count + 1
    sessions = np.exp(rng.normal(0, 0.02, shape)) * np.where(rng.random(shape) < busy, 1.33, 1)
    if stopped is not None:
        sessions *= np.median(np.exp(rng.normal(0, stopped, (*shape, LEAST_PROMPTS_OF_COSTS))), axis=2)
    ends = [prediction_interval(own[:-1].tolist(), confidence=confidence).ends for own in sessions]
    return np.array([end is not None and own[-1] * change > end[1] for end, own in zip(ends, sessions, strict=True)])


def slower_in_turns(
    rng: np.random.Generator, blocks: int, noise: float, change: float, draws: int
) -> NDArray[np.bool_]:
    mood = np.exp(rng.normal(0, 0.3, (draws, blocks)))
    base, head = (mood * np.exp(rng.normal(0, noise, (draws, blocks))) for _ in range(2))
    found = (ratio_of_blocks(b.tolist(), h.tolist()).interval for b, h in zip(base, change * head, strict=True))
    return np.array([interval.ends is not None and interval.ends[0] > 1 for interval in found])


# --- two versions in turns, as `vdb ab` judges them -------------------------------------------------------------------

NOISE = 0.02
"""Of a block, beside what the machine's mood does to its neighbours as well."""
DRIFTS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Values]] = {
    "steady machine": lambda _, shape: np.zeros(shape),
    "drifts by 1% a block": lambda _, shape: np.broadcast_to(0.01 * np.arange(shape[1]), shape),
    "wanders by 2% a block": lambda rng, shape: np.cumsum(rng.normal(0, 0.02, shape), axis=1),
    "moods of 10% that last ten blocks": lambda rng, shape: lasting(rng, shape, 0.1, 0.9),
    "a third slower in one block of ten": lambda rng, shape: np.log(1.33) * (rng.random(shape) < 0.1),
    "a third slower for seven blocks": lambda rng, shape: np.log(1.33) * spell(rng, shape, 7),
    "first block a third slower": lambda _, shape: np.log(1.33) * np.broadcast_to(np.arange(shape[1]) == 0, shape),
}
"""Logarithms of how much slower the machine is in each block, in the order in which they run."""


def lasting(rng: np.random.Generator, shape: tuple[int, int], deviation: float, kept: float) -> Values:
    """Each follows the one before."""
    moods = rng.normal(0, deviation, shape)
    for at in range(1, shape[1]):
        moods[:, at] = kept * moods[:, at - 1] + np.sqrt(1 - kept**2) * moods[:, at]
    return moods


def spell(rng: np.random.Generator, shape: tuple[int, int], length: int) -> NDArray[np.bool_]:
    """True in so many blocks on end, wherever they begin."""
    begins = rng.integers(0, shape[1], (shape[0], 1))
    at = np.arange(shape[1])
    return (at >= begins) & (at < begins + length)


def turns(draws: int) -> None:
    """How often verdicts on blocks in turns are wrong, and how often they see what is there."""
    rng = np.random.default_rng(11)
    heading(f"Blocks in turns (A B B A ...), noise {NOISE:.0%} of a block: `regressed`")
    table_head("machine, blocks, rule", ["slower by the margin", "by 5%", "by 10%"])
    cases = [(next(iter(DRIFTS)), blocks, margin) for blocks in (6, 8, 12, 16) for margin in (0.0, 0.02)]
    cases += [(drift, 12, margin) for drift in list(DRIFTS)[1:] for margin in (0.0, 0.02)]
    for drift, blocks, margin in cases:
        judged = (judged_in_turns(rng, drift, blocks, margin, change, draws) for change in (margin, 0.05, 0.1))
        row(f"{drift}, {blocks} blocks, `latency:+{margin:.0%}`", [share_of(found, "regressed") for found in judged])
    print()
    heading("The same among more rules, 12 blocks, steady machine: one cost of them is `regressed`, or any alarms")
    table_head("rules", ["any alarms, all costs slower by the margin", "by 5%", "by 10%"])
    for margin in (0.0, 0.02):
        for costs_asked, prompts_asked in ((1, 0), (3, 0), (1, 1), (3, 10)):
            name = f"{costs_asked} of costs" + (f", {prompts_asked} of quality (unchanged)" if prompts_asked else "")
            cells = [
                share(among_rules(rng, costs_asked, prompts_asked, margin, change, draws))
                for change in (margin, 0.05, 0.1)
            ]
            row(f"{name}, +{margin:.0%}", cells)
    print()
    heading("`equivalent`, and the blocks that an `inconclusive` asks for, `latency:+2%`")
    table_head("true change", ["`equivalent` in 12 blocks", "inconclusive", "blocks asked for, median", "they decide"])
    for change in (0.0, 0.02, 0.03, 0.04, 0.05):
        found = judged_in_turns(rng, "steady machine", 12, 0.02, change, draws)
        asked = [one.needed for one in found if one.decision == "inconclusive" and one.needed is not None]
        needed = int(np.median(asked)) if asked else 0
        again = judged_in_turns(rng, "steady machine", needed, 0.02, change, draws) if needed else []
        decided = np.array([one.decision != "inconclusive" for one in again])
        told = [str(needed), share(decided)] if needed else ["–", "–"]
        row(f"{change:.0%}", [share_of(found, "equivalent"), share_of(found, "inconclusive"), *told])


def share_of(judged: Sequence[Judgement], decision: str) -> str:
    return share(np.array([one.decision == decision for one in judged]))


def both_in_turns(
    rng: np.random.Generator, drift: str, blocks: int, change: float, draws: int
) -> tuple[Values, Values]:
    """`(draws, blocks)` each: what a block of base and of head costs, of versions that differ by `change`."""
    order = DRIFTS[drift](rng, (draws, 2 * blocks)) + rng.normal(0, NOISE, (draws, 2 * blocks))
    pairs = np.exp(order).reshape(draws, blocks, 2)
    pairs[:, 1::2] = pairs[:, 1::2, ::-1]
    return pairs[:, :, 0], (1 + change) * pairs[:, :, 1]


def evidence_in_turns(base: Values, head: Values, margin: float) -> Evidence:
    before, now = base.tolist(), head.tolist()
    found = ratio_of_blocks(before, now)
    middle = median(before)
    return evidence_of_blocks(found, middle, median(now), margin=margin * middle, lower_is_better=True, exact=False)


def judged_in_turns(
    rng: np.random.Generator, drift: str, blocks: int, margin: float, change: float, draws: int
) -> list[Judgement]:
    both = zip(*both_in_turns(rng, drift, blocks, change, draws), strict=True)
    return [decide([evidence_in_turns(base, head, margin)])[0] for base, head in both]


def among_rules(
    rng: np.random.Generator, of_costs: int, of_quality: int, margin: float, change: float, draws: int
) -> NDArray[np.bool_]:
    """Whether the first regresses that changed by more than the margin; where none did, whether any does."""
    first = slice(0, None if change <= margin else 1)
    draws = min(draws, 400) if of_quality else draws
    changes = [change] + [margin] * (of_costs - 1)
    sides = [both_in_turns(rng, "steady machine", 12, one, draws) for one in changes]
    hit = []
    for at in range(draws):
        asked = [evidence_in_turns(base[at], head[at], margin) for base, head in sides]
        quality = rng.normal(0, 0.03, (of_quality, 12))
        asked += [Evidence(way="prompts", margin=0.0, worse=dict(enumerate(map(float, one)))) for one in quality]
        hit.append(any(one.decision == "regressed" for one in decide(asked)[first]))
    return np.array(hit)


# --- what became of a figure ------------------------------------------------------------------------------------------

LENGTHS = (10, 30, 100)


def histories(draws: int) -> None:
    """Changes named where there are none."""
    heading("Histories without a change that name one")
    table_head("law, series at once", [f"{runs} runs" for runs in LENGTHS])
    rng = np.random.default_rng(11)
    for law in LAWS[:5]:
        row(f"{law.name}, 1", [share(named(rng, law, runs, 1, draws)) for runs in LENGTHS])
    few = draws // 4
    row("normal, 20", [share(named(rng, LAWS[0], runs, METRICS, few)) for runs in LENGTHS])
    row("normal, 20, correlated .8", [share(named(rng, LAWS[0], runs, METRICS, few, shared=0.8)) for runs in LENGTHS])
    row("lognormal, 20", [share(named(rng, LAWS[1], runs, METRICS, few)) for runs in LENGTHS])
    drifting = [share(named(rng, LAWS[0], runs, 1, draws, follows=0.3)) for runs in LENGTHS]
    row("normal, 1, each run follows the one before by .3 (not kept)", drifting)


def steps(draws: int) -> None:
    """Changes found in one of 20 series: where it steps by so much."""
    heading("One of 20 series has a change: it is found, placed within a run of it, and more than one is named")
    table_head("change, how many runs after it", [f"{runs} runs" for runs in LENGTHS])
    rng = np.random.default_rng(12)
    for size in (1, 2, 3, 5):
        for name, where in (("half of them", lambda n: n // 2), ("the last five", lambda n: n - 5)):
            by_length = [found_steps(rng, runs, where(runs), size, max(50, draws // 10)) for runs in LENGTHS]
            row(f"{size} standard deviation{'s' if size > 1 else ''}, {name}", [told_steps(one) for one in by_length])


def named(
    rng: np.random.Generator,
    law: Law,
    runs: int,
    series: int,
    draws: int,
    shared: float = 0.0,
    follows: float = 0.0,
) -> NDArray[np.bool_]:
    """Whether any change is named: of histories in which a run's noise is shared among series, or outlasts the run."""
    found = []
    for _ in range(draws):
        noise = rng.standard_normal((runs, series))
        noise = np.sqrt(shared) * rng.standard_normal((runs, 1)) + np.sqrt(1 - shared) * noise
        for later in range(1, runs if follows else 0):
            noise[later] = follows * noise[later - 1] + np.sqrt(1 - follows**2) * noise[later]
        found.append(changed_p_values(law.make(np.zeros_like(noise), noise)).min() < SIGNIFICANCE)
    return np.array(found)


def found_steps(
    rng: np.random.Generator, runs: int, at: int, size: float, draws: int
) -> list[tuple[int, tuple[Change, ...]]]:
    found = []
    for _ in range(draws):
        table = rng.standard_normal((runs, METRICS))
        table[at:, 0] += size
        found.append((at, changes(table)[0]))
    return found


def told_steps(found: Sequence[tuple[int, tuple[Change, ...]]]) -> str:
    any_named = np.array([bool(named) for _, named in found])
    placed = np.array([any(abs(one.at - at) <= 1 for one in named) for at, named in found])
    several = np.array([len(named) > 1 for _, named in found])
    return f"{share(any_named)}, {share(placed)}, {share(several)}"


# --- how long it takes ------------------------------------------------------------------------------------------------


def speed(draws: int) -> None:
    """The largest comparison: 300 models, 20 metrics, 1,000 prompts."""
    del draws
    heading("300 models x 20 metrics x 1,000 prompts, one thread")
    table_head("what", ["CPU s"])
    columns = np.random.default_rng(9).normal(0, 1, (1_000, 6_000))
    merits = np.random.default_rng(10).normal(0, 1, (300, 1_000))
    for name, function in {
        "sign-flip p-values of 6,000 pairs": lambda: sign_flip_p_values(columns),
        "sign-flip intervals of 6,000 pairs": lambda: sign_flip_intervals(columns),
        "both at once, as a comparison asks": lambda: sign_flips(columns),
        "intervals of 6,000 means": lambda: mean_intervals(columns),
        "p-values of 6,000 means": lambda: mean_p_values(columns),
        "Holm over 6,000": lambda: holm(np.linspace(0, 1, 6_000).tolist()),
        "300 models beside the best": lambda: p_values_against_best(merits),
        "evidence after each prompt, 6,000 pairs": lambda: symmetric_e_values(columns),
    }.items():
        started = time.process_time()
        function()
        row(name, [f"{time.process_time() - started:.1f}"])


# --- tables -----------------------------------------------------------------------------------------------------------


def in_turns(draws: int, at_once: int = 100) -> Iterator[int]:
    """How many gates at a time, so that memory stays small."""
    for start in range(0, draws, at_once):
        yield min(at_once, draws - start)


def share(found: NDArray[np.bool_]) -> str:
    return f"{100 * found.mean():.1f}" if found.size else "–"


def heading(text: str) -> None:
    print(f"**{text}**\n")


def table_head(first: str, columns: Sequence[str]) -> None:
    print(f"| {first} | {' | '.join(columns)} |")
    print(f"|---|{'---|' * len(columns)}")


def row(first: str, cells: Sequence[str]) -> None:
    print(f"| {first} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
