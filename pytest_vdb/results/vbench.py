"""VBench's result files, `NAME_eval_results.json`: each dimension's mean and its value per video, read and written.

Source: `VBench.evaluate` at 45e79ec: `{dimension: [mean, [{"video_path": ..., "video_results": ...}]]}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vdb.errors import RecordError
from pytest_vdb.records import Better, Environment, Measurement, Record, Run

FAMILY = "vbench."
"""What our names of VBench's dimensions begin with."""

SUFFIX = "_eval_results.json"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of one model."""

    mean: float
    videos: tuple[tuple[str, float], ...] = ()
    """Each video's path and value; empty where only the mean is known."""

    @classmethod
    def of(cls, videos: Sequence[tuple[str, float]]) -> Dimension:
        """With the mean over the videos, of which there is at least one."""
        return cls(sum(value for _, value in videos) / len(videos), tuple(videos))


def render(dimensions: Mapping[str, Dimension]) -> str:
    """The text of a file that VBench's own tools read.

    Args:
        dimensions: by VBench's names, without `vbench.`.
    """
    content = {
        name: [found.mean, [{"video_path": path, "video_results": value} for path, value in found.videos]]
        for name, found in dimensions.items()
    }
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def read(path: Path) -> dict[str, Dimension]:
    """A result file, in the order of its dimensions.

    Raises:
        RecordError: not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = {str(name): _dimension(*result) for name, result in content.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        found, said = {}, str(error)
    else:
        said = "it holds no dimension"
    if not found:
        raise RecordError(
            f"not a result file of VBench: {said}", where=path, mend="it holds {dimension: [mean, [videos]]}"
        )
    return found


def is_results(path: Path) -> bool:
    """Whether a path is such a file, by its name and its content."""
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        read(path)
    except RecordError:
        return False
    return True


def published(path: Path, *, benchmark: str) -> tuple[Run, Record]:
    """What others measured, as a record that says so; the file's name is the model's.

    The means are taken as they are written: over which clips, only who published them knows.

    Raises:
        RecordError: not a result file of VBench.
    """
    name = path.name.removesuffix(SUFFIX).removesuffix(".json")
    measurements = tuple(
        Measurement(name=f"{FAMILY}{dimension}", value=found.mean, unit="1", better=_BETTER, n=len(found.videos) or 1)
        for dimension, found in read(path).items()
    )
    record = Record(
        run=f"published-{name}",
        nodeid=f"{path.name}::{name}",
        benchmark=benchmark,
        model=name,
        status="passed",
        published=path.name,
        measurements=measurements,
    )
    return unknown_run(record.run), record


def unknown_run(name: str) -> Run:
    """A run of which nothing but its records is known."""
    nowhere = Environment(python=UNKNOWN, platform=UNKNOWN, hardware=UNKNOWN, cpu=UNKNOWN, cpu_count=0, memory_mib=0)
    return Run(id=name, started_at="", environment=nowhere)


_BETTER: Better = "higher"
"""Of all of VBench's dimensions."""


def _dimension(mean: float, videos: Sequence[Mapping[str, object]] = ()) -> Dimension:
    """VBench writes booleans for the dynamic degree and for human action."""
    return Dimension(
        float(mean),
        tuple((str(video["video_path"]), float(video["video_results"])) for video in videos),  # type: ignore[arg-type]
    )
