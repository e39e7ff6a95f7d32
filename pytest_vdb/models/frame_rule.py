"""Which frame counts a model can make: `any`, `4k+1`, `8k+1 from 17`, `33k`, `4k+1 from 5 to 121`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_N = r"[0-9]{1,6}"
_GRAMMAR = re.compile(
    rf"(?:any|(?P<step>{_N})k(?:\+(?P<offset>{_N}))?)(?: from (?P<first>{_N}))?(?: to (?P<last>{_N}))?"
)


@dataclass(frozen=True, slots=True)
class FrameRule:
    """The frame counts `step * k + offset`, from `first` to `last` (no upper end when None)."""

    text: str
    step: int = 1
    offset: int = 0
    first: int = 1
    last: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a rule as the catalogue writes it.

        Raises:
            ValueError: not a rule, or one that no frame count can follow.
        """
        found = _GRAMMAR.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a frame rule such as 'any', '4k+1' or '8k+1 from 17 to 121'")
        numbers = {key: int(value) for key, value in found.groupdict().items() if value is not None}
        rule = cls(text.strip(), **numbers)
        if rule.step < 1 or (rule.last is not None and not any(map(rule.allows, range(1, rule.last + 1)))):
            raise ValueError(f"no frame count follows the rule {text!r}")
        return rule

    def allows(self, frames: int) -> bool:
        """Whether a model that follows the rule makes exactly this many frames."""
        inside = self.first <= frames and (self.last is None or frames <= self.last)
        return inside and frames >= self.offset and (frames - self.offset) % self.step == 0

    def nearest(self, frames: int) -> tuple[int, ...]:
        """The closest legal counts below and above; one of them where the rule ends or `frames` is legal itself."""
        lowest = max(1, self.first, self.offset)
        first = lowest + (self.offset - lowest) % self.step
        below = frames - (frames - self.offset) % self.step
        if self.last is not None:
            below = min(below, self.last - (self.last - self.offset) % self.step)
        candidates = {max(first, below), max(first, below if below == frames else below + self.step)}
        return tuple(sorted(n for n in candidates if self.allows(n)))
