"""Sessions in which nothing changed but the noise: what A/A runs leave, as records."""

from __future__ import annotations

from typing import Any

from pytest_vdb.records import Baseline, Environment, Measurement, Record, Run

ENVIRONMENT = Environment(
    python="3.12.1", platform="Linux", hardware="CPU", cpu="a CPU", cpu_count=2, memory_mib=8_000, packages={}
)


def of(metric: str, value: float | None, **more: Any) -> Measurement:
    """`sharpness`, or a cost in seconds."""
    is_cost = metric in {"latency", "load_time"}
    about: dict[str, Any] = {"unit": "s" if is_cost else "1", "better": "lower" if is_cost else "higher"}
    about |= {"kind": "performance"} if is_cost else {}
    about |= {"reason": "the sampler diverged"} if value is None else {}
    return Measurement(name=metric, value=value, **about | more)


def session(
    number: int,
    values: dict[str, list[float | None]],
    *,
    seed: int = 0,
    about: dict[str, Any] | None = None,
    of_set: bool = False,
    **more: Any,
) -> Baseline:
    """A session of `wan`: for each metric one value per prompt.

    Args:
        number: tells it apart from others.
        values: metric -> the values of p0, p1, ...
        seed: the base seed; a clip's seed follows from it and its prompt.
        about: further fields of the measurements.
        of_set: whether it is no test's, but of all clips.
        more: further fields of the records.
    """
    count = len(next(iter(values.values())))
    records = []
    for index in range(count):
        known: dict[str, Any] = {
            "run": f"run-{number}",
            "nodeid": f"t.py::test_generation[wan--p{index}]",
            "benchmark": "t.py::test_generation",
            "model": "wan",
            "status": "passed",
            "prompt": f"p{index}",
            "seed": None if of_set else 100 * seed + index,
            "weights": "hub",
            "recipe_digest": "r",
            "hardware": "CPU",
            "measurements": tuple(of(name, every[index], **about or {}) for name, every in values.items()),
        }
        records.append(Record(**known | more))
    run = Run(
        id=f"run-{number}",
        started_at=f"2026-01-{number + 1:02}T00:00:00Z",
        finished_at=f"2026-01-{number + 1:02}T01:00:00Z",
        environment=ENVIRONMENT,
        options={"seed": seed},
    )
    return Baseline(run=run, records=tuple(records))
