"""Storages for the tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_shards import Flaky


@pytest.fixture
def storage(tmp_path: Path) -> Flaky:
    return Flaky(tmp_path / "job")
