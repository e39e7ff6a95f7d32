"""docs/architecture.md shows the house as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import pytest_vdb

TOP = Path(__file__).parent.parent
PACKAGE = Path(pytest_vdb.__file__).parent
PAGE = (TOP / "docs" / "architecture.md").read_text(encoding="utf-8")
DATA = {"templates", "benchmarks"}
"""Folders of the package that hold no code of the house."""

ROOMS = sorted(
    {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file() and path.name not in DATA}
    | {path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
)


def floors() -> dict[str, int]:
    """The table of rooms: floor by room."""
    found = {}
    for floor, rooms in re.findall(r"^\| (\d+) \| ([^|]+) \|", PAGE, re.MULTILINE):
        found |= {room.removesuffix("/").removesuffix(".py"): int(floor) for room in re.findall(r"`([^`]+)`", rooms)}
    return found


def layers() -> dict[str, int]:
    """What `lint-imports` keeps: height by room, the lowest first."""
    contracts = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    (house,) = (one for one in contracts if one["name"] == "arrows only fall")
    heights = {}
    for height, layer in enumerate(reversed(house["layers"])):
        heights |= {name.strip(): height for name in layer.split("|")}
    return heights


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_on_the_page(room):
    named = f"`{room}`" if room.endswith(".py") else f"`{room}/`"
    assert named in PAGE, f"docs/architecture.md does not say what {room} is for"


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`((?:pytest_vdb/)?(?:[a-z_]+/)*[a-z_]+\.py)`", PAGE))))
def test_every_file_on_the_page_is_there(named):
    assert (PACKAGE / named).is_file() or (TOP / named).is_file(), f"docs/architecture.md names {named}"


def test_the_floors_of_the_page_are_the_layers_of_the_contract():
    on_page, kept = floors(), layers()
    assert on_page
    for one, floor in on_page.items():
        for other, higher in on_page.items():
            if floor < higher:
                assert kept[one] < kept[other], f"the page puts {one} below {other}, the contract does not"


def test_decisions_are_listed():
    folder = TOP / "docs" / "decisions"
    listed = set(re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "index.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in folder.glob("0*.md")}
    site = (TOP / "zensical.toml").read_text(encoding="utf-8")
    assert all(f'"decisions/{name}"' in site for name in listed)
