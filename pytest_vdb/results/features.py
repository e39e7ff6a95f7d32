"""What a network saw in one clip, kept beside its record: set metrics and re-scoring need no clip again."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.errors import RecordError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_IDENTITIES = "identities.json"


def save(path: Path, features: Mapping[str, NDArray[np.float32]], identities: Mapping[str, str]) -> None:
    """Write one clip's features.

    Args:
        path: an `.npz` file; its folder is made.
        features: by name, any shapes.
        identities: by the same names, which weights each was seen through.
    """
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    text = np.frombuffer(json.dumps(dict(identities)).encode(), np.uint8)
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **{_IDENTITIES: text}, **features)


def load(path: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, str]]:
    """Read what `save` wrote: the features and their identities.

    Raises:
        RecordError: the file is missing, torn or not one of ours.
    """
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            features = {name: archive[name] for name in archive.files if name != _IDENTITIES}
            identities = json.loads(archive[_IDENTITIES].tobytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RecordError(f"no features can be read: {error}", where=path, mend="measure the clip again") from None
    return features, identities
