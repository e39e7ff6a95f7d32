"""A folder and an address of fsspec do the same."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from pytest_vdb.errors import StorageError
from pytest_vdb.storage import Storage, get_all, put_all, storage_at


@pytest.fixture(params=["folder", "memory"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A folder, and what fsspec reaches."""
    return storage_at(str(tmp_path / "job") if request.param == "folder" else f"memory://{tmp_path.name}/job")


def test_what_is_put_is_found_by_its_name(any_storage):
    put_all(any_storage, [("shards/b.json", b"two"), ("shards/a.json", b"one"), ("job.json", b"job")])
    assert any_storage.names("shards/") == ["shards/a.json", "shards/b.json"]
    assert dict(get_all(any_storage, ["shards/b.json", "job.json"])) == {"shards/b.json": b"two", "job.json": b"job"}


def test_an_object_is_replaced_whole(any_storage):
    any_storage.put("attempts/x.jsonl", b"a longer text")
    any_storage.put("attempts/x.jsonl", b"short")
    assert any_storage.get("attempts/x.jsonl") == b"short"


def test_a_marker_comes_and_goes(any_storage):
    assert not any_storage.has("cancel")
    any_storage.put("cancel", b"")
    assert any_storage.has("cancel")
    any_storage.remove("cancel")
    any_storage.remove("cancel")
    assert not any_storage.has("cancel")


def test_what_is_not_there_is_said_with_its_place(any_storage):
    with pytest.raises(StorageError, match=r"attempts/none\.jsonl"):
        any_storage.get("attempts/none.jsonl")
    assert any_storage.names("nothing/") == []


def test_half_written_files_are_no_objects(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / ".a.json.1-2.part").write_bytes(b"half")
    assert storage_at(str(tmp_path)).names("shards/") == []


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed here")
def test_a_missing_library_is_one_sentence_with_the_pip_command():
    with pytest.raises(StorageError, match=r"pip install 'pytest-vdb\[s3\]'"):
        storage_at("s3://bucket/job")


def test_an_address_that_nobody_knows_is_refused():
    with pytest.raises(StorageError, match="no storage"):
        storage_at("nosuch://bucket/job")


def test_a_relative_folder_is_one_of_the_given_folder(tmp_path):
    assert storage_at("job", folder=tmp_path).address == str(tmp_path / "job")
