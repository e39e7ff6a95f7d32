"""A recipe and a prompt as the arguments of one pipeline's `__call__`.

Most pipelines are driven by the names in their signature alone. What is particular to a class is a small function in
the table `PARTICULARS`, which receives the arguments found so far and returns the ones to change.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.conditioning import clip_for, image_for
from pytest_vdb.records import Prompt, Recipe, Task

if TYPE_CHECKING:
    from PIL.Image import Image

Arguments = dict[str, Any]
Particular = Callable[[Any, "Ask", Arguments], Arguments]

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

STANDING: Mapping[str, Any] = {
    "output_type": "np",
    "use_resolution_binning": False,  # would silently produce another size
    "clean_caption": False,  # depends on whether ftfy and beautifulsoup4 happen to be installed
}
"""Given to every pipeline that takes them."""

OMITTED = object()
"""A particular returns it to take an argument away."""


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
    return frozenset(found | FOLLOWED_OTHERWISE.get(pipeline_class.__name__, frozenset()))


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
    particular = PARTICULARS.get(type(pipe).__name__)
    if particular is not None:
        made.update(particular(pipe, ask, made))
    return {name: value for name, value in made.items() if value is not OMITTED}


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


# What is particular to a class --------------------------------------------------------------------------------


def _guidance_range(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Guidance grows from the first frame to the last; the recipe gives the end."""
    return {} if ask.recipe.guidance is None else {"max_guidance_scale": ask.recipe.guidance}


def _pyramid_steps(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Three resolutions share the steps."""
    return {"pyramid_num_inference_steps_list": [math.ceil(ask.steps / 3)] * 3}


def _sigmas(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """A distilled model is given noise levels instead of a number of steps."""
    return {"sigmas": [1 - step / ask.steps for step in range(ask.steps)]}


def _motion_field_steps(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The two steps between which motion is put in lie at 44/50 and 47/50 of the way, as in the paper."""
    start = min(max(1, ask.steps * 44 // 50), ask.steps - 2)
    return {"t0": start, "t1": min(max(start + 1, ask.steps * 47 // 50), ask.steps - 1)}


def _character_segments(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Frames come from the pose clip; one segment holds up to 77 of them, as released."""
    return {"segment_frame_length": min(77, ask.frames)}


def _segments_of_the_driving_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """As many frames as the driving clip has; segments of 81, as released, or one shorter one of `4k+1`.

    It takes the size for an area, and rounds the root of that down: a hair more gives the size that was asked for.
    """
    return {"segment_frame_length": min(81, (ask.frames - 1) // 4 * 4 + 1), "height": ask.size[0] + 1 / 64}


def _masked_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """An edit of the whole clip: every pixel may change."""
    if ask.task != "v2v":
        return {}
    from PIL import Image

    return {"mask": [Image.new("L", ask.size[::-1], 255)] * ask.frames}


def _sparse_keyframe(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """One image controls the first frame."""
    return {"conditioning_frames": [ask.image()], "controlnet_frame_indices": [0]}


def _one_chunk(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Chunks of 93 frames, as released, or one shorter chunk."""
    return {"num_frames_per_chunk": min(93, ask.frames)}


def _inpaint_after_first_frame(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The first frame is the image, everything after it is masked."""
    import numpy as np
    import torch

    image = torch.from_numpy(np.array(ask.image())).permute(2, 0, 1).float() / 255
    clip = image[None, :, None].repeat(1, 1, ask.frames, 1, 1)
    mask = torch.full_like(clip[:, :1], 255.0)
    mask[:, :, 0] = 0
    return {"video": clip, "mask_video": mask, "negative_prompt": ask.negative or ""}


def _spoken_negative(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Without a negative prompt it fails where others take the empty one."""
    return {"negative_prompt": ask.negative or ""}


def _first_frame_condition(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Images are given as conditions on a frame."""
    if ask.task != "i2v":
        return {}
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

    return {"conditions": [LTX2VideoCondition(frames=ask.image(), index=0, strength=1.0)]}


def _hdr_reference(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The clip to be brought to a high dynamic range."""
    from diffusers.pipelines.ltx2.pipeline_ltx2_hdr_lora import LTX2HDRReferenceCondition

    return {"reference_conditions": [LTX2HDRReferenceCondition(frames=ask.clip(), strength=1.0)]}


def _camera_forward(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The camera walks ahead; a pinhole camera whose focal length is the width."""
    height, width = ask.size
    return {"action": f"w-{ask.frames - 1}", "intrinsics": [float(width), float(width), width / 2, height / 2]}


def _neutral_identity(pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """Face embeddings of ones: the networks that would read a face from the image are not part of the pipeline."""
    import torch

    config = pipe.transformer.config
    if not config.is_train_face:
        return {}
    hidden = torch.ones(1, config.LFE_num_tokens if hasattr(config, "LFE_num_tokens") else 2, config.LFE_vit_dim)
    return {"id_vit_hidden": [hidden] * config.LFE_num_scale, "id_cond": torch.ones(1, config.LFE_id_dim)}


def _sound_if_present(pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """Sound is sampled where there is a decoder for it."""
    return {"sample_audio": pipe.audio_vae is not None}


def _clip_extended(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The conditioning clip is the beginning of the result; the rest is generated in one piece from its end."""
    given = 17 if ask.frames > 34 else 5
    made = ask.frames - given
    return {"video": ask.clip(frames=given), "num_frames": made, "base_num_frames": made, "overlap_history": given}


def _whole_text_encoder(_pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """All of the CLIP text encoder is used: transformers 5 no longer has the attribute that skipping reads."""
    return {"clip_skip": None}


def _half_size_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Doubles height and width: the recipe's size is that of the result."""
    height, width = ask.size
    return {"video": ask.clip(height=height // 2, width=width // 2), "height": height // 2, "width": width // 2}


def _half_size_clip_alone(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Doubles height and width, too, but reads the size off the clip."""
    height, width = ask.size
    return {"video": ask.clip(height=height // 2, width=width // 2), "resolution_scale": 2}


def _latents_of_the_clip(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The conditioning clip as the VAE joins it: what a first stage would hand over."""
    import torch

    video = pipe.video_processor.preprocess_video(ask.clip())
    with torch.no_grad():
        latents = pipe.vae.encode(video.to(pipe._execution_device, pipe.vae.dtype)).latent_dist.mode()
    return {"latents": latents, "denormalize": False}


def _chunks_that_add_up(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Chunks of the released length, as many as the clip needs: the released list of them fits 81 frames alone."""
    latents = (ask.frames - 1) // pipe.vae_scale_factor_temporal + 1
    first, *others = pipe.transformer.config.chunk_partition
    chunks = [min(first, latents)]
    while (left := latents - sum(chunks)) > 0:
        chunks.append(min(max(others, default=first), left))
    return {"chunk_partition": chunks}


def _four_frames_dropped(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The variant that concatenates latents cuts the first four frames off its result."""
    cut = 4 if pipe.transformer.config.image_condition_type == "latent_concat" else 0
    return {"num_frames": ask.frames + cut}


def _sections(_pipe: Any, ask: Ask, made: Arguments) -> Arguments:
    """Makes `4 * window` frames a section and one more, but counts a section as `4 * window - 3` when asked."""
    window = made.get("latent_window_size", 9)
    return {"num_frames": (ask.frames - 1) // (4 * window) * (4 * window - 3)}


PARTICULARS: Mapping[str, Particular] = {
    "AnimateDiffSparseControlNetPipeline": _sparse_keyframe,
    "AnyFlowFARPipeline": _chunks_that_add_up,
    "ConsisIDPipeline": _neutral_identity,
    "Cosmos2_5_TransferPipeline": _one_chunk,
    "EasyAnimateControlPipeline": _spoken_negative,
    "EasyAnimatePipeline": _spoken_negative,
    "EasyAnimateInpaintPipeline": _inpaint_after_first_frame,
    "HeliosPyramidPipeline": _pyramid_steps,
    "HunyuanVideoFramepackPipeline": _sections,
    "HunyuanVideoImageToVideoPipeline": _four_frames_dropped,
    "I2VGenXLPipeline": _whole_text_encoder,
    "Kandinsky6SRPipeline": _half_size_clip_alone,
    "Kandinsky6TI2VAPipeline": _sound_if_present,
    "LTX2ConditionPipeline": _first_frame_condition,
    "LTX2DFRPipeline": _sigmas,
    "LTX2HDRPipeline": _hdr_reference,
    "LTX2LatentUpsamplePipeline": _half_size_clip,
    "LTX2VideoDiffusionDecodePipeline": _latents_of_the_clip,
    "LTXLatentUpsamplePipeline": _half_size_clip,
    "LTX2InContextPipeline": _first_frame_condition,
    "SanaWMPipeline": _camera_forward,
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _clip_extended,
    "StableVideoDiffusionPipeline": _guidance_range,
    "TextToVideoZeroPipeline": _motion_field_steps,
    "TextToVideoZeroSDXLPipeline": _motion_field_steps,
    "WanAnimate2DistilledModularPipeline": _segments_of_the_driving_clip,
    "WanAnimate2ModularPipeline": _segments_of_the_driving_clip,
    "WanAnimatePipeline": _character_segments,
    "WanVACEPipeline": _masked_clip,
}
"""Class -> what it needs beyond its signature."""

FOLLOWED_OTHERWISE: Mapping[str, frozenset[str]] = {
    "EchoModularPipeline": frozenset({"steps"}),
    "HeliosPyramidPipeline": frozenset({"steps"}),
    "LTX2DFRPipeline": frozenset({"steps"}),
    "StableVideoDiffusionPipeline": frozenset({"guidance"}),
}
"""Settings that a class follows through its particular, not through an argument of `NAMES`."""
