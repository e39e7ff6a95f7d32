"""What fails although a pipeline class seems to have it: known cases, refused before loading; no torch here.

Every switch was set on every class with tiny weights (diffusers 0.42.1); what failed only while generating is listed
here. To add a case, add an entry to `ANYWHERE` or `ON_CPU`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_vdb.records import Recipe


@dataclass(frozen=True, slots=True)
class Unfit:
    """Values of one setting that one class fails with."""

    fails: Callable[[Any], bool]
    reason: str


Table = Mapping[str, Mapping[str, Unfit]]

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

ANYWHERE: Table = {
    "attention": {
        "AnyFlowFARPipeline": Unfit(
            lambda value: value != "flex", "its causal attention needs the backend flex, its default"
        ),
        "WanAnimate2DistilledModularPipeline": _FLEX,
        "WanAnimate2ModularPipeline": _FLEX,
    },
    "backend": {
        "AnyFlowFARPipeline": _COMPLEX,
        "AnyFlowPipeline": _COMPLEX,
        "HunyuanVideo15ImageToVideoPipeline": _DATA,
        "HunyuanVideo15Pipeline": _DATA,
        "Kandinsky6SRPipeline": Unfit(
            lambda value: value == "onnx", "its denoiser does not export to ONNX: it sorts what it attends to"
        ),
        "SanaWMPipeline": _COMPLEX,
        "WanAnimate2DistilledModularPipeline": _COMPLEX,
        "WanAnimate2ModularPipeline": _COMPLEX,
        "WanAnimatePipeline": Unfit(
            lambda value: value == "onnx", "its denoiser does not export to ONNX: it needs a QR decomposition"
        ),
    },
    "dtype": {
        "AnimateDiffSDXLPipeline": Unfit(
            lambda value: value == "float16", "diffusers mixes float16 and float32 in its VAE: use bfloat16 or float32"
        )
    },
    "guidance": {
        "Cosmos3DistilledModularPipeline": _GUIDED_ALREADY,
        "TextToVideoZeroPipeline": _NO_GUIDANCE,
        "TextToVideoZeroSDXLPipeline": _NO_GUIDANCE,
    },
    "max_sequence_length": {
        "CogVideoXFunControlPipeline": _ANY_LENGTH,
        "CogVideoXImageToVideoPipeline": _ANY_LENGTH,
        "CogVideoXPipeline": _ANY_LENGTH,
        "CogVideoXVideoToVideoPipeline": _ANY_LENGTH,
        "ConsisIDPipeline": _ANY_LENGTH,
    },
    "quantization": {
        "ConsisIDPipeline": Unfit(
            lambda value: value.startswith("torchao"), "torchao cannot read one of its layers; quanto can"
        )
    },
    "scheduler": {
        "Cosmos3OmniPipeline": Unfit(
            lambda value: value.startswith(("DDIM", "DDPM", "PNDM")),
            "it reads the scheduler's noise levels (sigmas), and this one has none",
        ),
        "LTXConditionPipeline": Unfit(
            lambda value: not value.startswith("FlowMatch"),
            "it starts in the middle of its own schedule, which FlowMatch schedulers alone allow",
        ),
        "LTXI2VLongMultiPromptPipeline": Unfit(
            lambda value: value.startswith("UniPC"), "it draws noise in each step, for which UniPC takes no generator"
        ),
        "SkyReelsV2DiffusionForcingImageToVideoPipeline": _STEPS_BY_INDEX,
        "SkyReelsV2DiffusionForcingPipeline": _STEPS_BY_INDEX,
        "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _STEPS_BY_INDEX,
    },
    "steps": {"Cosmos3DistilledModularPipeline": _FOUR_STEPS, "EchoModularPipeline": _EIGHT_STEPS},
}
"""Setting -> pipeline class -> the values it fails with."""

ON_CPU: Table = {
    "compile": {
        "Kandinsky6SRPipeline": Unfit(
            lambda value: value != "none", "torch cannot compile its attention for a CPU: add compile=none"
        )
    },
    "dtype": {
        "SanaWMPipeline": Unfit(
            lambda value: value in ("float16", "bfloat16"),
            "on a CPU it places its camera in float32 only: add dtype=float32",
        )
    },
}
"""The same, on a CPU alone."""

BLOCKS_OF: Mapping[str, str] = {
    "Cosmos3OmniModularPipeline": "Cosmos3OmniPipeline",
    "HeliosModularPipeline": "HeliosPipeline",
    "HeliosPyramidDistilledModularPipeline": "HeliosPyramidPipeline",
    "HeliosPyramidModularPipeline": "HeliosPyramidPipeline",
    "HunyuanVideo15ModularPipeline": "HunyuanVideo15Pipeline",
    "LTX25ModularPipeline": "LTX2Pipeline",
    "LTX2ModularPipeline": "LTX2Pipeline",
    "LTXModularPipeline": "LTXPipeline",
    "Wan22Image2VideoModularPipeline": "WanImageToVideoPipeline",
    "Wan22ModularPipeline": "WanPipeline",
    "Wan22VaceModularPipeline": "WanVACEPipeline",
    "WanImage2VideoModularPipeline": "WanImageToVideoPipeline",
    "WanModularPipeline": "WanPipeline",
}
"""Modular pipelines of models that have cards already -> the pipeline that drives them here."""

_A_STAGE = "takes the latents of a first stage, not a clip"

WITHOUT_CARD: Mapping[str, str] = {
    "Cosmos2TextToImagePipeline": "makes images",
    "LTX2DFRTemporalRefinePipeline": f"{_A_STAGE}: those of an LTX-2.5 pass with its keyframes and sound",
    "SanaWMLTX2Refiner": f"{_A_STAGE}: those of SANA-WM",
    **{name: f"the same models as `{other}`, put together of blocks" for name, other in BLOCKS_OF.items()},
}
"""Pipelines of diffusers that deal with video and have no card, and why."""


def first(pipeline: str, recipe: Recipe, asked: Collection[str], table: Table = ANYWHERE) -> tuple[str, str] | None:
    """The first setting in the table that a class fails with, and why.

    Args:
        pipeline: name of the class.
        recipe: complete.
        asked: the settings to look at.
        table: `ANYWHERE` or `ON_CPU`.
    """
    for setting in sorted(asked):
        case, value = table.get(setting, {}).get(pipeline), getattr(recipe, setting)
        if case is not None and value is not None and case.fails(value):
            return setting, case.reason
    return None
