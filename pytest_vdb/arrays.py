"""The one door where numpy's files are read: what a header promises is held to the budget before a byte is unpacked.

No pickles: an array of objects is refused. An `.npz` is a zip, and a zip of a few kilobytes can hold 36 GB of zeros.
"""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pytest_vdb.budget import budget
from pytest_vdb.errors import VdbError
from pytest_vdb.files import CHECK_THE_PATH, regular

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_npy(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> NDArray[Any]:
    """The array of an `.npy` file.

    Raises:
        VdbError: of the kind `error`; no such file, not an array, of objects, or shorter than it says.
        TooLarge: more than the budget.
    """
    path = regular(path, error=error, mend=mend)
    try:
        file = path.open("rb")
    except OSError as problem:
        raise error(f"no array can be read: {problem}", where=path, mend=mend) from None
    with file:
        return read_open_npy(file, where=path, error=error, mend=mend)


def read_open_npy(
    file: IO[bytes], *, where: str | Path, error: type[VdbError], mend: str = CHECK_THE_PATH
) -> NDArray[Any]:
    """The array of an `.npy` file that is open already: of one that another process may exchange meanwhile.

    Raises:
        VdbError: of the kind `error`; see `read_npy`.
        TooLarge: more than the budget.
    """
    try:
        return _array(file, os.fstat(file.fileno()).st_size, where)
    except VdbError:
        raise
    except Exception as problem:  # noqa: BLE001 - numpy raises half a dozen kinds on a torn file
        raise error(f"no array can be read: {problem}", where=where, mend=mend) from None


def read_npz(path: str | Path, *, error: type[VdbError], mend: str = CHECK_THE_PATH) -> dict[str, NDArray[Any]]:
    """The arrays of an `.npz` file by name.

    Raises:
        VdbError: of the kind `error`; no such file, no archive, or an array in it as in `read_npy`.
        TooLarge: together more than the budget.
    """
    path = regular(path, error=error, mend=mend)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            budget().check(sum(member.file_size for member in members), where=path)
            return {member.filename.removesuffix(".npy"): _member(archive, member, path) for member in members}
    except VdbError:
        raise
    except Exception as problem:  # noqa: BLE001 - numpy, zipfile and zlib raise a dozen kinds on a torn file
        raise error(f"no arrays can be read: {problem}", where=path, mend=mend) from None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> NDArray[Any]:
    with archive.open(member) as stream:
        return _array(stream, member.file_size, f"{path}:{member.filename}")


def _array(stream: IO[bytes], size: int, where: str | Path) -> NDArray[Any]:
    """One array, after a look at its header.

    Args:
        size: bytes of the whole file, header included.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read_header is None:  # only arrays of named fields are written in a later version
        raise ValueError(f"an array of version {version}")
    shape, _, dtype = read_header(stream)
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are pickled")
    if dtype.kind not in "biufc":
        raise ValueError(f"an array of {dtype}, not of numbers")
    promised = math.prod(shape) * dtype.itemsize
    budget().check(promised, where=where)
    if promised > size - stream.tell():
        raise ValueError(f"an array of shape {shape} promises {promised} bytes, and the file holds {size}")
    stream.seek(0)
    array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array
