"""What drawings are made of: scales and their round values, text, and the SVG around them."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_vdb.escaping import visible
from pytest_vdb.figures import Notation

LARGEST_DRAWN = 1e100
"""What is larger has no place in a drawing: its margins would be no numbers."""
_MOST_TICKS, _MOST_PLACES_OF_TICKS, _LARGEST_PLAIN_TICK = 7, 6, 1e7


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where `value` lies, in pixels."""
        low, high, place = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.logarithmic
            else (
                self.low,
                self.high,
                value,
            )
        )
        share = 0.5 if high == low else (place - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def axes(x: Scale, y: Scale) -> list[str]:
    """Lines across at round values of `y`, and the round values of both beside them."""
    parts = []
    for at, text in ((y.at(value), text) for value, text in ticks(y)):
        parts.append(f'<line class="grid" x1="{x.start}" x2="{x.end}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(words_at(x.start - 8, at + 4, text, "end"))
    parts += [words_at(x.at(value), y.start + 18, text, "middle") for value, text in ticks(x)]
    return parts


def ticks(scale: Scale) -> list[tuple[float, str]]:
    """Round values within the scale, with how they are written: 1, 2 and 5 of each power of ten, or equal steps."""
    if scale.logarithmic:
        powers = range(math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high)) + 1)
        for digits in ((1, 2, 5), (1,)):
            found = [digit * 10.0**power for power in powers for digit in digits]
            found = [value for value in found if scale.low <= value <= scale.high]
            if 2 <= len(found) <= _MOST_TICKS:
                break
    else:
        power = 10.0 ** math.floor(math.log10((scale.high - scale.low) / 3))
        steps = [step for digit in (1, 2, 5, 10) if (scale.high - scale.low) / (step := digit * power) <= _MOST_TICKS]
        first = math.ceil(scale.low / steps[0])
        found = [at * steps[0] for at in range(first, math.floor(scale.high / steps[0]) + 1)]
    step = min((b - a for a, b in pairwise(found)), default=0.0)
    return [(value, _tick_in_words(value, value if scale.logarithmic else step)) for value in found]


def _tick_in_words(value: float, step: float) -> str:
    """With as many decimals as the first digit of the step needs."""
    places = 0 if step == 0 else max(0, -math.floor(math.log10(abs(step)) + 1e-9))
    plain = places <= _MOST_PLACES_OF_TICKS and abs(value) < _LARGEST_PLAIN_TICK
    return Notation(places if plain else 1, scientific=not plain).write(value)


def words_at(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    """Text that stands there; what comes from outside is made harmless."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escaped(text)}</text>'


def told(text: str) -> str:
    """What a pointer that rests on the shape around it is told, and a screen reader."""
    return f"<title>{escaped(text)}</title>"


def escaped(text: str) -> str:
    """Text from outside as it may stand in SVG and HTML, between tags and in attributes."""
    return html.escape(visible(text))


def picture(kind: str, width: float, height: float, parts: Sequence[str], *, label: str | None = None) -> str:
    """The drawing. With a label it is a picture that is called so, without one nothing that is read out."""
    named = 'aria-hidden="true"' if label is None else f'role="img" aria-label="{escaped(label)}"'
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg class="{kind}" {size} {named}>{"".join(parts)}</svg>'
