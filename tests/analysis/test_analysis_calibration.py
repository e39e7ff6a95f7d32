"""How metrics answer to clips made worse: what the correlation says, and what is no answer."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.analysis.calibration import Scene, calibrate, correlation
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import metric
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.fvd import fvd
from pytest_vdb.metrics.picture import sharpness
from pytest_vdb.records import Clip
from pytest_vdb.shapes import moving_shapes


@metric("difference", unit="levels", better="lower", orders=("noise",))
def difference(clip: Clip, reference: Clip) -> float:
    """Mean absolute difference."""
    return float(np.abs(clip.frames.astype(float) - reference.frames).mean())


@metric("length", unit="frames", better="higher")
def length(clip: Clip) -> float:
    """Number of frames."""
    return len(clip.frames)


@metric("never", unit="1", better="higher", orders=("blur",))
def never(clip: Clip) -> float:
    """Cannot be measured."""
    raise CannotMeasure("the moon is not full")


@metric("wrong_way", unit="1", better="higher", orders=("noise",))
def wrong_way(clip: Clip) -> float:
    """Praises noise."""
    return float(np.diff(clip.frames.astype(float), axis=2).std())


def scenes(count: int = 2, frames: int = 10) -> list[Scene]:
    drawn = [moving_shapes(f"scene {i}", frames=frames, height=48, width=48) for i in range(count)]
    return [Scene(clip=Clip(frames, 8.0)) for frames in drawn]


def answers(metrics, degradation, tmp_path, **more):
    engine = Engine(metrics, cache_dir=tmp_path, offline=True, **more)
    return {answer.metric: answer for answer in calibrate(engine, scenes(), [degradation])}


def test_a_metric_that_falls_with_every_step_holds_its_claim(tmp_path):
    answer = answers([sharpness], "blur", tmp_path)["sharpness"]
    assert (answer.rho, answer.agreement, answer.lowest, answer.scenes) == (-1, 1, 1, 2)
    assert answer.claimed
    assert answer.holds


def test_a_metric_that_does_not_see_the_degradation_has_no_correlation_and_claims_none(tmp_path):
    answer = answers([length], "noise", tmp_path)["length"]
    assert (answer.rho, answer.holds) == (0, None)


def test_a_paired_metric_compares_with_the_scene_itself(tmp_path):
    assert answers([difference], "noise", tmp_path)["difference"].rho == 1


def test_a_claim_in_the_wrong_direction_does_not_hold(tmp_path):
    answer = answers([wrong_way], "noise", tmp_path)["wrong_way"]
    assert answer.agreement < -0.9
    assert answer.holds is False


def test_what_cannot_be_measured_says_why_and_holds_nothing(tmp_path):
    answer = answers([never], "blur", tmp_path)["never"]
    assert (answer.rho, answer.holds) == (None, None)
    assert answer.reason == "the moon is not full"


@pytest.mark.slow
def test_set_metrics_compare_all_degraded_scenes_with_the_scenes(tmp_path):
    answer = answers([fvd], "noise", tmp_path, tiny=True)["fvd"]
    assert answer.wiring
    assert answer.scenes == 1
    assert -1 <= answer.rho <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4, 5, 6], 1),
        ([6, 5, 4, 3, 2, 1], -1),
        ([1, 1, 1, 1, 1, 1], 0),
        ([1, None, 3, 4, 5, None], 1),
        ([1, None, None, None, 5, 6], None),
    ],
)
def test_correlation_with_severity(values, expected):
    assert correlation(values) == (None if expected is None else pytest.approx(expected))
