"""Baselines: a run to compare with, or the small JSON of one that can be committed.

The JSON says once what many records share (recipes, units, versions) and leaves out what no comparison reads
(previews, tracebacks, series). One record per line, so a new baseline is a readable diff.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pytest_vdb import files
from pytest_vdb.errors import NewerSchema, RecordError, VdbError
from pytest_vdb.options import of_runs
from pytest_vdb.records import SCHEMA_IN_FULL, Baseline, Measurement, Record, Run
from pytest_vdb.results import journal

FORMAT = "pytest-vdb baseline"

_SHARED = ("run", "hardware", "environment", "suite", "suite_digest", "weights")
"""Fields that most records of a run agree on: said once, repeated only where a record differs."""
_DROPPED = ("measurements", "recipe", "clip", "failure", "notes", "prompt_text", "worker", "started_at", "schema")


def save(records: Iterable[Record], run: Run, path: Path) -> None:
    """Write the small JSON of a run.

    Raises:
        OutputError: the file cannot be written.
    """
    records = list(records)
    shared = {name: getattr(records[0], name) for name in _SHARED} if records else {}
    metrics: dict[str, dict[str, Any]] = {}
    for record in records:
        for measured in record.measurements:
            metrics.setdefault(measured.name, _usual_definition(measured))
    head = {
        "format": FORMAT,
        "schema": SCHEMA_IN_FULL,
        "run": msgspec.to_builtins(dataclasses.replace(run, recipes={}, models={}, summary={})),
        "recipes": {record.recipe_digest: record.recipe for record in records if record.recipe_digest},
        "metrics": metrics,
        "shared": {name: value for name, value in shared.items() if value is not None},
    }
    lines = [json.dumps(_small(record, shared, metrics), ensure_ascii=False) for record in records]
    body = json.dumps(head, indent=1, ensure_ascii=False)[:-2]
    files.write(path, body + ',\n "records": [\n' + ",\n".join(f"  {line}" for line in lines) + "\n ]\n}\n")


def load(path: Path) -> Baseline:
    """Read a baseline: the small JSON, a run's folder, its `run.json` or its `records.jsonl`.

    Raises:
        RecordError: nothing there, or not one of these.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    path = Path(path)
    if not files.is_there(path):
        raise RecordError(
            "there is no such baseline", where=path, mend="make one with: vdb baseline save reports/runs/RUN -o FILE"
        )
    if files.is_folder(path) or path.name in (journal.RUN, journal.RECORDS):
        run, records, warnings = journal.read(path)
        folder = path if files.is_folder(path) else path.parent
        return Baseline(run=run, records=tuple(records), warnings=tuple(warnings), folder=folder)
    return _unfolded(_content_of_baseline(path), path)


def find(asked: str, output: Path, *, than: Run | None = None) -> Baseline:
    """What `--vdb-baseline` names.

    Args:
        asked: a path as `load` takes it; or, among the runs of the output folder, `latest`, `branch:NAME` (the latest
            of that git branch) or `history:N` (the latest N: the newest is compared with, the others show how much
            sessions differ).
        output: the output folder.
        than: the run that is judged; only runs that began before it are looked at.

    Raises:
        RecordError: nothing there, or not one of these.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    kind, _, wanted = asked.partition(":")
    if not of_runs(asked):
        return load(Path(asked))
    runs = [run for run in runs_in(output) if than is None or (run.run.id != than.id and run.began < than.started_at)]
    if kind == "branch":
        runs = [one for one in runs if one.run.environment.git_branch == wanted]
    count = int(wanted) if kind == "history" else 1
    found = [load(one.folder) for one in runs[:count]]
    if not found:
        raise RecordError(
            f"no finished run{f' of the branch {wanted}' if kind == 'branch' else ''} lies there",
            where=output / journal.RUNS,
            mend="run the benchmarks once before, or give a baseline's file",
        )
    return dataclasses.replace(found[0], history=tuple(found[1:]))


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run and where it lies."""

    run: Run
    folder: Path

    @property
    def began(self) -> str:
        """ISO 8601, UTC."""
        return self.run.started_at


def runs_in(output: Path) -> list[RunFolder]:
    """The finished runs of an output folder, the newest first; what cannot be read is none."""
    folder = output / journal.RUNS
    if not files.is_folder(folder):
        return []
    found = []
    for path in files.entries(folder, error=RecordError)[0]:
        with contextlib.suppress(VdbError):
            run = journal.read_run(path)
            if run.finished_at is not None:
                found.append(RunFolder(run, path))
    return sorted(found, key=lambda one: (one.began, one.run.id), reverse=True)


def _small(record: Record, shared: dict[str, Any], metrics: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A record without what is shared, unset, or never compared."""
    plain = {
        field.name: getattr(record, field.name)
        for field in dataclasses.fields(record)
        if field.name not in _DROPPED
        and (field.name not in shared or getattr(record, field.name) != shared[field.name])
        and (field.name in shared or getattr(record, field.name) != field.default)
    }
    plain["values"] = {measured.name: _as_short(measured, metrics[measured.name]) for measured in record.measurements}
    return plain


def _usual_definition(measured: Measurement) -> dict[str, Any]:
    return {"unit": measured.unit, "better": measured.better, "kind": measured.kind, "version": measured.version}


def _as_short(measured: Measurement, usual: dict[str, Any]) -> Any:
    """The number alone where everything else is as usual."""
    special = {key: value for key, value in _usual_definition(measured).items() if usual[key] != value}
    special |= {"wiring": True} if measured.wiring else {}
    special |= {"n": measured.n} if measured.n != 1 else {}
    special |= {"reason": measured.reason} if measured.reason else {}
    special |= {"interval": measured.interval} if measured.interval else {}
    return {"value": measured.value, **special} if special else measured.value


def _content_of_baseline(path: Path) -> dict[str, Any]:
    content = files.read_json(path, error=RecordError, mend="give a run or what `vdb baseline save` wrote")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise RecordError("not a baseline", where=path, mend="give a run or what `vdb baseline save` wrote")
    NewerSchema.refuse(content.get("schema"), SCHEMA_IN_FULL, where=path)
    return content


def _unfolded(content: dict[str, Any], path: Path) -> Baseline:
    try:
        metrics, recipes = content["metrics"], content["recipes"]
        records = []
        for small in content["records"]:
            values = [
                {"name": name, **metrics[name], **(value if isinstance(value, dict) else {"value": value})}
                for name, value in small.pop("values").items()
            ]
            recipe = recipes.get(small.get("recipe_digest"), {})
            records.append({**content["shared"], **small, "recipe": recipe, "measurements": values})
        run = msgspec.convert({**content["run"], "recipes": recipes}, Run)
        return Baseline(run=run, records=tuple(msgspec.convert(records, list[Record])))
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError, RecordError) as problem:
        said = problem.what if isinstance(problem, RecordError) else problem
        raise RecordError(
            f"a baseline with a part missing or of the wrong type: {said}", where=path, mend="write it again"
        ) from None
