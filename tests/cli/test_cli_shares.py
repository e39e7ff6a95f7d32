"""Two large runs are compared by several processes: what is printed is what one process prints, to the letter.

What is large is told by the file's size: one record has a long note, and a few models are enough.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from written_runs import ENVIRONMENT

from pytest_vdb.cli import main
from pytest_vdb.cli.compare import MODELS_TOGETHER
from pytest_vdb.cli.shares import LARGE, shares_of_runs
from pytest_vdb.records import Measurement, Record, Run
from pytest_vdb.results import journal
from pytest_vdb.results.environment import cpu_count
from pytest_vdb.results.journal import Journal

needs_two_cores = pytest.mark.skipif(
    sys.platform != "linux" or cpu_count() < 2, reason="several processes take a system that forks, and two cores"
)
MODELS = [f"model-{at:02}" for at in range(2 * MODELS_TOGETHER + 3)]
PROMPTS = 16


def record_of(run: str, model: str, prompt: int, value: float, note: str) -> Record:
    return Record(
        run=run,
        nodeid=f"t.py::test_generation[{model}-p{prompt:02}]",
        benchmark="t.py::test_generation",
        model=model,
        status="passed",
        prompt=f"p{prompt:02}",
        prompt_text="a red bicycle",
        seed=prompt,
        weights="hub",
        recipe_digest="0123",
        hardware="H100",
        notes=(note,),
        measurements=(
            Measurement(name="sharpness", value=value, unit="1", better="higher"),
            Measurement(name="exposure", value=1 - value**2, unit="1", better="neutral"),
        ),
    )


def written(folder: Path, day: int, models: list[str], size: int) -> Path:
    """A run whose records have more bytes than that."""
    run = Run(id=f"202601{day:02}-000000-abcdef", started_at="2026-01-01T00:00:00+00:00", environment=ENVIRONMENT)
    book = Journal.create(folder, run)
    rng = np.random.default_rng(day)
    for model in models:
        for prompt, value in enumerate(rng.uniform(0.1, 0.9, PROMPTS).tolist()):
            book.append(record_of(run.id, model, prompt, value, "x" * size))
            size = 0
    book.finish(replace(run, finished_at=run.started_at, exit_status=0, collected=len(models) * PROMPTS))
    return book.folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """Two large ones, of which one has a model that the other has not."""
    folder = tmp_path_factory.mktemp("large")
    return written(folder, 1, [*MODELS, "only-here"], LARGE), written(folder, 2, MODELS, 2000)


def by_several(*arguments: object) -> tuple[int, int, str, str]:
    """How many processes compared, and status, stdout and stderr."""
    command = [sys.executable, "-X", "importtime", "-m", "pytest_vdb", "compare", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = ran.stderr.splitlines(keepends=True)
    said = [line for line in lines if not line.startswith("import time:")]
    who = sum(line.rstrip().endswith(" pytest_vdb.analysis.question") for line in lines)
    return who, ran.returncode, ran.stdout, "".join(said)


@pytest.fixture(autouse=True)
def width_of_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def by_one(capsys, *arguments: object) -> tuple[int, str, str]:
    """Status, stdout and stderr of this process, which does not fork: it has another thread."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        return main(["compare", *map(str, arguments)]), *capsys.readouterr()
    finally:
        end.set()
        other.join()


@needs_two_cores
@pytest.mark.slow
@pytest.mark.parametrize("form", [(), ("--json",), ("--markdown", "--model", "*1*")])
def test_several_processes_print_what_one_prints(runs, capsys, form):
    who, *several = by_several(*runs, *form)
    assert who > 1
    assert tuple(several) == by_one(capsys, *runs, *form)
    assert several[0] == 0
    assert "model-18" in several[1]


@needs_two_cores
@pytest.mark.slow
def test_files_are_the_same_and_what_is_amiss_is_said_once(runs, capsys, tmp_path):
    """One model was measured of other weights, and the run was killed in its last line."""
    torn = with_other_records(
        tmp_path,
        runs[1],
        lambda text: text.replace(b'"model-04","weights":"hub"', b'"model-04","weights":"local"')[:-9],
    )
    page, table = tmp_path / "page.html", tmp_path / "table.md"
    arguments = (runs[0], torn, "--html", page, "-o", table)
    who, *several = by_several(*arguments)
    written_by_several = page.read_text(), table.read_text()
    assert who > 1
    assert tuple(several) == by_one(capsys, *arguments)
    assert written_by_several == (page.read_text(), table.read_text())
    assert several[2].count("the last line is torn") == 1
    assert "other weights: hub in A, local in B" in several[1]


@needs_two_cores
@pytest.mark.slow
def test_what_cannot_be_read_or_compared_is_said_as_by_one_process(runs, capsys, tmp_path):
    nonsense = (*runs, "--metrics", "nonsense")
    assert by_several(*nonsense)[1:] == by_one(capsys, *nonsense)
    broken = with_other_records(tmp_path, runs[1], lambda text: text.replace(b'"define":', b'"gone":', 1))
    _, *several = by_several(runs[0], broken)
    assert tuple(several) == by_one(capsys, runs[0], broken)
    assert several[0] == 1
    assert "no line before it defines that" in several[2]


def with_other_records(folder: Path, run: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a run."""
    copy = folder / "runs" / run.name
    shutil.copytree(run, copy)
    (copy / journal.RECORDS).write_bytes(change((run / journal.RECORDS).read_bytes()))
    return copy


def test_what_is_small_or_no_run_is_one_process_s(runs, tmp_path):
    small = written(tmp_path, 1, MODELS, 2000)
    for paths in ((small, runs[1]), (runs[0], runs[0] / "run.json"), (runs[0], tmp_path / "nowhere")):
        assert shares_of_runs([*map(str, paths)], None, together=8) == []
