"""What any model must do, the catalogue's and the user's own: each check says in one sentence what it found.

The checks know nothing of pytest: `benchmarks/test_conformance.py` and `vdb check` run the same ones.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pytest_vdb.errors import RecipeError
from pytest_vdb.garbage import give_back_free_pages, set_aside_what_lives
from pytest_vdb.models.card import ModelCard
from pytest_vdb.models.contract import DETERMINISTIC, Model
from pytest_vdb.models.frame_rule import FrameRule
from pytest_vdb.models.recipes import resolve
from pytest_vdb.models.recorded import FAMILY as RECORDINGS
from pytest_vdb.records import LEAST_STD, Clip, Prompt, Recipe

Outcome = Literal["passed", "failed", "not_applicable"]

CHECKS: Mapping[str, str] = {
    "shape": "the clip has the frames, height, width and rate of its recipe, and more than one colour",
    "other_seed": "another seed gives another clip",
    "prompt": "another prompt (text, or conditioning image or clip) gives another clip",
    "same_seed": "the same seed gives the same bytes, after another clip was made in between",
    "frame_rule": "an illegal frame count is refused with the nearest legal ones, a second legal one is produced",
    "memory": "unloading gives the memory back",
}
"""Every check and what it asks, in the order that costs the fewest generations."""

MEMORY_TOLERANCE_MIB = 64.0
MEMORY_TOLERANCE_SHARE = 0.05
"""How much may remain after unloading: this much, or this share of what the model took if that is more. Allocators
keep some freed pages, and a process does not become exactly as small again as it was."""

_SEED, _OTHER_SEED = 11, 12
_PROMPT = Prompt(id="conformance-1", text="a red ball rolls slowly over green grass")
_CONDITIONING = {"t2v": "texts", "i2v": "conditioning images", "v2v": "conditioning clips"}
_OTHER_TEXT = "a white ship in a storm at night, waves breaking over its bow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found."""

    check: str
    outcome: Outcome
    detail: str
    """One sentence, with the figures."""


@dataclass(frozen=True, slots=True)
class _Made:
    """What the checks need of a clip, so that none is generated twice or kept."""

    digest: str
    shape: tuple[int, int, int]
    fps: float
    level: float
    spread: float

    @classmethod
    def of(cls, clip: Clip) -> _Made:
        frames, height, width, _ = clip.frames.shape
        spread, level = float(clip.frames.std()), float(clip.frames.mean())
        return cls(clip.digest(), (frames, height, width), clip.fps, level, spread)


class Examination:
    """One model under one recipe, examined check by check.

    Args:
        card: the model's card.
        recipe: what `recipes.resolve` returned.
        load: gives the open model, loading it where it is not open.
        unload: frees it, so that the next `load` loads it anew.
        device: where the model runs, e.g. `cpu`, `cuda:0`.
        warmed: whether `load` makes a clip with what it has loaded, so that no other is needed to see it in use.
    """

    def __init__(
        self,
        card: ModelCard,
        recipe: Recipe,
        *,
        load: Callable[[], Model],
        unload: Callable[[], None],
        device: str,
        warmed: bool = False,
    ) -> None:
        self.card = card
        self.recipe = recipe
        self._load = load
        self._unload = unload
        self._device = device
        self._warmed = warmed
        self._known: dict[tuple[Prompt, int], _Made] = {}
        self._last: tuple[Prompt, int] | None = None

    def examine(self, check: str) -> Finding:
        """Run one of `CHECKS`.

        Raises:
            KeyError: no such check.
            Exception: whatever the model raises while it loads or generates.
        """
        if RECORDINGS in self.card.labels:
            return Finding(check=check, outcome="not_applicable", detail="a folder of recordings generates nothing")
        checks: dict[str, Callable[[], tuple[Outcome, str]]] = {
            "shape": self._shape,
            "other_seed": self._other_seed,
            "prompt": self._prompt,
            "same_seed": self._same_seed,
            "frame_rule": self._frame_rule,
            "memory": self._memory,
        }
        outcome, detail = checks[check]()
        return Finding(check=check, outcome=outcome, detail=detail)

    def findings(self) -> Iterator[Finding]:
        """Load the model, then run every check; what the model raises is what the check found."""
        yield (loading := self._caught("load", self._loading))
        if loading.outcome == "passed":
            for check in CHECKS:
                yield self._caught(check, lambda check=check: self.examine(check))  # type: ignore[misc]

    def _caught(self, check: str, examine: Callable[[], Finding]) -> Finding:
        try:
            return examine()
        except Exception as error:  # noqa: BLE001 - any error of the model's own is the finding
            text = " ".join(str(error).split())
            return Finding(check=check, outcome="failed", detail=f"raised {type(error).__name__}: {text}")

    def _loading(self) -> Finding:
        if self.card.broken:
            reason = f"does not run in the installed libraries: {self.card.broken}"
            return Finding(check="load", outcome="not_applicable", detail=reason)
        self._load()
        return Finding(check="load", outcome="passed", detail=f"on {self._device}")

    def _clip(self, prompt: Prompt = _PROMPT, seed: int = _SEED, recipe: Recipe | None = None) -> Clip:
        self._last = prompt, seed
        return self._load().generate(prompt, recipe or self.recipe, seed)

    def _made(self, prompt: Prompt = _PROMPT, seed: int = _SEED) -> _Made:
        """The clip of this prompt and seed; generated once, whichever check asks first."""
        if (prompt, seed) not in self._known:
            self._known[prompt, seed] = _Made.of(self._clip(prompt, seed))
        return self._known[prompt, seed]

    @property
    def _other_prompt(self) -> Prompt:
        if self.card.task == "t2v":
            return replace(_PROMPT, text=_OTHER_TEXT)
        return replace(_PROMPT, id="conformance-2")  # the conditioning image or clip is rendered from the id

    # The checks -----------------------------------------------------------------------------------------------------

    def _shape(self) -> tuple[Outcome, str]:
        clip = self._made()
        frames, height, width = clip.shape
        made = {"frames": frames, "height": height, "width": width, "fps": clip.fps}
        wrong = [
            f"{name} {made[name]:g} instead of {asked:g}"
            for name in made
            if (asked := getattr(self.recipe, name)) not in (None, made[name])
        ]
        if clip.spread < LEAST_STD:
            wrong.append(f"one constant colour (mean level {clip.level:.0f} of 255)")
        if wrong:
            return "failed", "; ".join(wrong)
        return "passed", f"{frames} frames of {width}x{height} at {clip.fps:g} fps, levels spread by {clip.spread:.1f}"

    def _other_seed(self) -> tuple[Outcome, str]:
        if DETERMINISTIC in self.card.labels:
            return "not_applicable", f"tagged {DETERMINISTIC!r}: its clip does not depend on the seed"
        if self._made().digest == self._made(seed=_OTHER_SEED).digest:
            return "failed", (
                f"seeds {_SEED} and {_OTHER_SEED} give the same clip: the seed is ignored "
                f"(tag the model {DETERMINISTIC!r} if it has no randomness)"
            )
        return "passed", f"seeds {_SEED} and {_OTHER_SEED} give different clips"

    def _prompt(self) -> tuple[Outcome, str]:
        what = _CONDITIONING[self.card.task]
        if self._made().digest == self._made(self._other_prompt).digest:
            return "failed", f"two different {what} give the same clip with the same seed: the prompt is ignored"
        return "passed", f"two different {what} give different clips with the same seed"

    def _same_seed(self) -> tuple[Outcome, str]:
        expected = self._made()
        if self._last == (_PROMPT, _SEED):
            self._known[self._other_prompt, _SEED] = _Made.of(self._clip(self._other_prompt))
        if expected.digest != self._clip().digest():
            return "failed", f"seed {_SEED} gave other bytes after another clip was made in between"
        return "passed", f"seed {_SEED} gives the same bytes again after another clip was made in between"

    def _frame_rule(self) -> tuple[Outcome, str]:
        asked, rule = self.recipe.frames, self.card.frame_rule
        if asked is None:
            return "not_applicable", "the recipe leaves the number of frames to the model"
        illegal, other = _illegal_count(rule, asked), _other_count(rule, asked)
        said = [f"every count is legal ({rule.text})"]
        if illegal is not None:
            nearest = rule.nearest(illegal)
            if not self._refuses(illegal, nearest):
                return "failed", f"{illegal} frames break its rule {rule.text} and are not refused with {nearest}"
            said = [f"{illegal} frames are refused before loading, with {' and '.join(map(str, nearest))} as nearest"]
        if other is None:
            return "passed", f"{said[0]}; {asked} is its only legal count"
        made = len(self._clip(recipe=replace(self.recipe, frames=other)).frames)
        if made != other:
            return "failed", f"asked for {other} frames, which its rule {rule.text} allows, it produced {made}"
        return "passed", f"{said[0]}; {other} frames are produced when asked for"

    def _refuses(self, illegal: int, nearest: tuple[int, ...]) -> bool:
        try:
            resolve(self.card, Recipe(frames=illegal), self.recipe.weights or "none")
        except RecipeError as refusal:
            return all(str(count) in str(refusal.mend) for count in nearest)
        return False

    def _memory(self) -> tuple[Outcome, str]:
        if self._last is None:
            self._clip()  # libraries, kernels and allocator pools come with the first use, and stay
        self._unload()
        set_aside_what_lives()
        before = _levels_mib(self._device)
        parts, during = self._use()
        self._unload()
        after = _levels_mib(self._device)
        alive = [name for name, part in parts.items() if part() is not None]
        if alive:
            return "failed", f"still referenced after unloading: {', '.join(alive)}"
        said = []
        for kind, level in before.items():
            taken, left = during[kind] - level, after[kind] - level
            tolerance = max(MEMORY_TOLERANCE_MIB, MEMORY_TOLERANCE_SHARE * taken)
            said.append(f"{kind}: took {taken:.0f} MiB, {left:.0f} MiB remain (tolerance {tolerance:.0f} MiB)")
            if left > tolerance:
                return "failed", said[-1]
        return "passed", "; ".join([*said, f"freed: {', '.join(parts)}"])

    def _use(self) -> tuple[dict[str, weakref.ref[Any]], dict[str, float]]:
        """Load and generate once; in a function of its own, so that nothing here keeps the model alive."""
        model = self._load()
        if self.card.pipeline is None or not self._warmed:
            self._clip()
        return _parts_of(model), _levels_mib(self._device)


def _illegal_count(rule: FrameRule, asked: int) -> int | None:
    """A count near the one that is asked for that the rule forbids; None where it allows all."""
    ends = (rule.last + 1 if rule.last is not None else 0, rule.first - 1)
    candidates = (*range(asked + 1, asked + rule.step), *ends)
    return next((count for count in candidates if count > 0 and not rule.allows(count)), None)


def _other_count(rule: FrameRule, asked: int) -> int | None:
    """The closest other legal count, the smaller one where there are two."""
    near = {*rule.nearest(max(1, asked - 1)), *rule.nearest(asked + 1)} - {asked}
    return min(near, key=lambda count: (abs(count - asked), count), default=None)


def _parts_of(model: Model) -> dict[str, weakref.ref[Any]]:
    """Weak references to what must die with the model: itself, its pipeline or object, and their networks."""
    owners = {"model": model, "pipeline": model.pipeline, "object": getattr(model, "instance", None)}
    parts = {name: owner for name, owner in owners.items() if owner is not None}
    torch = sys.modules.get("torch")
    for owner in list(parts.values()):
        members = getattr(owner, "components", None) or getattr(owner, "__dict__", {})
        if torch is not None and isinstance(members, dict):
            parts.update((name, part) for name, part in members.items() if isinstance(part, torch.nn.Module))
    return {name: weakref.ref(part) for name, part in parts.items() if hasattr(type(part), "__weakref__")}


def _levels_mib(device: str) -> dict[str, float]:
    """What this process holds now, once everything that is free is given back."""
    import psutil

    gc.collect()
    levels = {}
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
        levels["CUDA memory"] = torch.cuda.memory_allocated(device) / 2**20
    give_back_free_pages()
    levels["resident memory"] = psutil.Process().memory_info().rss / 2**20
    return levels
