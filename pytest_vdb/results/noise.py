"""The noise floor as it is kept: how much unchanged sessions differ, in a JSON small enough to commit.

It knows whose it is: model, recipe, suite, metric versions, hardware and software, as a baseline does. One metric per
line, so that a new one is a readable diff.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import NewerSchema, RecordError
from pytest_vdb.records import Better, Kind, Run, to_plain

FORMAT_OF_NOISE = "pytest-vdb noise"
NOISE_SCHEMA = 1
_MEND = "write it anew: vdb noise --save FILE"

Seeds = Literal["same", "other"]
"""Whether the sessions that are compared made their clips with the same seeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """How much one metric of one model differs between sessions in which nothing has changed."""

    benchmark: str
    model: str
    metric: str
    version: str
    unit: str
    better: Better
    kind: Kind
    weights: str | None
    recipe: str | None
    """Its digest."""
    hardware: str | None
    way: Literal["prompts", "sets", "costs"]
    """What the gate takes as the unit: prompts, a set of clips as a whole, or (costs) sessions."""
    seeds: Seeds = "same"
    prompts: int = 0
    """That have a value in every session; 0 of what has none."""
    sessions: int = 0
    """That measured it."""
    value: float | None = None
    """The mean over the prompts; of costs the median of the sessions' medians. In the metric's unit."""
    within: float | None = None
    """Standard deviation over the prompts of one session, the median of sessions; of sets the jackknife's error."""
    between: float | None = None
    """Between sessions: the standard deviation of the difference of a prompt's two means; of sets that of two values;
    of costs that of the logarithms of the sessions' medians, .03 for 3%. 0: every session gave the very same."""
    reason: str | None = None
    """Why nothing is known between sessions."""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What A/A sessions say."""

    run: Run
    """The first session: where and of what it was made."""
    sessions: tuple[str, ...]
    """The ids of all."""
    floors: tuple[Floor, ...]
    schema: int = NOISE_SCHEMA


def save_noise(noise: Noise, path: Path) -> None:
    """Write the small JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    run = dataclasses.replace(noise.run, recipes={}, models={}, summary={}, bounds={})
    head = {
        "format": FORMAT_OF_NOISE,
        "schema": noise.schema,
        "sessions": noise.sessions,
        "run": to_plain(run),
    }
    usual = {field.name: field.default for field in dataclasses.fields(Floor)}
    lines = [
        json.dumps({k: v for k, v in to_plain(floor).items() if usual[k] != v and v != []}, ensure_ascii=False)
        for floor in noise.floors
    ]
    body = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    files.write(path, body + ',\n "floors": [\n' + ",\n".join(f"  {line}" for line in lines) + "\n ]\n}\n")


def load_noise(path: Path) -> Noise:
    """Read what `save_noise` wrote.

    Raises:
        RecordError: nothing there, or not one of these.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    if not files.is_there(path):
        raise RecordError("there is no such noise floor", where=path, mend="make one with: vdb noise --save FILE")
    content = files.read_json(path, error=RecordError, mend=_MEND)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT_OF_NOISE:
        raise RecordError("not a noise floor", where=path, mend="give what vdb noise --save wrote")
    NewerSchema.refuse(content.get("schema"), NOISE_SCHEMA, where=path)
    try:
        noise = msgspec.convert(content, Noise)
    except (msgspec.ValidationError, RecordError) as problem:
        said = problem.what if isinstance(problem, RecordError) else problem
        raise RecordError(
            f"a noise floor with a part missing or of the wrong type: {said}", where=path, mend=_MEND
        ) from None
    if wrong := next((floor for floor in noise.floors if not _is_possible(floor)), None):
        what = f"{wrong.metric} of {wrong.model} has a spread or a count that cannot be"
        raise RecordError(what, where=path, mend=_MEND)
    return noise


def _is_possible(floor: Floor) -> bool:
    """A spread is no less than 0, and finite: a gate counts with it."""
    spreads = (floor.within, floor.between)
    sound = all(spread is None or (spread >= 0 and math.isfinite(spread)) for spread in spreads)
    return sound and floor.prompts >= 0 and floor.sessions >= 0
