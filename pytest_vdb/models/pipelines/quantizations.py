"""The recipe's `quantization`: the denoiser's weights in fewer bits, made so while they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vdb.components import DENOISERS
from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.reasons import Reason, no_denoiser, unknown_value
from pytest_vdb.records import Recipe


@dataclass(frozen=True, slots=True)
class Quantization:
    """One way to have fewer bits."""

    package: str
    """That it needs, as pip calls it."""
    config: Callable[[], Any]
    """What diffusers is given for a network."""


def _torchao(name: str) -> Callable[[], Any]:
    def config() -> Any:
        from diffusers import TorchAoConfig
        from torchao import quantization

        return TorchAoConfig(getattr(quantization, name)())

    return config


def _quanto(dtype: str) -> Callable[[], Any]:
    def config() -> Any:
        from diffusers import QuantoConfig

        return QuantoConfig(weights_dtype=dtype)

    return config


def _bitsandbytes(**settings: Any) -> Callable[[], Any]:
    def config() -> Any:
        from diffusers import BitsAndBytesConfig

        return BitsAndBytesConfig(**settings)

    return config


QUANTIZATIONS: Mapping[str, Quantization] = {
    "torchao-int8": Quantization("torchao", _torchao("Int8WeightOnlyConfig")),
    "torchao-int8-dynamic": Quantization("torchao", _torchao("Int8DynamicActivationInt8WeightConfig")),
    "torchao-float8": Quantization("torchao", _torchao("Float8WeightOnlyConfig")),
    "quanto-int8": Quantization("optimum-quanto", _quanto("int8")),
    "quanto-float8": Quantization("optimum-quanto", _quanto("float8")),
    "bitsandbytes-int8": Quantization("bitsandbytes", _bitsandbytes(load_in_8bit=True)),
    "bitsandbytes-nf4": Quantization("bitsandbytes", _bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
}


def why_no_quantization(kind: Any, value: str) -> Reason:
    """Why a class cannot be read in fewer bits."""
    if value not in QUANTIZATIONS:
        return unknown_value(value, QUANTIZATIONS)
    return no_denoiser(kind)


def loading_settings(kind: Any, recipe: Recipe) -> dict[str, Any]:
    """What `from_pretrained` must be told: quantisation happens while weights are read."""
    if recipe.quantization is None:
        return {}
    from diffusers import PipelineQuantizationConfig

    config = QUANTIZATIONS[recipe.quantization].config
    mapping = {name: config() for name in DENOISERS if name in classes.components(kind)}
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping=mapping)}
