"""The videos of a published result as records, so that two files can be compared prompt by prompt.

VBench knows a video by its path alone: `PROMPT-0.mp4` is sample 0 of a prompt, `PROMPT.mp4` its only one. What lies in
which folder differs from lab to lab and tells nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

from pytest_vdb.records import Measurement, Record
from pytest_vdb.results.dimensions import Dimension
from pytest_vdb.results.vbench import published_value

MOST_SAMPLES = 25
"""Of one prompt, by VBench's own rules (of temporal flickering; else 5): more are prompts that are only numbered."""

_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,3}$")
_NUMBERED = re.compile(r"(?P<prompt>.+)-(?P<number>\d{1,9})$")

_Place = tuple[str, int, int]
"""Prompt, sample, and which of the videos that have this name in different folders."""


def records_of_videos(published: Record, dimensions: Mapping[str, Dimension]) -> tuple[Record, ...]:
    """One record per video, with what the file says of it; without a list of videos there is none.

    Args:
        published: what is known of the file as a whole, see `vbench.published`.
        dimensions: what it says.
    """
    listed = {name: _listed_videos(name, found) for name, found in dimensions.items()}
    numbered = _only_numbered({path for videos in listed.values() for path, _ in videos})
    found: dict[_Place, list[Measurement]] = defaultdict(list)
    for videos in listed.values():
        seen: Counter[tuple[str, int]] = Counter()
        for path, value in sorted(videos, key=lambda video: video[0]):
            prompt, sample = _answered(path, numbered)
            found[prompt, sample, seen[prompt, sample]].append(value)
            seen[prompt, sample] += 1
    return tuple(_record_of_video(published, place, found[place]) for place in sorted(found))


def as_in_names(text: str) -> str:
    """A prompt as the names of videos spell it: underscores are blanks, since VBench writes one for the other where it
    reads frames from folders."""
    return text.replace("_", " ")


def prompt_and_sample(path: str) -> tuple[str, int]:
    """Which prompt a video answers, and as which of its samples, by its name: `wan/a cat-1.mp4` -> `a cat`, 1."""
    name = as_in_names(_SUFFIX.sub("", re.split(r"[/\\]", path)[-1]))
    numbered = _NUMBERED.match(name)
    return (name, 0) if numbered is None else (numbered["prompt"], int(numbered["number"]))


def _listed_videos(name: str, dimension: Dimension) -> list[tuple[str, Measurement]]:
    values = [(path, published_value(name, value)) for path, value in dimension.videos]
    without = [
        (path, published_value(name, None, reason=why)) for path, why in dimension.unreadable if path is not None
    ]
    return [*values, *without]


def _only_numbered(paths: set[str]) -> frozenset[str]:
    """The names whose numbers are too many to be samples: `video-0.mp4` to `video-247.mp4`."""
    samples: dict[str, set[int]] = defaultdict(set)
    for prompt, sample in map(prompt_and_sample, paths):
        samples[prompt].add(sample)
    return frozenset(prompt for prompt, numbers in samples.items() if len(numbers) > MOST_SAMPLES)


def _answered(path: str, numbered: frozenset[str]) -> tuple[str, int]:
    prompt, sample = prompt_and_sample(path)
    return (f"{prompt}-{sample}", 0) if prompt in numbered else (prompt, sample)


def _record_of_video(published: Record, place: _Place, measurements: list[Measurement]) -> Record:
    prompt, sample, which = place
    name = f"{prompt}-{sample}" + (f" ({which + 1})" if which else "")
    return Record(
        run=published.run,
        nodeid=f"{published.nodeid}::{name}",
        benchmark=published.benchmark,
        model=published.model,
        status="passed",
        published=published.published,
        prompt=prompt,
        sample_index=sample,
        measurements=tuple(measurements),
    )
