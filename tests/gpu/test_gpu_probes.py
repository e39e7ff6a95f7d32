"""The checks of `tox -e gpu` on a card that is played: torch's counters, NVML and `nvidia-smi` from below our code."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vdb.profiling.division import DENOISE
from pytest_vdb.profiling.gpus import STAGE_ENERGIES
from pytest_vdb.profiling.profiler import Profiler
from pytest_vdb.profiling.settings import Settings
from pytest_vdb.profiling.stage_memory import CudaStageMemory
from pytest_vdb.profiling.stages import Stages

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
NOT_TOLD = {"MIG divides it"}
"""That the played `nvidia-smi` does not tell, like that of a card for gamers."""

WITHOUT_SECOND_SOURCE = {
    "fits_on",  # a sum of two that have one, against a table
    "step_time",  # the mean of steps, which add up to denoising: `all steps`
    "other_time",  # likewise: `stages and the rest`
    # stages that are too short for the sensors, read as `denoising_energy` is
    *(reading.name for stage, reading in STAGE_ENERGIES.items() if stage != DENOISE),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if shutil.which("nvidia-smi"):
        pytest.skip("a driver is here: `tox -e gpu` checks its own card")
    if COMPILER is None:
        pytest.skip("no C compiler here")
    target = tmp_path_factory.mktemp("nvml") / "stand-in.so"
    source = HERE.parent / "profiling" / "stand_in_nvml.c"
    name = "-Wl,-soname,libnvidia-ml.so.1"
    subprocess.run([COMPILER, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", name, source, "-o", target], check=True)
    return target


@pytest.fixture(scope="module")
def checks(library, tmp_path_factory):
    return played(library, tmp_path_factory.mktemp("played"), "none")


def played(library, folder, fault):
    """The checks by their names, each with the word that it ends with."""
    state = folder / "state"
    state.mkdir()
    environment = os.environ | {"PLAYED_STATE": str(state), "PATH": f"{HERE}{os.pathsep}{os.environ['PATH']}"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "played.py"), str(library), str(state), fault]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {row["what"]: row for row in json.loads(done.stdout) if "passed" in row}


@pytest.mark.slow
def test_every_probe_agrees_with_its_second_source(checks):
    assert len(checks) > 30
    assert {what: row for what, row in checks.items() if row["passed"] is False} == {}
    assert {what for what, row in checks.items() if row["passed"] is None} == NOT_TOLD


@pytest.mark.slow
def test_no_reading_of_a_cuda_device_is_left_out(checks):
    """A new probe gets its second source in `benchmarks/gpu`, or a word here why there is none."""
    told = {what.partition(" ")[0].rstrip(",") for what in checks}
    profiler = Profiler("cuda", settings=Settings(memory_rate_hz=1.0))
    every = (*profiler.readings, *Stages.readings, *CudaStageMemory.readings, *STAGE_ENERGIES.values())
    assert {one.name for one in every if one.name not in told} == WITHOUT_SECOND_SOURCE


@pytest.mark.slow
def test_a_probe_that_is_told_lies_is_caught(library, tmp_path):
    checks = played(library, tmp_path, "lies")
    wrong = {what for what, row in checks.items() if row["passed"] is False}
    assert {"energy", "energy, by the counter", "power", "peak_memory_allocated of the next call"} <= wrong
    assert checks["latency"]["passed"]
