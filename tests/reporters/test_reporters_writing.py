"""Files of reports are the same whoever makes them, and one that cannot be written costs none of the others."""

import subprocess
import sys
from pathlib import Path

import example_run as example
import pytest

from pytest_vdb import reporters
from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.errors import OutputError
from pytest_vdb.records import Measurement
from pytest_vdb.reporters import formats

MODELS, PROMPTS = "abcdefgh", [f"p{at}" for at in range(6)]
IN_TWO_PROCESSES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_reporters_writing as here
from pytest_vdb import processes, reporters
from pytest_vdb.analysis import leaderboard

begun, child_of = [], processes._child_of
processes._child_of = lambda *given: (begun.append(1), child_of(*given))[1]
reporters.MANY_RECORDS = leaderboard.MANY_RECORDS = 1
written = reporters.write_all(here.a_board(), Path(sys.argv[2]))
print(len(begun), *(path.name for path in written))
"""


def a_board() -> Leaderboard:
    run = example.example_run()
    every = [(model, prompt) for model in MODELS for prompt in PROMPTS]
    return build(run, [example.answer(run, *one, weights="hub", measurements=scores(*one)) for one in every])


def scores(model: str, prompt: str) -> tuple[Measurement, ...]:
    value = (ord(model) - ord("a") + int(prompt[1:])) / 20
    names = "clip_similarity", "vbench.subject_consistency"
    return tuple(Measurement(name=name, value=value, unit="score", better="higher") for name in names)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks with all its libraries whole")
def test_two_processes_write_what_one_writes(tmp_path):
    command = [sys.executable, "-c", IN_TWO_PROCESSES, str(Path(__file__).parent), str(tmp_path / "two")]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    children, *names = ran.stdout.split()
    assert (children, ran.stderr) == ("2", "")
    assert names == [path.name for path in reporters.write_all(a_board(), tmp_path / "one")]
    assert files_in(tmp_path / "two") == files_in(tmp_path / "one")
    assert len(files_in(tmp_path / "one")) > len(formats.chosen("all")) + 2 * len(MODELS)  # pages, VBench's files


def test_a_format_that_cannot_be_written_stops_none_of_the_others(tmp_path):
    (tmp_path / "leaderboard.csv").mkdir()
    with pytest.raises(OutputError, match=r"leaderboard\.csv"):
        reporters.write_all(a_board(), tmp_path)
    reporters.write_all(a_board(), tmp_path / "whole")
    lacking = files_in(tmp_path / "whole").keys() - files_in(tmp_path).keys()
    assert lacking == {"leaderboard.csv", "standings.csv", "values.csv"}


def test_pages_that_cannot_be_written_leave_the_earlier_ones(tmp_path, monkeypatch):
    reporters.write_all(a_board(), tmp_path, ["html"])
    before = files_in(tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OutputError, match="No space left on device"):
        reporters.write_all(a_board(), tmp_path, ["html"])
    assert files_in(tmp_path) == before


def full_disk(path: Path, data: bytes) -> int:
    raise OSError(28, "No space left on device", str(path))
