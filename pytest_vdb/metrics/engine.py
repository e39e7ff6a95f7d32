"""Measuring: each backbone sees each clip once, and every metric is handed what it asks for.

Cheap to construct: a backbone is opened when the first clip is measured by a metric that looks through it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_vdb.backbones.contract import (
    REFERENCE_SUFFIX,
    SET_SUFFIX,
    Backbone,
    BackboneSource,
    BackboneSpec,
    Feature,
    Subject,
)
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.errors import CannotMeasure, ClipTooShort, MetricError, VdbError, WeightsMissing
from pytest_vdb.metrics.contract import (
    MetricSpec,
    ReferenceFeatures,
    Result,
    Score,
    check_known,
    spec_of,
)
from pytest_vdb.metrics.pixels import remembering
from pytest_vdb.records import Clip, Measurement, Prompt

Seen = NDArray[np.float32]
"""What a network made of one subject."""

NAMED_AT_MOST = 3
"""Samples that a reason names before it counts the others."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why something that a metric asks for is not there."""

    reason: str


@dataclass(frozen=True, slots=True)
class Scores:
    """What one clip's measuring gave."""

    measurements: tuple[Measurement, ...]
    features: dict[str, Seen] = field(default_factory=dict)
    """The features worth keeping: re-scoring and set metrics start from them."""
    identities: dict[str, str] = field(default_factory=dict)
    """Feature -> which weights it was seen through."""
    absent: dict[str, str] = field(default_factory=dict)
    """Why a feature that a set metric or a later scoring would ask for is not there."""


class Engine:
    """Computes metrics, one clip or one set at a time.

    Args:
        metrics: what to measure: specs, or tagged functions.
        device: where the backbones run.
        tiny: tiny backbones with random weights; every value that looks through one is marked as wiring only.
        backbone_paths: the user's own weights by backbone name.
        cache_dir: where downloads go that no library keeps a cache for.
        offline: never download.
        aside: networks look at a clip while this thread counts its pixels; default: where they run on an accelerator.
            On a CPU the two would only compete.
    """

    def __init__(
        self,
        metrics: Iterable[MetricSpec | Callable[..., Any]],
        *,
        device: str = "cpu",
        tiny: bool = False,
        backbone_paths: Mapping[str, Path] | None = None,
        cache_dir: Path,
        offline: bool = False,
        aside: bool | None = None,
    ) -> None:
        self.metrics = tuple(_spec(metric) for metric in metrics)
        self.tiny = tiny
        paths = backbone_paths or {}
        self._sources = {
            name: BackboneSource(path=paths.get(name), tiny=tiny, device=device, cache_dir=cache_dir, offline=offline)
            for spec in self.metrics
            for name in spec.backbones
        }
        self._asked: dict[str, tuple[Feature, BackboneSpec]] = {
            feature.name: (feature, network) for spec in self.metrics for feature, network in spec.looks_at
        }
        self._backbones: dict[str, Backbone | Missing] = {}
        self._look_aside = device != "cpu" if aside is None else aside
        self._looking = Lock()

    def measure(self, clip: Clip, prompt: Prompt | None = None, reference: Clip | None = None) -> Scores:
        """Every clip metric and paired metric, and the features that set metrics will ask for.

        Args:
            clip: what is measured.
            prompt: what it answers; without it, metrics that ask for it are None.
            reference: what it is compared with; without it, paired metrics are None.
        """
        subject = Subject(clip=clip, prompt=prompt, reference=reference)
        plain = [spec for spec in self.metrics if spec.scope != "set" and not spec.features]
        with remembering(clip), ThreadPoolExecutor(max_workers=1) as aside:
            looking = aside.submit(self._look_at_all, subject) if self._look_aside else None
            measured = self._measure(plain, subject, {})
            at_hand = looking.result() if looking else self._look_at_all(subject)
        seen = {name: value for name, value in at_hand.items() if not isinstance(value, Missing)}
        others = [spec for spec in self.metrics if spec.scope != "set" and spec.features]
        measured |= self._measure(others, subject, at_hand, self._identities(seen))
        return Scores(
            measurements=self._in_order(measured),
            features={name: value for name, value in seen.items() if self._asked[name][0].recorded},
            identities=self._identities(seen),
            absent={name: value.reason for name, value in at_hand.items() if isinstance(value, Missing)},
        )

    def measure_set(
        self,
        samples: Sequence[Scores],
        *,
        prompts: Sequence[Prompt] | None = None,
        clips: Sequence[Clip] | None = None,
        references: Mapping[str, ReferenceFeatures] | None = None,
        names: Sequence[str] | None = None,
    ) -> tuple[Measurement, ...]:
        """Every set metric over one model's samples.

        Args:
            samples: what `measure` gave for each; a sample that lacks a feature is left out, and N and the reason say
                so.
            prompts, clips: of the same samples in the same order, where a metric asks for them.
            references: the reference set's features, by feature.
            names: what the reason calls the samples; default: their numbers.
        """
        measured: list[Measurement] = []
        for spec in self.metrics:
            if spec.scope == "set":
                chosen = [i for i, sample in enumerate(samples) if _has_all(sample, spec.features)]
                remark = left_out(samples, spec.features, names)
                given: dict[str, Any] = {
                    "clips": _of(chosen, clips, "needs the clips themselves"),
                    "prompts": _of(chosen, prompts, "needs the prompts"),
                }
                for name in spec.features:
                    of_set = [samples[i] for i in chosen]
                    given |= self._set_feature(name, of_set, (references or {}).get(name), remark)
                identities = {n: identity for i in chosen for n, identity in samples[i].identities.items()}
                measured += (_remarked(one, remark) for one in self._apply(spec, given, identities))
        return tuple(measured)

    def close(self) -> None:
        """Let go of every backbone; a later measurement opens them again."""
        self._backbones.clear()

    def _set_feature(
        self, name: str, samples: Sequence[Scores], reference: ReferenceFeatures | None, remark: str | None
    ) -> dict[str, Sequence[Seen] | ReferenceFeatures | Missing]:
        """One feature of all samples, and of the reference set; or why they cannot be used."""
        of_set: Sequence[Seen] | Missing = [sample.features[name] for sample in samples]
        of_reference: ReferenceFeatures | Missing
        seen_through = sorted({sample.identities[name] for sample in samples if name in sample.identities})
        spoilt = [i for i, sample in enumerate(samples) if not np.isfinite(sample.features[name]).all()]
        if not samples:
            of_set = Missing(remark or f"no sample has the feature {name}: none was measured")
        elif spoilt:
            of_set = Missing(
                f"{name} of {len(spoilt)} of {len(samples)} samples is not finite, first of number {spoilt[0]}"
            )
        elif len(seen_through) > 1:
            of_set = Missing(f"{name} was seen through different weights: {', '.join(seen_through)}")
        if reference is None:
            of_reference = Missing(f"needs a reference set with the feature {name}")
        elif reference.identity and seen_through and reference.identity not in seen_through:
            of_reference = Missing(
                f"{name} of the reference set ({reference.source}) was seen through {reference.identity}, "
                f"that of the samples through {seen_through[0]}"
            )
        else:
            of_reference = reference
        return {name + SET_SUFFIX: of_set, name + REFERENCE_SUFFIX: of_reference}

    def _measure(
        self,
        specs: Sequence[MetricSpec],
        subject: Subject,
        features: Mapping[str, Seen | Missing],
        identities: Mapping[str, str] | None = None,
    ) -> dict[str, tuple[Measurement, ...]]:
        """What each metric makes of one clip, by the metric's name."""
        given: dict[str, Any] = {
            "clip": subject.clip or Missing("needs the clip itself"),
            "prompt": subject.prompt or Missing("needs a prompt"),
            "reference": subject.reference or Missing("needs a reference clip to compare with"),
            **features,
        }
        got = None if subject.clip is None else len(subject.clip.frames)
        return {
            spec.name: self._apply(spec, given, identities or {})
            if got is None or got >= spec.least_frames
            else self._absent(spec, str(ClipTooShort(needed=spec.least_frames, got=got)))
            for spec in specs
        }

    def _in_order(self, measured: Mapping[str, tuple[Measurement, ...]]) -> tuple[Measurement, ...]:
        return tuple(measurement for spec in self.metrics for measurement in measured.get(spec.name, ()))

    def _apply(
        self, spec: MetricSpec, given: Mapping[str, Any], identities: Mapping[str, str]
    ) -> tuple[Measurement, ...]:
        """Call one metric with what it asks for."""
        arguments = {name: given[name] for name in spec.inputs}
        missing = [value.reason for value in arguments.values() if isinstance(value, Missing)]
        if missing:
            return self._absent(spec, "; ".join(dict.fromkeys(missing)))
        try:
            result = spec.function(**arguments)
        except CannotMeasure as error:
            return self._absent(spec, _one_line(error))
        except VdbError:
            raise
        except Exception as error:
            error.add_note(f"while measuring {spec.name!r}")
            raise
        return self._present(spec, result, identities)

    def _present(self, spec: MetricSpec, result: Result, identities: Mapping[str, str]) -> tuple[Measurement, ...]:
        parts = result if isinstance(result, Mapping) else {"": result}
        if set(parts) != set(spec.parts):
            raise MetricError(
                f"metric {spec.name!r} gave the parts {sorted(parts)} and declares {sorted(spec.parts)}",
                mend="declare them: @metric(..., parts=(...))",
            )
        seen_through = dict.fromkeys(identities[name] for name in spec.features if name in identities)
        version = "+".join((spec.version, *seen_through))
        wiring = bool(seen_through) and self.tiny
        return tuple(_measurement(spec, part, parts[part], version, wiring) for part in spec.parts)

    def _absent(self, spec: MetricSpec, reason: str) -> tuple[Measurement, ...]:
        wiring = bool(spec.features) and self.tiny
        missing = Score(None, reason=reason)
        return tuple(_measurement(spec, part, missing, spec.version, wiring) for part in spec.parts)

    def _look_at_all(self, subject: Subject) -> dict[str, Seen | Missing]:
        return {name: self._look(name, subject) for name in self._asked}

    def _look(self, name: str, subject: Subject) -> Seen | Missing:
        """One feature of one subject, or why there is none."""
        feature, network = self._asked[name]
        if feature.of in ("clip", "pair") and subject.clip is None:
            return Missing("needs the clip itself")
        if feature.of == "prompt" and subject.prompt is None:
            return Missing("needs a prompt")
        if feature.of == "pair" and subject.reference is None:
            return Missing("needs a reference clip to compare with")
        if feature.of != "prompt" and subject.clip is not None and len(subject.clip.frames) < feature.frames:
            return Missing(f"{network.name} needs {feature.frames} frames, got {len(subject.clip.frames)}")
        backbone = self._backbone(network)
        if isinstance(backbone, Missing):
            return backbone
        try:
            with self._looking:  # clips may be measured side by side; a network sees one at a time
                seen = np.asarray(backbone.features(name, subject), np.float32)
        except CannotMeasure as error:
            return Missing(_one_line(error))
        except VdbError:
            raise
        except Exception as error:
            error.add_note(f"while looking through {network.name!r}")
            raise
        if not np.isfinite(seen).all():
            return Missing(f"{network.name} ({backbone.identity}) gave {name} features that are not finite")
        return seen

    def _backbone(self, network: BackboneSpec) -> Backbone | Missing:
        """The backbone, opened once; absent weights are looked for once."""
        with self._looking:
            if network.name not in self._backbones:
                try:
                    self._backbones[network.name] = network.open(self._sources[network.name])
                except WeightsMissing as error:
                    self._backbones[network.name] = Missing(_one_line(error))
            return self._backbones[network.name]

    def _identities(self, names: Iterable[str]) -> dict[str, str]:
        opened = {name: self._backbones[self._asked[name][1].name] for name in names}
        return {name: backbone.identity for name, backbone in opened.items() if not isinstance(backbone, Missing)}


def left_out(samples: Sequence[Scores], features: Sequence[str], names: Sequence[str] | None = None) -> str | None:
    """Which samples lack one of the features, and why; None where none does.

    Returns:
        `of 3 of 4 clips: x.mp4: i3d needs 9 frames, got 7`; each reason once.
    """
    called = names or [f"number {number}" for number in range(1, len(samples) + 1)]
    by_reason: dict[str, list[str]] = {}
    for name, sample in zip(called, samples, strict=True):
        reasons = [sample.absent.get(one, f"{one} was not measured") for one in features if one not in sample.features]
        if reasons:
            by_reason.setdefault("; ".join(dict.fromkeys(reasons)), []).append(name)
    if not by_reason:
        return None
    lacking = sum(map(len, by_reason.values()))
    said = "; ".join(f"{_few(named, len(samples))}: {reason}" for reason, named in by_reason.items())
    return f"of {len(samples) - lacking} of {len(samples)} clips: {said}"


def _few(names: Sequence[str], of: int) -> str:
    """The first names of a list that may hold thousands."""
    if len(names) == of:
        return "all"
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _has_all(sample: Scores, features: Sequence[str]) -> bool:
    return all(name in sample.features for name in features)


def _remarked(measured: Measurement, remark: str | None) -> Measurement:
    """A value with which samples it leaves out; a missing value has said so already."""
    if remark is None or measured.value is None:
        return measured
    return dataclasses.replace(measured, reason="; ".join(filter(None, (remark, measured.reason))))


def _spec(metric: MetricSpec | Callable[..., Any]) -> MetricSpec:
    spec = metric if isinstance(metric, MetricSpec) else spec_of(metric)
    if spec is None:
        raise MetricError(f"{metric!r} is no metric", mend="tag it with @metric(name, unit=..., better=...)")
    check_known(spec, BackboneRegistry.builtin())
    return spec


def _measurement(spec: MetricSpec, part: str, result: float | Score, version: str, wiring: bool) -> Measurement:
    score = result if isinstance(result, Score) else Score(float(result))
    series = None if score.series is None else tuple(float(value) for value in score.series)
    reason = score.reason
    if series is not None and not all(map(math.isfinite, series)):
        series = None  # JSON has no infinity, and half a curve misleads
        reason = reason or "the series is left out: some of its values are not finite"
    return Measurement(
        name=spec.part_name(part),
        value=None if score.value is None else float(score.value),
        unit=spec.unit,
        better=spec.better,
        reason=reason,
        n=score.n,
        interval=score.interval,
        version=version,
        wiring=wiring,
        series=series,
    )


def _of(chosen: Sequence[int], things: Sequence[Any] | None, reason: str) -> Sequence[Any] | Missing:
    """The things of the chosen samples (all of them: as they came, read when looked at), or why there are none."""
    if things is None:
        return Missing(reason)
    return things if len(chosen) == len(things) else [things[i] for i in chosen]


def _one_line(error: Exception) -> str:
    """An error's message as a reason: what was wrong and the mend, on one line."""
    return "; ".join(line.strip() for line in str(error).splitlines())
