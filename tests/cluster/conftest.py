"""Storages for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_shards import Flaky

from pytest_vdb.cluster.storage import Storage, storage_at


@pytest.fixture
def storage(tmp_path: Path) -> Flaky:
    return Flaky(tmp_path / "job")


@pytest.fixture(params=["folder", "memory"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """A folder, and what fsspec reaches."""
    return storage_at(str(tmp_path / "job") if request.param == "folder" else f"memory://{tmp_path.name}/job")
