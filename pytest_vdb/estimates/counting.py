"""Counting what a card's model does for one clip: its real pipeline runs, its networks on the meta device.

The pipeline is the released one at full size, driven by the same adapter as every benchmark, with weights that take no
memory. Tokens, latents, masks and the scheduler are real; each network runs without values and gives back zeros. So
calls, batches and shapes are those of a generation. Imports torch and diffusers: import it where it is used.
"""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache, wraps
from typing import Any

import diffusers
import numpy as np
import torch

from pytest_vdb.components import DENOISERS
from pytest_vdb.errors import CannotRunHere, VdbError
from pytest_vdb.estimates.tally import META, Tally, tallied
from pytest_vdb.models import classes, counts
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.counts import Counts, PartCount, StageCount, Uncounted
from pytest_vdb.models.pipelines import calls, schedulers
from pytest_vdb.models.pipelines.ask import Ask
from pytest_vdb.models.weights import architectures, blueprints, modular, random_weights
from pytest_vdb.records import Prompt, Recipe

PROMPT = Prompt(id="counted", text="A cat runs through tall grass.")
"""Networks take prompts padded to one length, so any does."""
LEAST_OF_PICTURES = 4
"""Dimensions from which a tensor is one of pictures or latents."""
LARGE = 2**25
"""Values from which a result is one that pretends to be all: frames, which nobody writes into."""
TILE = 256
"""Pixels of a tile's side, as most decoders of diffusers have it."""
_OPERATION = re.compile(r"(?:\btorch\.|\baten::)(\w+)")
"""As torch names one in its errors."""


def count(card: ModelCard, recipe: Recipe) -> Counts | Uncounted:
    """Run one clip of a model on the meta device. Seconds, and little memory; the most at large frames.

    Args:
        card: of the model; one with an architecture.
        recipe: as `recipes.resolve` returned it.

    Returns:
        Its counts; or why there are none.
    """
    key, version = counts.key_of(card, recipe), str(diffusers.__version__)
    try:
        networks, stages = _networks_and_stages(card, recipe)
    except ImportError as error:
        return Uncounted(key=key, reason=f"it needs a library: {_first_sentence(error)}", diffusers=None)
    except VdbError as error:
        tried = None if isinstance(error, CannotRunHere) else version
        return Uncounted(key=key, reason=error.what, diffusers=tried)
    except Exception as error:  # noqa: BLE001 - a network that looks at values which are not there raises anything
        reason = f"it does not run on PyTorch's meta device, where tensors have no values: {hindrance(error)}"
        return Uncounted(key=key, reason=reason, diffusers=version)
    parts = {network.role: network.counted for network in networks}
    return Counts(key=key, steps=recipe.steps, diffusers=version, parts=parts, stages=tuple(stages))


def hindrance(error: Exception) -> str:
    """What an error says of a network; of an operation that needs values torch says at length how to register it."""
    said = _first_sentence(error)
    if not isinstance(error, NotImplementedError):
        return f"{type(error).__name__}: {said}"
    operation = _OPERATION.search(said)
    return said if operation is None else f"{operation[1]} needs them"


def _first_sentence(error: Exception) -> str:
    """Of what it says, whole: torch goes on about how to register operators."""
    first_line = str(error).strip().partition("\n")[0]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", first_line, maxsplit=1)[0]


def _networks_and_stages(card: ModelCard, recipe: Recipe) -> tuple[list[_Network], list[StageCount]]:
    """Build the pipeline, call it, and sum up what its networks did."""
    assert card.architecture is not None
    kind, plan = classes.pipeline_class(card), architectures.preset(card.architecture)
    dtype = getattr(torch, recipe.dtype or "float32")
    components, networks = {}, []
    adjusted = json.dumps(plan.after_load, sort_keys=True)
    for role, component in plan.components.items():
        if not blueprints.is_model(component):
            components[role] = blueprints.construct(component)
            continue
        described = json.dumps(component, sort_keys=True)
        networks.append(_network_of(role, described, dtype, role in card.float32, adjusted))
        components[role] = networks[-1].module
    pipeline = _assembled(card, kind, components)
    blueprints.adjust(pipeline, plan)
    pipeline.set_progress_bar_config(disable=True)
    if card.scheduler:
        schedulers.change_scheduler(pipeline, card.scheduler)
    if recipe.guidance is not None and calls.has_guider(type(pipeline)):
        pipeline.guider = pipeline.guider.new(guidance_scale=recipe.guidance)
    arguments = calls.arguments_for(
        pipeline, Ask(prompt=PROMPT, recipe=recipe, seed=0, task=card.task), {**card.call, **plan.call}
    )
    if classes.is_modular(kind):
        arguments["output"] = list(classes.outputs(kind))
    with ExitStack() as hooks:
        for network in networks:
            hooks.enter_context(network.watched())
        if hasattr(pipeline, "video_processor"):  # nobody looks at the frames, and they are large
            pipeline.video_processor.postprocess_video = lambda *_, **__: np.zeros((1, 1, 8, 8, 3), np.float32)
        hooks.enter_context(torch.no_grad())
        hooks.enter_context(torch.compiler.set_stance("force_eager"))
        pipeline(**arguments, generator=torch.Generator("cpu").manual_seed(0))
    return networks, [stage for network in networks for stage in network.stages()]


def _assembled(card: ModelCard, kind: Any, components: Mapping[str, Any]) -> Any:
    if classes.is_modular(kind):
        return modular.assemble(kind, components, inputs=calls.conditions(kind, card.task))
    known = classes.components(kind)
    return kind(**{name: component for name, component in components.items() if name in known})


@lru_cache(maxsize=8)
def _network_of(role: str, component: str, dtype: torch.dtype, float32: bool, adjusted: str) -> _Network:
    """A described model, as JSON: many pipelines have a text encoder or a VAE in common, which is counted once."""
    del adjusted  # what a pipeline sets on its parts, by which two that are described alike differ
    return _Network(role, architectures.skeleton(role, json.loads(component), dtype), dtype, float32=float32)


class _Network:
    """A model of a pipeline whose weights are the CPU's to look at, take no memory, and are the meta device's to run.

    Args:
        role: its name in the pipeline.
        module: a skeleton.
        dtype: of its weights, but for those that it keeps in float32.
        float32: whether all of it stays in float32.
    """

    def __init__(self, role: str, module: torch.nn.Module, dtype: torch.dtype, *, float32: bool) -> None:
        self.role = role
        self.module = module
        self._slots: list[tuple[dict[str, Any], str, Any]] = []
        self._calls: Counter[tuple[str, str]] = Counter()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._answers: dict[tuple[str, str], Any] = {}
        self._tiled_peaks: dict[tuple[str, str], int] = {}
        self.counted = self._without_memory(dtype, float32=float32)

    def _without_memory(self, dtype: torch.dtype, *, float32: bool) -> PartCount:
        """Replace every weight by one value that pretends to be all of them."""
        kept = random_weights.kept_in_float32(self.module, dtype)
        done: dict[int, tuple[Any, Any]] = {}
        for path, owner in self.module.named_modules():
            for name, parameter in list(owner.named_parameters(recurse=False)):
                if id(parameter) not in done:  # tied weights count once
                    stays = float32 or any(part in kept for part in (*path.split("."), name))
                    own = torch.float32 if stays else dtype
                    own = own if parameter.dtype.is_floating_point else parameter.dtype
                    done[id(parameter)] = _stand_ins(parameter.shape, own)
                seen, run = done[id(parameter)]
                owner._parameters[name] = seen
                self._slots.append((owner._parameters, name, run))
        sizes = [run.numel() * run.element_size() for _, run in done.values()]
        parameters = sum(run.numel() for _, run in done.values())
        return PartCount(parameters=parameters, bytes=sum(sizes), largest_bytes=max(sizes, default=0))

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, every call is counted, from none."""
        module: Any = self.module
        self._calls.clear()
        if self.role in DENOISERS:
            names = {"forward": "denoise"}
        elif hasattr(module, "decode") and hasattr(module, "encode"):
            names = {"decode": "decode", "encode": "encode"}
        else:
            names = {"forward": "text"}
        for name, stage in names.items():
            setattr(module, name, self._counted(stage, getattr(module, name)))
        try:
            yield
        finally:
            for name in names:
                delattr(module, name)

    def _counted(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)  # some pipelines read the signature, to give a network what it takes
        def counted(*arguments: Any, **named: Any) -> Any:
            key = (stage, _shapes((arguments, named)))
            if key not in self._answers:
                arguments, named = torch.utils._pytree.tree_map(_without_pixels, (arguments, named))
                with self._on_meta(), tallied() as tally:
                    made = call(*arguments, **named)
                self._tallies[key] = tally
                self._answers[key] = _real(made)
                if stage == "decode" and (peak := self._peak_of_tiles(call, made, arguments, named)) is not None:
                    self._tiled_peaks[key] = peak
            self._calls[key] += 1
            return copy.copy(self._answers[key])

        return counted

    def _peak_of_tiles(
        self, call: Callable[..., Any], frames: Any, arguments: Any, named: Mapping[str, Any]
    ) -> int | None:
        """Decode one tile: in tiles a decoder holds that, and the frames, which it joins in the end."""
        latents = next((one for one in arguments if isinstance(one, torch.Tensor) and one.dim() >= 4), None)
        made = next((one for one in torch.utils._pytree.tree_leaves(frames) if isinstance(one, torch.Tensor)), None)
        if latents is None or made is None or not hasattr(self.module, "enable_tiling"):
            return None
        side = max(1, TILE * latents.shape[-1] // made.shape[-1])
        with self._on_meta(), tallied() as tally:
            call(latents[..., :side, :side], *arguments[1:], **named)
        return int(tally.peak_bytes + 2 * made.numel() * made.element_size())

    @contextmanager
    def _on_meta(self) -> Iterator[None]:
        """Weights on the meta device, in the dtype that they have by now: some pipelines lift a VAE to float32."""
        before = [weights[name] for weights, name, _ in self._slots]
        for (weights, name, run), seen in zip(self._slots, before, strict=True):
            weights[name] = run if run.dtype == seen.dtype else _to_run(run.shape, seen.dtype)
        try:
            yield
        finally:
            for (weights, name, _), seen in zip(self._slots, before, strict=True):
                weights[name] = seen

    def stages(self) -> Iterator[StageCount]:
        """What was counted, by stage."""
        for stage in dict.fromkeys(stage for stage, _ in self._calls):
            keys = [key for key in self._calls if key[0] == stage]
            made = [self._tallies[key] for key in keys for _ in range(self._calls[key])]
            tiled = [self._tiled_peaks[key] for key in keys if key in self._tiled_peaks]
            yield StageCount(
                stage=stage,
                part=self.role,
                calls=len(made),
                products=float(sum(tally.products for tally in made)),
                attention=float(sum(tally.attention for tally in made)),
                moved_bytes=float(sum(tally.moved_bytes for tally in made)),
                peak_bytes=max(tally.peak_bytes for tally in made),
                inner_width=_geometric(sum(one.log_inner for one in made), sum(one.products for one in made)),
                head_width=_geometric(sum(one.log_head for one in made), sum(one.attention for one in made)),
                tiled_peak_bytes=max(tiled, default=None),
            )


def _geometric(logarithms: float, weights: float) -> float | None:
    """A weighted geometric mean, of what was summed up."""
    return round(2 ** (logarithms / weights), 1) if weights else None


def _stand_ins(shape: torch.Size, dtype: torch.dtype) -> tuple[Any, Any]:
    """A weight to look at, which is one value on the CPU, and one to run."""
    seen = torch.nn.Parameter(torch.zeros((), dtype=dtype).expand(shape), requires_grad=False)
    return seen, _to_run(shape, dtype)


def _to_run(shape: torch.Size, dtype: torch.dtype) -> Any:
    return torch.nn.Parameter(torch.empty(shape, dtype=dtype, device=META), requires_grad=False)


def _without_pixels(value: Any) -> Any:
    """Pictures and latents, at whose values nobody looks: the CPU would enlarge them before they meet a weight."""
    if isinstance(value, torch.Tensor) and value.dim() >= LEAST_OF_PICTURES and value.is_floating_point():
        return torch.empty(value.shape, dtype=value.dtype, device=META)
    return value


def _shapes(value: object) -> str:
    """What tells two calls apart: shapes, not values."""
    found = []
    for one in torch.utils._pytree.tree_leaves(value):
        found.append((tuple(one.shape), str(one.dtype)) if isinstance(one, torch.Tensor) else type(one).__name__)
    return str(found)


def _real(value: Any) -> Any:
    """Zeros on the CPU in the place of what has no values, wherever they are in it; large ones take no memory."""
    if isinstance(value, torch.Tensor):
        if not value.is_meta:
            return value
        large = value.numel() > LARGE
        return (
            torch.zeros((), dtype=value.dtype).expand(value.shape) if large else torch.zeros_like(value, device="cpu")
        )
    if isinstance(value, dict):
        for name in list(value):
            value[name] = _real(value[name])
        return value
    if isinstance(value, list | tuple):
        made = [_real(one) for one in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if hasattr(value, "__dict__") and not isinstance(value, torch.nn.Module | type):
        for name, one in list(vars(value).items()):
            setattr(value, name, _real(one))
    return value
