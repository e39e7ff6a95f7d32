"""Where a latency stands beside what the device could do at best, and whether it can be true at all."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vdb.models.counts import Counts, StageCount
from pytest_vdb.models.pipelines.reasons import OFF
from pytest_vdb.profiling.hardware import Hardware
from pytest_vdb.records import Recipe

LEAST_QUANTISED = 0.5
"""Bytes of a quantised weight: four bits."""
BEST_PUBLISHED = 0.65
"""The highest share of the peak of one GPU that published latencies of whole clips come to."""
CACHES_HOLD_BYTES = 2**29
"""Weights that may stay in a device's caches between two calls need not be read again."""
_FASTER = {"float32": ("float32", "tf32"), "float16": ("float16", "bfloat16"), "bfloat16": ("bfloat16", "float16")}
"""Dtype of a recipe -> what the device may multiply it as."""
_EIGHT_BITS = ("float8", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A latency beside the roofline of its device."""

    utilisation: float | None
    """Operations over what the device could have done in that time (MFU), in (0, 1]."""
    reason: str | None
    """Why there is none."""
    is_impossible: bool = False
    """Whether the latency is below what the device needs at best, so that it cannot be true."""
    least_seconds: float | None = None
    """What the device needs at best, several clips and devices counted."""
    intensity: float | None = None
    """Operations per byte that moves without compiling."""
    ridge: float | None = None
    """The intensity from which the device's products, and not its memory, are the limit."""

    @property
    def is_doubtful(self) -> bool:
        """Whether it is better than anything published, or even impossible."""
        return self.is_impossible or (self.utilisation is not None and self.utilisation > BEST_PUBLISHED)

    @property
    def bound(self) -> str | None:
        """What limits the call: `compute` or `memory`."""
        if self.intensity is None or self.ridge is None:
            return None
        return "compute" if self.intensity >= self.ridge else "memory"


def limit(
    found: Counts, recipe: Recipe, device: Hardware, seconds: float, *, clips: int = 1, devices: int = 1
) -> Limit:
    """Hold a latency against its device.

    Args:
        found: the counts of one clip under the recipe.
        recipe: as `recipes.resolve` returned it.
        device: what it ran on.
        seconds: of the call, above 0.
        clips: that the call made.
        devices: that worked on it.
    """
    if (nominal := _why_nominal(recipe)) is not None:
        return Limit(utilisation=None, reason=nominal)
    peak = peak_per_s(device, recipe)
    if peak is None or device.bytes_per_s is None:
        return Limit(utilisation=None, reason=f"the peak of {device.title} in {recipe.dtype} is not known")
    operations, read = found.operations * clips, sum(_read_bytes(found, stage, recipe) for stage in found.stages)
    least = max(operations / peak, read / device.bytes_per_s) / devices
    share, reason = operations / seconds / (peak * devices), None
    if share > 1:
        reason = f"impossible: {share:.2f} of the peak, so the latency, the count or the peak is wrong"
    elif seconds < least:
        reason = f"impossible: {seconds:.3g} s, and reading the weights alone takes {least:.3g} s"
    moved = sum(stage.moved_bytes for stage in found.stages)
    return Limit(
        utilisation=share if reason is None else None,
        reason=reason,
        is_impossible=reason is not None,
        least_seconds=least,
        intensity=found.operations / moved if moved else None,
        ridge=peak / device.bytes_per_s,
    )


def peak_per_s(device: Hardware, recipe: Recipe) -> float | None:
    """The highest rate at which the device may do a recipe's products: with eight bits where something may use them."""
    quantised = recipe.quantization not in OFF or recipe.attention not in OFF
    return _highest(device, (*_names_of_dtype(recipe), *(_EIGHT_BITS if quantised else ())))


def peak_of_dtype_per_s(device: Hardware, recipe: Recipe) -> float | None:
    """The rate at which the device does products in the recipe's dtype, whatever is quantised beside."""
    return _highest(device, _names_of_dtype(recipe))


def _names_of_dtype(recipe: Recipe) -> tuple[str, ...]:
    dtype = recipe.dtype or "float32"
    return _FASTER.get(dtype, (dtype,))


def _highest(device: Hardware, dtypes: tuple[str, ...]) -> float | None:
    return max((rate for name in dtypes if (rate := device.peak_per_s(name)) is not None), default=None)


def _why_nominal(recipe: Recipe) -> str | None:
    """Where less is done than was counted, a share of the peak says nothing."""
    if recipe.cache not in OFF:
        return f"cache={recipe.cache} leaves out calls that were counted"
    if recipe.lora is not None:
        return "a LoRA's operations were not counted"
    return None


def _read_bytes(found: Counts, stage: StageCount, recipe: Recipe) -> float:
    """What has to come from the device's memory: the weights, once in each call, however many clips it makes."""
    part = found.parts[stage.part]
    smaller = recipe.quantization not in OFF or recipe.layerwise_casting not in OFF
    size = part.parameters * LEAST_QUANTISED if smaller else part.bytes
    return stage.calls * size if size > CACHES_HOLD_BYTES else 0
