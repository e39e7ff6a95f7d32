"""How a call's time divides into stages and steps: arithmetic over marks, all in seconds since the call began.

Stages never overlap and with `other` they are the whole call; the steps are the whole denoising.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pytest_vdb.components import STAGES

TEXT, ENCODE, DENOISE, DECODE, POST = STAGES
NOT_SEEN = "the pipeline did not do this, or not where it can be seen"
"""Why a stage has no readings."""

Span = tuple[float, float]
"""From when to when."""


@dataclass(slots=True)
class Marks:
    """What was seen of a call.

    Args:
        spans: when calls of each stage began and ended, in order; those of `denoising` are the denoiser's calls.
        steps: when each call of a scheduler's `step` ended, in order.
        seconds: when the call ended.
    """

    spans: Mapping[str, Sequence[Span]]
    steps: Sequence[float]
    seconds: float


@dataclass(frozen=True, slots=True)
class Division:
    """Seconds of each stage that was seen, of what lies between them, and of each step."""

    stages: dict[str, float]
    other: float
    steps: tuple[float, ...] = ()
    spans: dict[str, Span] = field(default_factory=dict)
    """From when to when each stage lasted, from its first call to its last: what happened within it is in it, too."""


def divide(marks: Marks) -> Division:
    """Seconds of stages and steps.

    Text and VAE: the time within their calls. Denoising: from the first call of the denoiser to the last step of the
    scheduler, without what other stages took meanwhile. A step ends where the scheduler's last one does before the
    denoiser is called again: some pipelines step sound, or each frame, by a scheduler of its own. Post-processing:
    within its calls, and from the last decoded latents to the end, where nothing is denoised any more.
    """
    spans = {stage: [*marks.spans.get(stage, ())] for stage in STAGES}
    calls, spans[DENOISE] = spans[DENOISE], []
    finished = max((end for _, end in calls), default=0.0)
    steps = _ends_of_steps(marks.steps, calls)
    if steps:
        finished = max(finished, steps[-1])
    decoded = max((end for _, end in spans[DECODE]), default=0.0)
    if decoded > finished:
        decoded = max([decoded, *(end for _, end in spans[POST])])
        spans[POST].append((decoded, marks.seconds))
    stages = {stage: sum(end - start for start, end in found) for stage, found in spans.items() if found}
    lasted = {stage: (found[0][0], max(end for _, end in found)) for stage, found in spans.items() if found}
    of_steps: tuple[float, ...] = ()
    if calls:
        edges = [calls[0][0], *steps[:-1], finished]
        others = [one for found in spans.values() for one in found if one[1] > edges[0] and one[0] < finished]
        pieces = [(b - a) - _time_in_spans((a, b), others) for a, b in itertools.pairwise(edges)]
        stages[DENOISE], lasted[DENOISE] = sum(pieces), (edges[0], finished)
        of_steps = tuple(pieces) if steps else ()
    ordered = {stage: stages[stage] for stage in STAGES if stage in stages}
    return Division(ordered, marks.seconds - sum(ordered.values()), of_steps, lasted)


def _ends_of_steps(steps: Sequence[float], calls: Sequence[Span]) -> list[float]:
    """The last of those that no call of the denoiser tells apart, of those after its first call.

    A call that seems to begin at the very moment at which a step ends comes after it: after a minute and a half CUDA
    tells moments to 8 us, and there is less between the two.
    """
    begins = [begin for begin, _ in calls]
    begun = [bisect.bisect_left(begins, end) for end in steps]
    following = [*begun, None][1:]
    return [end for end, now, then in zip(steps, begun, following, strict=True) if now and now != then]


def _time_in_spans(span: Span, others: Sequence[Span]) -> float:
    return sum(max(0.0, min(span[1], end) - max(span[0], start)) for start, end in others)
