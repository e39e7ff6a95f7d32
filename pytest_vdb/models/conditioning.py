"""What a model is conditioned on: the prompt's own image or clip, or moving shapes rendered from the prompt's id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdb.errors import PromptError
from pytest_vdb.files import is_there
from pytest_vdb.records import Prompt
from pytest_vdb.shapes import moving_shapes
from pytest_vdb.video import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


def image_for(prompt: Prompt, *, height: int, width: int) -> Image:
    """The conditioning image, RGB, scaled to cover `height` x `width` and cut to it from the middle.

    Of an animation or a video it is the first frame. An orientation in EXIF is followed.

    Raises:
        PromptError: `prompt.image` is not there.
        ClipFileError: it cannot be read.
    """
    if prompt.image is not None:
        if not is_there(prompt.image):  # a list of VBench-I2V is read without its images, too
            raise PromptError(
                f"its conditioning image {prompt.image} is not there", where=f"prompt {prompt.id}", mend="put it there"
            )
        return _fitted(read(Path(prompt.image)).frames[:1], height, width)[0]
    return _fitted(moving_shapes(prompt.id, frames=1, height=height, width=width), height, width)[0]


def clip_for(prompt: Prompt, *, frames: int, height: int, width: int) -> list[Image]:
    """The first `frames` frames of the conditioning clip, fitted as `image_for` does.

    Raises:
        ClipFileError: `prompt.video` cannot be read.
        PromptError: it is shorter than `frames`.
    """
    if prompt.video is None:
        return _fitted(moving_shapes(prompt.id, frames=frames, height=height, width=width), height, width)
    clip = read(Path(prompt.video))
    if len(clip.frames) < frames:
        raise PromptError(
            f"the conditioning clip {prompt.video} has {len(clip.frames)} frames, the recipe needs {frames}",
            where=f"prompt {prompt.id}",
            mend=f"give a longer clip, or --vdb-recipe frames={len(clip.frames)} if the model can make that many",
        )
    return _fitted(clip.frames[:frames], height, width)


def _fitted(frames: Iterable[NDArray[np.uint8]], height: int, width: int) -> list[Image]:
    from PIL import Image, ImageOps

    images = [Image.fromarray(frame) for frame in frames]
    if images[0].size == (width, height):
        return images
    return [ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS) for image in images]
