"""What the repository's own tests need: `pytester`, and the shared material that lies beside the repository."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SHARED = Path(__file__).parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Oracles, real clips and human ratings; not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the project's shared material in {SHARED}, which is not part of the repository")
    return SHARED
