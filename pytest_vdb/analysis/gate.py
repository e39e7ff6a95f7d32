"""The gate: whether a run is worse than its baseline by more than was allowed, or cannot be compared with it at all.

Compared is what two runs share: the same benchmark, model, weights and recipe, on the same (prompt, seed) pairs. What
is missing, crashed or not comparable fails like a regression does, and says so: silence is no pass. What both runs have
is decided for all rules together, so that any false alarm in a whole run is rare (`decisions`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Literal

from pytest_vdb.analysis.benchmarks import placed_together
from pytest_vdb.analysis.decisions import (
    LEVEL_OF_BETS,
    Evidence,
    Judgement,
    decide,
    evidence_of_blocks,
    evidence_of_cost,
)
from pytest_vdb.analysis.identity import agree, latest, other_recipe, setup_of
from pytest_vdb.analysis.pinned import ranks_of, spared
from pytest_vdb.analysis.readings import EXACT_COSTS, is_of_set, is_yardstick
from pytest_vdb.analysis.rules import Rule, known_metrics, rule_for
from pytest_vdb.analysis.sets_in_gates import ClipsOfBoth, clips_of_both
from pytest_vdb.analysis.sides import Sides, Turns, family_size, grouped, measuring
from pytest_vdb.analysis.swept import apart
from pytest_vdb.errors import near_misses
from pytest_vdb.figures import figure_alone, notation
from pytest_vdb.records import Baseline, Measurement, PairKey, Record, Run, WeightsMode
from pytest_vdb.statistics.means import mean_of
from pytest_vdb.statistics.sessions import Ratio, ratio_of_blocks

if TYPE_CHECKING:
    from pytest_vdb.analysis.answers import Answer, Answers, Compared
    from pytest_vdb.analysis.paired_sets import SetsOfRuns

Outcome = Literal["regressed", "improved", "equivalent", "inconclusive", "missing", "incomparable"]
"""`regressed`: surely worse by more than the margin; `equivalent`: surely worse by less than it, or the same;
`inconclusive`: the prompts or sessions at hand cannot tell."""

EXIT_CODES: Mapping[Outcome, int] = {"regressed": 1, "missing": 12, "incomparable": 13, "inconclusive": 14}
"""What a gate ends with, the worst first: a regression, nothing measured, not to be compared; where the user is strict,
not to be told. Above what pytest ends with for reasons of its own."""
EVERY_MODEL = "every model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says of one metric of one model."""

    benchmark: str | None
    model: str
    metric: str
    rule: str
    outcome: Outcome
    reason: str
    """One line with the figures."""
    baseline_mean: float | None = None
    """Over the prompts that are compared; of costs the median of sessions or blocks."""
    mean: float | None = None
    n: int = 0
    """Prompts that were compared; of sets and costs 1, of costs that were measured in turns the blocks of a side."""
    margin: float | None = None
    """How much worse it may get, in the metric's unit."""
    p: float | None = None
    """Of "worse by no more than the margin", corrected for all rules of the run."""
    needed: int | None = None
    """Prompts, or blocks, that would decide what is inconclusive: an estimate."""
    planned: int | None = None
    """Prompts that there were to compare where the gate was allowed to stop early; `n` of them were needed."""
    e_value: float | None = None
    """Of a gate that was allowed to stop early: what a stake of 1 has become at most by betting on the verdict."""
    level: float | None = None
    """Likewise: how often any of the run's rules would say `regressed` wrongly, whenever the run is stopped."""
    ratio: float | None = None
    """Of costs that were measured in turns: how many times as much it costs now."""
    ratio_interval: tuple[float, float] | None = None
    """95%, of this figure alone."""

    def fails(self, *, strict: bool = False) -> bool:
        """Whether the gate must not pass: what is inconclusive passes, unless the user is strict."""
        return self.outcome in EXIT_CODES and (strict or self.outcome != "inconclusive")


@dataclass(frozen=True, slots=True)
class Open:
    """A verdict that waits for its judgement."""

    verdict: Verdict
    evidence: Evidence
    figures: str
    lacking: str | None
    """What the baseline has and this run lacks: no pass, whatever the rest says."""


def judge(
    records: Iterable[Record],
    run: Run,
    baseline: Baseline,
    rules: Sequence[Rule],
    *,
    sets: Callable[[], SetsOfRuns] | None = None,
) -> tuple[Verdict, ...]:
    """One verdict per metric that a rule names and per benchmark and model that measures it, now or in the baseline.

    Args:
        records: of the run that is judged; a later record of a test supersedes an earlier one.
        run: that run.
        baseline: what it is compared with, and the sessions before it.
        rules: from `parse_rules`.
        sets: what the networks saw in both runs' clips; None: set metrics have the bars of either side alone.
    """
    found = replace(baseline, records=tuple(latest(baseline.records)))
    return judge_latest(latest(records), run, found, rules, sets=sets)


def judge_latest(
    records: Iterable[Record],
    run: Run,
    baseline: Baseline,
    rules: Sequence[Rule],
    turns: Turns = (),
    *,
    sets: Callable[[], SetsOfRuns] | None = None,
) -> tuple[Verdict, ...]:
    """The same of records none of which supersedes another.

    Args:
        turns: where both sides are the runs of blocks; `run` and that of the baseline are then any of them.
    """
    now, before = map(grouped, apart(*placed_together(records, baseline.records)))
    ranks = ranks_of(run, baseline.run)
    left_out = {key: spared(own, ranks) for key, own in now.items()}
    sides = Sides(now, before, run, baseline, ranks, left_out, turns, sets)
    questions = _questions(rules, sides)
    answers = _judged_by_model([one for one in questions if isinstance(one, Asked)], sides)
    found = [one for asked in questions for one in (answers[asked] if isinstance(asked, Asked) else [asked])]
    opened = [one for one in found if isinstance(one, Open)]
    bets_among = family_size(rules, sides) if ranks else None
    judged = iter(decide([one.evidence for one in opened], bets_among=bets_among))
    return tuple(_closed(one, next(judged), baseline) if isinstance(one, Open) else one for one in found)


def _questions(rules: Sequence[Rule], sides: Sides) -> list[Asked | Verdict]:
    """What the rules ask, in their order; or that nobody measured what one asks for."""
    measured = sides.metrics
    found: list[Asked | Verdict] = []
    for rule in rules:
        names = known_metrics(rule, measured)
        if not names:
            found.append(_verdict_on_unknown(rule, measured))
        for metric in names:
            benchmarks = measuring(metric, sides.now, sides.before)
            for key in sorted(set(sides.now) | set(sides.before)):
                if key[0] in benchmarks and rule_for(rules, metric, key[1]) is rule:
                    found.append(Asked(rule, metric, key))
    return found


def _judged_by_model(questions: Iterable[Asked], sides: Sides) -> dict[Asked, list[Verdict | Open]]:
    """All that is asked of one model together: its records are put in order once."""
    by_key: dict[tuple[str | None, str], list[Asked]] = defaultdict(list)
    for asked in questions:
        by_key[asked.key].append(asked)
    return {asked: found for own in by_key.values() for asked, found in zip(own, judge_model(own, sides), strict=True)}


def exit_code(verdicts: Sequence[Verdict], *, strict: bool = False) -> int:
    """That of the worst verdict; 0 where all pass."""
    failing = {verdict.outcome for verdict in verdicts if verdict.fails(strict=strict)}
    return next((code for outcome, code in EXIT_CODES.items() if outcome in failing), 0)


_Variant = tuple[WeightsMode | None, str | None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule asks of one model in one benchmark."""

    rule: Rule
    metric: str
    key: tuple[str | None, str]

    def verdict(self, outcome: Outcome, reason: str) -> Verdict:
        """Without figures."""
        benchmark, model = self.key
        told = f"{self.metric} of {model}: {reason}" if model != EVERY_MODEL else reason
        return Verdict(
            benchmark=benchmark, model=model, metric=self.metric, rule=str(self.rule), outcome=outcome, reason=told
        )


def _verdict_on_unknown(rule: Rule, known: set[str]) -> Verdict:
    near = near_misses(rule.metric, known)
    meant = f"; did you mean {' or '.join(map(repr, near))}?"
    hint = meant if near else f" (measured: {', '.join(sorted(known)) or 'nothing'})"
    return Asked(rule, rule.metric, (None, EVERY_MODEL)).verdict("missing", f"no test measured {rule.metric!r}{hint}")


def judge_model(questions: Sequence[Asked], sides: Sides) -> list[list[Verdict | Open]]:
    """On one model in one benchmark; on each question one, or one per recipe if it was run with several.

    Args:
        questions: at least one, all of the same model and benchmark.
        sides: both runs.
    """
    from pytest_vdb.analysis.answers import Answers

    key = questions[0].key
    now, before = sides.now.get(key, []), sides.before.get(key, [])  # type: ignore[arg-type]
    this, other = sides.names
    if not before:
        return [[asked.verdict("missing", f"not in {other}{sides.mend}")] for asked in questions]
    if not now:
        return [[asked.verdict("missing", f"in {other}, but not in {this}")] for asked in questions]
    known = _variants(before)
    ran = _variants(now, known)
    both = [
        (Answers(ran[variant], sides.ranks), Answers(own, sides.ranks))
        for variant, own in known.items()
        if variant in ran
    ]
    barriers = _recipes_of_one_side(ran, known, sides)
    return [
        [*(_on_pairs(asked, *answers, sides) for answers in both), *(asked.verdict(*why) for why in barriers)]
        for asked in questions
    ]


def _recipes_of_one_side(
    ran: Mapping[_Variant, Sequence[Record]], known: Mapping[_Variant, Sequence[Record]], sides: Sides
) -> list[tuple[Outcome, str]]:
    """What is to be said of recipes that the other side was not run with."""
    this, other = sides.names
    lost = [variant for variant in known if variant not in ran]
    new = [variant for variant in ran if variant not in known]
    found: list[tuple[Outcome, str]] = []
    for variant in lost:
        if new:
            difference = other_recipe(known[variant][0], ran[new[0]][0])
            found.append(("incomparable", f"the baseline has {difference}"))
        else:
            what = f"recipe {variant[1]} with {variant[0]} weights is in {other}, but not in {this}"
            found.append(("missing", what))
    for variant in new if not lost else ():
        what = f"recipe {variant[1]} with {variant[0]} weights is not in {other}{sides.mend}"
        found.append(("missing", what))
    return found


def _variants(records: Sequence[Record], known: Iterable[_Variant] = ()) -> dict[_Variant, list[Record]]:
    """By weights and recipe. A test that died before it knew them counts in each that it may have belonged to."""
    variants: dict[_Variant, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda record: (record.weights, record.recipe_digest).count(None)):
        own = record.weights, record.recipe_digest
        homes = [own]
        if None in own:
            every = dict.fromkeys((*variants, *known))
            homes = [v for v in every if all(a in {b, None} for a, b in zip(own, v, strict=True))] or [own]
        for home in homes:
            variants[home].append(record)
    return dict(variants)


def _on_pairs(asked: Asked, now: Answers, before: Answers, sides: Sides) -> Verdict | Open:
    """Compare what both sides measured on the same (prompt, seed) pairs, as far as these were needed."""
    left_out = sides.left_out_of(asked.key)
    known, ran = before.of(asked.metric), now.of(asked.metric)
    if known.is_read_once or ran.is_read_once:
        known, ran = known.as_one(), ran.as_one()
    runs_before, runs_now = ([turn[side] for turn in sides.turns] for side in (0, 1))
    planned = known.answered(runs_before)
    expected = [pair for pair in planned if pair[0] not in left_out]
    if not planned:
        # A yardstick that the metric cannot judge (the flicker of a frozen clip) is no model that escapes its gate.
        unjudged = is_yardstick(asked.key[1]) and not ran.means
        why = f"the baseline has no value ({_why_missing(known, known.places)})"
        return asked.verdict("inconclusive" if unjudged else "missing", why)
    having = set(ran.answered(runs_now)).intersection(expected)
    if not having:
        return asked.verdict("missing", _none_left(expected, ran))
    shared = [pair for pair in known.order if pair in having]
    old, new = known.over(shared), ran.over(shared)
    if barrier := _barrier(asked.rule, asked.metric, old, new):
        return asked.verdict("incomparable", barrier)
    pairs = {pair: (known.means[pair], ran.means[pair]) for pair in shared}
    lacking = None
    if gone := set(expected).difference(shared):
        why = _why_missing(ran, (near for pair in sorted(gone, key=str) for near in ran.near(pair)))
        have = "has" if len(gone) == 1 else "have"
        lacking = f"{len(gone)} of the baseline's {_counted_pairs(expected)} {have} no value now ({why})"
    of_set = None
    if all(map(is_of_set, new.records)):
        unchanged = not any(one != other for one, other in pairs.values())
        of_set = clips_of_both(
            asked.metric,
            before.records,
            now.records,
            shared,
            sides.sets,
            version=new.first.version,
            unchanged=unchanged,
        )
    plan = None
    if sides.ranks:
        usual = mean_of([known.means[pair] for pair in planned])
        plan = Plan(len({pair[0] for pair in planned}), usual, cut_short=len(expected) != len(planned))
    sessions = _Sessions((), ())
    if new.first.kind == "performance":
        alike = [record for record in before.records if record.prompt not in left_out]
        sessions = _sessions_of_cost(asked, known, ran, shared, alike, sides)
    remarks = _remarks(old.records, new.records)
    if of_set is not None and of_set.change is not None:
        pairs = {shared[0]: of_set.change.values}
    measured = old.first, new.first
    return _awaiting(asked, pairs, measured, sessions, of_set=of_set, remarks=remarks, lacking=lacking, plan=plan)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a gate that may stop early set out to compare."""

    prompts: int
    """Of the baseline, that have a value there."""
    usual: float
    """The baseline's mean over all of them: margins do not move with the prompts that are seen."""
    cut_short: bool
    """Whether it stopped before the last of them, or has not come so far yet."""


@dataclass(frozen=True, slots=True)
class _Sessions:
    """The medians of a cost in sessions: of one and of those before it, or of both sides' blocks in turns."""

    before: Sequence[float]
    """The baseline's first, then of those before it, the newest first."""
    now: Sequence[float]
    in_turns: bool = False

    @property
    def ratio(self) -> Ratio | None:
        """How many times as much it costs now, where they ran in turns."""
        return ratio_of_blocks(self.before, self.now) if self.in_turns else None

    @property
    def in_words(self) -> str:
        """How many there are."""
        if self.in_turns:
            return f" over {len(self.now)} block{'' if len(self.now) == 1 else 's'}"
        return f" after {len(self.before)} sessions" if len(self.before) > 1 else ""

    def evidence(self, before: float, now: float, margin: float, *, falls: bool, exact: bool) -> Evidence:
        """What they show of a cost whose medians these are."""
        if (ratio := self.ratio) is not None:
            return evidence_of_blocks(ratio, before, now, margin=margin, lower_is_better=falls, exact=exact)
        return evidence_of_cost(now, self.before, margin=margin, lower_is_better=falls, exact=exact)


def _sessions_of_cost(
    asked: Asked, known: Answer, ran: Answer, shared: Sequence[PairKey], alike: Sequence[Record], sides: Sides
) -> _Sessions:
    """`alike`: the baseline's records, as which earlier sessions measured it."""
    if sides.turns:
        before, now = zip(*sides.turns, strict=True)
        medians = [
            [_median_of(side.means_in(run), shared) for run in runs] for side, runs in ((known, before), (ran, now))
        ]
        return _Sessions(medians[0], medians[1], in_turns=True)
    earlier = _earlier(asked, alike, sides)
    return _Sessions([_median_of(known.means, shared), *earlier], [_median_of(ran.means, shared)])


def _median_of(means: Mapping[PairKey, float], pairs: Sequence[PairKey]) -> float:
    return float(median([means[pair] for pair in pairs]))


def _why_missing(side: Answer, pairs: Iterable[PairKey]) -> str:
    """The first reason for a missing value, and how many differ from it."""
    reasons: dict[str, int] = {}
    for statement in (one for one in side.statements(pairs) if one.value is None):
        untried = statement.measurement is None and statement.record.status == "passed"
        reason = "not measured" if untried else statement.why_not
        reasons[reason] = reasons.get(reason, 0) + 1
    if not reasons:
        return "not run with the same prompts and seeds"
    first = max(reasons, key=lambda reason: reasons[reason])
    return first + (f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else "")


def _none_left(expected: Collection[PairKey], ran: Answer) -> str:
    again = [near for pair in sorted(expected, key=str) for near in ran.near(pair)]
    if not again:
        return f"none of the baseline's {_counted_pairs(expected)} was run now: other prompts or another --vdb-seed"
    return f"no value now ({_why_missing(ran, again)})"


def _barrier(rule: Rule, metric: str, old: Compared, new: Compared) -> str | None:
    """Why the values of both sides cannot be compared, or None if they can."""
    for what, of in (("version", "version"), ("unit", "unit"), ("direction", "better")):
        a, b = ({getattr(definition, of) for definition in side.definitions} for side in (old, new))
        if a != b or len(a) > 1:
            return f"the metric's {what} is {_listed(b)}, in the baseline {_listed(a)}"
    if any(definition.wiring for definition in (*old.definitions, *new.definitions)):
        return "computed by tiny random networks: proof of the wiring, nothing to compare"
    one = new.first
    if one.kind == "performance":
        a, b = ({record.hardware for record in side.counting} for side in (old, new))
        if a != b or len(a) > 1:
            return f"measured on {_listed(b)}, the baseline on {_listed(a)}"
    if changed := _changed_prompt(old.counting, new.counting):
        return f"prompt {changed!r} has another text than in the baseline"
    wrong = {"higher": "+", "lower": "-"}.get(one.better)
    if rule.sign and rule.sign == wrong:
        mend = f"{rule.subject}:{'-' if wrong == '+' else '+'}{rule.allowance[1:]}"
        return f"{one.better} of {metric} is better, so {rule} would forbid an improvement; write {mend}"
    if rule.unit is not None and rule.unit != one.unit:
        return f"{metric} is in {one.unit}, not in {rule.unit} as {rule} has it"
    return None


def _changed_prompt(before: Sequence[Record], now: Sequence[Record]) -> str | None:
    texts = {record.prompt: record.prompt_text for record in before if record.prompt_text is not None}
    for record in now:
        if record.prompt in texts and record.prompt_text not in {None, texts[record.prompt]}:
            return record.prompt
    return None


def _awaiting(
    asked: Asked,
    pairs: Mapping[PairKey, tuple[float, float]],
    measured: tuple[Measurement, Measurement],
    sessions: _Sessions,
    *,
    of_set: ClipsOfBoth | None,
    remarks: str,
    lacking: str | None,
    plan: Plan | None,
) -> Verdict | Open:
    """What waits for its judgement, or a margin that means nothing.

    Args:
        pairs: the baseline's and this run's mean of each.
        measured: one measurement of either side.
    """
    one, rule = measured[1], asked.rule
    is_cost = one.kind == "performance"
    if is_cost:
        before, now = float(median(sessions.before)), float(median(sessions.now))
    else:
        before, now = (mean_of([pair[side] for pair in pairs.values()]) for side in (0, 1))
    usual = before if plan is None or is_cost else plan.usual
    if rule.relative is not None and rule.absolute is None and usual == 0 != now:
        return asked.verdict(
            "incomparable", f"{rule.allowance} of the baseline's mean, 0, is nothing; give an absolute margin"
        )
    if not all(abs(new - old) < _LARGEST_CHANGE for old, new in pairs.values()):
        return asked.verdict("incomparable", "the values differ by more than can be computed with")
    margin = rule.margin(usual, kind=one.kind, unit=one.unit) + _SLACK * max(abs(before), abs(now))
    either = one.better == "neutral" and not rule.sign
    if is_cost:
        falls = _worsening(one.better, rule.sign, 1.0) > 0
        evidence = sessions.evidence(before, now, margin, falls=falls, exact=one.name in EXACT_COSTS)
    elif of_set is not None:
        worse = _worsening(one.better, rule.sign, now - before)
        evidence = of_set.evidence(worse, margin, *(side.interval for side in measured), either=either)
    else:
        by_prompt = _by_prompt(pairs, one.better, rule.sign)
        cut_short = plan is not None and plan.cut_short
        evidence = Evidence(way="prompts", margin=margin, worse=by_prompt, either=either, cut_short=cut_short)
    ratio = sessions.ratio if is_cost else None
    n = ratio.blocks if ratio else 1 if is_cost or of_set else len(evidence.worse)
    verdict = replace(asked.verdict("inconclusive", ""), baseline_mean=before, mean=now, n=n, margin=margin)
    if plan is not None and evidence.way == "prompts":
        verdict = replace(verdict, planned=plan.prompts, level=LEVEL_OF_BETS)
    if ratio is not None:
        verdict = replace(verdict, ratio=ratio.ratio, ratio_interval=ratio.interval.ends)
    counted = sessions.in_words if is_cost else of_set.in_words if of_set and not evidence.unchanged else ""
    if evidence.way == "prompts" or (is_cost and plan is not None and plan.cut_short):
        counted = f" over {_counted_prompts(len({pair[0] for pair in pairs}), plan)}{counted}"
    figures = _figures(asked, before, now, one, margin, ratio) + counted + remarks
    return Open(verdict, evidence, figures, lacking)


_SLACK = 1e-12
"""What rounding alone may add to a change of exactly the margin, as a share of the figures."""


_LARGEST_CHANGE = 1e100
"""Larger ones cannot be squared; no metric means them."""


def _closed(one: Open, judgement: Judgement, baseline: Baseline) -> Verdict:
    words = one.figures
    outcome: Outcome = judgement.decision
    if judgement.e_value is not None and outcome != "inconclusive":
        words += f"; e-value {worth(judgement.e_value)}"
    if outcome == "inconclusive":
        words += f"; {_undecided(one.evidence, judgement, baseline)}"
    if one.lacking is not None:
        outcome = outcome if outcome == "regressed" else "missing"
        words = f"{one.lacking}; the others: {words}"
    reason = f"{one.verdict.metric} of {one.verdict.model}: {words}"
    e_value = judgement.e_value
    return replace(one.verdict, outcome=outcome, reason=reason, p=judgement.p, needed=judgement.needed, e_value=e_value)


def _undecided(evidence: Evidence, judgement: Judgement, baseline: Baseline) -> str:
    """Why nobody can tell, and what would."""
    if judgement.remark:
        return judgement.remark
    if evidence.way == "costs":
        in_turns = f"vdb ab --ref {(baseline.run.environment.git_commit or 'REF')[:10]}"
        if evidence.degrees is None:
            why = "so few earlier sessions cannot tell a slower model from a slower night"
            return f"{why}: run both in turns ({in_turns}), or give --vdb-baseline=history:10"
        return f"within what earlier sessions differ by: run both in turns ({in_turns})"
    if judgement.needed is None:
        return "too close to the margin to tell"
    if evidence.way == "blocks":
        return f"too few to tell at this noise; about {judgement.needed} blocks would (--blocks {judgement.needed})"
    return f"too few to tell; about {judgement.needed:,} prompts would"


def _by_prompt(pairs: Mapping[PairKey, tuple[float, float]], better: str, sign: str) -> dict[str | None, float]:
    """How much worse each prompt's mean is: several samples of one prompt are one."""
    prompts = [prompt for prompt, _, _ in pairs]
    worse = [_worsening(better, sign, new - old) for old, new in pairs.values()]
    if len(set(prompts)) == len(prompts):
        return dict(zip(prompts, worse, strict=True))
    by_prompt: dict[str | None, list[float]] = defaultdict(list)
    for prompt, change in zip(prompts, worse, strict=True):
        by_prompt[prompt].append(change)
    return {prompt: mean_of(values) for prompt, values in by_prompt.items()}


def _earlier(asked: Asked, alike: Sequence[Record], sides: Sides) -> list[float]:
    """The median of each session before the baseline that measured it in the same way on the same hardware."""
    from pytest_vdb.analysis.columns import Columns

    benchmark, model = asked.key
    left_out = sides.left_out_of(asked.key)
    function = (benchmark or "").rpartition("::")[2]
    setups = {setup_of(record) for record in alike}
    medians = []
    for session in sides.sessions:
        found = [
            record
            for record in session.get((function, model), ())
            if record.prompt not in left_out and any(agree(setup_of(record), setup) for setup in setups)
        ]
        if values := Columns(found).of(asked.metric).values:
            medians.append(float(median(values)))
    return medians


def _worsening(better: str, sign: str, change: float) -> float:
    """How much worse a change is. Of a neutral metric the rule's sign says what is worse; without one a rise is."""
    falls_badly = better == "higher" or (better == "neutral" and sign == "-")
    return -change if falls_badly else change


def _figures(asked: Asked, before: float, now: float, one: Measurement, margin: float, ratio: Ratio | None) -> str:
    rule = asked.rule
    difference, bar = now - before, ""
    if ratio is not None and ratio.ratio is not None:  # not of the medians, which may stem from blocks of other moods
        difference = before * (ratio.ratio - 1)
        if ratio.interval.ends is not None:
            bar = " [{}, {}]".format(*(_percent(end - 1) for end in ratio.interval.ends))
    change = (_percent(difference / abs(before)) if before else f"{difference:+.4g}") + bar
    absolute = "" if rule.absolute is None or not before else f", {difference:+.4g}"
    written = notation([before, now], apart=[(before, now)], significant=4).write
    floor = rule.margin(0.0, kind=one.kind, unit=one.unit)
    least = f", at least {floor:g} {one.unit}" if floor and rule.absolute is None and margin <= floor * 1.001 else ""
    return f"{written(before)} -> {written(now)} ({change}{absolute}; allowed {rule.allowance}{least})"


def _percent(share: float) -> str:
    """`+12.3%`, and of what one decimal would hide two digits: `-0.045%`."""
    small = 0 < abs(share) < 0.0005
    text = figure_alone(100 * share, significant=2) if small else f"{100 * share:.1f}"
    return f"{text if text.startswith('-') else f'+{text}'}%"


def _remarks(before: Sequence[Record], now: Sequence[Record]) -> str:
    """What does not forbid a comparison and should be known: another device under a quality metric, another suite."""
    old, new = ({record.hardware for record in side} for side in (before, now))
    remarks = f"; on {_listed(new)}, the baseline on {_listed(old)}" if old != new else ""
    old_suites, new_suites = ({record.suite_digest for record in side} for side in (before, now))
    return remarks + ("; the suite has changed" if old_suites != new_suites else "")


def _listed(values: Iterable[object]) -> str:
    return " and ".join(sorted(str(value) for value in values))


def _counted_prompts(n: int, plan: Plan | None) -> str:
    of = f" of {plan.prompts}" if plan is not None else ""
    return f"{n}{of} prompt{'' if f'{n}{of}' == '1' else 's'}"


def worth(e_value: float) -> str:
    """An e-value as it is told: `812`, `3.2`, `1e+12`."""
    return f"{e_value:.0f}" if 10 <= e_value < 1e6 else f"{e_value:.2g}"


def _counted_pairs(pairs: Collection[PairKey]) -> str:
    return f"{len(pairs)} (prompt, seed) pair{'' if len(pairs) == 1 else 's'}"
