"""What the parts yield: a check of ours against a second source, a figure and its goal, a model that was measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pytest_vdb.records import Measurement

Value: TypeAlias = float | str | None
EXCUSES = ("whole_gpu_shared",)
"""How reasons begin for which a probe may have nothing where a second source tells something of the whole card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One value as we read it and as another does."""

    what: str
    ours: Value = None
    second: Value = None
    unit: str = "1"
    source: str
    """Who the other is."""
    difference: float | None = None
    tolerance: float | None = None
    passed: bool | None = None
    """None: one of the two was not to be had, and the reason says why."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value for which there is no second source."""

    what: str
    value: Value = None
    unit: str = "1"
    goal: str | None = None
    met: bool | None = None
    reason: str | None = None
    """Why there is no value, or a remark on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """One model at the preset, beside what others published and what was predicted."""

    model: str
    recipe: dict[str, object] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    """Settings of the preset that it cannot follow, with the reason."""
    steps: int | None = None
    """Of the timed call; fewer than the recipe's where the time was too short."""
    load_s: float | None = None
    latency_s: float | None = None
    """Of a whole clip; None where fewer steps were made: a latency is not extrapolated."""
    step_s: float | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    joules: float | None = None
    watts: float | None = None
    allocated_mib: float | None = None
    reserved_mib: float | None = None
    outside_mib: float | None = None
    utilisation: float | None = None
    """Share of the data sheet's peak (MFU)."""
    needed_gib: float | None = None
    """As we estimate it."""
    predicted_s: float | None = None
    predicted_low_s: float | None = None
    predicted_high_s: float | None = None
    predicted_joules: float | None = None
    predicted_blind_s: float | None = None
    """As predicted by whoever does not know the published figure of this model."""
    rests_on: str | None = None
    published_s: float | None = None
    published_joules: float | None = None
    published_by: str | None = None
    reason: str | None = None
    """Why something, or all of it, was not measured."""


Row: TypeAlias = Check | Figure | MeasuredModel


@dataclass(frozen=True, slots=True)
class Told:
    """A value, or the reason why there is none."""

    value: Value = None
    reason: str | None = None


def told(measurements: Iterable[Measurement], name: str) -> Told:
    """What was read under that name."""
    found = next((one for one in measurements if one.name == name), None)
    if found is None:
        return Told(None, "there is no such reading on this device")
    return Told(found.value, found.reason)


def compare(
    what: str,
    ours: Told,
    second: Told,
    *,
    source: str,
    unit: str = "1",
    relative: float = 0.0,
    absolute: float = 0.0,
) -> Check:
    """Hold two values against each other.

    Args:
        what: is told.
        ours: a probe's.
        second: another's. Where it has a value and the probe has none, the probe fails, unless its reason excuses it.
        source: who the other is.
        unit: of both.
        relative: as a share of the other's, and
        absolute: in the unit: the larger of the two is tolerated. Words must be equal.
    """
    about = Check(what=what, ours=ours.value, second=second.value, source=source, unit=unit)
    if second.value is None:
        return replace(about, reason=second.reason or f"{source} does not tell")
    if ours.value is None:
        excused = (ours.reason or "").startswith(EXCUSES)
        return replace(about, passed=None if excused else False, reason=ours.reason)
    if isinstance(ours.value, str) or isinstance(second.value, str):
        same = str(ours.value) == str(second.value)
        return replace(about, passed=same, reason=None if same else "they differ")
    difference, tolerance = ours.value - second.value, max(absolute, relative * abs(second.value))
    passed = abs(difference) <= tolerance
    return replace(about, difference=difference, tolerance=tolerance, passed=passed, reason=ours.reason)


def there(what: str, missing: str | None, *, source: str) -> Check:
    """Whether something that is called is there; `missing` says what of it is not."""
    return Check(what=what, ours=missing or "there", second="there", source=source, passed=not missing, reason=missing)
