"""What is particular to a pipeline class: an entry a class, the one place that knows classes by name. No torch here.

Most classes need no entry: what they are called with and made of is read off them (`classes`). Every switch was set on
every class with tiny weights (diffusers 0.42.1); what failed only while generating is listed here, and refused before
anything is loaded. To add a case, add it to the entry of the class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_vdb.models.pipelines import particulars
from pytest_vdb.models.pipelines.particulars import Particular
from pytest_vdb.records import Recipe, Task


@dataclass(frozen=True, slots=True)
class Unfit:
    """Values of one setting that one class fails with."""

    fails: Callable[[Any], bool]
    reason: str


Way = Literal["each", "once", "counted"]
"""How a pipeline is asked for several clips: by a list of prompts and of the images or clips that belong to them, by a
list of prompts and one image for all, or by one prompt and how many clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How one class takes several clips in a call: what its signature says of that is not to be trusted."""

    way: Way = "each"
    fails: str | None = None
    """Why it does not."""
    differs: str | None = None
    """Why its clips are not those that it makes alone."""
    of: Task | None = None
    """The task that `fails` or `differs` speaks of; None: of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """What is particular to one class."""

    arguments: Particular | None = None
    """What it is called with beyond what its signature says."""
    follows: tuple[str, ...] = ()
    """Settings that it follows although no argument of its call is named like them."""
    own_scheduler: bool = False
    """It calls its scheduler in a way that no other one understands."""
    gives_sigmas: bool = False
    """It hands its scheduler noise levels of its own, so every scheduler of its must take them."""
    faster_cache: bool = False
    """FasterCache ran on it: that needs both halves of guidance in one batch of 5-d latents."""
    unfit_caches: tuple[str, ...] = ()
    """Caches that it fails with although its denoiser has them."""
    unfit: Mapping[str, Unfit] = field(default_factory=dict)
    """Setting -> the values that it fails with although it seems to have it."""
    unfit_on_cpu: Mapping[str, Unfit] = field(default_factory=dict)
    """The same, on a CPU alone."""
    batching: Batching = Batching()
    """How it takes several clips in a call."""
    blocks_of: str | None = None
    """It has no card: the pipeline of that name drives the same models here."""
    no_card: str | None = None
    """Why it has no card although it deals with video."""

    @property
    def why_no_card(self) -> str | None:
        """Why it has no card; None for a class that has one."""
        if self.blocks_of is not None:
            return f"the same models as `{self.blocks_of}`, put together of blocks"
        return self.no_card


NONE = Quirks()
"""Of the classes that have no entry."""


_ANY_LENGTH = Unfit(
    lambda _value: True, "its text length is fixed where its positions are learned (226 tokens as published)"
)
_NO_GUIDANCE = Unfit(lambda value: value <= 1, "it generates with guidance only: give more than 1")
_STEPS_BY_INDEX = Unfit(
    lambda value: value.startswith("FlowMatch"), "each frame has steps of its own, which FlowMatch schedulers refuse"
)

_FLEX = Unfit(lambda value: value != "flex", "its attention to the clip needs the backend flex, its default")
_FOUR_STEPS = Unfit(lambda value: value != 4, "it is distilled to four noise levels of its own: leave steps=4")
_EIGHT_STEPS = Unfit(lambda value: value != 8, "it is distilled to eight noise levels of its own: leave steps=8")
_GUIDED_ALREADY = Unfit(lambda value: value != 1, "it is distilled to generate without guidance: leave guidance=1")

_COMPLEX = Unfit(
    lambda value: value == "onnx", "its denoiser does not export to ONNX: it computes with complex numbers"
)
_DATA = Unfit(lambda value: value == "onnx", "its denoiser does not export to ONNX: its data decide what is computed")

_WHOLE_MASK = Unfit(
    lambda value: "ulysses" in value, "diffusers 0.42.1 gives each device some heads, and the mask of all of them"
)

_ONE_IMAGE = Batching(way="once")
_NO_BATCH = Batching(fails="it makes one clip in a call")
_NO_LIST = Batching(fails="diffusers fails where it is given several prompts")
_NO_IMAGES = Batching(fails="diffusers fails where it is given several images", of="i2v")

_A_STAGE = "takes the latents of a first stage, not a clip"

QUIRKS: Mapping[str, Quirks] = {
    "AllegroPipeline": Quirks(batching=_NO_LIST, faster_cache=True, unfit_caches=("magcache",)),
    "AnimateDiffControlNetPipeline": Quirks(batching=_NO_LIST),
    "AnimateDiffSDXLPipeline": Quirks(
        unfit={
            "dtype": Unfit(
                lambda value: value == "float16",
                "diffusers mixes float16 and float32 in its VAE: use bfloat16 or float32",
            )
        }
    ),
    "AnimateDiffSparseControlNetPipeline": Quirks(batching=_ONE_IMAGE, arguments=particulars.sparse_keyframe),
    "AnyFlowFARPipeline": Quirks(
        arguments=particulars.chunks_that_add_up,
        own_scheduler=True,
        unfit={
            "attention": Unfit(
                lambda value: value != "flex", "its causal attention needs the backend flex, its default"
            ),
            "backend": _COMPLEX,
        },
    ),
    "AnyFlowPipeline": Quirks(own_scheduler=True, unfit={"backend": _COMPLEX}),
    "ChronoEditPipeline": Quirks(batching=_ONE_IMAGE),
    "CogVideoXFunControlPipeline": Quirks(faster_cache=True, unfit={"max_sequence_length": _ANY_LENGTH}),
    "CogVideoXImageToVideoPipeline": Quirks(faster_cache=True, unfit={"max_sequence_length": _ANY_LENGTH}),
    "CogVideoXPipeline": Quirks(faster_cache=True, unfit={"max_sequence_length": _ANY_LENGTH}),
    "CogVideoXVideoToVideoPipeline": Quirks(faster_cache=True, unfit={"max_sequence_length": _ANY_LENGTH}),
    "ConsisIDPipeline": Quirks(
        arguments=particulars.neutral_identity,
        unfit={
            "max_sequence_length": _ANY_LENGTH,
            "quantization": Unfit(
                lambda value: value.startswith("torchao"), "torchao cannot read one of its layers; quanto can"
            ),
        },
    ),
    "Cosmos2TextToImagePipeline": Quirks(no_card="makes images"),
    "Cosmos2VideoToWorldPipeline": Quirks(own_scheduler=True),
    "Cosmos2_5_PredictBasePipeline": Quirks(batching=_NO_IMAGES),
    "Cosmos2_5_TransferPipeline": Quirks(arguments=particulars.one_chunk),
    "Cosmos3DistilledModularPipeline": Quirks(
        batching=_NO_BATCH, unfit={"guidance": _GUIDED_ALREADY, "steps": _FOUR_STEPS}
    ),
    "Cosmos3OmniModularPipeline": Quirks(blocks_of="Cosmos3OmniPipeline"),
    "Cosmos3OmniPipeline": Quirks(
        batching=_NO_BATCH,
        unfit_caches=("first-block", "magcache", "pab"),
        unfit={
            "scheduler": Unfit(
                lambda value: value.startswith(("DDIM", "DDPM", "PNDM")),
                "it reads the scheduler's noise levels (sigmas), and this one has none",
            )
        },
    ),
    "CosmosTextToWorldPipeline": Quirks(own_scheduler=True),
    "CosmosVideoToWorldPipeline": Quirks(own_scheduler=True),
    "EasyAnimateControlPipeline": Quirks(arguments=particulars.spoken_negative),
    "EasyAnimateInpaintPipeline": Quirks(batching=_NO_LIST, arguments=particulars.inpaint_after_first_frame),
    "EasyAnimatePipeline": Quirks(arguments=particulars.spoken_negative),
    "EchoModularPipeline": Quirks(batching=_ONE_IMAGE, follows=("steps",), unfit={"steps": _EIGHT_STEPS}),
    "HeliosModularPipeline": Quirks(blocks_of="HeliosPipeline"),
    "HeliosPipeline": Quirks(own_scheduler=True),
    "HeliosPyramidDistilledModularPipeline": Quirks(blocks_of="HeliosPyramidPipeline"),
    "HeliosPyramidModularPipeline": Quirks(blocks_of="HeliosPyramidPipeline"),
    "HeliosPyramidPipeline": Quirks(
        batching=Batching(differs="the noise between its resolutions is the first clip's for all"),
        arguments=particulars.pyramid_steps,
        follows=("steps",),
        own_scheduler=True,
        unfit_caches=("pab",),
    ),
    "HunyuanSkyreelsImageToVideoPipeline": Quirks(gives_sigmas=True),
    "HunyuanVideo15ImageToVideoPipeline": Quirks(batching=_NO_LIST, gives_sigmas=True, unfit={"backend": _DATA}),
    "HunyuanVideo15ModularPipeline": Quirks(blocks_of="HunyuanVideo15Pipeline"),
    "HunyuanVideo15Pipeline": Quirks(batching=_NO_LIST, gives_sigmas=True, unfit={"backend": _DATA}),
    "HunyuanVideoFramepackPipeline": Quirks(arguments=particulars.sections, gives_sigmas=True),
    "HunyuanVideoImageToVideoPipeline": Quirks(arguments=particulars.four_frames_dropped, gives_sigmas=True),
    "HunyuanVideoPipeline": Quirks(gives_sigmas=True),
    "I2VGenXLPipeline": Quirks(
        batching=Batching(way="counted", differs="the noise of its image is the first clip's for all"),
        arguments=particulars.whole_text_encoder,
    ),
    "Kandinsky5I2VPipeline": Quirks(unfit_caches=("pab",)),
    "Kandinsky5T2VPipeline": Quirks(unfit_caches=("pab",)),
    "Kandinsky6SRPipeline": Quirks(
        arguments=particulars.half_size_clip_alone,
        own_scheduler=True,
        unfit={
            "backend": Unfit(
                lambda value: value == "onnx", "its denoiser does not export to ONNX: it sorts what it attends to"
            )
        },
        unfit_on_cpu={
            "compile": Unfit(
                lambda value: value != "none", "torch cannot compile its attention for a CPU: add compile=none"
            )
        },
    ),
    "Kandinsky6TI2VAPipeline": Quirks(arguments=particulars.sound_if_present, own_scheduler=True),
    "LTX25ModularPipeline": Quirks(blocks_of="LTX2Pipeline"),
    "LTX2ConditionPipeline": Quirks(arguments=particulars.first_frame_condition, gives_sigmas=True),
    "LTX2DFRPipeline": Quirks(arguments=particulars.sigmas, follows=("steps",), own_scheduler=True),
    "LTX2DFRTemporalRefinePipeline": Quirks(
        no_card=f"{_A_STAGE}: those of an LTX-2.5 pass with its keyframes and sound"
    ),
    "LTX2HDRPipeline": Quirks(arguments=particulars.hdr_reference, gives_sigmas=True),
    "LTX2ImageToVideoPipeline": Quirks(batching=_NO_IMAGES, gives_sigmas=True),
    "LTX2InContextPipeline": Quirks(
        arguments=particulars.first_frame_condition, gives_sigmas=True, unfit_caches=("pab",)
    ),
    "LTX2LatentUpsamplePipeline": Quirks(batching=_NO_BATCH, arguments=particulars.half_size_clip),
    "LTX2ModularPipeline": Quirks(blocks_of="LTX2Pipeline"),
    "LTX2Pipeline": Quirks(gives_sigmas=True),
    "LTX2VideoDiffusionDecodePipeline": Quirks(batching=_NO_BATCH, arguments=particulars.latents_of_the_clip),
    "LTXConditionPipeline": Quirks(
        batching=Batching(differs="the noise of its image is drawn otherwise", of="i2v"),
        unfit={
            "parallel": _WHOLE_MASK,
            "scheduler": Unfit(
                lambda value: not value.startswith("FlowMatch"),
                "it starts in the middle of its own schedule, which FlowMatch schedulers alone allow",
            ),
        },
    ),
    "LTXI2VLongMultiPromptPipeline": Quirks(
        batching=Batching(fails="it takes several prompts for the parts of one clip"),
        unfit={
            "parallel": _WHOLE_MASK,
            "scheduler": Unfit(
                lambda value: value.startswith("UniPC"),
                "it draws noise in each step, for which UniPC takes no generator",
            ),
        },
    ),
    "LTXImageToVideoPipeline": Quirks(gives_sigmas=True, unfit={"parallel": _WHOLE_MASK}),
    "LTXLatentUpsamplePipeline": Quirks(batching=_NO_BATCH, arguments=particulars.half_size_clip),
    "LTXModularPipeline": Quirks(blocks_of="LTXPipeline"),
    "LTXPipeline": Quirks(gives_sigmas=True, unfit={"parallel": _WHOLE_MASK}),
    "LattePipeline": Quirks(
        batching=Batching(differs="alone it sees a prompt without its padding, among others with it"),
        faster_cache=True,
        unfit_caches=("magcache",),
    ),
    "MiniMaxH3ModularPipeline": Quirks(batching=_NO_BATCH),
    "MochiPipeline": Quirks(gives_sigmas=True, faster_cache=True),
    "MotifVideoImage2VideoPipeline": Quirks(batching=_NO_IMAGES, gives_sigmas=True),
    "MotifVideoPipeline": Quirks(gives_sigmas=True),
    "SanaImageToVideoPipeline": Quirks(batching=_ONE_IMAGE),
    "SanaWMLTX2Refiner": Quirks(no_card=f"{_A_STAGE}: those of SANA-WM"),
    "SanaWMPipeline": Quirks(
        batching=_NO_BATCH,
        arguments=particulars.camera_forward,
        own_scheduler=True,
        unfit={"backend": _COMPLEX},
        unfit_on_cpu={
            "dtype": Unfit(
                lambda value: value in ("float16", "bfloat16"),
                "on a CPU it places its camera in float32 only: add dtype=float32",
            )
        },
    ),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": Quirks(
        batching=Batching(fails="diffusers fails where it is given more than two prompts"),
        unfit_caches=("pab",),
        unfit={"scheduler": _STEPS_BY_INDEX},
    ),
    "SkyReelsV2DiffusionForcingPipeline": Quirks(unfit_caches=("pab",), unfit={"scheduler": _STEPS_BY_INDEX}),
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": Quirks(
        arguments=particulars.clip_extended, unfit_caches=("pab",), unfit={"scheduler": _STEPS_BY_INDEX}
    ),
    "SkyReelsV2ImageToVideoPipeline": Quirks(batching=_ONE_IMAGE),
    "StableVideoDiffusionPipeline": Quirks(arguments=particulars.guidance_range, follows=("guidance",)),
    "TextToVideoZeroPipeline": Quirks(
        batching=_NO_LIST, arguments=particulars.motion_field_steps, unfit={"guidance": _NO_GUIDANCE}
    ),
    "TextToVideoZeroSDXLPipeline": Quirks(
        batching=_NO_LIST, arguments=particulars.motion_field_steps, unfit={"guidance": _NO_GUIDANCE}
    ),
    "VideoToVideoSDPipeline": Quirks(batching=_NO_LIST),
    "Wan22Image2VideoModularPipeline": Quirks(blocks_of="WanImageToVideoPipeline"),
    "Wan22ModularPipeline": Quirks(blocks_of="WanPipeline"),
    "Wan22VaceModularPipeline": Quirks(blocks_of="WanVACEPipeline"),
    "WanAnimate2DistilledModularPipeline": Quirks(
        batching=_NO_BATCH,
        arguments=particulars.segments_of_the_driving_clip,
        unfit={"attention": _FLEX, "backend": _COMPLEX},
    ),
    "WanAnimate2ModularPipeline": Quirks(
        batching=_NO_BATCH,
        arguments=particulars.segments_of_the_driving_clip,
        unfit={"attention": _FLEX, "backend": _COMPLEX},
    ),
    "WanAnimatePipeline": Quirks(
        batching=_ONE_IMAGE,
        arguments=particulars.character_segments,
        unfit={
            "backend": Unfit(
                lambda value: value == "onnx", "its denoiser does not export to ONNX: it needs a QR decomposition"
            )
        },
    ),
    "WanImage2VideoModularPipeline": Quirks(blocks_of="WanImageToVideoPipeline"),
    "WanImageToVideoPipeline": Quirks(batching=_ONE_IMAGE),
    "WanModularPipeline": Quirks(blocks_of="WanPipeline"),
    "WanVACEPipeline": Quirks(batching=_NO_BATCH, arguments=particulars.masked_clip),
}
"""Name of the class -> what is particular to it."""


def of(pipeline: str) -> Quirks:
    """What is particular to the class of that name."""
    return QUIRKS.get(pipeline, NONE)


def batching_of(pipeline: str, task: Task) -> Batching:
    """How the class of that name takes several clips in a call, asked for a task."""
    known = of(pipeline).batching
    return known if known.of in {None, task} else Batching(way=known.way)


def why_no_batch(pipeline: str, task: Task) -> str | None:
    """Why the class of that name makes one clip in a call; None where it can make several."""
    return batching_of(pipeline, task).fails


def without_card() -> Mapping[str, str]:
    """The pipelines of diffusers that deal with video and have no card, and why."""
    return {name: why for name, each in QUIRKS.items() if (why := each.why_no_card) is not None}


def first_unfit(cases: Mapping[str, Unfit], recipe: Recipe, asked: Collection[str]) -> tuple[str, str] | None:
    """The first setting that a class fails with, and why.

    Args:
        cases: `unfit` or `unfit_on_cpu` of the class.
        recipe: complete.
        asked: the settings to look at.
    """
    for setting in sorted(asked):
        case, value = cases.get(setting), getattr(recipe, setting)
        if case is not None and value is not None and case.fails(value):
            return setting, case.reason
    return None
