"""What `vdb report` and `vdb compare` read: runs, what `vdb score` wrote, and VBench's result files of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pytest_vdb.errors import RecordError
from pytest_vdb.records import Measurement, Record, Run, from_json
from pytest_vdb.results import journal, vbench

GENERATION = "test_generation"
"""The benchmark of the shipped suite in which models are measured clip by clip, as scored clips are."""

SCORE, SCORE_SET = "score", "score-set"
"""The benchmarks of `vdb score`'s records: of each clip, and of all clips together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing to report on."""

    run: Run
    records: tuple[Record, ...]
    output: Path | None
    """Where its reports go when nobody says; None: it does not know."""
    folder: Path
    """What the records' files are relative to."""
    warnings: tuple[str, ...] = ()


def read(paths: Sequence[Path]) -> list[Source]:
    """Runs as they are. Scored clips and published figures stand beside the models that the runs' suite generated with,
    or in a table of their own where no run has that benchmark.

    Raises:
        RecordError: a path that is none of these.
    """
    sources = {path: _run(path) for path in paths if not is_ledger(path) and not vbench.is_results(path)}
    benchmarks = {record.benchmark for source in sources.values() for record in source.records}
    benchmark = GENERATION if GENERATION in benchmarks else SCORE
    return [
        sources.get(path) or (_ledger(path, benchmark) if is_ledger(path) else _published(path, benchmark))
        for path in paths
    ]


def is_ledger(path: Path) -> bool:
    """Whether a file of records stands alone: `vdb score` wrote it."""
    return path.suffix == ".jsonl" and path.is_file() and not (path.parent / journal.RUN).exists()


def run_of_ledger(path: Path) -> Path:
    """Where `vdb score` says with what it scored: beside the records."""
    return path.with_suffix(".run.json")


def features_in_ledger(path: Path, key: str) -> Path:
    """Where `vdb score` keeps what the networks saw in the clip of that identity."""
    return path.with_suffix(".features") / f"{key}.npz"


def _run(path: Path) -> Source:
    run, records, warnings = journal.read(path)
    folder = path if path.is_dir() else path.parent
    return Source(run=run, records=tuple(records), output=folder.parent.parent, folder=folder, warnings=tuple(warnings))


def _published(path: Path, benchmark: str) -> Source:
    run, record = vbench.published(path, benchmark=benchmark)
    return Source(run=run, records=(record,), output=None, folder=path.parent)


def _ledger(path: Path, benchmark: str) -> Source:
    """Each clip once, with all that was measured of it in however many sessions."""
    records, warnings = journal.read_records(path)
    if not records:
        raise RecordError("it holds no record of a scored clip", where=path, mend="score clips: vdb score CLIPS")
    about = run_of_ledger(path)
    run = from_json(about.read_bytes(), Run, where=about) if about.exists() else vbench.unknown_run(path.stem)
    clips: dict[str, Record] = {}
    for record in records:
        kept = features_in_ledger(path, record.recipe_digest or "")
        record = replace(record, features=str(kept.relative_to(path.parent)) if kept.is_file() else None)
        clips[record.nodeid] = _together(clips.get(record.nodeid), record)
    model = run.options.get("model")
    named = str(model) if model else None
    shown = [_as_row(replace(record, model=named or record.model), path, benchmark) for record in clips.values()]
    output = path.parent.parent if path.parent.name == "scores" else path.parent
    return Source(run=run, records=tuple(shown), output=output, folder=path.parent, warnings=tuple(warnings))


def _together(earlier: Record | None, record: Record) -> Record:
    """The later record, with what an earlier session measured besides: with a reference, say, or other networks."""
    same = earlier is not None and all(earlier.recipe.get(of) == record.recipe.get(of) for of in ("file", "prompt"))
    if earlier is None or not same or earlier.failure is not None or record.failure is not None:
        return record
    measured = {m.name: m for m in earlier.measurements} | {m.name: m for m in record.measurements if _counts(m)}
    left = [m for m in record.measurements if m.name not in measured]
    return replace(record, measurements=(*measured.values(), *left), features=record.features or earlier.features)


def _counts(measured: Measurement) -> bool:
    return measured.value is not None


def _as_row(record: Record, path: Path, benchmark: str) -> Record:
    """A scored clip's identity is its file; the leaderboard's row is all of the model's clips."""
    prompt = None if record.benchmark == SCORE_SET else record.prompt or record.nodeid
    nodeid = f"{path.stem}::{record.nodeid}"
    return replace(record, nodeid=nodeid, benchmark=benchmark, prompt=prompt, recipe={}, recipe_digest=None)
