"""The recipe's switches: asked of the pipeline class before anything is loaded, then set on what was loaded.

One `Switch` per setting of the recipe. `lacking` says why a class (or this environment) cannot follow a value; `apply`
sets it on the loaded pipeline. To add a switch, add a field to `Recipe` and an entry to `SWITCHES`.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.errors import RecipeError, VdbError, near_misses
from pytest_vdb.files import is_folder, is_there
from pytest_vdb.models import classes
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.onnx import graphs
from pytest_vdb.models.pipelines import calls, unfit
from pytest_vdb.models.weights import blueprints, folders
from pytest_vdb.records import Recipe

if TYPE_CHECKING:
    from pytest_vdb.models.source import WeightsSource

OFF = (None, False, "none", "torch")
"""Values that switch nothing on, so every class can follow them."""

LAYERWISE = ("float8_e4m3fn", "float8_e5m2")
CACHES = ("first-block", "faster-cache", "pab", "taylorseer", "magcache")
THRESHOLDS = frozenset({"first-block", "magcache"})
"""Caches whose figure is a threshold; that of the others is a number of steps."""
FASTER_CACHE = frozenset(
    {
        "AllegroPipeline",
        "CogVideoXFunControlPipeline",
        "CogVideoXImageToVideoPipeline",
        "CogVideoXPipeline",
        "CogVideoXVideoToVideoPipeline",
        "LattePipeline",
        "MochiPipeline",
    }
)
"""Classes that FasterCache ran on (diffusers 0.42.1): it needs both halves of guidance in one batch of 5-d latents."""

UNFIT_CACHES: Mapping[str, frozenset[str]] = {
    "first-block": frozenset({"Cosmos3OmniPipeline"}),
    "magcache": frozenset({"AllegroPipeline", "Cosmos3OmniPipeline", "LattePipeline"}),
    "pab": frozenset(
        {
            "Cosmos3OmniPipeline",
            "HeliosPyramidPipeline",
            "Kandinsky5I2VPipeline",
            "Kandinsky5T2VPipeline",
            "LTX2InContextPipeline",
            "SkyReelsV2DiffusionForcingImageToVideoPipeline",
            "SkyReelsV2DiffusionForcingPipeline",
            "SkyReelsV2DiffusionForcingVideoToVideoPipeline",
        }
    ),
}
"""Classes that fail with a cache although their denoiser has it (diffusers 0.42.1)."""

OWN_SCHEDULER = frozenset(
    {
        "AnyFlowFARPipeline",
        "AnyFlowPipeline",
        "Cosmos2VideoToWorldPipeline",
        "CosmosTextToWorldPipeline",
        "CosmosVideoToWorldPipeline",
        "HeliosPipeline",
        "HeliosPyramidPipeline",
        "Kandinsky6SRPipeline",
        "Kandinsky6TI2VAPipeline",
        "LTX2DFRPipeline",
        "SanaWMPipeline",
    }
)
"""Classes that call their scheduler in a way that no other one understands (diffusers 0.42.1)."""

GIVES_SIGMAS = frozenset(
    {
        "HunyuanSkyreelsImageToVideoPipeline",
        "HunyuanVideo15ImageToVideoPipeline",
        "HunyuanVideo15Pipeline",
        "HunyuanVideoFramepackPipeline",
        "HunyuanVideoImageToVideoPipeline",
        "HunyuanVideoPipeline",
        "LTX2ConditionPipeline",
        "LTX2HDRPipeline",
        "LTX2ImageToVideoPipeline",
        "LTX2InContextPipeline",
        "LTX2Pipeline",
        "LTXImageToVideoPipeline",
        "LTXPipeline",
        "MochiPipeline",
        "MotifVideoImage2VideoPipeline",
        "MotifVideoPipeline",
    }
)
"""Classes that hand their scheduler noise levels of their own, so every scheduler of theirs must take them."""

FLOW_SCHEDULERS = frozenset({"LTXEulerAncestralRFScheduler"})
"""Flow-matching schedulers whose names do not say so."""

_ON_TORCH_ONLY = ("offload", "compile", "cache", "layerwise_casting", "quantization")

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""What the hub calls a repository."""

COMPILED_BLOCKS = "repeated-blocks"
ADAPTER = "vdb"

Reason = str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One setting of the recipe."""

    lacking: Callable[[Any, Any], Reason]
    """(pipeline class, value) -> why the class cannot follow it, or None."""
    apply: Callable[[Any, Recipe, str], None] | None = None
    """(loaded pipeline, recipe, device): set it. None where loading or the call takes care of it."""


def check(card: ModelCard, recipe: Recipe, asked: Collection[str]) -> None:
    """Refuse what the card's pipeline class does not have. Imports diffusers, loads no weights.

    Args:
        card: a card with a pipeline class.
        recipe: complete.
        asked: the settings to check: those that the user gave.

    Raises:
        RecipeError: naming the setting and the reason.
    """
    kind = classes.pipeline_class(card)
    for setting in sorted(asked):
        value = getattr(recipe, setting)
        if value in OFF:
            continue
        reason = _lacking(kind, setting, value)
        if setting == "scheduler" and reason is None:
            reason = _unlike_the_described(card, recipe)
        if reason is not None:
            raise RecipeError(f"cannot follow {setting}={value}", where=f"model {card.name}", mend=reason)


def check_environment(card: ModelCard, recipe: Recipe, source: WeightsSource) -> None:
    """Refuse what the device, the weights mode or the installed packages cannot follow, before anything is loaded.

    Raises:
        RecipeError: naming the setting and the reason.
    """
    on_cpu = source.device.split(":")[0] == "cpu"
    if on_cpu and (known := unfit.first(card.pipeline or "", recipe, recipe.settings(), unfit.ON_CPU)) is not None:
        raise RecipeError(
            f"cannot follow {known[0]}={getattr(recipe, known[0])}", where=f"model {card.name}", mend=known[1]
        )
    refusals = (
        (
            "offload",
            on_cpu,
            "there is nothing to offload from: it moves parts between an accelerator and the CPU, and this model lives "
            "on the CPU already; add --vdb-device=cuda where there is one",
        ),
        ("quantization", source.mode == "random", "quantisation happens while weights are read; random ones are not"),
        ("lora_scale", recipe.lora is None, "there is no LoRA to scale: give lora=PATH too"),
        *((setting, not _installed(package), f"pip install {package}") for setting, package in _packages(recipe)),
        ("backend", (against := _unfit_for_onnx(recipe)) is not None, against),
    )
    for setting, refused, reason in refusals:
        value = getattr(recipe, setting)
        if refused and value not in OFF:
            raise RecipeError(f"cannot follow {setting}={value}", where=f"model {card.name}", mend=reason)


def loading_settings(kind: Any, recipe: Recipe) -> dict[str, Any]:
    """What `from_pretrained` must be told: quantisation happens while weights are read."""
    if recipe.quantization is None:
        return {}
    from diffusers import PipelineQuantizationConfig

    config = _QUANTIZATIONS[recipe.quantization].config
    mapping = {name: config() for name in classes.DENOISERS if name in classes.components(kind)}
    return {"quantization_config": PipelineQuantizationConfig(quant_mapping=mapping)}


def apply(card: ModelCard, pipeline: Any, recipe: Recipe, device: str) -> None:
    """Set every switch of the recipe on a loaded pipeline and put it on the device.

    Raises:
        RecipeError: the loaded pipeline turned out not to have a switch that its class seemed to have.
        WeightsBroken: the LoRA is torn.
    """
    import torch

    for setting, switch in SWITCHES.items():
        value = getattr(recipe, setting)
        if switch.apply is None or value is None:
            continue
        try:
            switch.apply(pipeline, recipe, device)
        except (VdbError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise RecipeError(
                f"cannot follow {setting}={value}", where=f"model {card.name}", mend=f"{type(error).__name__}: {error}"
            ) from error
    if recipe.offload in OFF:
        pipeline.to(device)
    if recipe.compile not in OFF:
        _compile(pipeline, recipe)


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


def notes(recipe: Recipe) -> tuple[str, ...]:
    """What a reader of the result must know about its switches."""
    if recipe.cache is not None and recipe.cache.startswith("magcache"):
        return ("MagCache ran with flat magnitude ratios (1.0): it is not calibrated for this checkpoint",)
    return ()


def denoisers(pipeline: Any) -> Iterator[Any]:
    """The networks of a loaded pipeline that predict noise."""
    for name in classes.DENOISERS:
        if getattr(pipeline, name, None) is not None:
            yield getattr(pipeline, name)


# Asking the class --------------------------------------------------------------------------------


def _lacking(kind: Any, setting: str, value: Any) -> Reason:
    if setting in calls.NAMES:
        known = calls.settable(kind)
        return None if setting in known else f"{kind.__name__} takes no {setting}; it takes {', '.join(sorted(known))}"
    return SWITCHES[setting].lacking(kind, value)


def _denoiser_classes(kind: Any) -> tuple[Any, ...]:
    return tuple(option for name in classes.DENOISERS for option in classes.component_classes(kind, name))


def _vae_without(attribute: str) -> Callable[[Any, Any], Reason]:
    """The VAE's class has a switch if its own code reads the attribute that the switch sets."""

    def lacking(kind: Any, _value: Any) -> Reason:
        options = classes.component_classes(kind, "vae")
        if any(f"self.{attribute}" in inspect.getsource(option) for option in options):
            return None
        return f"its VAE ({_names(options) or 'none'}) has no {attribute.removeprefix('use_')}"

    return lacking


def _no_offload(kind: Any, value: str) -> Reason:
    if value != "group" and classes.is_modular(kind):
        return f"{kind.__name__} is put together of blocks, which diffusers offloads by groups only; try offload=group"
    if value == "model" and not kind.model_cpu_offload_seq:
        return f"{kind.__name__} says no order to offload in (model_cpu_offload_seq); try offload=group"
    return None


def _no_attention(kind: Any, value: str) -> Reason:
    from diffusers.models.attention_dispatch import AttentionBackendName

    known = [backend.value for backend in AttentionBackendName]
    if value not in known:
        return _unknown(value, known)
    options = _denoiser_classes(kind)
    if any(hasattr(module, "dispatch_attention_fn") for option in options for module in _modules_behind(option)):
        return None
    return f"its denoiser ({_names(options) or 'none'}) does not dispatch attention to backends"


def _modules_behind(denoiser: Any) -> Iterator[Any]:
    """The module that defines a denoiser and those of other denoisers whose layers it uses."""
    own = sys.modules[denoiser.__module__]
    homes = {getattr(layer, "__module__", "") for layer in vars(own).values() if inspect.isclass(layer)}
    yield from (sys.modules[home] for home in homes if home.startswith("diffusers.models.transformers."))


def _no_layerwise(kind: Any, value: str) -> Reason:
    if value not in LAYERWISE:
        return _unknown(value, LAYERWISE)
    return None if _denoiser_classes(kind) else f"{kind.__name__} has no denoiser"


def _no_cache(kind: Any, value: str) -> Reason:
    from diffusers.models.cache_utils import CacheMixin

    name, _, figure = value.partition(":")
    if name not in CACHES:
        return _unknown(name, CACHES)
    if figure and (reason := _no_figure(name, figure)) is not None:
        return reason
    options = _denoiser_classes(kind)
    if not any(issubclass(option, CacheMixin) for option in options):
        return f"its denoiser ({_names(options) or 'none'}) has no cache"
    if kind.__name__ in UNFIT_CACHES.get(name, ()) or (name == "faster-cache" and kind.__name__ not in FASTER_CACHE):
        return f"{kind.__name__} fails with it in diffusers"
    if name in ("first-block", "taylorseer") and "cache_context" not in classes.code_of_call(kind):
        return f"{kind.__name__} gives its denoiser no cache context"
    if name in ("first-block", "magcache") and not any(_has_known_blocks(option) for option in options):
        return f"diffusers does not know where its denoiser's blocks ({_names(options)}) keep their states"
    return None


def _no_figure(name: str, figure: str) -> Reason:
    """What follows a cache's name is a threshold, or how many steps it skips."""
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", figure) is None:
        return f"{figure!r} is no number: write e.g. {name}:0.1"
    if name not in THRESHOLDS and re.fullmatch(r"0*[1-9][0-9]*", figure) is None:
        return f"{figure!r} is no number of steps: write e.g. {name}:2"
    return None


def _has_known_blocks(denoiser: Any) -> bool:
    """Whether caches that skip whole blocks have the metadata of this denoiser's; unknown counts as yes."""
    from diffusers.hooks._helpers import TransformerBlockRegistry

    names = getattr(denoiser, "_repeated_blocks", None) or getattr(denoiser, "_no_split_modules", None) or ()
    blocks = [block for name in names if (block := getattr(sys.modules[denoiser.__module__], name, None)) is not None]
    for block in blocks:
        try:
            TransformerBlockRegistry.get(block)
        except ValueError:
            continue
        return True
    return not blocks


def _no_compile(kind: Any, value: str) -> Reason:
    options = _denoiser_classes(kind)
    if not options:
        return f"{kind.__name__} has no denoiser"
    if value == COMPILED_BLOCKS and not any(getattr(option, "_repeated_blocks", None) for option in options):
        return f"its denoiser ({_names(options)}) names no repeated blocks; try compile=full"
    return None


def _no_lora(kind: Any, value: str) -> Reason:
    if (reason := _no_lora_scale(kind, 1.0)) is not None:
        return reason
    if os.path.isfile(value):  # noqa: PTH113 - a Path raises for a name that is too long
        return None if value.endswith(folders.TENSORS) else f"only {folders.TENSORS} files are read"
    if os.path.isdir(value):  # noqa: PTH112
        there = any(path.suffix == folders.TENSORS for path in Path(value).iterdir())
        return None if there else f"there is no {folders.TENSORS} file in that folder"
    return None if _REPOSITORY.fullmatch(value) else "there is no such file or folder, and no repository is called so"


def _no_lora_scale(kind: Any, _value: float) -> Reason:
    return None if hasattr(kind, "load_lora_weights") else f"{kind.__name__} loads no LoRA"


def _no_quantization(kind: Any, value: str) -> Reason:
    if value not in _QUANTIZATIONS:
        return _unknown(value, _QUANTIZATIONS)
    return None if _denoiser_classes(kind) else f"{kind.__name__} has no denoiser"


def _no_scheduler(kind: Any, value: str) -> Reason:
    import diffusers

    if "scheduler" not in classes.components(kind):
        return f"{kind.__name__} has no scheduler"
    if kind.__name__ in OWN_SCHEDULER or _insists_on_a_scheduler(kind):
        return f"{kind.__name__} works with its own scheduler only"
    known = [name for name in dir(diffusers) if name.endswith("Scheduler")]
    if value not in known:
        return _unknown(value, known)
    takes = inspect.signature(getattr(diffusers, value).set_timesteps).parameters
    if kind.__name__ in GIVES_SIGMAS and "sigmas" not in takes:
        return f"{kind.__name__} gives its scheduler noise levels (sigmas), and {value} takes none"
    return None


def _insists_on_a_scheduler(kind: Any) -> bool:
    """Blocks that work with any scheduler ask for their base class; others name the one that they call."""
    import diffusers

    return classes.is_modular(kind) and diffusers.SchedulerMixin not in classes.component_classes(kind, "scheduler")


def _unlike_the_described(card: ModelCard, recipe: Recipe) -> Reason:
    """Why a scheduler cannot follow the model, as far as the model's own one is described in `architectures/`."""
    import diffusers

    tiny = recipe.weights == "tiny"
    scale, name = ("tiny", card.pipeline) if tiny else ("full", card.architecture)
    plan = blueprints.blueprints(scale).get(name or "")
    own = plan.components.get("scheduler") if plan is not None else None
    if not isinstance(own, dict) or "class" not in own:
        return None
    named = own["class"] if tiny else card.scheduler.get("class", own["class"])
    return _mismatch(named.rpartition(".")[2], own, getattr(diffusers, recipe.scheduler or ""))


def _mismatch(own: str, config: Mapping[str, Any], other: Any) -> Reason:
    """Flow-matching models stay so: DDIM on one would make noise."""
    takes = inspect.signature(other).parameters
    if _is_flow(own, config):
        follows = _is_flow(other.__name__, {}) or "use_flow_sigmas" in takes
        return None if follows else f"{other.__name__} cannot follow a flow-matching model"
    if _is_flow(other.__name__, {}):
        return f"{other.__name__} is for flow-matching models, and this one predicts noise"
    return None


def _no_backend(kind: Any, _value: str) -> Reason:
    return None if _denoiser_classes(kind) else f"{kind.__name__} has no denoiser"


def _unfit_for_onnx(recipe: Recipe) -> Reason:
    """What the environment or the recipe's other settings have against `backend=onnx`."""
    if missing := graphs.missing_packages():
        return f"{', '.join(missing)} not installed: {graphs.INSTALL}"
    if recipe.dtype == "bfloat16":
        return "onnxruntime takes no bfloat16: add dtype=float32"
    acting = [name for name in _ON_TORCH_ONLY if getattr(recipe, name) not in OFF]
    return f"{', '.join(acting)} would act on networks that torch does not run then" if acting else None


def _unknown(value: str, known: Collection[str]) -> str:
    near = near_misses(value, known)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _names(options: Collection[Any]) -> str:
    return ", ".join(option.__name__ for option in options)


# Setting it on the pipeline --------------------------------------------------------------------------------


def change_scheduler(pipeline: Any, changes: Mapping[str, Any]) -> None:
    """Another scheduler with the old one's settings.

    Args:
        pipeline: a loaded pipeline.
        changes: `class`, a scheduler of diffusers (the same if absent); everything else is a setting of it.

    Raises:
        ValueError: the new class cannot follow the model.
    """
    import diffusers

    old = pipeline.scheduler
    kind = getattr(diffusers, changes.get("class", type(old).__name__))
    takes = inspect.signature(kind).parameters
    flow_now = _is_flow(type(old).__name__, old.config)
    settings: dict[str, Any] = {}
    if (reason := _mismatch(type(old).__name__, old.config, kind)) is not None:
        raise ValueError(reason)
    if flow_now and not _is_flow(kind.__name__, {}):
        shift = old.config.get("shift") or old.config.get("flow_shift") or 1.0
        settings = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
    elif flow_now and "flow_shift" in old.config and "shift" in takes:
        settings = {"shift": old.config["flow_shift"]}
    settings |= {name: value for name, value in changes.items() if name != "class"}
    put = pipeline.update_components if classes.is_modular(type(pipeline)) else pipeline.register_modules
    put(scheduler=kind.from_config(old.config, **settings))


def _set_scheduler(pipeline: Any, recipe: Recipe, _device: str) -> None:
    change_scheduler(pipeline, {"class": recipe.scheduler})


def _is_flow(name: str, config: Mapping[str, Any]) -> bool:
    return "FlowM" in name or name in FLOW_SCHEDULERS or bool(config.get("use_flow_sigmas"))


def _set_vae(switch: str) -> Callable[[Any, Recipe, str], None]:
    def set_(pipeline: Any, recipe: Recipe, _device: str) -> None:
        on = getattr(recipe, f"vae_{switch}")
        vae = getattr(pipeline, "vae", None)
        if vae is not None and (on or hasattr(vae, f"use_{switch}")):
            getattr(vae, f"{'enable' if on else 'disable'}_{switch}")()

    return set_


def _set_lora(pipeline: Any, recipe: Recipe, _device: str) -> None:
    assert recipe.lora is not None
    path = Path(recipe.lora)
    settings: dict[str, Any] = {"adapter_name": ADAPTER, "use_safetensors": True}
    if is_folder(path):
        folders.check_part(path)
    elif is_there(path):
        folders.check_header(files.regular(path, error=RecipeError))
        settings["weight_name"], path = path.name, path.parent
    pipeline.load_lora_weights(str(path), **settings)
    pipeline.set_adapters([ADAPTER], [1.0 if recipe.lora_scale is None else recipe.lora_scale])


def _set_attention(pipeline: Any, recipe: Recipe, _device: str) -> None:
    for network in denoisers(pipeline):
        network.set_attention_backend(recipe.attention)


def _set_layerwise(pipeline: Any, recipe: Recipe, _device: str) -> None:
    import torch

    for network in denoisers(pipeline):
        network.enable_layerwise_casting(
            storage_dtype=getattr(torch, recipe.layerwise_casting or ""), compute_dtype=network.dtype
        )


def _set_cache(pipeline: Any, recipe: Recipe, _device: str) -> None:
    for network in denoisers(pipeline):
        network.enable_cache(_cache_config(pipeline, recipe))


def _cache_config(pipeline: Any, recipe: Recipe) -> Any:
    """The accelerator's configuration: `name` or `name:figure`, the figure being its threshold, range or interval."""
    import diffusers
    import torch
    from diffusers.hooks import mag_cache

    assert recipe.cache is not None
    name, _, text = recipe.cache.partition(":")
    figure = float(text) if text else None

    def current_timestep() -> Any:
        return pipeline._current_timestep

    if name == "first-block":
        return diffusers.FirstBlockCacheConfig(threshold=0.2 if figure is None else figure)
    if name == "magcache":
        steps = recipe.steps or 50
        return mag_cache.MagCacheConfig(
            threshold=0.06 if figure is None else figure, num_inference_steps=steps, mag_ratios=torch.ones(steps)
        )
    if name == "taylorseer":
        return diffusers.TaylorSeerCacheConfig(cache_interval=5 if figure is None else int(figure))
    if name == "pab":
        skip = 2 if figure is None else int(figure)
        return diffusers.PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=skip, current_timestep_callback=current_timestep
        )
    return diffusers.FasterCacheConfig(
        spatial_attention_block_skip_range=2 if figure is None else int(figure),
        unconditional_batch_skip_range=5,
        tensor_format="BCFHW",
        current_timestep_callback=current_timestep,
    )


def _set_offload(pipeline: Any, recipe: Recipe, device: str) -> None:
    import torch

    if recipe.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
    elif recipe.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=device)
    elif recipe.offload == "group":
        how = {"onload_device": torch.device(device), "offload_type": "leaf_level", "use_stream": "cuda" in device}
        if classes.is_modular(type(pipeline)):
            _offload_each(pipeline, how)
        else:
            pipeline.enable_group_offload(**how)


def _offload_each(pipeline: Any, how: Mapping[str, Any]) -> None:
    """What a `DiffusionPipeline` does of itself: every network by groups, but for those that say that they cannot."""
    import torch
    from diffusers.hooks import apply_group_offloading

    for part in pipeline.components.values():
        if not isinstance(part, torch.nn.Module):
            continue
        if getattr(part, "_supports_group_offloading", True):
            apply_group_offloading(part, **how)
        else:
            part.to(how["onload_device"])


def _compile(pipeline: Any, recipe: Recipe) -> None:
    """Last of all: what is compiled must already be as it will run."""
    for network in denoisers(pipeline):
        if recipe.compile == COMPILED_BLOCKS:
            network.compile_repeated_blocks()
        else:
            network.compile()


# Quantisation --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Quantization:
    package: str
    config: Callable[[], Any]


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


_QUANTIZATIONS: Mapping[str, _Quantization] = {
    "torchao-int8": _Quantization("torchao", _torchao("Int8WeightOnlyConfig")),
    "torchao-int8-dynamic": _Quantization("torchao", _torchao("Int8DynamicActivationInt8WeightConfig")),
    "torchao-float8": _Quantization("torchao", _torchao("Float8WeightOnlyConfig")),
    "quanto-int8": _Quantization("optimum-quanto", _quanto("int8")),
    "quanto-float8": _Quantization("optimum-quanto", _quanto("float8")),
    "bitsandbytes-int8": _Quantization("bitsandbytes", _bitsandbytes(load_in_8bit=True)),
    "bitsandbytes-nf4": _Quantization("bitsandbytes", _bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4")),
}


def _packages(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(setting, package that it needs, as pip calls it)."""
    if recipe.lora is not None:
        yield "lora", "peft"
    if recipe.quantization in _QUANTIZATIONS:
        yield "quantization", _QUANTIZATIONS[recipe.quantization or ""].package


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


SWITCHES: Mapping[str, Switch] = {
    "scheduler": Switch(lacking=_no_scheduler, apply=_set_scheduler),
    "vae_tiling": Switch(lacking=_vae_without("use_tiling"), apply=_set_vae("tiling")),
    "vae_slicing": Switch(lacking=_vae_without("use_slicing"), apply=_set_vae("slicing")),
    "lora": Switch(lacking=_no_lora, apply=_set_lora),
    "lora_scale": Switch(lacking=_no_lora_scale),
    "attention": Switch(lacking=_no_attention, apply=_set_attention),
    "layerwise_casting": Switch(lacking=_no_layerwise, apply=_set_layerwise),
    "quantization": Switch(lacking=_no_quantization),
    "cache": Switch(lacking=_no_cache, apply=_set_cache),
    "offload": Switch(lacking=_no_offload, apply=_set_offload),
    "compile": Switch(lacking=_no_compile),
    "backend": Switch(lacking=_no_backend),
}
"""In the order in which they are set."""
