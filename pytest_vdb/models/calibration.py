"""Four models without weights: a clean scene of moving shapes, and the same scene blurred, noisy and frozen.

A person orders them at once; a metric that does not is wrong. All four render the same scene for the same prompt and
seed, with integer arithmetic, so they make the same bytes on every machine.
"""

from __future__ import annotations

import hashlib

import numpy as np

from pytest_vdb.degradations import box_blur
from pytest_vdb.errors import RecipeError
from pytest_vdb.models.contract import model
from pytest_vdb.records import Clip, Prompt, Recipe, digest
from pytest_vdb.shapes import moving_shapes

NOISE_LEVELS = 30
"""Noise is uniform within +- this many of the 255 levels: plain to see, and the shapes still are."""

BLUR_SHARE = 1 / 32
"""Half-width of each of two box filters, as a share of the shorter side."""


@model("calibration-shapes", tags=("calibration", "default"), frames=16, height=64, width=64, fps=8.0)
def shapes(prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
    """Striped shapes gliding over a grainy gradient: what a good metric ranks first."""
    return _scene(prompt, recipe, seed)


@model("calibration-blurred", tags=("calibration", "default"), frames=16, height=64, width=64, fps=8.0)
def blurred(prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
    """The same scene out of focus."""
    clip = _scene(prompt, recipe, seed)
    reach = max(1, round(min(clip.frames.shape[1:3]) * BLUR_SHARE))
    return Clip(np.stack([box_blur(frame, reach) for frame in clip.frames]), clip.fps)


@model("calibration-noisy", tags=("calibration", "default"), frames=16, height=64, width=64, fps=8.0)
def noisy(prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
    """The same scene with fresh noise in every frame."""
    clip = _scene(prompt, recipe, seed)
    stream = hashlib.shake_256(_name_of_scene(prompt, seed).encode()).digest(clip.frames.size)
    rolls = np.frombuffer(stream, np.uint8).reshape(clip.frames.shape).astype(np.int16)
    noise = ((rolls * (2 * NOISE_LEVELS + 1)) >> 8) - NOISE_LEVELS
    return Clip(np.clip(clip.frames + noise, 0, 255).astype(np.uint8), clip.fps)


@model("calibration-frozen", tags=("calibration", "default"), frames=16, height=64, width=64, fps=8.0)
def frozen(prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
    """The same scene stuck at its first frame."""
    frames, height, width, fps = _size_of_recipe(recipe)
    first = moving_shapes(_name_of_scene(prompt, seed), frames=1, height=height, width=width)
    return Clip(np.repeat(first, frames, axis=0), fps)


def _name_of_scene(prompt: Prompt, seed: int) -> str:
    """What the scene is rendered from: equal for all four models."""
    return digest([prompt.id, prompt.text, seed], length=64)


def _scene(prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
    frames, height, width, fps = _size_of_recipe(recipe)
    return Clip(moving_shapes(_name_of_scene(prompt, seed), frames=frames, height=height, width=width), fps)


def _size_of_recipe(recipe: Recipe) -> tuple[int, int, int, float]:
    """Frames, height, width and rate.

    Raises:
        RecipeError: one is not set; `recipes.resolve` sets them all.
    """
    if recipe.frames is None or recipe.height is None or recipe.width is None or recipe.fps is None:
        raise RecipeError(f"no full size in {recipe.settings()}", mend="resolve the recipe with the model's card")
    return recipe.frames, recipe.height, recipe.width, recipe.fps
