"""What set metrics compare with: the features of a folder of clips."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import ClipFileError

if TYPE_CHECKING:
    from pytest_vdb.metrics.contract import ReferenceFeatures
    from pytest_vdb.metrics.engine import Engine, Scores


def references_for(path: Path, engine: Engine) -> Mapping[str, ReferenceFeatures]:
    """The features that the engine's set metrics ask for, over the clips of a folder, through the same networks.

    Raises:
        ClipFileError: no clip there, or none that can be read.
    """
    from pytest_vdb.metrics.contract import ReferenceFeatures

    names = {name for spec in engine.metrics if spec.scope == "set" for name in spec.features}
    samples = measured_clips(path, engine)
    references = {}
    for name in sorted(names):
        having = [sample for sample in samples if name in sample.features]
        if having:
            references[name] = ReferenceFeatures(
                source=str(path),
                features=np.stack([sample.features[name] for sample in having]),
                identity=having[0].identities.get(name),
            )
    return references


def measured_clips(path: Path, engine: Engine) -> list[Scores]:
    """What the engine sees in each clip that can be read; the others are said on stderr.

    Raises:
        ClipFileError: no clip there, or none that can be read.
    """
    from tqdm import tqdm

    from pytest_vdb import video
    from pytest_vdb.models.recordings import clips_in

    samples: list[Scores] = []
    for clip in tqdm(clips_in(path), unit="reference clip", file=sys.stderr, disable=None, leave=False):
        try:
            samples.append(engine.measure(video.read(clip)))
        except ClipFileError as error:
            tqdm.write(f"vdb: reference: {error}", file=sys.stderr)
    if not samples:
        raise ClipFileError("no reference clip could be read", where=path, mend="give clips that play")
    return samples
