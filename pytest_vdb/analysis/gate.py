"""The gate: whether a run is worse than its baseline by more than was allowed, or cannot be compared with it at all.

Compared is what two runs share: the same benchmark, model, weights and recipe, on the same (prompt, seed) pairs. What
is missing, crashed or not comparable fails like a regression does, and says so: silence is no pass.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vdb.analysis.benchmarks import placed_together
from pytest_vdb.analysis.identity import latest, other_recipe
from pytest_vdb.analysis.readings import Statement, counting, is_read_once, is_yardstick
from pytest_vdb.errors import OptionError, UnknownName, near_misses
from pytest_vdb.figures import notation
from pytest_vdb.records import Baseline, Record, Run, WeightsMode
from pytest_vdb.statistics.means import mean_of, t_interval

Outcome = Literal["regressed", "improved", "equivalent", "inconclusive", "missing", "incomparable"]
"""`equivalent`: the interval of the change lies within the margin; `inconclusive`: only the mean of the change does."""

FAILING: frozenset[Outcome] = frozenset({"regressed", "missing", "incomparable"})
EVERY_MODEL = "every model"

_RULE = re.compile(r"(?P<sign>[+\-−±]?)\s*(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<percent>%?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much worse a metric's mean may get."""

    metric: str
    margin: float
    """>= 0; a share of the baseline's mean if `relative`, else in the metric's unit."""
    relative: bool
    sign: Literal["-", "+", ""]
    """Which way is worse, as the user wrote it; it must agree with the metric's own direction."""

    def __str__(self) -> str:
        return f"{self.metric}:{self.allowance}"

    @property
    def allowance(self) -> str:
        """`-2%`, `+0.1`."""
        return f"{self.sign}{self.margin * 100:g}%" if self.relative else f"{self.sign}{self.margin:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule says of one model."""

    benchmark: str | None
    model: str
    metric: str
    rule: str
    outcome: Outcome
    reason: str
    """One line with the figures."""
    baseline_mean: float | None = None
    mean: float | None = None
    n: int = 0
    """Pairs that were compared."""

    @property
    def failed(self) -> bool:
        """Whether the gate must not pass."""
        return self.outcome in FAILING


def parse_rules(rules: str | Mapping[str, str], *, where: str = "--vdb-fail-on") -> tuple[Rule, ...]:
    """`clip_similarity:-2%,latency:+10%` or `{"clip_similarity": "-2%"}` -> rules.

    The figure is how much worse the mean may get: with `%` relative to the baseline's, else in the metric's unit. The
    sign shows which way is worse and may be left out: the metric knows.

    Raises:
        OptionError: a rule that is no `METRIC:MARGIN`.
    """
    if isinstance(rules, str):
        parts = [part.strip() for part in re.split(r"[,\n]", rules) if part.strip()]
        return tuple(_rule(*_split_rule(part, where), where) for part in parts)
    return tuple(_rule(metric.strip(), str(margin).strip(), where) for metric, margin in rules.items())


def check_names(rules: Sequence[Rule], baseline: Baseline, *, where: str = "--vdb-fail-on") -> None:
    """Whether the baseline knows every metric that a rule names: what it never measured can never be compared.

    Raises:
        UnknownName: with the names that it measured.
    """
    known = dict.fromkeys(m.name for record in baseline.records for m in record.measurements)
    for rule in rules:
        if rule.metric not in known:
            measured = ", ".join(sorted(known)) or "nothing"
            mend = f"The baseline {baseline.run.id} measured: {measured}."
            raise UnknownName("metric", rule.metric, known, where=where, mend=mend)


def judge(records: Iterable[Record], run: Run, baseline: Baseline, rules: Sequence[Rule]) -> tuple[Verdict, ...]:
    """One verdict per rule and per benchmark and model that measures its metric, or that measured it in the baseline.

    Args:
        records: of the run that is judged; a later record of a test supersedes an earlier one.
        run: that run.
        baseline: what it is compared with.
        rules: from `parse_rules`.
    """
    now, before = map(_grouped, placed_together(latest(records), latest(baseline.records)))
    verdicts: list[Verdict] = []
    for rule in rules:
        measuring = _measuring(rule.metric, now, before)
        if not measuring:
            verdicts.append(_verdict_on_unknown(rule, now, before))
        for key in sorted(set(now) | set(before)):
            if key[0] in measuring:
                verdicts += _judge_one(rule, key, now.get(key, []), before.get(key, []), (run.id, baseline.run.id))
    return tuple(verdicts)


_Key = tuple[str, str]
_Groups = dict[_Key, list[Record]]
_Variant = tuple[WeightsMode | None, str | None]


def _split_rule(part: str, where: str) -> tuple[str, str]:
    metric, colon, margin = part.rpartition(":")
    if not colon or not metric.strip():
        raise OptionError(
            f"{part!r} is no rule", where=where, mend="write METRIC:MARGIN, e.g. clip_similarity:-2% or latency:+10%"
        )
    return metric.strip(), margin.strip()


def _rule(metric: str, margin: str, where: str) -> Rule:
    match = _RULE.fullmatch(margin)
    if match is None or not metric:
        raise OptionError(
            f"{margin!r} is no margin for {metric!r}",
            where=where,
            mend="write a percentage or a figure in the metric's unit, e.g. -2%, +10% or -0.02",
        )
    sign: Literal["-", "+", ""] = "-" if match["sign"] in {"-", "−"} and match["sign"] else ""
    sign = "+" if match["sign"] == "+" else sign
    relative = bool(match["percent"])
    return Rule(metric=metric, margin=float(match["number"]) / (100 if relative else 1), relative=relative, sign=sign)


def _grouped(records: Iterable[Record]) -> _Groups:
    groups: _Groups = defaultdict(list)
    for record in records:
        groups[record.benchmark, record.model].append(record)
    return dict(groups)


def _measuring(metric: str, *sides: _Groups) -> set[str]:
    """The benchmarks whose tests measure it."""
    return {
        key[0]
        for side in sides
        for key, records in side.items()
        if any(record.measurement(metric) is not None for record in records)
    }


def _verdict_on_unknown(rule: Rule, *sides: _Groups) -> Verdict:
    known = {m.name for side in sides for records in side.values() for record in records for m in record.measurements}
    near = near_misses(rule.metric, known)
    meant = f"; did you mean {' or '.join(map(repr, near))}?"
    hint = meant if near else f" (measured: {', '.join(sorted(known)) or 'nothing'})"
    return _verdict(rule, (None, EVERY_MODEL), "missing", f"no test measured {rule.metric!r}{hint}")


def _verdict(
    rule: Rule, key: tuple[str | None, str], outcome: Outcome, reason: str, pairs: Sequence[tuple[float, float]] = ()
) -> Verdict:
    before, now = (mean_of([pair[side] for pair in pairs]) if pairs else None for side in (0, 1))
    return Verdict(
        benchmark=key[0],
        model=key[1],
        metric=rule.metric,
        rule=str(rule),
        outcome=outcome,
        reason=f"{rule.metric} of {key[1]}: {reason}" if key[1] != EVERY_MODEL else reason,
        baseline_mean=before,
        mean=now,
        n=len(pairs),
    )


def _judge_one(
    rule: Rule, key: _Key, now: Sequence[Record], before: Sequence[Record], runs: tuple[str, str]
) -> list[Verdict]:
    """The verdicts on one model in one benchmark: one, or one per recipe if it was run with several."""
    if not before:
        return [_verdict(rule, key, "missing", f"not in the baseline {runs[1]}; save a new one to include it")]
    if not now:
        return [_verdict(rule, key, "missing", f"in the baseline {runs[1]}, but not in this run ({runs[0]})")]
    known = _variants(before)
    ran = _variants(now, known)
    verdicts = [_verdict_on_pairs(rule, key, ran[variant], known[variant]) for variant in known if variant in ran]
    lost = [variant for variant in known if variant not in ran]
    new = [variant for variant in ran if variant not in known]
    for variant in lost:
        if new:
            difference = other_recipe(known[variant][0], ran[new[0]][0])
            verdicts.append(_verdict(rule, key, "incomparable", f"the baseline has {difference}"))
        else:
            what = f"recipe {variant[1]} with {variant[0]} weights is in the baseline, but not in this run"
            verdicts.append(_verdict(rule, key, "missing", what))
    for variant in new if not lost else ():
        what = f"recipe {variant[1]} with {variant[0]} weights is not in the baseline; save a new one to include it"
        verdicts.append(_verdict(rule, key, "missing", what))
    return verdicts


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


def _verdict_on_pairs(rule: Rule, key: _Key, now: Sequence[Record], before: Sequence[Record]) -> Verdict:
    """Compare what both sides measured on the same (prompt, seed) pairs."""
    sides = [[Statement.of(record, rule.metric) for record in side] for side in (before, now)]
    once = any(map(is_read_once, sides))
    known, ran = (_by_pair(side, once=once) for side in sides)
    expected = {pair for pair, statements in known.items() if _values(statements)}
    if not expected:
        # A yardstick that the metric cannot judge (the flicker of a frozen clip) is no model that escapes its gate.
        unjudged = is_yardstick(key[1]) and not any(map(_values, ran.values()))
        why = _why_missing(known.values())
        return _verdict(rule, key, "inconclusive" if unjudged else "missing", f"the baseline has no value ({why})")
    shared = sorted((pair for pair in expected if _values(ran.get(pair, ()))), key=str)
    if not shared:
        return _verdict(rule, key, "missing", _none_left(expected, ran))
    if barrier := _barrier(rule, [r for p in shared for r in known[p]], [r for p in shared for r in ran[p]]):
        return _verdict(rule, key, "incomparable", barrier)
    pairs = [(mean_of(_values(known[pair])), mean_of(_values(ran[pair]))) for pair in shared]
    directions = [r.measurement.better for pair in shared for r in ran[pair] if r.measurement is not None]
    outcome, words = _outcome(rule, directions[0], pairs)
    words += _remarks(known, ran, shared)
    if lacking := expected - set(shared):
        why = _why_missing(_near(ran, pair) for pair in sorted(lacking, key=str))
        have = "has" if len(lacking) == 1 else "have"
        gap = f"{len(lacking)} of the baseline's {_counted_pairs(expected)} {have} no value now"
        worst: Outcome = outcome if outcome == "regressed" else "missing"
        return _verdict(rule, key, worst, f"{gap} ({why}); the others: {words}", pairs)
    return _verdict(rule, key, outcome, words, pairs)


_Pair = tuple[str | None, int | None, tuple[tuple[str, str], ...]]


def _by_pair(statements: Iterable[Statement], *, once: bool) -> dict[_Pair, list[Statement]]:
    """`once`: what is read once per model has no pairs: all of it is one."""
    by_pair: dict[_Pair, list[Statement]] = defaultdict(list)
    for statement in statements:
        if not once:
            by_pair[statement.record.pair].append(statement)
        elif statement.measurement is not None:
            by_pair[None, None, ()].append(statement)
    return dict(by_pair)


def _values(statements: Iterable[Statement]) -> list[float]:
    return [statement.value for statement in statements if statement.value is not None]


def _why_missing(pairs: Iterable[Sequence[Statement]]) -> str:
    """The first reason for a missing value, and how many differ from it."""
    reasons: dict[str, int] = {}
    for statement in (statement for statements in pairs for statement in statements if statement.value is None):
        untried = statement.measurement is None and statement.record.status == "passed"
        reason = "not measured" if untried else statement.why_not
        reasons[reason] = reasons.get(reason, 0) + 1
    if not reasons:
        return "not run with the same prompts and seeds"
    first = max(reasons, key=lambda reason: reasons[reason])
    return first + (f", and {len(reasons) - 1} other reasons" if len(reasons) > 1 else "")


def _none_left(expected: set[_Pair], ran: Mapping[_Pair, Sequence[Statement]]) -> str:
    again = [near for pair in sorted(expected, key=str) if (near := _near(ran, pair))]
    if not again:
        return f"none of the baseline's {_counted_pairs(expected)} was run now: other prompts or another --vdb-seed"
    return f"no value now ({_why_missing(again)})"


def _near(ran: Mapping[_Pair, Sequence[Statement]], pair: _Pair) -> Sequence[Statement]:
    """What became of a pair. A test that died before it had its seed, or a model before any prompt, stands for it."""
    prompt, _, parameters = pair
    return ran.get(pair) or ran.get((prompt, None, parameters)) or ran.get((None, None, ())) or ()


def _barrier(rule: Rule, before: Sequence[Statement], now: Sequence[Statement]) -> str | None:
    """Why the values of both sides cannot be compared, or None if they can."""
    old, new = counting(before), counting(now)
    for what, of in (("version", "version"), ("unit", "unit"), ("direction", "better")):
        a, b = ({getattr(m, of) for _, m in side} for side in (old, new))
        if a != b or len(a) > 1:
            return f"the metric's {what} is {_listed(b)}, in the baseline {_listed(a)}"
    if any(m.wiring for _, m in (*old, *new)):
        return "computed by tiny random networks: proof of the wiring, nothing to compare"
    if new[0][1].kind == "performance":
        a, b = ({r.hardware for r, _ in side} for side in (old, new))
        if a != b or len(a) > 1:
            return f"measured on {_listed(b)}, the baseline on {_listed(a)}"
    if changed := _changed_prompt([r for r, _ in old], [r for r, _ in new]):
        return f"prompt {changed!r} has another text than in the baseline"
    better = new[0][1].better
    wrong = {"higher": "+", "lower": "-"}.get(better)
    if rule.sign and rule.sign == wrong:
        mend = f"{rule.metric}:{'-' if wrong == '+' else '+'}{rule.allowance[1:]}"
        return f"{better} is better, so {rule} would forbid an improvement; write {mend}"
    return None


def _changed_prompt(before: Sequence[Record], now: Sequence[Record]) -> str | None:
    texts = {record.prompt: record.prompt_text for record in before if record.prompt_text is not None}
    for record in now:
        if record.prompt in texts and record.prompt_text not in {None, texts[record.prompt]}:
            return record.prompt
    return None


def _outcome(rule: Rule, better: str, pairs: Sequence[tuple[float, float]]) -> tuple[Outcome, str]:
    before, now = mean_of([pair[0] for pair in pairs]), mean_of([pair[1] for pair in pairs])
    if rule.relative and before == 0:
        if now == 0:
            return "equivalent", _figures(rule, before, now, len(pairs))
        return "incomparable", f"{rule.allowance} of the baseline's mean, 0, is nothing; give an absolute margin"
    margin = rule.margin * abs(before) if rule.relative else rule.margin
    slack = 1e-12 * max(abs(before), abs(now))  # what rounding alone may add to a change of exactly the margin
    words = _figures(rule, before, now, len(pairs))
    worse = [_worsening(better, rule.sign, new - old) for old, new in pairs]
    mean = abs(now - before) if better == "neutral" and not rule.sign else mean_of(worse)
    if mean > margin + slack:
        return "regressed", words
    if mean < -margin - slack:
        return "improved", words
    interval = t_interval([new - old for old, new in pairs])
    ends = [_worsening(better, rule.sign, end) for end in interval or (math.inf, -math.inf)]
    sure = all(old == new for old, new in pairs) or max(ends) <= margin + slack
    return ("equivalent", words) if sure else ("inconclusive", f"{words}; too few to be sure that it is within")


def _worsening(better: str, sign: str, change: float) -> float:
    """How much worse a change is. Of a neutral metric the rule's sign says what is worse; without one both ways are."""
    if better == "neutral" and not sign:
        return abs(change)
    falls_badly = better == "higher" or (better == "neutral" and sign == "-")
    return -change if falls_badly else change


def _figures(rule: Rule, before: float, now: float, n: int) -> str:
    change = _percent((now - before) / abs(before)) if before else f"{now - before:+.4g}"
    absolute = "" if rule.relative or not before else f", {now - before:+.4g}"
    written = notation([before, now], apart=[(before, now)], significant=4).write
    pairs = f"{n} pair{'' if n == 1 else 's'}"
    return f"{written(before)} -> {written(now)} ({change}{absolute}; allowed {rule.allowance}) over {pairs}"


def _percent(share: float) -> str:
    """`+12.3%`, and of what one decimal would hide two digits: `-0.045%`."""
    small = 0 < abs(share) < 0.0005
    text = notation([100 * share], significant=2).write(100 * share) if small else f"{100 * share:.1f}"
    return f"{text if text.startswith('-') else f'+{text}'}%"


def _remarks(
    known: Mapping[_Pair, Sequence[Statement]], ran: Mapping[_Pair, Sequence[Statement]], shared: Sequence[_Pair]
) -> str:
    """What does not forbid a comparison and should be known: another device under a quality metric, another suite."""
    old, new = ({r.record.hardware for p in shared for r in side[p]} for side in (known, ran))
    remarks = f"; on {_listed(new)}, the baseline on {_listed(old)}" if old != new else ""
    old_suites, new_suites = ({r.record.suite_digest for p in shared for r in side[p]} for side in (known, ran))
    return remarks + ("; the suite has changed" if old_suites != new_suites else "")


def _listed(values: Iterable[object]) -> str:
    return " and ".join(sorted(str(value) for value in values))


def _counted_pairs(pairs: set[_Pair]) -> str:
    return f"{len(pairs)} (prompt, seed) pair{'' if len(pairs) == 1 else 's'}"
