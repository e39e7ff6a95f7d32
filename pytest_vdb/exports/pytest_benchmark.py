"""pytest-benchmark's JSON: what a model's calls took, as `pytest-benchmark compare FILE` shows it.

A benchmark is one reading in seconds of one model; a round is a sample, so its spread is that between prompts and not
that of repetitions: the file says so. Other values have no place there but in `extra_info`. Read back, a round is a
record; a file that pytest-benchmark itself wrote without `--benchmark-save-data` holds no rounds, and gives its mean.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_vdb import files
from pytest_vdb.analysis.tables import Leaderboard
from pytest_vdb.errors import RecordError
from pytest_vdb.exports.contract import Destination, Reader, Target, Written, counted
from pytest_vdb.exports.summaries import Summarised, left_out, summarised
from pytest_vdb.records import Environment, Measurement, Record, Run, digest, from_plain
from pytest_vdb.results.vbench import UNKNOWN

_SECONDS = "s"
_EXTRA = "pytest_vdb"
"""Our part of a benchmark's `extra_info`."""
_ROUNDS = "rounds are samples: the spread is that between prompts"


def _write_timings(board: Leaderboard, to: Destination) -> Written:
    rows = summarised(board)
    found = [one for row in rows for one in _benchmarks_of(row)]
    path = files.write(files.expanded(to.place), _rendered_timings(board.run, found))
    others = [
        (summary.name, f"pytest-benchmark knows seconds, not {summary.column.unit}: only in extra_info", summary.cell.n)
        for row in rows
        for summary in row.summaries
        if summary.column.unit != _SECONDS and summary.cell.mean is not None
    ]
    return Written(
        places=(str(path),),
        values=sum(len(one["stats"]["data"]) for one in found),
        left_out=(*left_out(rows), *counted(others)),
        notes=(_ROUNDS,),
    )


def _rendered_timings(run: Run, benchmarks: list[dict[str, Any]]) -> str:
    from pytest_benchmark import __version__

    environment = run.environment
    machine = {"system": environment.platform, "machine": environment.hardware, "python_version": environment.python}
    content = {
        "machine_info": {**machine, "cpu": {"brand_raw": environment.cpu, "count": environment.cpu_count}},
        "commit_info": {"id": environment.git_commit, "dirty": environment.git_dirty, "run": run.id},
        "benchmarks": benchmarks,
        "datetime": run.started_at,
        "version": __version__,
    }
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def _benchmarks_of(row: Summarised) -> Iterator[dict[str, Any]]:
    for summary in row.summaries:
        timed = [(record, m) for record in row.row.records if (m := _timing(record, summary.column.name)) is not None]
        if summary.column.unit != _SECONDS or not timed:
            continue
        samples = [
            {"nodeid": record.nodeid, "prompt": record.prompt, "seed": record.seed, "sample_index": record.sample_index}
            for record, _ in timed
        ]
        yield {
            "group": summary.name,
            "name": f"{row.test}[{summary.name}]",
            "fullname": f"{row.row.benchmark}[{row.name}][{summary.name}]",
            "params": {"model": row.row.model, **row.row.parameters},
            "param": row.name,
            "extra_info": {_EXTRA: _said_of(row, summary.column.better, samples)},
            "options": {"timer": "perf_counter", "rounds": _ROUNDS},
            "stats": _statistics([m.value for _, m in timed if m.value is not None]),
        }


def _timing(record: Record, name: str) -> Measurement | None:
    """What a sample took; None for a clip from the cache, which took nothing."""
    measured = record.measurement(name)
    return None if measured is None or measured.value is None or record.reused_from is not None else measured


def _said_of(row: Summarised, better: str, samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **row.about,
        "better": better,
        "setup": {name: getattr(row.row, name) for name in ("weights", "recipe_digest", "hardware", "revision")},
        "metrics": {s.name: {"value": s.cell.mean, **s.definition} for s in row.summaries},
        "samples": samples,
    }


def _statistics(seconds: list[float]) -> dict[str, Any]:
    """pytest-benchmark's own, of one call a round."""
    from pytest_benchmark.stats import Stats

    stats = Stats()
    for one in seconds:
        stats.update(one)
    return {**stats.as_dict(), "data": seconds, "iterations": 1}


# Reading ------------------------------------------------------------------------------------------------------------


def _is_timings(path: Path) -> bool:
    if path.suffix != ".json":
        return False
    head = files.read_bytes(path, error=RecordError)[:200_000]
    return b'"machine_info"' in head and b'"benchmarks"' in head


def _read_timings(path: Path) -> tuple[Run, list[Record]]:
    """Raises RecordError: a benchmark without a name or its statistics."""
    content = files.read_json(path, error=RecordError)
    try:
        run = _run_of_timings(content, path)
        records: dict[str, dict[str, Any]] = {}
        for one in content["benchmarks"]:
            for record in _records_of_benchmark(one, run):
                known = records.setdefault(record["nodeid"], record)
                if known is not record:
                    known["measurements"] += record["measurements"]
        return run, [from_plain(record, Record) for record in records.values()]
    except (KeyError, TypeError, AttributeError, ValueError, RecordError) as problem:
        said = problem.what if isinstance(problem, RecordError) else f"{type(problem).__name__}: {problem}"
        what = f"a benchmark of pytest-benchmark that lacks a part: {said}"
        raise RecordError(what, where=path, mend="give a file that pytest-benchmark's --benchmark-json wrote") from None


def _run_of_timings(content: dict[str, Any], path: Path) -> Run:
    """The session that timed them, with as much of its machine as the file says."""
    machine, commit = content.get("machine_info") or {}, content.get("commit_info") or {}
    cpu = machine.get("cpu") or {}
    run_id = commit.get("run") or f"pytest-benchmark-{digest([path.name, content.get('datetime')], length=8)}"
    environment = Environment(
        python=str(machine.get("python_version") or UNKNOWN),
        platform=str(machine.get("system") or UNKNOWN),
        hardware=str(machine.get("machine") or UNKNOWN),
        cpu=str(cpu.get("brand_raw") or UNKNOWN),
        cpu_count=cpu.get("count") or 0,
        memory_mib=0,
        git_commit=commit.get("id"),
        git_dirty=commit.get("dirty"),
    )
    return Run(id=run_id, started_at=content.get("datetime") or "", environment=environment)


def _records_of_benchmark(one: dict[str, Any], run: Run) -> Iterator[dict[str, Any]]:
    """A record per round of ours; one, with the mean of all rounds, of a benchmark that another project timed."""
    extra = (one.get("extra_info") or {}).get(_EXTRA)
    stats = one["stats"]
    if extra is None:
        name, _, case = one["fullname"].partition("[")
        measured = _measured_seconds("benchmark", stats["mean"], n=stats["rounds"])
        yield {
            "run": run.id,
            "nodeid": one["fullname"],
            "benchmark": name,
            "model": str(one.get("param") or case.removesuffix("]") or one["name"]),
            "status": "passed",
            "weights": "none",
            "hardware": run.environment.hardware,
            "measurements": [measured],
        }
        return
    for sample, seconds in zip(extra["samples"], stats["data"], strict=True):
        yield {
            **sample,
            "run": run.id,
            "benchmark": extra["benchmark"],
            "model": extra["model"],
            "status": "passed",
            **extra["setup"],
            "task": extra.get("task"),
            "suite": extra.get("suite"),
            "parameters": {name: str(value) for name, value in one["params"].items() if name != "model"},
            "measurements": [_measured_seconds(one["group"], seconds, better=extra["better"])],
        }


def _measured_seconds(name: str, seconds: float, *, better: str = "lower", n: int = 1) -> dict[str, Any]:
    return {"name": name, "value": seconds, "unit": _SECONDS, "better": better, "kind": "performance", "n": n}


TARGET = Target(
    name="pytest-benchmark",
    about="pytest-benchmark's JSON: readings in seconds, a benchmark per model and reading",
    place="FILE",
    default="exports/{run}.benchmark.json",
    write=_write_timings,
    reader=Reader(recognises=_is_timings, read=_read_timings),
)
