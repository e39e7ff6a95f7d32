"""What a gate forbids: how much worse which metric of which model may get.

`clip_similarity:-2%`, `latency:+10%&0.5s` (more than either), `vbench.*:-0.01`, `latency@wan*:+20%`. The last rule that
names a metric and a model counts, so what is special stands behind what is general.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_vdb.analysis.readings import definitions_in
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.records import Baseline, Kind

Sign = Literal["-", "+", ""]

EVERY = "*"
FLOORS: Mapping[str, float] = {"s": 0.005, "MiB": 4.0, "J": 1.0}
"""A cost that got worse by less alarms nobody, whatever share of it that is: by unit, where the rule says no other."""

_MARGIN = re.compile(
    r"(?P<sign>[+\-−±]?)\s*(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|[A-Za-z][\w/]*)?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much worse a metric may get."""

    metric: str
    """A name or a glob."""
    model: str = EVERY
    """Likewise."""
    relative: float | None = None
    """>= 0, a share of the baseline's mean."""
    absolute: float | None = None
    """>= 0, in the metric's unit. Where both are given, worse by more than both is forbidden."""
    unit: str | None = None
    """Of `absolute`, where it was written; it must be the metric's own."""
    sign: Sign = ""
    """Which way is worse, as the user wrote it; it must agree with the metric's own direction."""

    def __str__(self) -> str:
        return f"{self.subject}:{self.allowance}"

    @property
    def subject(self) -> str:
        """`latency`, `latency@wan*`."""
        return self.metric if self.model == EVERY else f"{self.metric}@{self.model}"

    @property
    def allowance(self) -> str:
        """`-2%`, `+0.1`, `+10%&0.5s`."""
        parts = [f"{self.relative * 100:g}%"] if self.relative is not None else []
        if self.absolute is not None:
            parts.append(f"{self.absolute:g}{self.unit or ''}")
        return self.sign + "&".join(parts)

    def covers(self, metric: str, model: str) -> bool:
        """Whether it speaks of this metric of this model."""
        return fnmatch.fnmatchcase(metric, self.metric) and fnmatch.fnmatchcase(model, self.model)

    def margin(self, baseline: float, *, kind: Kind, unit: str) -> float:
        """How much worse it may get, in the metric's unit.

        Args:
            baseline: what it was.
            kind, unit: of the metric. A cost has a floor, unless the rule has an absolute limit of its own.
        """
        floor = FLOORS.get(unit, 0.0) if kind == "performance" else 0.0
        least = floor if self.absolute is None else self.absolute
        return max((self.relative or 0.0) * abs(baseline), least)


def parse_rules(rules: str | Mapping[str, str], *, where: str = "--vdb-fail-on") -> tuple[Rule, ...]:
    """`clip_similarity:-2%,latency@wan*:+10%&0.5s` or `{"clip_similarity": "-2%"}` -> rules.

    The figure is how much worse the mean may get: with `%` relative to the baseline's, else in the metric's unit. The
    sign shows which way is worse and may be left out: the metric knows.

    Raises:
        OptionError: a rule that is no `METRIC:MARGIN`.
    """
    if isinstance(rules, str):
        parts = [part.strip() for part in re.split(r"[,\n]", rules) if part.strip()]
        return tuple(_rule(*_split_rule(part, where), where) for part in parts)
    return tuple(_rule(subject.strip(), str(margin).strip(), where) for subject, margin in rules.items())


def rule_for(rules: Sequence[Rule], metric: str, model: str) -> Rule | None:
    """The one that counts: the last that names both."""
    return next((rule for rule in reversed(rules) if rule.covers(metric, model)), None)


def check_names(rules: Sequence[Rule], baseline: Baseline, *, where: str = "--vdb-fail-on") -> None:
    """Whether the baseline knows every metric and model that a rule names: what was never measured, nobody compares.

    Raises:
        UnknownName: with the names that it has.
    """
    metrics = dict.fromkeys(one.name for one in definitions_in(baseline.records))
    models = dict.fromkeys(record.model for record in baseline.records)
    for rule in rules:
        for what, asked, known in (("metric", rule.metric, metrics), ("model", rule.model, models)):
            if asked != EVERY and not fnmatch.filter(known, asked):
                has = ", ".join(sorted(known)) or "nothing"
                verb = "measured" if what == "metric" else "has the models"
                raise UnknownName(
                    what, asked, known, where=where, mend=f"The baseline {baseline.run.id} {verb}: {has}."
                )


def known_metrics(rule: Rule, names: Iterable[str]) -> list[str]:
    """Those of the names that a rule speaks of, sorted."""
    return sorted(fnmatch.filter(set(names), rule.metric))


def _split_rule(part: str, where: str) -> tuple[str, str]:
    subject, colon, margin = part.rpartition(":")
    if not colon or not subject.strip():
        raise OptionError(
            f"{part!r} is no rule", where=where, mend="write METRIC:MARGIN, e.g. clip_similarity:-2% or latency:+10%"
        )
    return subject.strip(), margin.strip()


def _rule(subject: str, margins: str, where: str) -> Rule:
    metric, _, model = (part.strip() for part in subject.partition("@"))
    rule = Rule(metric=metric, model=model or EVERY)
    for margin in margins.split("&"):
        rule = _with_margin(rule, margin.strip(), f"{margins!r} is no margin for {subject!r}", where)
    return rule


def _with_margin(rule: Rule, margin: str, complaint: str, where: str) -> Rule:
    match = _MARGIN.fullmatch(margin)
    if match is None or not rule.metric:
        raise _no_margin(complaint, where)
    sign: Sign = {"-": "-", "−": "-", "+": "+"}.get(match["sign"], "")  # type: ignore[assignment]
    if sign and rule.sign and sign != rule.sign:
        raise _no_margin(complaint, where)
    rule = replace(rule, sign=sign or rule.sign)
    number = float(match["number"])
    if match["unit"] == "%" and rule.relative is None:
        return replace(rule, relative=number / 100)
    if match["unit"] != "%" and rule.absolute is None:
        return replace(rule, absolute=number, unit=match["unit"])
    raise _no_margin(complaint, where)


def _no_margin(complaint: str, where: str) -> OptionError:
    mend = "write a percentage or a figure in the metric's unit, or both, e.g. -2%, +10%, -0.02 or +10%&0.5s"
    return OptionError(complaint, where=where, mend=mend)
