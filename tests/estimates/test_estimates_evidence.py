"""Runs of this machine are found, grouped by model, recipe and device, and tiny or reused clips are no evidence."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from pytest_vdb.cli import main
from pytest_vdb.estimates import evidence
from pytest_vdb.models import recipes
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.gpus import ENERGY
from pytest_vdb.profiling.latency import LATENCY
from pytest_vdb.profiling.rounds import of_rounds
from pytest_vdb.records import Environment, Recipe, Record, Run
from pytest_vdb.results.journal import Journal

WAN = "wan2.1-t2v-1.3b"
REGISTRY = Registry.from_catalog()
RECIPE = recipes.resolve(REGISTRY.get(WAN), Recipe(), "random")
H100 = "NVIDIA H100 80GB HBM3"


def record(seconds: float | None, *, joules: float | None = None, **changes: object) -> Record:
    plain = Record(
        run="20260101-000000-abcdef",
        nodeid="t.py::test_generation[x]",
        benchmark="t.py::test_generation",
        model=WAN,
        status="passed",
        weights="random",
        recipe=RECIPE.settings(),
        recipe_digest=RECIPE.digest(),
        hardware=H100,
        measurements=(
            LATENCY.of(seconds, reason=None if seconds else "failed"),
            ENERGY.of(joules, reason=None if joules else "no counter"),
        ),
    )
    return dataclasses.replace(plain, **changes)


def found(tmp_path, *records: Record) -> list:
    return list(evidence.references_of(records, REGISTRY, tmp_path))


def test_clips_of_one_recipe_are_one_reference_with_their_median_and_spread(tmp_path):
    (one,) = found(tmp_path, record(90.0, joules=6e4), record(100.0), record(110.0))
    assert (one.model, one.device.name, one.seconds, one.joules, one.own) == (WAN, "h100", 100.0, 6e4, True)
    assert one.spread == pytest.approx(math.log(110 / 90) / 2)
    assert one.recipe == RECIPE


def test_another_recipe_is_another_reference(tmp_path):
    steps = dataclasses.replace(RECIPE, steps=10)
    other = record(20.0, recipe=steps.settings(), recipe_digest=steps.digest())
    first, second = found(tmp_path, record(100.0), other)
    assert second.counts.operations < first.counts.operations / 4


def test_calls_that_were_timed_are_evidence_of_a_clip_each(tmp_path):
    batch = dataclasses.replace(RECIPE, batch=4)
    timed = of_rounds([360.0, 400.0, 404.0], frames=81, clips=4)
    of_batch = record(None, recipe=batch.settings(), recipe_digest=batch.digest())
    of_batch = dataclasses.replace(of_batch, measurements=(*timed, ENERGY.of(8e4)))
    of_one = dataclasses.replace(record(None), measurements=of_rounds([110.0, 120.0], frames=81))
    one, several = found(tmp_path, record(100.0), of_one, of_batch)
    assert (one.seconds, one.joules) == (107.5, None)
    assert (several.seconds, several.joules, several.recipe.clips) == (100.0, 2e4, 4)


@pytest.mark.parametrize("parallel", ["ulysses:2", "what nobody knows", 17])
def test_clips_that_devices_shared_are_no_evidence_of_one(tmp_path, parallel):
    shared = {**RECIPE.settings(), "parallel": parallel}
    assert found(tmp_path, record(50.0, recipe=shared)) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "tiny"},
        {"status": "failed"},
        {"reused_from": "another"},
        {"hardware": "a toaster"},
        {"model": "nobody's"},
        {"measurements": ()},
    ],
    ids=str,
)
def test_what_says_nothing_of_the_models_speed_here_is_no_evidence(tmp_path, changes):
    assert found(tmp_path, record(100.0, **changes)) == []


def test_a_processor_counts_where_it_was_measured(tmp_path):
    processor = record(1e5, hardware="AMD EPYC (2 cores)")
    assert found(tmp_path, processor) == []
    measured = dataclasses.replace(hardware.known()["t4"], name="AMD EPYC", teraflops={"bfloat16": 0.1})
    hardware.keep_measured(measured, tmp_path)
    (one,) = found(tmp_path, processor)
    assert one.device == measured


def test_a_folder_that_is_not_there_has_no_evidence(tmp_path):
    assert evidence.of_runs(tmp_path / "reports", REGISTRY, tmp_path) == ()


def test_ones_own_run_decides_what_the_command_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VDB_CACHE_DIR", str(tmp_path / "cache"))
    environment = Environment(
        python="3.12.1", platform="Linux", hardware=H100, cpu="a CPU", cpu_count=2, memory_mib=8_000
    )
    began = "2026-01-01T00:00:00Z"
    run = Run(id="20260101-000000-abcdef", started_at=began, environment=environment, finished_at=began)
    journal = Journal.create(tmp_path / "reports", run)
    journal.append(record(80.0))
    journal.finish(run)
    asked = ["estimate", f"{WAN},cogvideox-2b", "--gpu", "h100", "--json", "--output", str(tmp_path / "reports")]
    assert main(asked) == 0
    own, other = json.loads(capsys.readouterr().out)
    assert own["seconds"] == pytest.approx(80.0)
    assert own["rests_on"].startswith("measured here: ")
    assert other["rests_on"].startswith("published for this model")
