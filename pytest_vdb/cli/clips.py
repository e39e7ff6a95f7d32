"""Folders of clips that a command was given: what is no clip in them is said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.cli.printing import warn

if TYPE_CHECKING:
    from pytest_vdb.models.recordings import Found


def look_through(place: Path) -> Found:
    """The clips of a folder; what was left out goes to stderr.

    Raises:
        ClipFileError: no such file or folder, or no clip in it.
    """
    from pytest_vdb.models.recordings import find

    found = find(place)
    for sentence in found.left_out:
        warn(f"{place}: {sentence}")
    return found
