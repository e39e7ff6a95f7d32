"""One dimension in a result file of VBench: its mean as it is written, its value per video, and what cannot be read.

Read is what VBench's tools write (45e79ec): `[mean, videos]`; `[mean, clips, videos]` of VBench-Long; a video's value
as a number, a boolean (dynamic degree, human action) or a list of one per frame; imaging quality in percent per video,
beside a mean in [0, 1]; -1 for a video that VBench-2.0 had nothing to judge in; prompts instead of videos, of the
trustworthiness dimensions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

IN_PERCENT = frozenset({"imaging_quality"})
"""What VBench writes in percent per video, and divides by 100 in the mean alone."""
ALIKE = 5e-5
"""Means that differ by less look alike in the four decimals that are shown."""

_NOTHING_TO_JUDGE = -1
"""VBench-2.0's value of a video that a dimension's question does not apply to; its means leave it out."""
_LONGEST_JSON = 40
"""Characters of a value in a message."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of one model."""

    mean: float | None
    """As it was published, over whatever was averaged; None: no figure."""
    videos: tuple[tuple[str, float], ...] = ()
    """Each video's path and value, in the units of the mean; empty where only the mean is known."""
    unreadable: tuple[tuple[str | None, str], ...] = ()
    """Entries without a value: the video's path, where it is told, and why."""
    reason: str | None = None
    """Why there is no mean."""
    averaged: str | None = None
    """Over what the mean was found to be, where it is not the videos' and VBench keeps what it averaged."""

    @classmethod
    def of(cls, videos: Sequence[tuple[str, float]]) -> Dimension:
        """With the mean over the videos, of which there is at least one."""
        return cls(_mean_of_figures([value for _, value in videos]), tuple(videos))

    @property
    def n(self) -> int:
        """Videos that are listed, with a value or without."""
        return len(self.videos) + len(self.unreadable)

    @property
    def remark(self) -> str | None:
        """How the mean differs from that of the videos, or None where it does not."""
        if self.mean is None or not self.videos:
            return None
        ours = _mean_of_figures([value for _, value in self.videos])
        if abs(ours - self.mean) <= ALIKE:
            return None
        over = f"over {self.averaged}" if self.averaged else "over what, the file does not say"
        n = f"{len(self.videos)} of its {self.n}" if self.unreadable else f"its {self.n}"
        return f"published as {self.mean:.4f}, {over}; the mean of {n} videos is {ours:.4f}"


class Unlike(Exception):
    """How a part of a file differs from what VBench writes."""


def dimension_of(result: object, name: str) -> Dimension:
    """What a file says of one dimension.

    Raises:
        Unlike: neither a mean nor a video can be read.
    """
    if not isinstance(result, list) or not 1 <= len(result) <= 3:
        raise Unlike(f"{name} is {in_words(result)}")
    listed = result[-1] if len(result) > 1 else []
    if not isinstance(listed, list):
        raise Unlike(f"the videos of {name} are {in_words(listed)}")
    entries = [entry for entry in listed if not _is_count(entry)]
    videos, unreadable = _videos_of(entries, f"a video of {name}")
    if unreadable and not videos:
        raise Unlike(unreadable[0][1])
    try:
        mean, reason = _finite_figure(result[0], f"the mean of {name}"), None
    except Unlike as problem:
        if not videos:
            raise
        mean, reason = None, str(problem)
    if name in IN_PERCENT and _is_percent([value for _, value in videos], mean):
        videos = [(path, value / 100) for path, value in videos]
    over = None if mean is None else _over_what(mean, entries)
    return Dimension(mean, tuple(videos), tuple(unreadable), reason, over)


def in_words(value: object) -> str:
    """The JSON of a value, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_JSON else f"{text[:_LONGEST_JSON]}…"


# Videos -------------------------------------------------------------------------------------------------------------


def _is_count(entry: object) -> bool:
    """`{"long_video_cnt": 93}`, VBench-Long's last word on temporal flickering."""
    return isinstance(entry, dict) and entry.keys() == {"long_video_cnt"}


def _videos_of(entries: Iterable[object], what: str) -> tuple[list[tuple[str, float]], list[tuple[str | None, str]]]:
    """Those with a value, each once; and why the others have none."""
    values: dict[str, float] = {}
    unreadable: dict[str | None, str] = {}
    without_name: list[tuple[str | None, str]] = []
    for entry in entries:
        path = None
        try:
            path, given = _named_value(entry, what)
            value = _finite_figure(given, what, per_frame=True)
            if value == _NOTHING_TO_JUDGE:
                raise Unlike("-1: VBench-2.0 had nothing to judge in it")
            if values.setdefault(path, value) != value:
                raise Unlike(f"listed twice, with {values[path]:g} and {value:g}")
        except Unlike as problem:
            if path is None:
                without_name.append((None, str(problem)))
            else:
                unreadable[path] = str(problem)
    videos = [(path, value) for path, value in values.items() if path not in unreadable]
    return videos, [*unreadable.items(), *without_name]


def _named_value(entry: object, what: str) -> tuple[str, object]:
    if isinstance(entry, dict):
        for name, value in (("video_path", "video_results"), ("prompt", "prompt_results")):
            if {name, value} <= entry.keys():
                return str(entry[name]), entry[value]
    raise Unlike(f"{what} is {in_words(entry)}")


def _finite_figure(value: object, what: str, *, per_frame: bool = False) -> float:
    """A finite number; `per_frame`: or the mean of a list of them."""
    if per_frame and isinstance(value, list) and value:
        return _mean_of_figures([_finite_figure(one, what) for one in value])
    if not isinstance(value, int | float):
        raise Unlike(f"{what} is {in_words(value)}")
    try:
        figure = float(value)
    except OverflowError:
        raise Unlike(f"{what} is a number of {len(str(value))} digits") from None
    if not math.isfinite(figure):
        raise Unlike(f"{what} is {in_words(value)}, no finite number")
    return figure


def _is_percent(values: Sequence[float], mean: float | None) -> bool:
    """Whether the videos are nearer to the mean when they are divided by 100."""
    if not values:
        return False
    ours = _mean_of_figures(values)
    return ours > 1 if mean is None else abs(ours / 100 - mean) < abs(ours - mean)


# What was averaged --------------------------------------------------------------------------------------------------


def _over_what(mean: float, entries: Sequence[object]) -> str | None:
    """What the published mean is the mean of, by what VBench keeps of each video beside its value."""
    kept = [entry for entry in entries if isinstance(entry, dict)]
    frames = "all frames"
    found = (
        (frames, _ratio_of_sums(kept, "video_sim", "cnt_per_video")),
        (frames, _ratio_of_sums(kept, "success_frame_count", "frame_count")),
        (frames, _mean_of_frames(kept)),
        ("each video's last frame, as VBench averages on several GPUs", _mean_of_field(kept, "cur_sim")),
    )
    return next((words for words, value in found if value is not None and math.isclose(mean, value)), None)


def _ratio_of_sums(entries: Sequence[Mapping[str, Any]], above: str, below: str) -> float | None:
    sums = [_sum_of_field(entries, name) for name in (above, below)]
    return None if None in sums or not sums[1] else (sums[0] or 0.0) / sums[1]


def _mean_of_field(entries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    total = _sum_of_field(entries, name)
    return None if total is None or not entries else total / len(entries)


def _sum_of_field(entries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """None: an entry has no such figure."""
    try:
        return math.fsum(_finite_figure(entry.get(name), name) for entry in entries)
    except (Unlike, OverflowError):
        return None


def _mean_of_frames(entries: Sequence[Mapping[str, Any]]) -> float | None:
    try:
        frames = [figure for entry in entries for figure in _kept_frames(entry)]
    except Unlike:
        return None
    return _mean_of_figures(frames) if frames else None


def _kept_frames(entry: Mapping[str, Any]) -> Iterator[float]:
    frames = entry.get("frame_results")
    if not isinstance(frames, list):
        raise Unlike("no value per frame")
    return (_finite_figure(one, "a frame") for one in frames)


def _mean_of_figures(values: Sequence[float]) -> float:
    """Of figures that may each be as large as a float can be."""
    n = len(values)
    return sum([value / n for value in values])
