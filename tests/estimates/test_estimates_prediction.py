"""The nearest measurement decides, a farther one has a wider interval; what nobody knows is None with the reason."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pytest_vdb.estimates import prediction
from pytest_vdb.estimates.estimate import Plan, estimate
from pytest_vdb.estimates.prediction import Reference, predict
from pytest_vdb.models.counts import Uncounted
from pytest_vdb.models.registry import Registry
from pytest_vdb.profiling import hardware
from pytest_vdb.profiling.settings import Price

PUBLISHED = prediction.published()
CARDS = hardware.known()
WAN = "wan2.1-t2v-1.3b"


def published(model: str, gpu: str) -> Reference:
    (found,) = (one for one in PUBLISHED if (one.model, one.device.name) == (model, gpu))
    return found


ON_H100 = published(WAN, "h100")


def predicted(references, gpu: str = "h100", one: Reference = ON_H100, **plan: int) -> prediction.Prediction:
    return predict(one.model, one.recipe, one.counts, CARDS[gpu], references, **plan)


def without(model: str) -> list[Reference]:
    return [one for one in PUBLISHED if one.model != model]


def test_every_published_row_is_counted():
    assert [(one.model, one.seconds) for one in PUBLISHED] == [
        (row.model, row.seconds) for row in prediction.published_rows()
    ], "python benchmarks/perf/count_models.py"


def test_what_was_measured_here_counts_more_than_what_was_published():
    own = dataclasses.replace(ON_H100, seconds=80.0, own=True, source="3 clips")
    found = predicted((own, *PUBLISHED))
    assert found.seconds.value == pytest.approx(80.0)
    assert found.rests_on.startswith("measured here: ")
    assert found.seconds.high / found.seconds.low == pytest.approx(math.exp(0.1), rel=0.01)


def test_of_a_clip_that_devices_share_nothing_is_predicted():
    shared = dataclasses.replace(ON_H100.recipe, parallel="ulysses:4")
    found = predicted(PUBLISHED, one=dataclasses.replace(ON_H100, recipe=shared))
    assert (found.seconds, found.joules) == (None, None)
    assert "not known under parallel=ulysses:4" in found.rests_on


def test_a_spread_of_ones_own_clips_is_in_the_interval():
    own = dataclasses.replace(ON_H100, own=True, spread=0.3)
    found = predicted((own,)).seconds
    assert found.high / found.value == pytest.approx(math.exp(0.3))


def test_ones_own_run_at_other_steps_is_scaled_by_the_operations():
    half = ON_H100.counts.at_steps(25)
    recipe = dataclasses.replace(ON_H100.recipe, steps=25)
    own = dataclasses.replace(ON_H100, own=True, counts=half, recipe=recipe, seconds=50.0)
    found = predicted((own, *PUBLISHED))
    assert found.seconds.value == pytest.approx(50 * ON_H100.counts.operations / half.operations)
    assert "at another recipe" in found.rests_on


def test_ones_own_run_of_another_model_moves_the_level():
    others = without(WAN)
    as_published = predicted(others).seconds.value
    slow = dataclasses.replace(published("cogvideox-2b", "h100"), own=True, seconds=2 * 43.0)
    found = predicted((slow, *others))
    assert "other models measured here" in found.rests_on
    assert 1.5 < found.seconds.value / as_published < 2.5


def test_ones_own_runs_that_say_nothing_of_a_level_move_none():
    (decode,) = ON_H100.counts.of_stage("decode")
    upsampler = dataclasses.replace(ON_H100.counts, stages=(decode,))
    alone = dataclasses.replace(ON_H100, model="an upsampler", own=True, counts=upsampler)
    other = dataclasses.replace(ON_H100, own=True, recipe=dataclasses.replace(ON_H100.recipe, dtype="float64"))
    assert predicted((alone, other, *PUBLISHED)).seconds == predicted(PUBLISHED).seconds


@pytest.mark.parametrize("one", PUBLISHED, ids=[f"{one.model}-{one.device.name}" for one in PUBLISHED])
def test_each_published_model_is_within_the_interval_of_the_others(one):
    """Slopes are fitted to all of them; benchmarks/perf/fit_estimates.py leaves the model out of the slopes, too."""
    found = predicted(without(one.model), one.device.name, one)
    assert found.seconds.low < one.seconds < found.seconds.high
    alone = "nobody measured one on this device" in found.rests_on
    assert found.seconds.value == pytest.approx(one.seconds, rel=0.8 if alone else 0.2)
    if one.joules is not None:
        assert found.joules.low < one.joules < found.joules.high


def test_the_same_model_on_another_device_is_nearer_than_other_models_here():
    references = [one for one in PUBLISHED if not (one.model == WAN and one.device.name == "h100")]
    found = predicted(references)
    assert "this model on another device" in found.rests_on
    assert found.seconds.value == pytest.approx(ON_H100.seconds, rel=0.12)


def test_a_device_that_nobody_measured_has_a_wide_interval():
    found = predicted(PUBLISHED, "l40s")
    assert "nobody measured one on this device" in found.rests_on
    assert found.seconds.high / found.seconds.low > 3
    assert found.seconds.value > ON_H100.seconds
    assert found.joules.high < found.seconds.high * 350 * 1.1


def test_a_card_with_the_chip_of_a_measured_one_is_as_fast():
    found = predicted(PUBLISHED, "h200")
    assert found.rests_on.endswith("which has the same chip")
    assert found.seconds.value == pytest.approx(ON_H100.seconds)
    assert found.seconds.low < predicted(PUBLISHED).seconds.low


def test_a_card_that_was_measured_once_by_others_has_a_wider_interval_than_one_measured_often():
    once, often = predicted(PUBLISHED, "rtx4090").seconds, predicted(without(WAN), "h100").seconds
    assert once.high / once.low > 2 * often.high / often.low / 1.5


def test_clips_in_one_call_take_as_long_as_one_after_another():
    assert predicted(PUBLISHED, clips=4).seconds.value == pytest.approx(4 * ON_H100.seconds)


@pytest.mark.parametrize(("devices", "measured"), [(2, 55.2), (4, 35.0), (8, 20.9)])
def test_several_devices_take_what_was_published_of_them(devices, measured):
    """ML.ENERGY, Wan 2.1 1.3B on H100, the fastest layout: 86%, 68% and 57% of what as many alone would do."""
    found = predicted(PUBLISHED, devices=devices).seconds
    assert found.value == pytest.approx(measured, rel=0.25)
    assert found.low < measured < found.high


@pytest.mark.parametrize(
    ("switch", "value"), [("attention", "flash"), ("quantization", "torchao-int8"), ("compile", "full")]
)
def test_what_a_switch_would_change_is_not_guessed_but_said(switch, value):
    recipe = dataclasses.replace(ON_H100.recipe, **{switch: value})
    found = predict(WAN, recipe, ON_H100.counts, CARDS["h100"], PUBLISHED)
    plain = predicted(PUBLISHED)
    assert found.seconds.value == pytest.approx(plain.seconds.value)
    assert found.seconds.low < plain.seconds.low
    assert f"what {switch}={value} would change is not in it" in found.rests_on
    own = dataclasses.replace(ON_H100, recipe=recipe, own=True, seconds=60.0)
    told = predict(WAN, recipe, ON_H100.counts, CARDS["h100"], (own, *PUBLISHED))
    assert told.seconds.value == pytest.approx(60.0)
    assert "not in it" not in told.rests_on


def test_a_switch_that_is_off_is_as_good_as_none():
    off = dataclasses.replace(ON_H100.recipe, compile="none", quantization="none", vae_tiling=True)
    assert predict(WAN, off, ON_H100.counts, CARDS["h100"], PUBLISHED) == predicted(PUBLISHED)


def test_a_dtype_whose_peak_is_not_known_is_not_predicted():
    recipe = dataclasses.replace(ON_H100.recipe, dtype="float64")
    found = predict(WAN, recipe, ON_H100.counts, CARDS["h100"], PUBLISHED)
    assert found.seconds is None
    assert "not known" in found.rests_on


def test_what_was_not_counted_is_none_with_the_reason():
    card = Registry.from_catalog().get(WAN)
    lacking = Uncounted(key="k", reason="it looks at values", diffusers="0")
    found = estimate(card, card.defaults, lacking, CARDS["h100"], PUBLISHED, Plan(price_per_hour=Price(2.0, "USD")))
    assert (found.seconds, found.joules, found.cost, found.fits) == (None, None, None, None)
    assert "it looks at values" in found.rests_on
    assert "it looks at values" in found.memory_rests_on


def test_cost_is_the_price_of_the_devices_time_and_of_nothing_else():
    card = Registry.from_catalog().get(WAN)
    given = (card, ON_H100.recipe, ON_H100.counts, CARDS["h100"], PUBLISHED)
    assert estimate(*given, Plan()).cost is None
    found = estimate(*given, Plan(price_per_hour=Price(3.6, "USD")))
    assert found.cost == pytest.approx(found.seconds / 1000)
    assert found.cost_per_1000 == pytest.approx(found.seconds)
    assert found.cost_low < found.cost < found.cost_high
    assert found.currency == "USD"
