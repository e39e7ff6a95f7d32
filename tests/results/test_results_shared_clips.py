"""What one machine has made another finds, and a storage that is away costs nothing but the sharing."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_vdb.errors import StorageError
from pytest_vdb.records import Clip
from pytest_vdb.results.cache import ClipCache
from pytest_vdb.results.shared_clips import SharedClips
from pytest_vdb.shapes import moving_shapes
from pytest_vdb.storage import Folder, storage_at

PATIENCE_S = 20


@pytest.fixture(params=["folder", "memory"])
def storage(request, tmp_path):
    return storage_at(str(tmp_path / "shared") if request.param == "folder" else f"memory://{tmp_path.name}")


def machine(tmp_path, name, storage):
    folder = tmp_path / name / "clips"
    return ClipCache(folder, SharedClips(storage, folder))


def clip(name="a"):
    return Clip(moving_shapes(name, frames=5, height=33, width=47), 8.0)


class Away(Folder):
    """It cannot be reached, and counts who tries."""

    asked = 0

    def has(self, name):
        self.asked += 1
        raise StorageError("is away", where=self.address)

    def put(self, name, data):
        self.has(name)


def test_what_one_machine_made_another_finds(tmp_path, storage):
    one, other = machine(tmp_path, "one", storage), machine(tmp_path, "other", storage)
    key = one.key(model="wan")
    assert other.get(key) is None
    one.put(key, clip(), {"run": "r1"})
    assert one.settle(PATIENCE_S) == []
    found = other.get(key)
    np.testing.assert_array_equal(found.clip.frames, clip().frames)
    assert found.about == {"run": "r1"}
    assert found.path.is_relative_to(tmp_path / "other")
    assert other.problems == []
    assert sorted(name.partition(".")[2] for name in storage.names("")) == ["json", "mkv"]


def test_what_is_here_is_asked_of_nobody(tmp_path):
    away = Away(tmp_path / "shared")
    cache = machine(tmp_path, "one", away)
    key = cache.key(model="wan")
    ClipCache(cache.root).put(key, clip(), {})
    assert cache.get(key) is not None
    assert away.asked == 0


def test_a_storage_that_is_away_is_said_and_not_asked_for_each_clip(tmp_path):
    away = Away(tmp_path / "shared")
    cache = machine(tmp_path, "one", away)
    for number in range(5):
        assert cache.get(cache.key(number=number)) is None
    assert away.asked == 1
    cache.put(cache.key(number=1), clip(), {})
    (said,) = cache.settle(PATIENCE_S)
    assert "is away" in said
    assert cache.get(cache.key(number=1)) is not None


def test_what_is_torn_there_is_a_miss_that_is_said(tmp_path, storage):
    one, other = machine(tmp_path, "one", storage), machine(tmp_path, "other", storage)
    key = one.key(model="wan")
    one.put(key, clip(), {})
    assert one.settle(PATIENCE_S) == []
    video = f"{key[:2]}/{key}.mkv"
    storage.put(video, storage.get(video)[:-100])
    assert other.get(key) is None
    assert "cached clip ignored" in other.problems[0]
    other.put(key, clip(), {})
    assert other.settle(PATIENCE_S) == []
    assert machine(tmp_path, "third", storage).get(key) is not None
