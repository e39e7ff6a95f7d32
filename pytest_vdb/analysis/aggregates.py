"""Scores that a benchmark makes of its dimensions: which, how normalised, with which weights; pure functions of means.

A dimension that is missing is never scored 0 (VBench's own script does that): there is no score then, and the reason
names it; or, where the caller asks for it, a score of the dimensions that are there, which says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isfinite

from pytest_vdb.escaping import few

_MOST_NAMED = 16
"""Missing dimensions that a reason names: all of VBench's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A dimension or a smaller aggregate, as a term of a weighted mean."""

    of: str | Aggregate
    """The metric's name, or the aggregate."""
    weight: float = 1.0
    low: float = 0.0
    """What counts as 0; a mean below it counts as less than 0, as with VBench."""
    high: float = 1.0
    """What counts as 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A weighted mean of normalised parts: `scale` * sum(weight * (mean - low) / (high - low)) / sum(weight)."""

    name: str
    about: str
    source: str
    parts: tuple[Part, ...]
    scale: float = 1.0
    alone: bool = False
    """Of prompts that are the benchmark's own: said without being asked only where its dimensions stand alone."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The metrics that it is made of, in the order of its parts."""
        return tuple(_dimensions_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearForm:
    """What an aggregate is of given dimensions: `offset` + sum(slope * mean)."""

    offset: float
    slopes: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An aggregate's value, or why there is none."""

    name: str
    value: float | None
    reason: str | None = None
    """Why there is no value."""
    missing: tuple[str, ...] = ()
    """The dimensions without a mean."""
    remark: str | None = None
    """Of a value that is not of all dimensions: which are missing."""


def score_of(aggregate: Aggregate, means: Mapping[str, float | None], *, partial: bool = False) -> Score:
    """The aggregate of a model's dimension means.

    Args:
        aggregate: which; one of `AGGREGATES`, or the caller's own.
        means: by the metric's name; None, not finite or absent: missing. Others than its dimensions are not looked at.
        partial: whether an aggregate of the dimensions that are there is wanted. Weights keep their proportions within
            each part; a part without any dimension drops out.
    """
    known = {name: mean for name in aggregate.dimensions if (mean := means.get(name)) is not None and isfinite(mean)}
    missing = tuple(name for name in aggregate.dimensions if name not in known)
    why = lacking(aggregate, missing) if missing else None
    form = linear_form(aggregate, known) if known and (partial or not missing) else None
    if form is None:
        return Score(name=aggregate.name, value=None, reason=why, missing=missing)
    value = form.offset + fsum(slope * known[name] for name, slope in form.slopes.items())
    return Score(name=aggregate.name, value=value, missing=missing, remark=why and f"partial: {why}")


def lacking(aggregate: Aggregate, missing: Collection[str]) -> str:
    """`10 of 16 dimensions are missing: ...`."""
    names = [name.rpartition(".")[2] for name in missing]
    are = "is" if len(names) == 1 else "are"
    return f"{len(names)} of {len(aggregate.dimensions)} dimensions {are} missing: {few(names, _MOST_NAMED)}"


def why_absent(absent: Sequence[Aggregate], known: Collection[str]) -> str | None:
    """`no vbench.quality, vbench.total: 10 of 16 ...`, by what the largest of them lacks; None: it lacks nothing."""
    largest = max(absent, key=lambda aggregate: len(aggregate.dimensions), default=None)
    if largest is None or not (missing := [name for name in largest.dimensions if name not in known]):
        return None
    return f"no {', '.join(aggregate.name for aggregate in absent)}: {lacking(largest, missing)}"


def linear_form(aggregate: Aggregate, known: Collection[str]) -> LinearForm | None:
    """The aggregate over the dimensions that are known; None where none is."""
    terms = [(part, form) for part in aggregate.parts if (form := _form_of_part(part, known)) is not None]
    if not terms:
        return None
    weights = fsum(part.weight for part, _ in terms)
    offset, slopes = 0.0, dict[str, float]()
    for part, form in terms:
        factor = aggregate.scale * part.weight / weights / (part.high - part.low)
        offset += factor * (form.offset - part.low)
        for name, slope in form.slopes.items():
            slopes[name] = slopes.get(name, 0.0) + factor * slope
    return LinearForm(offset=offset, slopes=slopes)


def usual(known: Collection[str]) -> list[Aggregate]:
    """The aggregates that are said of these dimensions without being asked for: those that have all of theirs."""
    family = DIMENSIONS & set(known)
    return [
        aggregate
        for aggregate in AGGREGATES
        if (family == set(aggregate.dimensions) if aggregate.alone else family.issuperset(aggregate.dimensions))
    ]


def _form_of_part(part: Part, known: Collection[str]) -> LinearForm | None:
    if isinstance(part.of, Aggregate):
        return linear_form(part.of, known)
    return LinearForm(offset=0.0, slopes={part.of: 1.0}) if part.of in known else None


def _dimensions_of(aggregate: Aggregate) -> Iterator[str]:
    for part in aggregate.parts:
        if isinstance(part.of, Aggregate):
            yield from _dimensions_of(part.of)
        else:
            yield part.of


# What benchmarks publish --------------------------------------------------------------------------------------------

_VBENCH = "Vchitect/VBench 45e79ec, scripts/constant.py and cal_final_score.py"

QUALITY = Aggregate(
    name="vbench.quality",
    about="VBench's quality score: what needs no prompt",
    source=_VBENCH,
    parts=(
        Part(of="vbench.subject_consistency", low=0.1462),
        Part(of="vbench.background_consistency", low=0.2615),
        Part(of="vbench.temporal_flickering", low=0.6293),
        Part(of="vbench.motion_smoothness", low=0.706, high=0.9975),
        Part(of="vbench.aesthetic_quality"),
        Part(of="vbench.imaging_quality"),
        Part(of="vbench.dynamic_degree", weight=0.5),
    ),
)

SEMANTIC = Aggregate(
    name="vbench.semantic",
    about="VBench's semantic score: how well the clips follow the prompts",
    source=_VBENCH,
    parts=(
        Part(of="vbench.object_class"),
        Part(of="vbench.multiple_objects"),
        Part(of="vbench.human_action"),
        Part(of="vbench.color"),
        Part(of="vbench.spatial_relationship"),
        Part(of="vbench.scene", high=0.8222),
        Part(of="vbench.appearance_style", low=0.0009, high=0.2855),
        Part(of="vbench.temporal_style", high=0.364),
        Part(of="vbench.overall_consistency", high=0.364),
    ),
)

TOTAL = Aggregate(
    name="vbench.total",
    about="VBench's total score: four parts quality, one part semantic",
    source=_VBENCH,
    parts=(Part(of=QUALITY, weight=4.0), Part(of=SEMANTIC, weight=1.0)),
)

MLPERF = Aggregate(
    name="mlperf.vbench_score",
    about="MLPerf Inference's accuracy of text to video: the plain mean of six of VBench's dimensions, in percent",
    source="MLPerf Inference v6.0: AMD's six published means give its published 69.98 (see fixtures/published)",
    parts=tuple(
        Part(of=f"vbench.{dimension}")
        for dimension in (
            "subject_consistency",
            "background_consistency",
            "motion_smoothness",
            "dynamic_degree",
            "appearance_style",
            "scene",
        )
    ),
    scale=100.0,
    alone=True,
)

AGGREGATES: tuple[Aggregate, ...] = (QUALITY, SEMANTIC, TOTAL, MLPERF)

DIMENSIONS = frozenset(name for aggregate in AGGREGATES for name in aggregate.dimensions)
"""Every metric that some aggregate is made of."""
