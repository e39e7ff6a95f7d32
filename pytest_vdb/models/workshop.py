"""Folders of a cache that appear whole or not at all, whoever else makes the same ones at the same time."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_vdb import files


@contextmanager
def finished_as(folder: Path) -> Iterator[Path]:
    """A folder to fill, which gets the name of `folder` in the end, unless another process was first.

    Raises:
        OutputError: it cannot be written; nothing of it is left behind.
    """
    files.make_folder(folder.parent)
    with _beside(folder) as workshop:
        made = workshop / "made"
        made.mkdir()
        yield made
        try:
            made.rename(folder)
        except OSError:
            if not files.is_folder(folder):
                raise


def discard(folder: Path) -> None:
    """Take away what turned out to be torn, so that it can be made anew.

    Raises:
        OutputError: it cannot be taken away.
    """
    with _beside(folder) as workshop, contextlib.suppress(FileNotFoundError):  # another process was first
        folder.rename(workshop / "torn")


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk that is gone afterwards, whatever happens."""
    from safetensors import SafetensorError

    workshop = None
    try:
        workshop = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        yield workshop
    except (OSError, SafetensorError) as problem:
        raise files.cannot_write(folder, problem) from problem
    finally:
        if workshop is not None:
            shutil.rmtree(workshop, ignore_errors=True)
