"""What single pipeline classes are called with beyond what their signatures say: a function each.

A particular receives the pipeline, what is asked for and the arguments found so far, and returns the ones to change.
Which class has which one stands in `quirks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pytest_vdb.models.pipelines.ask import Ask

Arguments = dict[str, Any]
Particular = Callable[[Any, Ask, Arguments], Arguments]


def guidance_range(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Guidance grows from the first frame to the last; the recipe gives the end."""
    return {} if ask.recipe.guidance is None else {"max_guidance_scale": ask.recipe.guidance}


def pyramid_steps(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Three resolutions share the steps."""
    return {"pyramid_num_inference_steps_list": [math.ceil(ask.steps / 3)] * 3}


def sigmas(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """A distilled model is given noise levels instead of a number of steps."""
    return {"sigmas": [1 - step / ask.steps for step in range(ask.steps)]}


def motion_field_steps(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The two steps between which motion is put in lie at 44/50 and 47/50 of the way, as in the paper."""
    start = min(max(1, ask.steps * 44 // 50), ask.steps - 2)
    return {"t0": start, "t1": min(max(start + 1, ask.steps * 47 // 50), ask.steps - 1)}


def character_segments(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Frames come from the pose clip; one segment holds up to 77 of them, as released."""
    return {"segment_frame_length": min(77, ask.frames)}


def segments_of_the_driving_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """As many frames as the driving clip has; segments of 81, as released, or one shorter one of `4k+1`.

    It takes the size for an area, and rounds the root of that down: a hair more gives the size that was asked for.
    """
    return {"segment_frame_length": min(81, (ask.frames - 1) // 4 * 4 + 1), "height": ask.size[0] + 1 / 64}


def masked_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """An edit of the whole clip: every pixel may change."""
    if ask.task != "v2v":
        return {}
    from PIL import Image

    return {"mask": [Image.new("L", ask.size[::-1], 255)] * ask.frames}


def sparse_keyframe(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """One image controls the first frame."""
    return {"conditioning_frames": [ask.image()], "controlnet_frame_indices": [0]}


def one_chunk(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Chunks of 93 frames, as released, or one shorter chunk."""
    return {"num_frames_per_chunk": min(93, ask.frames)}


def inpaint_after_first_frame(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The first frame is the image, everything after it is masked."""
    import numpy as np
    import torch

    image = torch.from_numpy(np.array(ask.image())).permute(2, 0, 1).float() / 255
    clip = image[None, :, None].repeat(1, 1, ask.frames, 1, 1)
    mask = torch.full_like(clip[:, :1], 255.0)
    mask[:, :, 0] = 0
    return {"video": clip, "mask_video": mask, "negative_prompt": ask.negative or ""}


def spoken_negative(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Without a negative prompt it fails where others take the empty one."""
    return {"negative_prompt": ask.negative or ""}


def first_frame_condition(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Images are given as conditions on a frame."""
    if ask.task != "i2v":
        return {}
    from diffusers.pipelines.ltx2.pipeline_ltx2_condition import LTX2VideoCondition

    return {"conditions": [LTX2VideoCondition(frames=ask.image(), index=0, strength=1.0)]}


def hdr_reference(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The clip to be brought to a high dynamic range."""
    from diffusers.pipelines.ltx2.pipeline_ltx2_hdr_lora import LTX2HDRReferenceCondition

    return {"reference_conditions": [LTX2HDRReferenceCondition(frames=ask.clip(), strength=1.0)]}


def camera_forward(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The camera walks ahead; a pinhole camera whose focal length is the width."""
    height, width = ask.size
    return {"action": f"w-{ask.frames - 1}", "intrinsics": [float(width), float(width), width / 2, height / 2]}


def neutral_identity(pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """Face embeddings of ones: the networks that would read a face from the image are not part of the pipeline."""
    import torch

    config = pipe.transformer.config
    if not config.is_train_face:
        return {}
    hidden = torch.ones(1, config.LFE_num_tokens if hasattr(config, "LFE_num_tokens") else 2, config.LFE_vit_dim)
    return {"id_vit_hidden": [hidden] * config.LFE_num_scale, "id_cond": torch.ones(1, config.LFE_id_dim)}


def sound_if_present(pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """Sound is sampled where there is a decoder for it."""
    return {"sample_audio": pipe.audio_vae is not None}


def clip_extended(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The conditioning clip is the beginning of the result; the rest is generated in one piece from its end."""
    given = 17 if ask.frames > 34 else 5
    made = ask.frames - given
    return {"video": ask.clip(frames=given), "num_frames": made, "base_num_frames": made, "overlap_history": given}


def whole_text_encoder(_pipe: Any, _ask: Ask, _made: Arguments) -> Arguments:
    """All of the CLIP text encoder is used: transformers 5 no longer has the attribute that skipping reads."""
    return {"clip_skip": None}


def half_size_clip(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Doubles height and width: the recipe's size is that of the result."""
    height, width = ask.size
    return {"video": ask.clip(height=height // 2, width=width // 2), "height": height // 2, "width": width // 2}


def half_size_clip_alone(_pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Doubles height and width, too, but reads the size off the clip."""
    height, width = ask.size
    return {"video": ask.clip(height=height // 2, width=width // 2), "resolution_scale": 2}


def latents_of_the_clip(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The conditioning clip as the VAE joins it: what a first stage would hand over."""
    import torch

    video = pipe.video_processor.preprocess_video(ask.clip())
    with torch.no_grad():
        latents = pipe.vae.encode(video.to(pipe._execution_device, pipe.vae.dtype)).latent_dist.mode()
    return {"latents": latents, "denormalize": False}


def chunks_that_add_up(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """Chunks of the released length, as many as the clip needs: the released list of them fits 81 frames alone."""
    latents = (ask.frames - 1) // pipe.vae_scale_factor_temporal + 1
    first, *others = pipe.transformer.config.chunk_partition
    chunks = [min(first, latents)]
    while (left := latents - sum(chunks)) > 0:
        chunks.append(min(max(others, default=first), left))
    return {"chunk_partition": chunks}


def four_frames_dropped(pipe: Any, ask: Ask, _made: Arguments) -> Arguments:
    """The variant that concatenates latents cuts the first four frames off its result."""
    cut = 4 if pipe.transformer.config.image_condition_type == "latent_concat" else 0
    return {"num_frames": ask.frames + cut}


def sections(_pipe: Any, ask: Ask, made: Arguments) -> Arguments:
    """Makes `4 * window` frames a section and one more, but counts a section as `4 * window - 3` when asked."""
    window = made.get("latent_window_size", 9)
    return {"num_frames": (ask.frames - 1) // (4 * window) * (4 * window - 3)}
