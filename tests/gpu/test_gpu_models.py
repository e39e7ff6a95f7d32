"""Models of `tox -e gpu`: what is known before they run, what does not fit, and what the time is too short for."""

import dataclasses
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks.gpu import clips, models
from benchmarks.gpu.cards import Processor
from benchmarks.gpu.plan import ON_A_CARD, REHEARSAL
from benchmarks.gpu.rows import MeasuredModel
from pytest_vdb.backbones.contract import BackboneSource
from pytest_vdb.backbones.registry import BackboneRegistry
from pytest_vdb.estimates.limit import Limit

WAN, LTX = "wan2.1-t2v-1.3b", "ltx-video"


class FullCard(Processor):
    """An H100 of which others have left 8 GiB."""

    name = "NVIDIA H100 80GB HBM3"

    def free_mib(self):
        return 8192.0


@pytest.mark.slow
def test_a_model_that_does_not_fit_is_not_run_and_stands_beside_what_is_known_of_it():
    plan = dataclasses.replace(ON_A_CARD, models=(WAN, LTX))
    first, second = models.rows(plan, FullCard(), lambda: 1000.0)
    assert (first.model, second.model) == (LTX, WAN), "the shortest first"
    assert "it needs 16.5 GiB by our estimate, 8.0 GiB of the card are free" in second.reason
    assert (second.published_s, second.published_by) == (95.36, "ML.ENERGY")
    assert second.predicted_low_s < second.predicted_s < second.predicted_high_s
    assert second.predicted_blind_s != second.predicted_s
    assert (first.published_s, first.predicted_blind_s) == (None, first.predicted_s)
    assert (second.recipe["steps"], second.recipe["weights"], second.latency_s) == (50, "random", None)


@pytest.mark.slow
def test_what_of_the_preset_a_model_cannot_follow_is_left_out_and_named():
    (row,) = models.rows(dataclasses.replace(REHEARSAL, models=("svd-xt",)), Processor(), lambda: -1.0)
    assert row.reason == "not run: the time was over"
    assert [told.partition(":")[0] for told in row.left_out] == ["vae_tiling=true", "vae_slicing=true"]
    assert row.recipe["dtype"] == "bfloat16"


@pytest.mark.slow
def test_too_little_time_gives_seconds_per_step_and_no_latency_of_a_clip():
    plan = dataclasses.replace(REHEARSAL, models=(WAN,), beside=("steps=5000",))
    row = next(row for row in models.rows(plan, Processor(), lambda: 3.0) if isinstance(row, MeasuredModel))
    assert 2 <= row.steps < 5000
    assert row.step_s > 0
    assert (row.latency_s, row.joules) == (None, None)
    assert "of 5000 steps: no latency of a whole clip" in row.reason


@pytest.mark.parametrize(
    ("judged", "passed"),
    [
        (Limit(utilisation=0.4, reason=None, least_seconds=2.0), True),
        (Limit(utilisation=None, reason="impossible", is_impossible=True, least_seconds=9.0), False),
        (Limit(utilisation=None, reason="the peak is not known"), None),
    ],
)
def test_a_call_is_held_against_its_device_where_its_peak_is_known(judged, passed):
    assert models.beside_physics(WAN, 5.0, judged).passed is passed


@pytest.mark.slow
@pytest.mark.parametrize("name", list(clips.WEIGHTS))
def test_networks_open_at_full_size_with_random_weights(name):
    network = BackboneRegistry.builtin().get(name)
    with TemporaryDirectory() as folder:  # 600 MB that nobody shall keep
        opened = network.open(BackboneSource(path=clips.WEIGHTS[name](Path(folder)), offline=True))
        assert "tiny" not in opened.identity
