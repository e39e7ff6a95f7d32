"""Reference sets: what set metrics compare with, gathered from measured clips and kept in one `.npz`.

The file holds, by feature, the moments (`i3d/n`, `i3d/shift`, ...: see `moments.py`), the features themselves unless
they were left out (`i3d/features`; KVD and permutation tests need them), and which weights they were seen through.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb import arrays as arrays_of
from pytest_vdb.errors import CannotMeasure, NewerSchema, RecordError
from pytest_vdb.files import is_file, parse_json, write_by
from pytest_vdb.metrics.contract import ReferenceFeatures
from pytest_vdb.metrics.moments import Moments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_vdb.metrics.engine import Scores

SCHEMA = 1
_BUILD = "build one with: vdb reference build CLIPS -o FILE.npz"
_ABOUT = "about.json"
_FEATURES = "features"


def gather(samples: Sequence[Scores], *, source: str) -> dict[str, ReferenceFeatures]:
    """One row per clip of each feature that has the same shape in every clip; others are no set's features.

    Raises:
        CannotMeasure: the clips were seen through different weights.
    """
    references = {}
    for name in dict.fromkeys(name for sample in samples for name in sample.features):
        having = [sample for sample in samples if name in sample.features]
        identities = {sample.identities.get(name) for sample in having}
        if len(identities) > 1:
            raise CannotMeasure(f"{name} was seen through different weights", where=source, mend="measure all again")
        rows = [sample.features[name] for sample in having]
        if len({row.shape for row in rows}) == 1 and rows[0].ndim == 1:
            references[name] = ReferenceFeatures(source=source, features=np.stack(rows), identity=identities.pop())
    return references


def save(path: Path, references: Mapping[str, ReferenceFeatures], *, keep_features: bool = True) -> None:
    """Write a reference set; the file appears only when it is complete.

    Args:
        path: an `.npz` file; its folder is made.
        references: by feature, with the features themselves.
        keep_features: False keeps only the moments: small, but no KVD.

    Raises:
        CannotMeasure: features that are absent or not finite.
        OutputError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, reference in references.items():
        if reference.features is None:
            raise CannotMeasure(f"no features of {name}, only moments", where=reference.source, mend="build from clips")
        moments = Moments.of(reference.features, source=reference.source)
        arrays |= {f"{name}/{part}": array for part, array in moments.arrays().items()}
        if keep_features:
            arrays[f"{name}/{_FEATURES}"] = reference.features
    about = {"schema": SCHEMA, "identities": {name: reference.identity for name, reference in references.items()}}
    arrays[_ABOUT] = np.frombuffer(json.dumps(about).encode(), np.uint8)

    def fill(part: Path) -> None:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_by(path, fill)


def load(path: Path) -> dict[str, ReferenceFeatures]:
    """Read a reference set, by feature.

    Raises:
        RecordError: the file is missing, torn or no reference set.
        NewerSchema: a newer pytest-vdb wrote it.
    """
    arrays = arrays_of.read_npz(path, error=RecordError, mend=_BUILD)
    try:
        about = parse_json(arrays.pop(_ABOUT).tobytes(), where=path, error=RecordError, mend=_BUILD)
        schema, identities = int(about["schema"]), dict(about["identities"])
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"not a reference set: {type(error).__name__}: {error}", where=path, mend=_BUILD) from None
    if schema > SCHEMA:
        raise NewerSchema(f"schema {schema} is newer than {SCHEMA}", where=path, mend="upgrade pytest-vdb")
    by_feature: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in arrays.items():
        name, _, part = key.rpartition("/")
        by_feature.setdefault(name, {})[part] = array
    return {
        name: ReferenceFeatures(
            source=str(path), features=parts.pop(_FEATURES, None), moments=parts, identity=identities.get(name)
        )
        for name, parts in by_feature.items()
    }


def is_reference(path: Path) -> bool:
    """Whether a file is a reference set, and not a clip in an `.npz`."""
    if path.suffix.lower() != ".npz" or not is_file(path) or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.removesuffix(".npy") == _ABOUT for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error):
        return True  # whoever reads it then says how it is damaged
