"""VBench's own result files, one per row that has values of its dimensions: what its tools and leaderboard read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_vdb.analysis.leaderboard import Leaderboard, Row
from pytest_vdb.records import SCORED, Record
from pytest_vdb.reporters.text import distinct_names
from pytest_vdb.results import vbench

FOLDER = "vbench"


def render(board: Leaderboard) -> dict[str, str]:
    """File name -> text; of models whose pixels mean something and that were measured here, yardsticks left out."""
    files: dict[str, str] = {}
    for table in board.tables:
        names = distinct_names(table)
        for at, row in enumerate(table.rows):
            measured = row.real and row.published is None and not row.yardstick
            dimensions = of_records(row.records) if measured else {}
            if dimensions:
                files[_free(_file_name(names[at]), row, files)] = vbench.render(dimensions)
    return files


def of_records(records: Sequence[Record]) -> dict[str, vbench.Dimension]:
    """What was measured, by VBench's names of the dimensions; one of the whole set has its mean alone."""
    videos: dict[str, list[tuple[str, float]]] = {}
    means: dict[str, vbench.Dimension] = {}
    for record in records:
        for measured in record.measurements:
            if not measured.name.startswith(vbench.FAMILY) or measured.value is None or measured.wiring:
                continue
            dimension = measured.name.removeprefix(vbench.FAMILY)
            if record.clip is None:
                means[dimension] = vbench.Dimension(measured.value)
            else:
                videos.setdefault(dimension, []).append((_video(record), measured.value))
    return {dimension: vbench.Dimension.of(found) for dimension, found in videos.items()} | means


def _video(record: Record) -> str:
    """The file of a clip that was scored; of a generated one the name that VBench gives it, `PROMPT-0.mp4`."""
    if record.run.startswith(SCORED) or record.prompt_text is None:
        return record.nodeid.rpartition("::")[2]
    return f"{record.prompt_text}-{record.sample_index}.mp4"


def _free(name: str, row: Row, taken: dict[str, str]) -> str:
    """The same model may have rows in several benchmarks."""
    return name if name not in taken else _file_name(f"{name.removesuffix(vbench.SUFFIX)}-{row.benchmark}")


def _file_name(name: str) -> str:
    """What is safe in a path on every system, however a model is called."""
    return (re.sub(r"[^\w.+-]+", "_", name, flags=re.ASCII).lstrip(".") or "model") + vbench.SUFFIX
