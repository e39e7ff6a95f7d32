"""Reference sets: what is gathered comes back from the file, and what is none is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_vdb.errors import CannotMeasure, NewerSchema, RecordError
from pytest_vdb.metrics import reference
from pytest_vdb.metrics.engine import Scores
from pytest_vdb.metrics.frechet import frechet_distance
from pytest_vdb.metrics.fvd import fvd
from pytest_vdb.metrics.moments import Moments


def samples(n=6, identity="i3d@1", seed=0) -> list[Scores]:
    rows = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    return [Scores((), {"i3d": row, "clip_image": np.zeros((3, 4), np.float32)}, {"i3d": identity}) for row in rows]


def test_a_reference_set_comes_back_with_features_moments_and_identity(tmp_path):
    gathered = reference.gather(samples(), source="real/")
    assert set(gathered) == {"i3d"}, "features per frame belong to no set metric"
    reference.save(tmp_path / "ref" / "real.npz", gathered)
    kept = reference.load(tmp_path / "ref" / "real.npz")["i3d"]
    np.testing.assert_array_equal(kept.features, gathered["i3d"].features)
    assert kept.identity == "i3d@1"
    assert Moments.from_arrays(kept.moments).n == 6


def test_moments_alone_give_the_same_distance(tmp_path):
    real, made = samples(20), [sample.features["i3d"] for sample in samples(20, seed=1)]
    gathered = reference.gather(real, source="real/")
    reference.save(tmp_path / "real.npz", gathered, keep_features=False)
    kept = reference.load(tmp_path / "real.npz")["i3d"]
    assert kept.features is None
    expected = frechet_distance(np.stack(made).astype(float), gathered["i3d"].features.astype(float), ddof=1)
    assert fvd(made, kept).value == pytest.approx(expected, rel=1e-9)


def test_clips_seen_through_different_weights_are_no_set():
    with pytest.raises(CannotMeasure, match="different weights"):
        reference.gather([*samples(2), *samples(2, identity="i3d@2")], source="real/")


def test_a_clip_is_no_reference_set(tmp_path):
    clip = tmp_path / "clip.npz"
    np.savez(clip, frames=np.zeros((2, 4, 4, 3), np.uint8))
    assert not reference.is_reference(clip)
    with pytest.raises(RecordError, match="vdb reference build"):
        reference.load(clip)
    reference.save(tmp_path / "real.npz", reference.gather(samples(), source="real/"))
    assert reference.is_reference(tmp_path / "real.npz")


def test_a_torn_file_and_a_newer_schema_say_so(tmp_path):
    path = tmp_path / "real.npz"
    reference.save(path, reference.gather(samples(), source="real/"))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RecordError, match=r"no arrays can be read.*\n.*vdb reference build"):
        reference.load(path)
    about = {"schema": 99, "identities": {}}
    with path.open("wb") as file:
        np.savez(file, **{"about.json": np.frombuffer(json.dumps(about).encode(), np.uint8)})
    with pytest.raises(NewerSchema, match="99"):
        reference.load(path)
