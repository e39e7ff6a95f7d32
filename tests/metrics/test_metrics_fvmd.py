"""Motion histograms and the Fréchet distance between sets of them."""

import numpy as np
import pytest

from pytest_vdb.backbones.tracks import direction_histogram, follow, histogram, histogram_of_flow
from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.fvmd import fvmd

GOLDEN_SUM = 2359.5
GOLDEN_FIRST = [3.125, 4.75, 6.5, 4.375, 4.25, 6.25, 3.75, 3.875]
GOLDEN_MOMENT = 603152.125


def drawn_vectors():
    return np.random.default_rng(5).normal(0, 4, (16, 400, 2))


def plain_flow(dx, dy, frames=16, height=64, width=96):
    flow = np.zeros((frames - 1, 2, height, width))
    flow[:, 0], flow[:, 1] = dx, dy
    return flow


def test_direction_histograms_are_those_of_the_authors_release():
    """Computed once with fvmd 1.0.0 (`calc_hist`) on these very vectors."""
    got = direction_histogram(drawn_vectors())
    assert got.sum() == pytest.approx(GOLDEN_SUM, rel=1e-12)
    np.testing.assert_allclose(got[:8], GOLDEN_FIRST, rtol=1e-12)
    assert got @ np.arange(512) == pytest.approx(GOLDEN_MOMENT, rel=1e-12)


def test_points_follow_a_plain_flow():
    tracks = follow(plain_flow(1.5, -0.5))
    assert tracks.shape == (16, 400, 2)
    np.testing.assert_allclose(tracks[0, [0, 399]], [[8, 8], [88, 56]])
    np.testing.assert_allclose(tracks[4, 210] - tracks[0, 210], [6, -2])


def test_points_stay_within_the_frame():
    tracks = follow(plain_flow(20, -20))
    assert tracks[..., 0].max() == 95
    assert tracks[..., 1].min() == 0


def test_steady_motion_has_velocity_and_no_acceleration():
    found = histogram_of_flow(plain_flow(0.25, 0.125)).reshape(2, 64, 8)
    assert found[0].sum() > 0
    assert found[1].sum() == 0
    assert (found[0].sum(axis=0) > 0).sum() == 1  # one direction


def test_a_still_clip_is_all_zeros():
    assert not histogram_of_flow(plain_flow(0, 0)).any()


def test_sets_that_move_alike_are_nearer():
    def clips(speed, seed):
        rng = np.random.default_rng(seed)
        return [histogram_of_flow(plain_flow(*rng.normal(0, speed, 2), height=40, width=40)) for _ in range(12)]

    reference = ReferenceFeatures(source="test", features=np.stack(clips(1, 0)))
    same, other = fvmd(clips(1, 1), reference).value, fvmd(clips(6, 2), reference).value
    assert 0 < same < other / 2
    assert fvmd(clips(1, 0), reference).value == pytest.approx(0, abs=1e-6)


def test_short_clips_and_odd_tracks_are_refused():
    with pytest.raises(CannotMeasure, match="16 frames, got 15"):
        histogram_of_flow(plain_flow(1, 1, frames=15))
    with pytest.raises(CannotMeasure, match="shape"):
        histogram(np.zeros((16, 100, 2)))


@pytest.mark.slow
def test_the_tiny_flow_network_gives_histograms(tmp_path):
    pytest.importorskip("torchvision")
    from pytest_vdb.metrics.engine import Engine
    from pytest_vdb.records import Clip

    engine = Engine([fvmd], tiny=True, cache_dir=tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    assert engine.measure(Clip(pixels, 8)).features["motion_histogram"].shape == (1024,)
    assert "motion_histogram" not in engine.measure(Clip(pixels[:15], 8)).features
