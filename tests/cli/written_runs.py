"""Runs as a session leaves them on disk, for commands to read: one benchmark, a model, a test per prompt."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_vdb.records import Environment, Measurement, Record, Run
from pytest_vdb.results.journal import Journal

ENVIRONMENT = Environment(
    python="3.12.1",
    platform="Linux",
    hardware="CPU",
    cpu="a CPU",
    cpu_count=2,
    memory_mib=8_000,
    packages={"torch": "2.9.0"},
    git_commit="0123456789abcdef",
    git_branch="main",
)


def write_run(
    day: int,
    tests: Iterable[tuple[str, int, tuple[Measurement, ...]]],
    *,
    output: str = "reports",
    model: str = "a",
    finished: bool = True,
    **environment: Any,
) -> Path:
    """The folder of a run of that day of January.

    Args:
        day: tells it apart from others.
        tests: the prompt, the seed and what was measured of each.
        output: the output folder.
        model: that answered.
        finished: whether it came to its end.
        environment: what is other than in `ENVIRONMENT`.
    """
    began = f"2026-01-{day:02}T00:00:00Z"
    here = dataclasses.replace(ENVIRONMENT, **environment)
    end = began if finished else None
    made = Run(id=f"202601{day:02}-000000-abcdef", started_at=began, environment=here, finished_at=end)
    journal = Journal.create(Path(output), made)
    for prompt, seed, measured in tests:
        journal.append(
            Record(
                run=made.id,
                nodeid=f"t.py::test_generation[{model}-{prompt}]",
                benchmark="t.py::test_generation",
                model=model,
                status="passed",
                prompt=prompt,
                seed=seed,
                weights="hub",
                recipe_digest="r",
                hardware=here.hardware,
                measurements=measured,
            )
        )
    journal.finish(made)
    return journal.folder


def sharpness(value: float) -> Measurement:
    """A metric of which more is better."""
    return Measurement(name="sharpness", value=value, unit="1", better="higher")
