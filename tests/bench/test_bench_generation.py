"""Readings of a model in a process of its own: what this process holds is not its memory."""

from __future__ import annotations

from pytest_vdb.bench.generation import ELSEWHERE, of_the_model
from pytest_vdb.models.contract import CallableModel
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.profiling.cuda_memory import FITS_ON
from pytest_vdb.profiling.gpus import MEMORY_CHANGE
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.process_memory import PEAK_RSS

READINGS = tuple(reading.of(3.0) for reading in (LATENCY, PEAK_RSS, FITS_ON, MEMORY_CHANGE))


def test_memory_of_this_process_is_none_of_an_isolated_models():
    isolated = IsolatedModel("boxed", Isolation(serve="model.py:x"), "cpu")
    told = {measured.name: measured for measured in of_the_model(isolated, READINGS)}
    assert {name: measured.value for name, measured in told.items()} == {
        "latency": 3.0,
        "peak_rss": None,
        "fits_on": None,
        "gpu_memory_change": 3.0,
    }
    assert told["peak_rss"].reason == ELSEWHERE


def test_a_model_of_this_process_keeps_all_of_them():
    plain = CallableModel("plain", lambda prompt, recipe, seed: None)
    assert of_the_model(plain, READINGS) == READINGS
