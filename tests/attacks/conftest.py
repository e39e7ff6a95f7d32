"""The attackers: they kill, damage, forge, fill disks and turn clocks, and look at what is kept and what is said.

`pytest` runs the short rounds with the rest of the suite: a few of each kind, under a fixed seed, in about a minute
of one core. The long rounds, thousands of them, are asked for:

    tox -e attacks                                             all of them: pytest tests/attacks --rounds=long
    tox -e attacks -- -k killed --attack-seed=7                one kind, under a seed of your own
    pytest tests/attacks --rounds=long --attack-seed=7 -k 'damaged and prompts-0012'    one round again

A test marked `rounds(short=..., long=...)` that asks for `chance` runs that many times, each time with other chances;
one that does not ask runs once, and only where its number is not 0. What needs root, a tmpfs, libfaketime or Chromium
is skipped where it is missing, with the reason.

Chances are a function of the seed, the test and the number of the round alone: a failure is repeated by its test id.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Place

SEED = 20261125


def pytest_addoption(parser: pytest.Parser) -> None:
    attacks = parser.getgroup("attacks")
    attacks.addoption("--rounds", choices=("short", "long"), default="short", help="how many rounds of each attack")
    attacks.addoption("--attack-seed", type=int, default=SEED, help="what chances are made of (default: %(default)s)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "rounds(short, long): how often an attack is made")


def rounds_of(marker: pytest.Mark, config: pytest.Config) -> int:
    """How often; without the options, which pytest knows only where it is given this folder, the short rounds."""
    number: int = marker.kwargs[config.getoption("--rounds", "short")]
    return number


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "chance" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("rounds")
        assert marker is not None, f"{metafunc.definition.name} asks for chances: mark how many rounds it has"
        metafunc.parametrize("chance", [f"{at:04}" for at in range(rounds_of(marker, metafunc.config))], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    unasked = [
        item for item in items if (marker := item.get_closest_marker("rounds")) and not rounds_of(marker, config)
    ]
    items[:] = [item for item in items if item not in unasked]
    if unasked:
        config.hook.pytest_deselected(items=unasked)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The chances of one round."""
    seed = request.config.getoption("--attack-seed", SEED)
    return random.Random(f"{seed}/{request.node.name}")


@pytest.fixture(scope="session")
def environment_of() -> Callable[[Path], dict[str, str]]:
    """The environment of commands whose home and cache lie in a folder: offline, and nobody else's."""
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}

    def environment(folder: Path) -> dict[str, str]:
        return kept | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "150",
            "NO_COLOR": "1",
            "VDB_CACHE_DIR": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "-p no:randomly -p no:cacheprovider",
        }

    return environment


@pytest.fixture
def place(tmp_path: Path, environment_of: Callable[[Path], dict[str, str]]) -> Place:
    """An empty project folder; home and cache lie beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    return Place(folder, environment_of(tmp_path))


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("--rounds", "short") == "short":
        return None
    return f"attacks: long rounds, seed {config.getoption('--attack-seed')}"
