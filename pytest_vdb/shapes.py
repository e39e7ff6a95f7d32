"""Moving shapes rendered from a name: a clip that needs no weights and is the same to the byte on every machine.

A few soft-edged, striped shapes glide over a grainy gradient, so that blur, noise and freezing all show. Only
operations that IEEE 754 rounds exactly (+ - * / and square root) touch a pixel: no sine, no power, no matrix product,
whose last bits differ between processors and libraries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.errors import BadClip

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COUNTS = (3, 4, 5)
_OUTLINES = ("disc", "ring", "box", "diamond")
_GRAIN_PX = 3
"""Cell of the finest background texture: small enough that a slight blur removes it."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """One shape: lengths in units of the frame's shorter side, times in frames, phases in periods."""

    outline: str
    radius: float
    colour: tuple[float, float, float]
    stripes: float
    """Stripes per radius."""
    centre: tuple[float, float]
    """(y, x) in units of the frame's height and width."""
    reach: tuple[float, float]
    period: tuple[float, float]
    phase: tuple[float, float]

    def position(self, frame: int) -> tuple[float, float]:
        """Where its middle is, as (y, x) in units of the frame's height and width."""
        y, x = (
            centre + reach * _wave(frame / period + phase)
            for centre, reach, period, phase in zip(self.centre, self.reach, self.period, self.phase, strict=True)
        )
        return y, x


def moving_shapes(name: str, *, frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """Render the scene that belongs to `name`.

    Args:
        name: anything; the scene follows from its SHA-256 alone.
        frames: how many, >= 1. A longer clip continues a shorter one.
        height: pixels, >= 1. Another size shows the same scene.
        width: pixels, >= 1.

    Returns:
        `uint8 (T, H, W, 3)`, RGB.

    Raises:
        BadClip: a size below 1.
    """
    if min(frames, height, width) < 1:
        raise BadClip(f"{frames} frames of {height}x{width}", mend="ask for at least one frame of 1x1 pixel")
    seed = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    dice = _rolls(seed)
    background = _background(seed, dice, height, width)
    shapes = _cast(dice)
    clip = np.empty((frames, height, width, 3), np.uint8)
    for index in range(frames):
        canvas = background.copy()
        for shape in shapes:
            _paint(canvas, shape, index)
        np.add(canvas, 0.5, out=canvas)  # every value lies in [0, 255], so truncation now rounds
        clip[index] = canvas.astype(np.uint8)
    return clip


def _rolls(seed: bytes) -> Iterator[float]:
    """Numbers in [0, 1) that follow from the seed, 16 bits each."""
    block = 0
    while True:
        digest = hashlib.sha256(seed + block.to_bytes(4, "big")).digest()
        for at in range(0, len(digest), 2):
            yield int.from_bytes(digest[at : at + 2], "big") / 65536
        block += 1


def _scaled_roll(low: float, high: float, roll: float) -> float:
    return low + (high - low) * roll


def _wave(turns: float) -> float:
    """A wave of period 1 in [-1, 1] made of parabolas: smooth as a sine, but exact everywhere."""
    x = 2 * (turns - float(int(turns // 1))) - 1
    return 4 * x * (1 - abs(x))


def _hue(turn: float, brightness: float) -> tuple[float, float, float]:
    """A clear colour on the RGB hexagon, 0..255."""
    red, green, blue = (min(max(abs((turn * 6 + offset) % 6 - 3) - 1, 0.0), 1.0) for offset in (0, 4, 2))
    return brightness * (0.15 + 0.85 * red), brightness * (0.15 + 0.85 * green), brightness * (0.15 + 0.85 * blue)


def _cast(dice: Iterator[float]) -> list[_Shape]:
    """The shapes of one scene, told apart by outline and evenly spread hues."""
    count = _COUNTS[int(next(dice) * len(_COUNTS))]
    first_hue, first_outline = next(dice), int(next(dice) * len(_OUTLINES))
    return [
        _Shape(
            outline=_OUTLINES[(first_outline + index) % len(_OUTLINES)],
            radius=_scaled_roll(0.11, 0.19, next(dice)),
            colour=_hue((first_hue + index / count) % 1, _scaled_roll(200, 240, next(dice))),
            stripes=_scaled_roll(1.0, 2.2, next(dice)),
            centre=(_scaled_roll(0.35, 0.65, next(dice)), _scaled_roll(0.35, 0.65, next(dice))),
            reach=(_scaled_roll(0.10, 0.28, next(dice)), _scaled_roll(0.14, 0.30, next(dice))),
            period=(_scaled_roll(40, 80, next(dice)), _scaled_roll(40, 80, next(dice))),
            phase=(next(dice), next(dice)),
        )
        for index in range(count)
    ]


def _background(seed: bytes, dice: Iterator[float], height: int, width: int) -> NDArray[np.float32]:
    """A slanted two-colour gradient with coarse clouds and fine grain: `float32 (H, W, 3)` in [0, 255]."""
    dark = np.array(_hue(next(dice), _scaled_roll(50, 80, next(dice))), np.float32)
    light = np.array(_hue(next(dice), _scaled_roll(120, 150, next(dice))), np.float32)
    slant = np.float32(next(dice))
    y = (np.arange(height, dtype=np.float32) / np.float32(height))[:, None]
    x = (np.arange(width, dtype=np.float32) / np.float32(width))[None, :]
    mix = (y * slant + x * (np.float32(1) - slant))[..., None]
    texture = np.float32(60) * _clouds(seed + b"clouds", height, width, max(1.0, min(height, width) / 5))
    texture += np.float32(36) * _clouds(seed + b"grain", height, width, _GRAIN_PX)
    canvas: NDArray[np.float32] = dark + (light - dark) * mix + texture[..., None]
    return np.clip(canvas, 0, 255, out=canvas)


def _clouds(seed: bytes, height: int, width: int, cell_px: float) -> NDArray[np.float32]:
    """Value noise in [-0.5, 0.5): random corners every `cell_px`, blended smoothly in between."""
    rows, cols = int(height / cell_px) + 2, int(width / cell_px) + 2
    corners = np.frombuffer(hashlib.shake_256(seed).digest(rows * cols), np.uint8).reshape(rows, cols)
    grid: NDArray[np.float32] = corners.astype(np.float32) / np.float32(256) - np.float32(0.5)
    row, down = _cell_of_pixels(height, cell_px)
    col, right = _cell_of_pixels(width, cell_px)
    across: NDArray[np.float32] = grid[:, col] + (grid[:, col + 1] - grid[:, col]) * right
    blended: NDArray[np.float32] = across[row] + (across[row + 1] - across[row]) * down[:, None]
    return blended


def _cell_of_pixels(length: int, cell_px: float) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Per pixel of one side: which cell it lies in, and how far along, eased at both ends."""
    at = np.arange(length, dtype=np.float32) / np.float32(cell_px)
    cell = at.astype(np.intp)
    along = at - cell.astype(np.float32)
    return cell, along * along * (np.float32(3) - np.float32(2) * along)


def _paint(canvas: NDArray[np.float32], shape: _Shape, frame: int) -> None:
    """Blend one shape into `canvas` in place, looking only at the box it covers."""
    height, width = canvas.shape[:2]
    radius_px = shape.radius * min(height, width)
    soft_px = max(1.0, 0.02 * min(height, width))
    y, x = shape.position(frame)
    middle = (y * height, x * width)
    reach_px = radius_px + soft_px
    top, left = (max(0, int(at - reach_px)) for at in middle)
    bottom, right = (min(side, int(at + reach_px) + 2) for at, side in zip(middle, (height, width), strict=True))
    if top >= bottom or left >= right:
        return
    v = ((np.arange(top, bottom, dtype=np.float32) - np.float32(middle[0])) / np.float32(radius_px))[:, None]
    u = ((np.arange(left, right, dtype=np.float32) - np.float32(middle[1])) / np.float32(radius_px))[None, :]
    cover = np.clip(np.float32(0.5) - _distance(shape.outline, u, v) * np.float32(radius_px / soft_px), 0, 1)
    stripe = _stripes(u + v * np.float32(0.5), shape.stripes)
    colour = np.array(shape.colour, np.float32) * (np.float32(0.78) + np.float32(0.22) * stripe)[..., None]
    box = canvas[top:bottom, left:right]
    box += (colour - box) * cover[..., None]


def _distance(outline: str, u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far outside the outline a point lies, in radii; negative within."""
    distance: NDArray[np.float32]
    if outline == "box":
        distance = np.maximum(np.abs(u), np.abs(v)) - np.float32(0.8)
    elif outline == "diamond":
        distance = (np.abs(u) + np.abs(v)) * np.float32(0.70710677) - np.float32(0.66)
    else:
        from_middle = np.sqrt(u * u + v * v)
        distance = (
            from_middle - np.float32(0.95)
            if outline == "disc"
            else np.abs(from_middle - np.float32(0.68)) - np.float32(0.26)
        )
    return distance


def _stripes(along: NDArray[np.float32], per_radius: float) -> NDArray[np.float32]:
    """The wave of `_wave`, per pixel: stripes that move with the shape."""
    turns = along * np.float32(per_radius)
    x = np.float32(2) * (turns - np.floor(turns)) - np.float32(1)
    striped: NDArray[np.float32] = np.float32(4) * x * (np.float32(1) - np.abs(x))
    return striped
