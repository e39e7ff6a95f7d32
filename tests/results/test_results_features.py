"""Features beside their records."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.results import features


def test_features_survive_a_round_trip(tmp_path):
    seen = {"i3d": np.arange(6, dtype=np.float32), "clip_image": np.ones((2, 3), np.float32)}
    features.save(tmp_path / "new" / "a.npz", seen, {"i3d": "i3d@abc"})
    read, identities, absent = features.load(tmp_path / "new" / "a.npz")
    assert identities == {"i3d": "i3d@abc"}
    assert absent == {}
    assert read.keys() == seen.keys()
    for name, array in seen.items():
        np.testing.assert_array_equal(read[name], array)


def test_why_a_feature_is_absent_is_kept_too(tmp_path):
    features.save(tmp_path / "a.npz", {}, {}, {"i3d": "i3d needs 9 frames, got 7"})
    assert features.load(tmp_path / "a.npz").absent == {"i3d": "i3d needs 9 frames, got 7"}


def test_a_file_of_an_earlier_version_has_no_reasons(tmp_path):
    with (tmp_path / "a.npz").open("wb") as stream:
        np.savez(stream, **{"identities.json": np.frombuffer(b'{"i3d": "x"}', np.uint8)}, i3d=np.zeros(3, np.float32))
    assert features.load(tmp_path / "a.npz").absent == {}


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 torn"])
def test_what_holds_no_features_is_said(tmp_path, content):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError, match=r"a\.npz"):
        features.load(path)
