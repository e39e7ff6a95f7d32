"""Which pairs of clips are shown: all models as often, or those first of which one more vote would tell most."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pytest_vdb.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A clip that may be shown."""

    model: str
    prompt: str
    text: str
    """Of the prompt, for whoever votes."""
    file: Path


Pair = tuple[Candidate, Candidate]
Telling = Mapping[frozenset[str], float]
"""Two models -> how much one more vote between them would tell."""


def pairs_of(clips: Sequence[Candidate], most: int | None, *, seed: int, telling: Telling | None = None) -> list[Pair]:
    """Pairs of clips of one prompt.

    Args:
        clips: at most one of a model and prompt.
        most: how many pairs; None: all that there are.
        seed: of the choice among pairs that are as good.
        telling: of two models; None, or two that are missing: as much as the most telling ones.

    Raises:
        OptionError: no prompt has clips of two models.
    """
    by_prompt: dict[str, list[Candidate]] = {}
    for clip in sorted(clips, key=lambda clip: (clip.prompt, clip.model)):
        by_prompt.setdefault(clip.prompt, []).append(clip)
    possible = [pair for group in by_prompt.values() for pair in combinations(group, 2)]
    if not possible:
        mend = "give runs in which several models answered the same prompts, and whose clips are still there"
        raise OptionError("no prompt has clips of two models to compare", where="vdb arena build", mend=mend)
    drawn = random.Random(seed)
    drawn.shuffle(possible)
    return _balanced(possible, len(possible) if most is None else most, telling or {})


def _balanced(possible: Sequence[Pair], most: int, telling: Telling) -> list[Pair]:
    """Always the pair of models that tells most for the times that it was chosen, and of it the prompt shown least."""
    waiting: dict[frozenset[str], list[Pair]] = {}
    for pair in possible:
        waiting.setdefault(frozenset(clip.model for clip in pair), []).append(pair)
    highest = max((value for value in telling.values() if value < float("inf")), default=1.0)
    chosen: list[Pair] = []
    times, shown = Counter[frozenset[str]](), Counter[str]()
    while waiting and len(chosen) < most:
        models = max(waiting, key=lambda both: (telling.get(both, highest) / (1 + times[both]), sorted(both)))
        pair = min(waiting[models], key=lambda pair: shown[pair[0].prompt])
        waiting[models].remove(pair)
        if not waiting[models]:
            del waiting[models]
        chosen.append(pair)
        times[models] += 1
        shown[pair[0].prompt] += 1
    return chosen
