"""The one adapter that drives every video pipeline of diffusers."""

from __future__ import annotations

import contextlib
import functools
import gc
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Self

from pytest_vdb.errors import VdbError
from pytest_vdb.garbage import set_aside_what_lives
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.onnx import backend
from pytest_vdb.models.pipelines import caches, calls, computing, loading, outputs, quirks
from pytest_vdb.models.pipelines.ask import Ask
from pytest_vdb.models.pipelines.reasons import OFF
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Clip, Prompt, Recipe


class DiffusersModel:
    """A loaded pipeline."""

    def __init__(
        self, card: ModelCard, pipeline: Any, *, revision: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> None:
        self.card = card
        self.pipeline = pipeline
        self.revision = revision
        self.notes: tuple[str, ...] = ()
        self.onnx_parts: tuple[backend.Part, ...] = ()
        """What onnxruntime answers in the pipeline's stead."""
        self._extra = dict(extra or {})

    @classmethod
    def load(cls, card: ModelCard, recipe: Recipe, source: WeightsSource) -> Self:
        """Load the weights and set every switch of the recipe.

        Raises:
            WeightsMissing, WeightsBroken, RecipeError, CardError: see `loading.load_pipeline`.
        """
        classes.pipeline_class(card)  # brings the libraries in, before what lives is set aside
        set_aside_what_lives()
        loaded = loading.load_pipeline(card, recipe, source)
        model = cls(card, loaded.pipeline, revision=loaded.revision, extra=loaded.call)
        if recipe.backend == "onnx":
            folder = source.cache_dir / backend.FOLDER
            try:
                model.onnx_parts = backend.use(
                    model.pipeline, card, recipe, generate=model.generate, cache_dir=folder, device=source.device
                )
            except VdbError:
                model.close()
                raise
        return model

    def generate(self, prompt: Prompt, recipe: Recipe, seed: int) -> Clip:
        """Answer one prompt; `notes` then says what came out otherwise than asked.

        Args:
            prompt: its text, and its image or clip where the model needs one.
            recipe: as `recipes.resolve` returned it.
            seed: pins the generator, which lives on the CPU so that every device starts from the same noise.

        Raises:
            BadClip: NaN values, or frames that are none.
            ClipFileError, PromptError: the prompt's conditioning file is missing or too short.
        """
        ask = Ask(prompt=prompt, recipe=recipe, seed=seed, task=self.card.task)
        arguments = calls.arguments_for(self.pipeline, ask, self._extra)
        output = self._answered(recipe, seed, {**arguments, "generator": _generator(seed)})
        where = f"model {self.card.name}, prompt {prompt.id}"
        assert recipe.fps is not None
        clip = outputs.clip_of(output, recipe.fps, where=where)
        self._note(ask, clip, outputs.has_sound(output))
        return clip

    def generate_batch(self, prompts: Sequence[Prompt], recipe: Recipe, seeds: Sequence[int]) -> tuple[Clip, ...]:
        """Answer several prompts in one call, each from the noise that it starts from alone; `notes` as `generate`.

        Args:
            prompts: one of each clip; the same one several times makes several clips of it.
            recipe: as `recipes.resolve` returned it.
            seeds: one of each clip.

        Raises:
            BadClip: another number of clips, or what `generate` raises.
            RecipeError: the class takes one prompt, or one image, for all clips of a call.
            ClipFileError, PromptError: as `generate`.
        """
        where = f"model {self.card.name}, prompts {', '.join(dict.fromkeys(prompt.id for prompt in prompts))}"
        asks = [
            Ask(prompt=prompt, recipe=recipe, seed=seed, task=self.card.task)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        arguments = calls.arguments_of_batch(self.pipeline, asks, self._extra, where=where)
        output = self._answered(recipe, seeds[0], {**arguments, "generator": [_generator(seed) for seed in seeds]})
        assert recipe.fps is not None
        clips = outputs.clips_of(output, recipe.fps, len(asks), where=where)
        self._note(asks[0], clips[0], outputs.has_sound(output))
        differs = quirks.batching_of(type(self.pipeline).__name__, self.card.task).differs
        if differs is not None:
            self.notes += (f"its clips are not those that it makes alone: {differs}",)
        return clips

    def close(self) -> None:
        """Drop the pipeline and give its memory back to the device."""
        import torch

        if self.pipeline is not None and hasattr(self.pipeline, "remove_all_hooks"):
            self.pipeline.remove_all_hooks()
        self.pipeline = None
        self.onnx_parts = ()
        gc.collect()
        computing.restore()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def _answered(self, recipe: Recipe, seed: int, arguments: dict[str, Any]) -> Any:
        """What the pipeline returns.

        Some draw from the global generator, too (I2VGen-XL samples its VAE so): it is pinned, then restored.
        """
        import torch

        self._guide(recipe.guidance)
        with torch.random.fork_rng(devices=_cuda_devices(self.pipeline)), _as_written(self.pipeline, recipe):
            torch.manual_seed(seed)
            return self._call(arguments)

    def _note(self, ask: Ask, clip: Clip, sound: bool) -> None:
        self.notes = (*self._differences(ask, clip, sound), *caches.notes(ask.recipe))
        self.notes += tuple(note for part in self.onnx_parts for note in part.notes())

    def _call(self, arguments: dict[str, Any]) -> Any:
        if not classes.is_modular(type(self.pipeline)):
            return self.pipeline(**arguments)
        made = classes.outputs(type(self.pipeline))
        with _without_bars():
            return SimpleNamespace(**self.pipeline(**arguments, output=list(made)))

    def _guide(self, guidance: float | None) -> None:
        """Where guidance is a component, it is replaced by one of that scale."""
        if guidance is not None and calls.has_guider(type(self.pipeline)):
            self.pipeline.guider = self.pipeline.guider.new(guidance_scale=guidance)

    def _differences(self, ask: Ask, clip: Clip, sound: bool) -> list[str]:
        made, height, width, _ = clip.frames.shape
        notes = []
        if made != ask.frames:
            notes.append(f"asked for {ask.frames} frames, the pipeline produced {made}")
        if (height, width) != ask.size:
            notes.append(f"asked for {ask.size[0]}x{ask.size[1]}, the pipeline produced {height}x{width}")
        if sound:
            notes.append("the sound that came with the frames is ignored")
        if ask.negative and "negative_prompt" not in calls.settable(type(self.pipeline)):
            notes.append("the negative prompt is ignored: the pipeline takes none")
        return notes


@contextlib.contextmanager
def _without_bars() -> Iterator[None]:
    """Some blocks draw a bar of their own, which no setting takes away."""
    from tqdm import std

    init = std.tqdm.__init__
    std.tqdm.__init__ = functools.partialmethod(init, disable=True)
    try:
        yield
    finally:
        std.tqdm.__init__ = init


@contextlib.contextmanager
def _as_written(pipeline: Any, recipe: Recipe) -> Iterator[None]:
    """On a CPU nothing is compiled that the recipe does not ask for.

    Some networks compile what makes their attention's mask: that takes ten seconds and a C++ compiler, for the same
    mask. On a GPU it saves memory.
    """
    import torch

    if recipe.compile not in OFF or pipeline._execution_device.type != "cpu":
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def _generator(seed: int) -> Any:
    """On the CPU, so that every device starts from the same noise."""
    import torch

    return torch.Generator("cpu").manual_seed(seed)


def _cuda_devices(pipeline: Any) -> list[int]:
    """The device whose generator is pinned and restored too; none on a CPU."""
    import torch

    if not torch.cuda.is_initialized():  # to ask the pipeline is dear: it walks its modules
        return []
    device = pipeline._execution_device
    return [device.index or 0] if device.type == "cuda" else []
