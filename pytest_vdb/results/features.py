"""What a network saw in one clip, kept beside its record: set metrics and re-scoring need no clip again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_vdb.arrays import read_npz
from pytest_vdb.errors import RecordError
from pytest_vdb.files import parse_json, write_by

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IDENTITIES = "identities.json"
_ABSENT = "absent.json"
_MEASURE_AGAIN = "measure the clip again"


class Kept(NamedTuple):
    """One clip's features as they were kept."""

    features: dict[str, NDArray[np.float32]]
    identities: dict[str, str]
    """By the same names, which weights each was seen through."""
    absent: dict[str, str]
    """Why a feature that was asked for is not among them, by its name."""


def save(
    path: Path,
    features: Mapping[str, NDArray[np.float32]],
    identities: Mapping[str, str],
    absent: Mapping[str, str] | None = None,
) -> None:
    """Write one clip's features.

    Args:
        path: an `.npz` file; its folder is made.
        features: by name, any shapes.
        identities: by the same names, which weights each was seen through.
        absent: why others that were asked for are not there.

    Raises:
        OutputError: it cannot be written.
    """
    import numpy as np

    texts = {_IDENTITIES: dict(identities), _ABSENT: dict(absent or {})}
    about = {name: np.frombuffer(json.dumps(text).encode(), np.uint8) for name, text in texts.items()}

    def fill(part: Path) -> None:
        with part.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **about, **features)

    write_by(path, fill)


def load(path: Path) -> Kept:
    """Read what `save` wrote.

    Raises:
        RecordError: the file is missing, torn or not one of ours.
        TooLarge: more than the budget.
    """
    arrays = read_npz(path, error=RecordError, mend=_MEASURE_AGAIN)
    identities, absent = (_by_name(arrays.pop(name, None), name, path) for name in (_IDENTITIES, _ABSENT))
    return Kept(arrays, identities, absent)


def _by_name(text: NDArray[np.uint8] | None, name: str, path: Path) -> dict[str, str]:
    """Names to texts; an older file has no reasons."""
    if text is None and name == _ABSENT:
        return {}
    found = None if text is None else parse_json(text.tobytes(), where=path, error=RecordError, mend=_MEASURE_AGAIN)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise RecordError(f"no features can be read: {name} is not names and texts", where=path, mend=_MEASURE_AGAIN)
    return found
