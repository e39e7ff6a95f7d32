"""The recipe's switches for what computes the denoiser: an attention backend, compiled code, onnxruntime."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from pytest_vdb.models import classes
from pytest_vdb.models.onnx import graphs
from pytest_vdb.models.pipelines.reasons import OFF, Reason, class_names, no_denoiser, unknown_value
from pytest_vdb.records import Recipe

COMPILED_BLOCKS = "repeated-blocks"

_ON_TORCH_ONLY = ("offload", "compile", "cache", "layerwise_casting", "quantization")


def why_no_attention(kind: Any, value: str) -> Reason:
    """Why the denoiser of a class cannot compute its attention in a backend."""
    from diffusers.models.attention_dispatch import AttentionBackendName

    known = [backend.value for backend in AttentionBackendName]
    if value not in known:
        return unknown_value(value, known)
    options = classes.denoiser_classes(kind)
    if any(hasattr(module, "dispatch_attention_fn") for option in options for module in _modules_behind(option)):
        return None
    return f"its denoiser ({class_names(options)}) does not dispatch attention to backends"


def _modules_behind(denoiser: Any) -> Iterator[Any]:
    """The module that defines a denoiser and those of other denoisers whose layers it uses."""
    own = sys.modules[denoiser.__module__]
    homes = {getattr(layer, "__module__", "") for layer in vars(own).values() if inspect.isclass(layer)}
    yield from (sys.modules[home] for home in homes if home.startswith("diffusers.models.transformers."))


def set_attention(pipeline: Any, recipe: Recipe, _device: str) -> None:
    """Set the backend; `restore` takes it back."""
    for network in classes.denoisers(pipeline):
        network.set_attention_backend(recipe.attention)


def why_no_compile(kind: Any, value: str) -> Reason:
    """Why the denoiser of a class cannot be compiled, or not block by block."""
    options = classes.denoiser_classes(kind)
    if not options:
        return f"{kind.__name__} has no denoiser"
    if value == COMPILED_BLOCKS and not any(getattr(option, "_repeated_blocks", None) for option in options):
        return f"its denoiser ({class_names(options)}) names no repeated blocks; try compile=full"
    return None


def compile_denoisers(pipeline: Any, recipe: Recipe) -> None:
    """Last of all: what is compiled must already be as it will run."""
    for network in classes.denoisers(pipeline):
        if recipe.compile == COMPILED_BLOCKS:
            network.compile_repeated_blocks()
        else:
            network.compile()


def why_no_backend(kind: Any, _value: str) -> Reason:
    """Why a class has nothing that another runtime could take over."""
    return no_denoiser(kind)


def why_no_onnx(recipe: Recipe) -> Reason:
    """What the environment or the recipe's other settings have against `backend=onnx`."""
    if missing := graphs.missing_packages():
        return f"{', '.join(missing)} not installed: {graphs.INSTALL}"
    if recipe.dtype == "bfloat16":
        return "onnxruntime takes no bfloat16: add dtype=float32"
    acting = [name for name in _ON_TORCH_ONLY if getattr(recipe, name) not in OFF]
    return f"{', '.join(acting)} would act on networks that torch does not run then" if acting else None


def restore() -> None:
    """Undo what switches changed for the whole process: the attention backend and compiled code are kept globally."""
    attention = sys.modules.get("diffusers.models.attention_dispatch")
    if attention is not None:
        attention._AttentionBackendRegistry.set_active_backend(
            attention.AttentionBackendName(attention.DIFFUSERS_ATTN_BACKEND)
        )
    compiler = sys.modules.get("torch._dynamo")
    if compiler is not None:
        compiler.reset()
