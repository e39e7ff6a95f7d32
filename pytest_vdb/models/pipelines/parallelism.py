"""The recipe's `parallel`: one clip over several devices, by diffusers' context parallelism.

The tokens of each denoiser are split over the ranks of torchrun, which have the same weights each; text encoder and VAE
run on every rank, and every rank ends with the whole clip. `ulysses` gives each rank the whole sequence of some heads,
`ring` hands keys and values round.

Ranks of a processor and gloo are tried by the tests, with Ulysses; **no GPU and no ring was ever tried**.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pytest_vdb.errors import RecipeError
from pytest_vdb.models import classes
from pytest_vdb.models.pipelines.reasons import OFF, Reason, class_names, no_denoiser
from pytest_vdb.models.source import WeightsSource
from pytest_vdb.records import Recipe, degrees

_WITHOUT_LSE = ("native", "_native_npu")
"""Attention backends that take part in Ulysses, but do not tell the log-sum-exp by which a ring adds up its parts."""


def why_no_parallel(kind: Any, _value: Any) -> Reason:
    """Why a class's denoiser cannot be split over devices."""
    if (lacking := no_denoiser(kind)) is not None:
        return lacking
    options = classes.denoiser_classes(kind)
    unplanned = [option for option in options if getattr(option, "_cp_plan", None) is None]
    if unplanned:
        return f"diffusers has no plan (_cp_plan) of how to split its denoiser ({class_names(unplanned)}) over devices"
    return None


def why_not_beside(recipe: Recipe) -> Reason:
    """What the recipe's other settings have against `parallel`."""
    if recipe.backend not in OFF:
        return f"backend={recipe.backend} runs on one device"
    if recipe.cache not in OFF:
        return f"cache={recipe.cache}: each rank would decide by its own tokens what to skip, and wait for the others"
    if recipe.batch not in {None, 1}:
        return f"batch={recipe.batch}: it makes one clip in a call"
    return _why_no_such_attention(recipe)


def why_not_here(recipe: Recipe, source: WeightsSource) -> Reason:
    """What the device has against `parallel`."""
    if recipe.devices == 1:
        return None
    if source.device.partition(":")[0] == "cuda":
        import torch

        here = torch.cuda.device_count()
        return None if here >= recipe.devices else f"it takes {recipe.devices} GPUs, and {here} can be seen here"
    if source.device == "cpu":
        no_ring = "on a CPU no attention tells its log-sum-exp, which a ring needs: ulysses alone"
        return no_ring if "ring" in degrees(recipe.parallel) else None
    return f"only GPUs of CUDA and processors talk to each other here, not {source.device}"


def is_rank() -> bool:
    """Whether this process is one of several that share each clip."""
    import torch

    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def set_parallel(pipeline: Any, recipe: Recipe, device: str) -> None:
    """Split the denoisers over the ranks of which this process is one.

    Raises:
        RecipeError: their heads cannot be shared out.
    """
    from diffusers import ContextParallelConfig
    from torch.distributed.device_mesh import init_device_mesh

    of = degrees(recipe.parallel)
    if not of:
        return
    kind = device.partition(":")[0]
    sizes = (of.get("ring", 1), of.get("ulysses", 1))
    for network in classes.denoisers(pipeline):
        heads = getattr(network.config, "num_attention_heads", None)
        if heads is not None and heads % sizes[1]:
            mend = f"its {heads} heads cannot be shared by {sizes[1]} devices"
            raise RecipeError(f"parallel={recipe.parallel}", where=type(network).__name__, mend=mend)
        mesh = init_device_mesh(kind, sizes, mesh_dim_names=("ring", "ulysses"))
        config = ContextParallelConfig(ring_degree=sizes[0], ulysses_degree=sizes[1], mesh=mesh)
        with _counting_accelerators():
            network.enable_parallelism(config=config)


def _why_no_such_attention(recipe: Recipe) -> Reason:
    from diffusers.models import attention_dispatch

    told = attention_dispatch.DIFFUSERS_ATTN_BACKEND if recipe.attention in OFF else recipe.attention
    able = sorted(attention_dispatch._AttentionBackendRegistry._supports_context_parallel)
    if "ring" in degrees(recipe.parallel):
        able = [name for name in able if name not in _WITHOUT_LSE]
    if told in able:
        return None
    return f"attention={told} cannot be split so: give attention=NAME, one of {', '.join(able)}"


@contextlib.contextmanager
def _counting_accelerators() -> Iterator[None]:
    """diffusers divides by their number to name a device, also where there is none."""
    import torch

    count = torch.accelerator.device_count
    torch.accelerator.device_count = lambda: count() or 1
    try:
        yield
    finally:
        torch.accelerator.device_count = count
