import json
import subprocess
import sys

import numpy as np
import pytest

from pytest_vdb.errors import RecordError
from pytest_vdb.records import Clip
from pytest_vdb.results.cache import ClipCache
from pytest_vdb.shapes import moving_shapes


def clip(name="a"):
    return Clip(moving_shapes(name, frames=5, height=33, width=47), 24000 / 1001)


@pytest.fixture
def cache(tmp_path):
    return ClipCache(tmp_path / "clips")


def test_a_clip_comes_back_to_the_pixel_with_what_was_said_about_it(cache):
    key = cache.key(model="wan", prompt="p001", seed=7)
    cache.put(key, clip(), {"run": "r1"})
    found = ClipCache(cache.root).get(key)
    np.testing.assert_array_equal(found.clip.frames, clip().frames)
    assert (found.clip.fps, found.about, found.path.exists()) == (24000 / 1001, {"run": "r1"}, True)


def test_what_is_not_there_is_a_miss_without_a_problem(cache):
    assert cache.get(cache.key(model="wan")) is None
    assert cache.problems == []


def test_a_key_follows_from_the_identity_alone(cache):
    assert cache.key(a=1, b="x") == cache.key(b="x", a=1)
    assert len({cache.key(a=1), cache.key(a=2), cache.key(a="1"), cache.key(b=1), cache.key()}) == 5


def test_names_from_outside_never_become_paths(cache):
    key = cache.key(model="../../x", prompt="<script>")
    cache.put(key, clip(), {"model": "../../x"})
    assert {path.suffix for path in cache.root.rglob("*") if path.is_file()} == {".mkv", ".json"}
    for name in ("../../x", "", "ABC", key + "/..", key + "\n"):
        with pytest.raises(RecordError, match="no cache key"):
            cache.get(name)


def flipped(data):
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("suffix", [".mkv", ".json"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-100], lambda data: data[:0], flipped, bytes.swapcase],
    ids=["cut", "empty", "flip", "swap"],
)
def test_a_damaged_entry_is_a_miss_that_is_said(cache, suffix, damage):
    key = cache.key(model="wan")
    path = cache.put(key, clip(), {}).path.with_suffix(suffix)
    path.write_bytes(damage(path.read_bytes()))
    found = cache.get(key)
    assert found is None or (found.clip.frames == clip().frames).all()
    if found is None:
        assert "cached clip ignored" in cache.problems[0]
        cache.put(key, clip(), {})
        assert cache.get(key) is not None


def test_an_entry_of_another_clip_is_a_miss_that_is_said(cache):
    key, other = cache.key(model="wan"), cache.key(model="ltx")
    path = cache.put(key, clip("a"), {}).path
    path.write_bytes(cache.put(other, clip("b"), {}).path.read_bytes())
    assert cache.get(key) is None
    assert "not those of its JSON" in cache.problems[0]


@pytest.mark.parametrize("content", ["[]", "{}", '{"pixels": 3, "about": 4}', "null"])
def test_a_strange_json_is_a_miss(cache, content):
    key = cache.key(model="wan")
    cache.put(key, clip(), {}).path.with_suffix(".json").write_text(content)
    assert cache.get(key) is None


def test_an_entry_without_its_video_is_a_miss(cache):
    key = cache.key(model="wan")
    cache.put(key, clip(), {}).path.unlink()
    assert cache.get(key) is None


@pytest.mark.slow
def test_writers_may_race(cache):
    key = cache.key(model="wan")
    script = f"""
import sys
from pathlib import Path
from pytest_vdb.records import Clip
from pytest_vdb.results.cache import ClipCache
from pytest_vdb.shapes import moving_shapes
clip = Clip(moving_shapes("a", frames=5, height=33, width=47), 24000 / 1001)
for _ in range(15):
    ClipCache(Path({str(cache.root)!r})).put({key!r}, clip, {{}})
"""
    writers = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    while any(writer.poll() is None for writer in writers):
        found = cache.get(key)
        assert found is None or (found.clip.frames == clip().frames).all()
    assert [writer.returncode for writer in writers] == [0, 0]
    assert cache.get(key) is not None
    assert sorted(path.suffix for path in cache.root.rglob("*") if path.is_file()) == [".json", ".mkv"]
    assert cache.problems == []


def test_the_json_tells_a_person_what_the_clip_is(cache):
    entry = cache.put(cache.key(model="wan"), clip(), {"model": "wan"})
    about = json.loads(entry.path.with_suffix(".json").read_text())
    assert (about["frames"], about["height"], about["width"], about["about"]) == (5, 33, 47, {"model": "wan"})
