"""Optical flow and what is read off it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import optical_flow

from pytest_vdb.backbones import raft
from pytest_vdb.backbones.contract import BackboneSource, Subject
from pytest_vdb.backbones.networks import flow as flows
from pytest_vdb.backbones.networks.batches import seeded
from pytest_vdb.errors import CannotMeasure, ClipTooShort, WeightsBroken, WeightsMissing
from pytest_vdb.metrics.engine import Engine
from pytest_vdb.metrics.motion import (
    dynamic_degree,
    flow_speed,
    motion_coherence,
    motion_smoothness,
    warping_error,
)
from pytest_vdb.records import Clip

METRICS = (dynamic_degree, flow_speed, warping_error, motion_smoothness, motion_coherence)


def noise(frames=3, height=40, width=56, seed=0) -> Clip:
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8.0)


def texture(height=64, width=96) -> torch.Tensor:
    """A soft pattern in [-1, 1], `(1, 3, H, W)`."""
    coarse = torch.rand(1, 3, height // 8, width // 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=True)


def drift(shifts: list[int], height=64, width=96) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames that move right by whole pixels, and their exact flow, both ways."""
    at = np.cumsum([0, *shifts])
    frames = torch.cat([torch.roll(texture(height, width), int(x), dims=3) for x in at])
    there = torch.zeros(len(shifts), 2, height, width)
    there[:, 0] = torch.tensor(shifts, dtype=torch.float32).view(-1, 1, 1)
    return frames, torch.stack([there, -there])


@pytest.fixture(scope="module")
def tiny():
    return raft.RaftSmall(BackboneSource(tiny=True))


@pytest.mark.slow
@pytest.mark.parametrize("build", [optical_flow.raft_small, optical_flow.raft_large])
def test_flow_is_torchvisions_own(build):
    model = seeded(build).eval()
    frames = torch.rand(3, 3, 128, 136, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        there = model(frames[:-1], frames[1:], 2)[-1]
        back = model(frames[1:], frames[:-1], 2)[-1]
    ours = flows.flow_both_ways(model, frames, updates=2)
    scale = there.abs().max()
    assert (ours[0] - there).abs().max() < 1e-4 * scale
    assert (ours[1] - back).abs().max() < 1e-4 * scale


def test_the_number_of_pairs_at_once_changes_no_flow(tiny):
    frames = tiny.prepare(noise(4))
    whole = flows.flow_both_ways(tiny.model, frames, 1)
    one_by_one = flows.flow_both_ways(tiny.model, frames, 1, at_once=(1, 1))
    assert (one_by_one - whole).abs().max() < 1e-3 * whole.abs().max()


def test_a_carried_picture_is_the_shifted_picture():
    picture = texture()
    flow = torch.zeros(1, 2, 64, 96)
    flow[:, 0] = 5
    carried, inside = flows.carried(picture, flow)
    assert torch.allclose(carried[..., :-5], picture[..., 5:], atol=1e-5)
    assert inside[0, :, :91].all()
    assert not inside[0, :, 91:].any()


def test_steady_motion_is_explained_smooth_and_coherent():
    frames, flow = drift([3, 3, 3, 3])
    pairs, turns = flows.describe_pairs(frames, flow).numpy(), flows.describe_turns(flow).numpy()
    assert flow_speed(pairs).value == pytest.approx(3)
    assert dynamic_degree(pairs).value == pytest.approx(3)
    assert warping_error(pairs).value == pytest.approx(0, abs=1e-8)
    assert motion_smoothness(turns).value == pytest.approx(1)
    assert motion_coherence(pairs).value == pytest.approx(1)


def test_a_still_clip_is_smooth_coherent_and_without_error():
    frames, flow = drift([0, 0, 0])
    pairs, turns = flows.describe_pairs(frames, flow).numpy(), flows.describe_turns(flow).numpy()
    values = [f(pairs).value for f in (flow_speed, dynamic_degree, warping_error, motion_coherence)]
    assert values == pytest.approx([0, 0, 0, 1], abs=1e-12)
    assert motion_smoothness(turns).value == 1


def test_a_dropped_frame_makes_the_motion_less_smooth():
    steady, jumping = (flows.describe_turns(drift(shifts)[1]).numpy() for shifts in ([2, 2, 2, 2], [2, 4, 2, 2]))
    score = motion_smoothness(jumping)
    assert score.value < motion_smoothness(steady).value
    assert score.series == pytest.approx([1 - 2 / 7, 1 - 2 / 7, 1])


def test_flicker_raises_the_warping_error_by_its_square():
    frames, flow = drift([2, 2])
    frames = frames * 0.5
    frames[1] += 0.2
    pairs = flows.describe_pairs(frames, flow).numpy()
    assert warping_error(pairs).value == pytest.approx((0.2 / 2) ** 2, rel=1e-4)


def test_what_leaves_the_frame_is_not_counted():
    _, flow = drift([10])
    assert flows.visible(flow[0], flow[1])[0].float().mean() == pytest.approx(86 / 96)


def test_flow_that_does_not_come_back_is_occluded():
    _, flow = drift([4])
    assert not flows.visible(flow[0], torch.zeros_like(flow[0])).any()


def test_edges_of_the_motion_are_left_out():
    there = torch.zeros(1, 2, 32, 32)
    there[:, 0, :, 16:] = 3
    seen = flows.visible(there, -there)
    assert not seen[0, :, 15].any()
    assert seen[0, :, :14].all()


def test_scattered_flow_is_incoherent():
    frames, flow = drift([3, 3])
    scattered = flow + 6 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(0))
    coherent, rough = (motion_coherence(flows.describe_pairs(frames, f).numpy()).value for f in (flow, scattered))
    assert rough < 0.6 < coherent


def test_nothing_visible_is_no_number():
    pairs = np.array([[1, 1, 0, 0, 0.5]], np.float32)
    with pytest.raises(CannotMeasure, match="finds no pixel again"):
        warping_error(pairs)


def test_one_frame_without_a_visible_pixel_ends_the_series_but_not_the_value():
    pairs = np.array([[1, 1, 0.02, 0.5, 0], [1, 1, 0, 0, 0]], np.float32)
    score = warping_error(pairs)
    assert score.value == pytest.approx(0.04)
    assert score.series is None


def test_the_engine_measures_flow_with_tiny_weights(tmp_path):
    scores = Engine(METRICS, tiny=True, cache_dir=tmp_path).measure(noise())
    assert scores.features["flow_pairs"].shape == (2, 5)
    assert scores.features["flow_turns"].shape == (1, 2)
    assert all(m.wiring for m in scores.measurements)
    assert all(m.value is not None or "finds no pixel" in m.reason for m in scores.measurements)


def test_flow_itself_can_be_asked_for_and_is_not_recorded(tmp_path):
    from pytest_vdb.metrics.contract import metric

    @metric("flow_shape", unit="1", better="neutral")
    def flow_shape(flow):
        return float(flow.size)

    scores = Engine([flow_shape], tiny=True, cache_dir=tmp_path).measure(noise(3, 128, 136))
    assert scores.measurements[0].value == 2 * 2 * 2 * 128 * 136
    assert scores.features == {}


@pytest.mark.parametrize(("name", "needed"), [("flow_pairs", 2), ("flow_turns", 3)])
def test_short_clips_are_refused(tiny, name, needed):
    with pytest.raises(ClipTooShort, match=f"needs {needed} frames, got {needed - 1}"):
        tiny.features(name, Subject(clip=noise(needed - 1)))


def test_any_size_but_a_ribbon_is_measured(tiny):
    assert tiny.features("flow_pairs", Subject(clip=noise(2, 2, 2))).shape == (1, 5)
    assert tiny.features("flow_pairs", Subject(clip=noise(2, 33, 47))).shape == (1, 5)
    with pytest.raises(CannotMeasure, match="too narrow"):
        tiny.features("flow_pairs", Subject(clip=noise(2, 4, 64)))


def test_absent_weights_say_where_to_get_them_and_where_to_put_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsMissing) as caught:
        raft.RaftSmall(BackboneSource(cache_dir=tmp_path, offline=True))
    assert "raft_small_C_T_V2-01064c6d.pth" in str(caught.value)
    assert str(tmp_path / "backbones") in str(caught.value)


def test_a_local_file_is_loaded_and_named_by_its_digest(tmp_path):
    path = tmp_path / "mine.pth"
    torch.save(seeded(optical_flow.raft_small).state_dict(), path)
    ours = raft.RaftSmall(BackboneSource(path=path))
    assert ours.identity == f"raft_small@{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsBroken, match="cannot be read as RAFT-small"):
        raft.RaftSmall(BackboneSource(path=path))


def test_a_download_with_a_wrong_hash_is_not_kept(tmp_path, monkeypatch):
    """Served from a folder: what arrives is not what the name promises."""
    from pytest_vdb.backbones.weights import url_file

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    served = tmp_path / "served" / "net-01234567.pth"
    served.parent.mkdir()
    served.write_bytes(b"something else")
    with pytest.raises(WeightsMissing, match="invalid hash value"):
        url_file(served.as_uri(), cache_dir=tmp_path, offline=False, backbone="raft", size_mib=1)
    assert [path.suffix for path in (tmp_path / "backbones").iterdir()] == [".lock"]
    good = served.with_name(f"net-{hashlib.sha256(b'something else').hexdigest()[:8]}.pth")
    served.rename(good)
    found = url_file(good.as_uri(), cache_dir=tmp_path, offline=False, backbone="raft", size_mib=1)
    assert found == Path(tmp_path / "backbones" / good.name)
