"""Readings of a model in a process of its own: what this process holds is not its memory."""

from __future__ import annotations

from pathlib import Path

from pytest_vdb.bench.generation import ELSEWHERE, OF_ONE_CARD, of_the_model
from pytest_vdb.models.contract import CallableModel
from pytest_vdb.models.isolated import IsolatedModel
from pytest_vdb.models.isolation.settings import Isolation
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.registry import Registry
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.models.spread import SpreadModel
from pytest_vdb.profiling.costs import ENERGY_COST, HARDWARE_COST
from pytest_vdb.profiling.cuda_memory import FITS_ON
from pytest_vdb.profiling.gpus import ENERGY, MEMORY_CHANGE
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.process_memory import PEAK_RSS
from pytest_vdb.profiling.rapl import CPU_ENERGY
from pytest_vdb.records import Recipe

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


def test_of_a_clip_that_devices_share_one_card_tells_nothing():
    card = Registry.from_catalog().get("wan2.1-t2v-1.3b")
    recipe = resolve(card, Recipe(parallel="ulysses:2"), "random")
    shared = SpreadModel(card, recipe, WeightsSource(mode="random", device="cuda:0", cache_dir=Path("nowhere")))
    priced = tuple(reading.of(3.0) for reading in (ENERGY, HARDWARE_COST, ENERGY_COST))
    told = {measured.name: measured for measured in of_the_model(shared, (*READINGS, *priced))}
    assert [name for name, measured in told.items() if measured.value is not None] == ["latency"]
    assert told["energy"].reason == told["hardware_cost"].reason == told["gpu_memory_change"].reason == OF_ONE_CARD
    of_processor = tuple(reading.of(3.0) for reading in (CPU_ENERGY, ENERGY_COST))
    assert of_the_model(shared, of_processor) == of_processor, "of the whole machine"


def test_a_model_of_this_process_keeps_all_of_them():
    plain = CallableModel("plain", lambda prompt, recipe, seed: None)
    assert of_the_model(plain, READINGS) == READINGS
