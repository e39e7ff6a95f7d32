"""Your own models and metrics: whatever is tagged here can be selected by name."""

import numpy as np

from pytest_vdb import Clip, metric, model


@model("noise", task="t2v")
class Noise:
    """Uniform noise: the floor that every model must beat."""

    def generate(self, prompt, recipe, seed):
        rng = np.random.default_rng(seed)
        frames = rng.integers(0, 256, (recipe.frames, recipe.height, recipe.width, 3), np.uint8)
        return Clip(frames, recipe.fps)


@metric("spread", unit="1", better="higher")
def spread(clip: Clip) -> float:
    """Standard deviation of all pixels in [0, 1]."""
    return float(clip.frames.std() / 255)
