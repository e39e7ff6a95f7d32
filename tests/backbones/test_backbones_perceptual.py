"""LPIPS and DISTS: the authors' numbers through seeded networks, and where weights may come from."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from pytest_vdb.backbones.contract import BackboneSource, Subject  # noqa: E402
from pytest_vdb.backbones.networks.perceptual import Dists, L2Pool, Lpips, alexnet, vgg16  # noqa: E402
from pytest_vdb.backbones.perceptual import DistsVgg, LpipsAlex, Pairwise  # noqa: E402
from pytest_vdb.errors import CannotMeasure, WeightsBroken, WeightsMissing  # noqa: E402
from pytest_vdb.metrics.engine import Engine  # noqa: E402
from pytest_vdb.metrics.registry import MetricRegistry  # noqa: E402
from pytest_vdb.records import Clip  # noqa: E402

GOLDEN_LPIPS = [0.11551042, 0.095495892]
GOLDEN_DISTS = [0.025727884, 0.019516632]


def seeded_state(trunk):
    """Weights from NumPy's generator, so that they are the same everywhere."""
    rng = np.random.default_rng(7)
    state = {}
    for name, value in trunk.state_dict().items():
        spread = np.sqrt(2 / np.prod(value.shape[1:])) if value.ndim == 4 else 0.1
        state[name] = torch.from_numpy((rng.standard_normal(value.shape) * spread).astype(np.float32))
    return state


def lpips_heads():
    rng = np.random.default_rng(8)
    widths = (64, 192, 384, 256, 256)
    return {
        f"lin{level}.model.1.weight": torch.from_numpy(rng.random((1, width, 1, 1), dtype=np.float32))
        for level, width in enumerate(widths)
    }


def dists_heads():
    rng = np.random.default_rng(9)
    return {name: torch.from_numpy(rng.random((1, 1475, 1, 1), dtype=np.float32)) for name in ("alpha", "beta")}


def ramps(frames=2, height=64, width=72):
    """Made of whole numbers only, so that it is the same everywhere; and a worse copy."""
    rows, columns = np.mgrid[0:height, 0:width]
    first = np.stack(
        [np.stack([(rows * (3 + t) + columns * c) % 256 for c in (1, 2, 5)], axis=-1) for t in range(frames)]
    )
    noise = np.random.RandomState(0).randint(-40, 41, first.shape)
    return first.astype(np.uint8), np.clip(first + noise, 0, 255).astype(np.uint8)


def noise_clip(frames=2, height=40, width=56, seed=0):
    return Clip(np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8), 8)


@pytest.fixture(scope="module")
def lpips_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lpips")
    torch.save(seeded_state(alexnet()) | {"classifier.1.bias": torch.zeros(3)}, folder / "alexnet-seeded.pth")
    torch.save(lpips_heads(), folder / "alex.pth")
    return folder


@pytest.fixture(scope="module")
def dists_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dists")
    torch.save(seeded_state(vgg16(L2Pool)), folder / "vgg16-seeded.pth")
    torch.save(dists_heads(), folder / "weights.pt")
    return folder


def test_lpips_is_that_of_the_lpips_package(lpips_folder):
    """Computed once with lpips 0.1.4 on these very weights and frames."""
    backbone = LpipsAlex(BackboneSource(path=lpips_folder))
    np.testing.assert_allclose(backbone.between(*ramps()), GOLDEN_LPIPS, rtol=2e-5)
    assert backbone.identity.startswith("lpips-alex@")


@pytest.mark.slow
def test_dists_is_that_of_torchmetrics(dists_folder):
    """Computed once with torchmetrics 1.9.0 on these very weights and frames."""
    backbone = DistsVgg(BackboneSource(path=dists_folder))
    np.testing.assert_allclose(backbone.between(*ramps()), GOLDEN_DISTS, rtol=2e-4)


@pytest.fixture(scope="module", params=[LpipsAlex, DistsVgg])
def tiny(request):
    return request.param(BackboneSource(tiny=True))


def test_identical_frames_are_at_no_distance(tiny):
    frames = noise_clip().frames
    np.testing.assert_allclose(tiny.between(frames, frames), 0, atol=1e-6)


def test_more_noise_is_further_away(tiny):
    first, _ = ramps()
    noise = np.random.default_rng(0).normal(0, 1, first.shape)
    away = [tiny.between(np.clip(first + sd * noise, 0, 255).astype(np.uint8), first).mean() for sd in (4, 16, 64)]
    assert away[0] < away[1] < away[2]


def test_a_kept_reference_changes_nothing(tiny):
    first, second = ramps()
    anew = tiny.between(first, second)
    for _ in range(2):
        np.testing.assert_array_equal(tiny.between(first, second, reference="kept"), anew)


@pytest.mark.parametrize(("kept_mib", "apart"), [(1024, 0), (0, 1)])
def test_only_references_too_large_to_keep_are_looked_at_anew(tiny, kept_mib, apart):
    """Another clip under the same name tells the two: what was kept of the first is what is compared with."""
    first, second = ramps()
    pair = Pairwise(tiny.distance, "test", "cpu", kept_mib=kept_mib)
    pair.between(first, first, reference="name")
    found = pair.between(first, second, reference="name")
    np.testing.assert_allclose(found, apart * tiny.between(first, second), atol=1e-6)


def test_the_batch_changes_nothing(tiny):
    first, second = ramps(5)
    in_threes = Pairwise(tiny.distance, "test", "cpu", batch=3)
    np.testing.assert_allclose(in_threes.between(first, second), tiny.between(first, second), rtol=1e-4, atol=1e-6)


def test_the_engine_measures_each_size_that_is_asked(tmp_path):
    engine = Engine(MetricRegistry.builtin().select("lpips,lpips.256,dists"), tiny=True, cache_dir=tmp_path)
    large, small = noise_clip(2, 300, 260), noise_clip(2, 300, 260, seed=1)
    found = {m.name: m for m in engine.measure(large, reference=small).measurements}
    assert set(found) == {"lpips", "lpips.256", "dists"}
    assert all(m.value is not None and m.wiring and len(m.series) == 2 for m in found.values())
    found = {m.name: m for m in engine.measure(noise_clip(), reference=noise_clip(seed=1)).measurements}
    assert found["lpips"].value is not None
    assert "enlarging adds nothing" in found["lpips.256"].reason


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (noise_clip(3), "has 2 frames and its reference 3"),
        (noise_clip(2, 40, 58), "56x40 and of 58x40 pixels"),
    ],
)
def test_clips_that_are_no_pair_are_refused(tiny, reference, message):
    name = "lpips_frames" if isinstance(tiny.distance, Lpips) else "dists_frames"
    with pytest.raises(CannotMeasure, match=message):
        tiny.features(name, Subject(clip=noise_clip(), reference=reference))


def test_frames_of_two_by_two_are_refused(tiny):
    pair = Subject(clip=noise_clip(1, 2, 2), reference=noise_clip(1, 2, 2, seed=1))
    with pytest.raises(CannotMeasure, match="smaller than 32x32"):
        tiny.features("lpips_frames" if isinstance(tiny.distance, Lpips) else "dists_frames", pair)


def test_a_folder_without_both_files_is_named(tmp_path):
    with pytest.raises(WeightsMissing, match="does not hold both"):
        LpipsAlex(BackboneSource(path=tmp_path))


def test_offline_and_absent_says_what_to_get(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match=r"vgg16-397923af\.pth"):
        DistsVgg(BackboneSource(cache_dir=tmp_path, offline=True))


def test_a_trunk_or_heads_of_something_else_are_refused(tmp_path, lpips_folder, dists_folder):
    for trunk, heads, message in (
        (dists_folder / "vgg16-seeded.pth", lpips_folder / "alex.pth", "not the trunk"),
        (lpips_folder / "alexnet-seeded.pth", dists_folder / "weights.pt", "no 'lin0.model.1.weight'"),
    ):
        folder = tmp_path / message[:3]
        folder.mkdir()
        (folder / "alexnet.pth").symlink_to(trunk)
        (folder / "alex.pth").symlink_to(heads)
        with pytest.raises(WeightsBroken, match=message):
            LpipsAlex(BackboneSource(path=folder))


def test_dists_weighs_structure_and_texture_as_given():
    """With all weight on the frame's own channels and texture, only the mean colours count."""
    trunk = vgg16(L2Pool, shrink=64)
    texture = torch.zeros(3 + sum(layer.out_channels for n, layer in trunk.features.items() if taps_after(trunk, n)))
    texture[:3] = 1
    distance = Dists(trunk.eval(), texture, torch.zeros_like(texture))
    shuffled = noise_clip(1).frames
    mirrored = np.ascontiguousarray(shuffled[:, ::-1])
    pair = Pairwise(distance, "test", "cpu")
    assert pair.between(shuffled, mirrored)[0] == pytest.approx(0, abs=1e-6)
    assert pair.between(shuffled, shuffled // 2)[0] == pytest.approx(1 - 0.8, abs=0.01)  # 2ab / (a^2 + b^2), b = a / 2


def taps_after(trunk, number):
    return isinstance(trunk.features[number], torch.nn.Conv2d) and str(int(number) + 1) in trunk.taps
