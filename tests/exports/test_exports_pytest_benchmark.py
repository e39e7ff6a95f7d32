"""pytest-benchmark's JSON through pytest-benchmark's own loader, and back."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.logger import Logger
from pytest_benchmark.storage.file import FileStorage

from pytest_vdb.errors import RecordError
from pytest_vdb.exports.targets import targets, that_reads


def loaded(path: Path) -> dict[str, dict]:
    """What pytest-benchmark reads, by the benchmark's name."""
    storage = FileStorage(str(path.parent / "storage"), logger=Logger(Logger.NORMAL))
    return {one["name"]: one for one in storage.load_benchmarks(str(path))}


def test_its_own_loader_reads_seconds_with_its_own_statistics(board, written, tmp_path):
    written("pytest-benchmark", "x.json")
    latency = loaded(tmp_path / "x.json")["test_generation[veo][latency]"]
    (row,) = (row for row in board.rows if row.model == "veo")
    seconds = [record.measurement("latency").value for record in row.records]
    assert latency["group"] == "latency"
    assert (latency["rounds"], latency["iterations"]) == (6, 1)
    assert latency["mean"] == pytest.approx(statistics.mean(seconds))
    assert latency["stddev"] == pytest.approx(statistics.stdev(seconds))
    assert latency["extra_info"]["pytest_vdb"]["better"] == "lower"


def test_a_clip_from_the_cache_took_nothing_and_is_no_round(written, tmp_path):
    told = written("pytest-benchmark", "x.json")
    assert loaded(tmp_path / "x.json")["test_generation[sora][latency]"]["rounds"] == 5
    assert any(one.metric == "latency" and "reused from the cache" in one.reason for one in told.left_out)


def test_what_is_no_time_is_left_out_and_said(written, tmp_path):
    told = written("pytest-benchmark", "x.json")
    assert {one["group"] for one in loaded(tmp_path / "x.json").values()} == {"latency"}
    assert any(one.metric == "sharpness" and "seconds" in one.reason for one in told.left_out)
    sharpness = loaded(tmp_path / "x.json")["test_generation[veo][latency]"]["extra_info"]["pytest_vdb"]["metrics"]
    assert sharpness["sharpness"]["better"] == "higher"


def test_weights_without_meaning_are_in_the_name(written, tmp_path):
    written("pytest-benchmark", "x.json")
    assert "test_generation[wan2.1-t2v-1.3b] (tiny weights)[latency]" in loaded(tmp_path / "x.json")


def test_values_come_back_equal(board, written, tmp_path):
    written("pytest-benchmark", "x.json")
    run, records = targets()["pytest-benchmark"].reader.read(tmp_path / "x.json")
    sent = [record for row in board.rows for record in row.records if record.reused_from is None]
    timed = {record.nodeid: m.value for record in sent if (m := record.measurement("latency")) is not None}
    assert {record.nodeid: record.measurement("latency").value for record in records} == timed
    assert (run.id, run.started_at) == (board.run.id, board.run.started_at)
    assert {(r.model, r.weights) for r in records} == {(r.model, r.weights) for r in sent if r.measurements}
    assert {record.seed for record in records} == {1234}


def test_no_host_is_named(written, tmp_path):
    written("pytest-benchmark", "x.json")
    assert "node" not in json.loads((tmp_path / "x.json").read_text())["machine_info"]


@pytest.mark.parametrize("text", ['{"machine_info": {}, "benchmarks": [{}]}', '["machine_info", "benchmarks"]'])
def test_a_file_that_lacks_a_part_says_so(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="lacks a part"):
        targets()["pytest-benchmark"].reader.read(path)


@pytest.mark.slow  # two processes of their own
def test_a_file_that_pytest_benchmark_wrote_is_read_and_one_of_ours_is_compared(written, tmp_path):
    (tmp_path / "test_sum.py").write_text("def test_sum(benchmark):\n    benchmark(sum, [1, 2])\n")
    timed = tmp_path / "timed.json"
    asked = [sys.executable, "-m", "pytest", "test_sum.py", f"--benchmark-json={timed}", "--benchmark-max-time=.1"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, env=alone)  # a worker's own times nothing
    assert that_reads(timed) is targets()["pytest-benchmark"]
    _, (record,) = targets()["pytest-benchmark"].reader.read(timed)
    own = json.loads(timed.read_text())["benchmarks"][0]["stats"]
    (measured,) = record.measurements
    assert (record.benchmark, measured.value, measured.n) == ("test_sum.py::test_sum", own["mean"], own["rounds"])
    written("pytest-benchmark", "ours.json")
    command = [str(Path(sys.executable).with_name("pytest-benchmark")), "compare", str(tmp_path / "ours.json")]
    if not Path(command[0]).is_file():
        command[:1] = [sys.executable, "-c", "from pytest_benchmark.cli import main; main()"]
    shown = subprocess.run(
        command, cwd=tmp_path, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    assert "benchmark 'latency': 8 tests" in shown.stdout
