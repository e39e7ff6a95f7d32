"""Two runs and the sessions before them in which everything happens that a comparison or a gate must answer for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from written_runs import ENVIRONMENT

from pytest_vdb import files
from pytest_vdb.records import DECIDED, ClipFiles, Failure, Measurement, Record, Run, to_json
from pytest_vdb.results.journal import Journal

BENCHMARK = "benchmarks/t.py::test_generation"


def run_of(day: int, **about: Any) -> Run:
    """A finished session of that day of January."""
    began = f"2026-01-{day:02}T00:00:00+00:00"
    run_id = f"202601{day:02}-000000-abcdef"
    return Run(id=run_id, started_at=began, finished_at=began, environment=ENVIRONMENT, **about)


def keep(output: Path, run: Run, records: Iterable[Record], *, in_full: bool) -> Path:
    """The folder of a run: `in_full`, each record says everything (schema 1); else as sessions write it."""
    if in_full:
        folder = output / "runs" / run.id
        files.write(folder / "run.json", to_json(run) + "\n")
        files.write(folder / "records.jsonl", "".join(f"{to_json(record)}\n" for record in records))
        return folder
    journal = Journal.create(output, run)
    for record in records:
        journal.append(record)
    journal.finish(run)
    return journal.folder


def varied(run: Run, day: int) -> list[Record]:
    """Ten models: each is special in another way; the last day differs from those before it."""
    models = {
        "steady": _tests(run, day, "steady", prompts=12),
        "sampled": _tests(run, day, "sampled", prompts=7, samples=3),
        "sized": _tests(run, day, "sized", prompts=6, parameters=({"size": "large"}, {"size": "small"})),
        "worse": [_shifted(one, 0.2 * (day == 9)) for one in _tests(run, day, "worse", prompts=20)],
        "failing": _failing(_tests(run, day, "failing", prompts=14), day),
        "reworded": _reworded(_tests(run, day, "reworded", prompts=6), "scene 2" if day == 9 else "another scene"),
        "retuned": _tests(run, day, "retuned", prompts=6, recipe={"frames": 9 + (day == 9)}),
        "wired": _tests(run, day, "wired", prompts=6, weights="tiny"),
        "few": _tests(run, day, "few", prompts=4),
        "early" if day == 9 else "late": _tests(run, day, "early" if day == 9 else "late", prompts=3),
    }
    found = [record for records in models.values() for record in records]
    found += [_of_the_set(record, day) for record in (models["steady"][0], models["worse"][0])]
    found += [_elsewhere(record) for record in models["steady"][:6]]
    later = dataclasses.replace(models["steady"][3], measurements=measurements(day, 77, cold=False))
    order = np.random.default_rng(day).permutation(len(found)).tolist()
    return [*(found[at] for at in order), later]


def stopped_early(run: Run, day: int) -> list[Record]:
    """Two models under a gate that may stop: all prompts of the first day, and of the other what was needed."""
    found = []
    for name, kept in (("quick", 12), ("slow", 25)):
        for at, record in enumerate(_tests(run, day, name, prompts=40)):
            if day == 9 and at >= kept:
                decided = Failure(type=DECIDED, message="decided before")
                record = dataclasses.replace(record, status="skipped", failure=decided, measurements=())
            found.append(_shifted(record, 0.3 if name == "quick" and day == 9 else 0.0))
    return found


def measurements(day: int, key: int, *, cold: bool) -> tuple[Measurement, ...]:
    """Of every sort.

    Args:
        day: moves the noise.
        key: of a sample: what is steady in it.
        cold: whether the model was loaded for it.
    """
    steady, noisy = np.random.default_rng(key), np.random.default_rng([key, day])
    level, noise = steady.random(4), 0.004 * noisy.standard_normal(4)
    similar, second = level + noise, 1 + 0.02 * float(noisy.standard_normal())
    costs: dict[str, Any] = {"better": "lower", "kind": "performance"}
    return (
        Measurement(name="sharpness", value=float(similar[0]), unit="1", better="higher", series=(0.5, 1.0)),
        Measurement(name="temporal_flicker", value=float(abs(similar[1])), unit="1", better="lower"),
        Measurement(name="motion_amount", value=float(3 * similar[2]), unit="px/frame", better="neutral"),
        Measurement(name="clip_similarity", value=float(similar[3]) / 2, unit="cosine", better="higher", version="v1"),
        Measurement(name="vbench.dynamic_degree", value=float(level[0] > 0.4), unit="1", better="higher"),
        Measurement(name="own", value=0.25, unit="1", better="higher", version=f"{day // 9}"),
        *([Measurement(name="load_time", value=3.0 + day / 10, unit="s", **costs)] if cold else []),
        Measurement(name="latency", value=2.0 * second, unit="s", **costs),
        Measurement(name="peak_memory_allocated", value=1000.0 + day // 9, unit="MiB", **costs),
    )


def _tests(
    run: Run,
    day: int,
    model: str,
    *,
    prompts: int,
    samples: int = 1,
    parameters: Iterable[dict[str, str]] = ({},),
    recipe: dict[str, Any] | None = None,
    weights: str = "hub",
) -> list[Record]:
    recipe = {"frames": 9} if recipe is None else recipe
    found = []
    for prompt in range(prompts):
        for sample in range(samples):
            for own in parameters:
                key = 1000 * len(model) + 10 * prompt + sample + 7 * len("".join(own.values()))
                name = "-".join([model, *own.values(), f"p{prompt:02}", *([f"s{sample}"] if samples > 1 else [])])
                still = prompt % 5 == 4
                found.append(
                    Record(
                        run=run.id,
                        nodeid=f"{BENCHMARK}[{name}]",
                        benchmark=BENCHMARK,
                        model=model,
                        status="passed",
                        parameters=own,
                        prompt=f"p{prompt:02}",
                        prompt_text=f"scene {prompt}",
                        category=("motion", "people")[prompt % 2],
                        sample_index=sample,
                        seed=100 * prompt + sample,
                        weights=weights,  # type: ignore[arg-type]
                        recipe=recipe,
                        recipe_digest=f"{recipe}",
                        hardware=run.environment.hardware,
                        suite="standard@1",
                        suite_digest=f"suite {day // 9}",
                        measurements=measurements(0 if still else day, key, cold=not prompt + sample),
                        clip=_clip(name, 0 if still else day),
                        notes=("a note",) if prompt == 2 else (),
                    )
                )
    return found


def _clip(name: str, day: int) -> ClipFiles:
    files_of = f"clips/{name}"
    return ClipFiles(
        digest=f"{name} {day}",
        frames=9,
        height=32,
        width=32,
        fps=8.0,
        preview=f"{files_of}.mp4",
        poster=f"{files_of}.jpg",
    )


def _shifted(record: Record, by: float) -> Record:
    """With less sharpness."""
    if not by:
        return record
    moved = (
        dataclasses.replace(one, value=one.value - by) if one.name == "sharpness" and one.value is not None else one
        for one in record.measurements
    )
    return dataclasses.replace(record, measurements=tuple(moved))


def _reworded(records: list[Record], text: str) -> list[Record]:
    """The third prompt has this text."""
    return [*records[:2], dataclasses.replace(records[2], prompt_text=text), *records[3:]]


def _failing(records: list[Record], day: int) -> list[Record]:
    """One fails, one is out of memory, one is from the cache, one has another seed, and values are missing."""
    last = day == 9
    found = list(records)
    for at, change in _changes(records, last=last):
        found[at] = dataclasses.replace(records[at], **change)
    return found


def _changes(records: list[Record], *, last: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    none = (_without(one, "no weights") for one in records[3].measurements)
    yield 3, {"measurements": tuple(none)}
    yield 4, {"reused_from": "earlier"}
    if last:
        yield 0, {"status": "failed", "failure": Failure(type="BadClip", message="constant"), "measurements": ()}
        yield 1, {"status": "oom", "seed": None, "measurements": ()}
        yield 5, {"seed": 99}
        yield 7, {"measurements": records[7].measurements[1:]}
        yield 8, {"measurements": tuple(_without(one, "it diverged") for one in records[8].measurements)}
    else:
        yield 2, {"status": "skipped", "measurements": ()}


def _without(one: Measurement, why: str) -> Measurement:
    is_quality = one.kind == "quality"
    return dataclasses.replace(one, value=None, reason=why, series=None) if is_quality else one


def _of_the_set(record: Record, day: int) -> Record:
    fvd = Measurement(
        name="fvd", value=100.0 + day, unit="1", better="lower", n=12, interval=(90.0, 120.0 + day), reason="few clips"
    )
    nodeid = f"{BENCHMARK}[{record.model}-set]"
    whole: dict[str, Any] = dict.fromkeys(("prompt", "prompt_text", "category", "seed", "clip"))
    return dataclasses.replace(record, nodeid=nodeid, measurements=(fvd,), notes=(), **whole)


def _elsewhere(record: Record) -> Record:
    """The same in another benchmark, which measures costs alone."""
    costs = tuple(one for one in record.measurements if one.kind == "performance")
    place = record.nodeid.replace("test_generation", "test_speed")
    return dataclasses.replace(
        record, nodeid=place, benchmark=place.partition("[")[0], measurements=costs, hardware="another"
    )
