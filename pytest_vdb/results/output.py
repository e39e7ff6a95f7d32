"""Whether the output folder will take what a run writes: asked before the first generation, not found out after it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pytest_vdb.errors import OutputError
from pytest_vdb.files import is_folder, is_there


def check_writable(output: Path, need_mib: int) -> None:
    """Make the folder, write a file in it and look at the free space.

    Args:
        output: the folder; it and its parents are made.
        need_mib: what must be free on its disk.

    Raises:
        OutputError: a file is in the way, the folder cannot be written, or its disk is nearly full.
    """
    output = Path(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        free_mib = shutil.disk_usage(output).free // 2**20
    except (FileExistsError, NotADirectoryError):
        raise OutputError(
            "a file is where the folder should be",
            where=_in_the_way(output),
            mend="move the file or choose another folder",
        ) from None
    except OSError as error:
        raise OutputError(
            f"cannot be written: {error.strerror or error}",
            where=output,
            mend="check its permissions and space, or choose another folder",
        ) from error
    if free_mib < need_mib:
        raise OutputError(
            f"only {free_mib} MiB are free and the run needs about {need_mib}",
            where=output,
            mend="free some space or choose a folder on another disk",
        )


def _in_the_way(output: Path) -> Path:
    return next((path for path in (output, *output.parents) if is_there(path) and not is_folder(path)), output)
