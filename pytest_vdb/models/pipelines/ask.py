"""What one generation is asked for: the prompt, the recipe and the seed, with the image or clip to start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_vdb.models.conditioning import clip_for, image_for
from pytest_vdb.records import Prompt, Recipe, Task

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What one generation is asked for."""

    prompt: Prompt
    recipe: Recipe
    """With every default filled in."""
    seed: int
    task: Task

    @property
    def frames(self) -> int:
        """How many frames to make."""
        assert self.recipe.frames is not None
        return self.recipe.frames

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        assert self.recipe.height is not None
        assert self.recipe.width is not None
        return self.recipe.height, self.recipe.width

    @property
    def steps(self) -> int:
        """Denoising steps; 50 where the card does not say."""
        return self.recipe.steps or 50

    @property
    def negative(self) -> str | None:
        """The recipe's negative prompt, else the prompt's own."""
        return self.recipe.negative_prompt if self.recipe.negative_prompt is not None else self.prompt.negative

    def image(self) -> Image:
        """The conditioning image at the recipe's size."""
        height, width = self.size
        return image_for(self.prompt, height=height, width=width)

    def clip(self, *, frames: int | None = None, height: int | None = None, width: int | None = None) -> list[Image]:
        """The conditioning clip, at the recipe's size and length unless told otherwise."""
        return clip_for(
            self.prompt,
            frames=frames or self.frames,
            height=height or self.size[0],
            width=width or self.size[1],
        )
