"""A recipe and a prompt as the arguments of one pipeline's `__call__`.

Most pipelines are driven by the names in their signature alone; what is particular to a class is in `quirks`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_vdb.errors import RecipeError
from pytest_vdb.models import classes
from pytest_vdb.models.pipelines import quirks
from pytest_vdb.models.pipelines.ask import Ask
from pytest_vdb.models.pipelines.particulars import Arguments
from pytest_vdb.records import Task

NAMES: Mapping[str, tuple[str, ...]] = {
    "frames": ("num_frames", "video_length", "frames"),
    "height": ("height",),
    "width": ("width",),
    "fps": ("frame_rate", "fps", "target_fps"),
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale",),
    "negative_prompt": ("negative_prompt",),
    "strength": ("strength",),
    "max_sequence_length": ("max_sequence_length",),
}
"""Setting of a recipe -> what pipelines call it; the first name in the signature is used."""

IMAGES = ("image", "cond_image")
CLIPS = ("video", "control_video", "conditioning_frames", "controls", "pose_video", "face_video", "driving_video")

COUNTS = ("num_videos_per_prompt", "num_images_per_prompt")
"""What pipelines call the number of clips that they make of a prompt."""

STANDING: Mapping[str, Any] = {
    "output_type": "np",
    "use_resolution_binning": False,  # would silently produce another size
    "clean_caption": False,  # depends on whether ftfy and beautifulsoup4 happen to be installed
}
"""Given to every pipeline that takes them."""


def has_guider(pipeline_class: type) -> bool:
    """Whether guidance is a component of the pipeline rather than an argument of its call."""
    return "guider" in classes.components(pipeline_class)


def conditions(pipeline_class: type, task: Task) -> tuple[str, ...]:
    """The arguments that carry the prompt's text, image and clip: those of the task, and those that must be given."""
    known = classes.inputs(pipeline_class)
    of_task = {"i2v": IMAGES, "v2v": CLIPS}.get(task, ())
    names = ("prompt", *IMAGES, *CLIPS)
    needed = [name for name in names if name in known and known[name].default is inspect.Parameter.empty]
    return tuple(name for name in names if name in known and (name in ("prompt", *of_task) or name in needed))


def settable(pipeline_class: type) -> frozenset[str]:
    """The settings in `NAMES` that the class can follow."""
    known = classes.inputs(pipeline_class)
    found = {setting for setting, names in NAMES.items() if any(name in known for name in names)}
    if has_guider(pipeline_class):
        found.add("guidance")
    return frozenset(found.union(quirks.of(pipeline_class.__name__).follows))


def arguments_for(pipe: Any, ask: Ask, extra: Mapping[str, Any]) -> Arguments:
    """The keyword arguments of the call (without the generator).

    Args:
        pipe: the loaded pipeline.
        ask: what is asked for.
        extra: arguments from the model's card, or those that a tiny pipeline needs.
    """
    known = classes.inputs(type(pipe))
    made: Arguments = {name: value for name, value in STANDING.items() if name in known}
    made.update((name, value) for name, value in extra.items() if name in known)
    made.update(_from_recipe(known, ask))
    made.update(_from_prompt(type(pipe), known, ask))
    if (particular := quirks.of(type(pipe).__name__).arguments) is not None:
        made.update(particular(pipe, ask, made))
    return made


def arguments_of_batch(pipe: Any, asks: Sequence[Ask], extra: Mapping[str, Any], *, where: str) -> Arguments:
    """The keyword arguments of one call that answers several asks of one recipe (without the generators).

    Args:
        pipe: the loaded pipeline.
        asks: a clip each.
        extra: as for `arguments_for`.
        where: the model, for error messages.

    Raises:
        RecipeError: the class starts all clips of a call from the same, and the asks differ in it.
    """
    kind = type(pipe)
    each = [arguments_for(pipe, ask, extra) for ask in asks]
    made, way = dict(each[0]), quirks.batching_of(kind.__name__, asks[0].task).way
    conditioned = [name for name in (*IMAGES, *CLIPS) if name in made]
    if len({ask.prompt.id for ask in asks}) > 1 and (way == "counted" or (way == "once" and conditioned)):
        what = f"cannot answer several prompts in one call: {kind.__name__} takes one for all clips"
        raise RecipeError(what, where=where, mend="ask it several seeds of one prompt")
    if way == "counted":
        return {**made, **{name: len(asks) for name in COUNTS if name in classes.inputs(kind)}}
    for name in ("prompt", "negative_prompt", *(conditioned if way == "each" else ())):
        if any(name in one for one in each):
            made[name] = [one.get(name, "") for one in each]
    return made


def _from_recipe(known: classes.Parameters, ask: Ask) -> Arguments:
    made: Arguments = {}
    for setting, names in NAMES.items():
        value = ask.negative if setting == "negative_prompt" else getattr(ask.recipe, setting)
        name = next((name for name in names if name in known), None)
        if name is not None and value is not None:
            whole = isinstance(known[name].default, int) and isinstance(value, float) and value.is_integer()
            made[name] = int(value) if whole else value
    return made


def _from_prompt(kind: type, known: classes.Parameters, ask: Ask) -> Arguments:
    """Text always; an image or a clip where the task or the pipeline needs it."""
    makers: Mapping[str, Callable[[], Any]] = {
        "prompt": lambda: ask.prompt.text,
        **dict.fromkeys(IMAGES, ask.image),
        **dict.fromkeys(CLIPS, ask.clip),
    }
    made: Arguments = {name: makers[name]() for name in conditions(kind, ask.task)}
    if "seed" in known:
        made["seed"] = ask.seed
    return made
