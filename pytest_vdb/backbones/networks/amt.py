"""AMT-S: the network that invents the frame in the middle of two, by which VBench judges how smooth motion is.

Source: Li et al., AMT: All-pairs multi-field transforms for efficient frame interpolation, CVPR 2023 (arXiv
2304.09790). Parameters are named as in the authors' checkpoint `amt-s.pth`, which VBench uses.

From coarse to fine, the network guesses where each pixel of the middle frame lies in either picture (two flows),
corrects the guess by looking up how alike the pictures' features are around there, and mixes several such guesses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn

CHANNELS = (20, 32, 44, 56)
"""Of the features at a half, a quarter, an eighth and a sixteenth of the size."""
SIDE_CHANNELS = 20
FIELDS = 3
"""Pairs of flows that are mixed in the end."""
LEVELS, RADIUS = 4, 3
"""Of the look-up: how often likeness is halved in size, and how far around a place it is read."""


class Interpolator(nn.Module):  # type: ignore[misc]
    """Two pictures `(N, 3, H, W)` in [0, 1], sides multiples of 16 -> the one in the middle of them, same shape."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = CHANNELS
        self.feat_encoder = LikenessEncoder()
        self.encoder = Pyramid()
        self.decoder4 = Decoder(2 * sixteenth + 1, 2 * sixteenth, eighth + 4)
        self.decoder3 = Decoder(3 * eighth + 4, 3 * eighth, quarter + 4)
        self.decoder2 = Decoder(3 * quarter + 4, 3 * quarter, half + 4)
        self.decoder1 = Decoder(3 * half + 4, 3 * half, 8 * FIELDS)
        self.update4 = Update(eighth, 1)
        self.update3 = Update(quarter, 2)
        self.update2 = Update(half, 4)
        self.comb_block = nn.Sequential(
            nn.Conv2d(3 * FIELDS, 6 * FIELDS, 3, padding=1),
            nn.PReLU(6 * FIELDS),
            nn.Conv2d(6 * FIELDS, 3, 3, padding=1),
        )

    def forward(self, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The picture in the middle."""
        mean = (first.mean((1, 2, 3), keepdim=True) + last.mean((1, 2, 3), keepdim=True)) / 2
        first, last = first - mean, last - mean
        likeness = Likeness(*self.feat_encoder(torch.cat([first, last])).chunk(2))
        of_first, of_last = self.encoder(first), self.encoder(last)

        coarsest = torch.cat([of_first[3], of_last[3]], 1)
        halfway = torch.full_like(coarsest[:, :1], 0.5)
        flows, state = _flows_first(self.decoder4(torch.cat([coarsest, halfway], 1)))
        flows, state = self._corrected(self.update4, likeness, flows, state)
        for decoder, update, at in ((self.decoder3, self.update3, 2), (self.decoder2, self.update2, 1)):
            found, state = _flows_first(decoder(_aligned(state, of_first[at], of_last[at], flows)))
            flows = found + _finer(flows)
            flows, state = self._corrected(update, likeness, flows, state)
        return self._mixed(self.decoder1(_aligned(state, of_first[0], of_last[0], flows)), flows, (first, last), mean)

    def _corrected(
        self, update: Update, likeness: Likeness, flows: torch.Tensor, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The flows and the state after a look at the likeness around where the flows point."""
        coarse = functional.interpolate(flows, scale_factor=1 / update.scale, mode="bilinear") / update.scale
        more_state, more_flows = update(state, coarse, likeness.around(coarse))
        return flows + more_flows, state + more_state

    def _mixed(
        self,
        decoded: torch.Tensor,
        flows: torch.Tensor,
        pictures: tuple[torch.Tensor, torch.Tensor],
        mean: torch.Tensor,
    ) -> torch.Tensor:
        """Several guesses of the picture, each warped from both sides, averaged and touched up."""
        n, _, height, width = decoded.shape
        to_first, to_last, weight, rest = decoded.split([2 * FIELDS, 2 * FIELDS, FIELDS, 3 * FIELDS], 1)
        coarse_first, coarse_last = _finer(flows).chunk(2, 1)

        def each(values: torch.Tensor) -> torch.Tensor:
            return values.reshape(n * FIELDS, -1, height, width)

        from_first, from_last = (
            _warped(picture.repeat_interleave(FIELDS, 0), each(fine + coarse.repeat(1, FIELDS, 1, 1)))
            for picture, fine, coarse in zip(pictures, (to_first, to_last), (coarse_first, coarse_last), strict=True)
        )
        share = each(weight.sigmoid())
        guesses = share * from_first + (1 - share) * from_last + mean.repeat_interleave(FIELDS, 0) + each(rest)
        guesses = guesses.reshape(n, FIELDS, 3, height, width)
        picture: torch.Tensor = guesses.mean(1) + self.comb_block(guesses.flatten(1, 2))
        return picture.clamp(0, 1)


# The parts ----------------------------------------------------------------------------------------------------------


class LikenessEncoder(nn.Module):  # type: ignore[misc]
    """`(N, 3, H, W)` -> the features by which places are compared, `(N, 84, H/8, W/8)`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 7, stride=2, padding=3)
        self.layer1 = nn.Sequential(NarrowBlock(32, 32), NarrowBlock(32, 32))
        self.layer2 = nn.Sequential(NarrowBlock(32, 64, stride=2), NarrowBlock(64, 64))
        self.layer3 = nn.Sequential(NarrowBlock(64, 96, stride=2), NarrowBlock(96, 96))
        self.conv2 = nn.Conv2d(96, 84, 1)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """The features."""
        values = functional.instance_norm(self.conv1(pictures)).relu()
        features: torch.Tensor = self.conv2(self.layer3(self.layer2(self.layer1(values))))
        return features


class NarrowBlock(nn.Module):  # type: ignore[misc]
    """A residual block whose middle has a quarter of the channels; every convolution is instance-normalised."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out // 4, 1)
        self.conv2 = nn.Conv2d(out // 4, out // 4, 3, stride=stride, padding=1)
        self.conv3 = nn.Conv2d(out // 4, out, 1)
        self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride)) if stride > 1 else None

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The block."""
        seen = values
        for layer in (self.conv1, self.conv2, self.conv3):
            seen = functional.instance_norm(layer(seen)).relu()
        if self.downsample is not None:
            values = functional.instance_norm(self.downsample(values))
        return (values + seen).relu()


class Pyramid(nn.Module):  # type: ignore[misc]
    """`(N, 3, H, W)` -> features at a half, a quarter, an eighth and a sixteenth of the size."""

    def __init__(self) -> None:
        super().__init__()
        for level, (channels, out) in enumerate(zip((3, *CHANNELS), CHANNELS, strict=False), start=1):
            self.add_module(f"pyramid{level}", nn.Sequential(_conv(channels, out, stride=2), _conv(out, out)))

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """The finest first."""
        levels = []
        for level in self.children():
            pictures = level(pictures)
            levels.append(pictures)
        return levels


class Decoder(nn.Module):  # type: ignore[misc]
    """What is known at one size -> flows and state at twice the size."""

    def __init__(self, channels: int, width: int, out: int) -> None:
        super().__init__()
        self.convblock = nn.Sequential(
            _conv(channels, width), SideBlock(width), nn.ConvTranspose2d(width, out, 4, stride=2, padding=1)
        )

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The block."""
        decoded: torch.Tensor = self.convblock(values)
        return decoded


class SideBlock(nn.Module):  # type: ignore[misc]
    """A residual block that looks twice more at its last channels alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv3 = _conv(channels, channels), _conv(channels, channels)
        self.conv2, self.conv4 = _conv(SIDE_CHANNELS, SIDE_CHANNELS), _conv(SIDE_CHANNELS, SIDE_CHANNELS)
        self.conv5 = nn.Conv2d(channels, channels, 3, padding=1)
        self.prelu = nn.PReLU(channels)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The block."""
        seen = self._at_side(self.conv2, self.conv1(values))
        seen = self._at_side(self.conv4, self.conv3(seen))
        answer: torch.Tensor = self.prelu(values + self.conv5(seen))
        return answer

    def _at_side(self, layer: nn.Module, values: torch.Tensor) -> torch.Tensor:
        rest, side = values[:, :-SIDE_CHANNELS], values[:, -SIDE_CHANNELS:]
        return torch.cat([rest, layer(side)], 1)


class Update(nn.Module):  # type: ignore[misc]
    """What to add to the state and to the flows, from the likeness around where the flows point.

    Args:
        channels: of the state.
        scale: how much larger the state is than the likeness (an eighth of the pictures).
    """

    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.convc1 = nn.Conv2d(2 * LEVELS * (2 * RADIUS + 1) ** 2, 64, 1)
        self.convf1 = nn.Conv2d(4, 40, 7, padding=3)
        self.convf2 = nn.Conv2d(40, 20, 3, padding=1)
        self.conv = nn.Conv2d(84, 68, 3, padding=1)
        self.gru = _two(68 + 4 + channels, 76)
        self.feat_head = _two(76, channels)
        self.flow_head = _two(76, 4)

    def forward(
        self, state: torch.Tensor, flows: torch.Tensor, alike: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What to add to the state, and to the flows; both at the state's size."""
        small = _resized(state, 1 / self.scale)
        moved = _leaky(self.convf2(_leaky(self.convf1(flows))))
        seen = _leaky(self.conv(torch.cat([_leaky(self.convc1(alike)), moved], 1)))
        hidden = self.gru(torch.cat([seen, flows, small], 1))
        return _resized(self.feat_head(hidden), self.scale), self.scale * _resized(self.flow_head(hidden), self.scale)


class Likeness:
    """How alike every place of one picture is to every place of the other, at four sizes."""

    def __init__(self, first: torch.Tensor, last: torch.Tensor) -> None:
        n, channels, self.height, self.width = first.shape
        product = first.flatten(2).transpose(1, 2) @ last.flatten(2) / channels**0.5
        self._of_first = self._levels(product)
        self._of_last = self._levels(product.transpose(1, 2))
        self._places = _grid_of_pixels(n, self.height, self.width, first)

    def around(self, flows: torch.Tensor) -> torch.Tensor:
        """Likeness around where each pixel of the middle lies in either picture, `(N, 2 * 4 * 49, H/8, W/8)`.

        The flows go from the middle to either end; from one end to the other it is twice as far.
        """
        to_first, to_last = flows.chunk(2, 1)
        return torch.cat([self._read(self._of_first, to_last), self._read(self._of_last, to_first)], 1)

    def _levels(self, product: torch.Tensor) -> list[torch.Tensor]:
        levels = [product.reshape(-1, 1, self.height, self.width)]
        for _ in range(LEVELS - 1):
            levels.append(functional.avg_pool2d(levels[-1], 2))
        return levels

    def _read(self, levels: list[torch.Tensor], flow: torch.Tensor) -> torch.Tensor:
        n = len(flow)
        centres = (self._places + 2 * flow).permute(0, 2, 3, 1).reshape(-1, 1, 1, 2)
        steps = torch.arange(-RADIUS, RADIUS + 1, device=flow.device, dtype=flow.dtype)
        # Column by column, not row by row: so the checkpoint's first layer expects it.
        window = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
        read = []
        for level, likeness in enumerate(levels):
            size = torch.tensor([likeness.shape[-1] - 1, likeness.shape[-2] - 1], device=flow.device)
            places = 2 * (centres / 2**level + window) / size - 1
            found = functional.grid_sample(likeness, places, align_corners=True)
            read.append(found.reshape(n, self.height, self.width, -1))
        return torch.cat(read, -1).permute(0, 3, 1, 2)


def _aligned(state: torch.Tensor, first: torch.Tensor, last: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
    """The state, both pictures' features moved to the middle, and the flows."""
    to_first, to_last = flows.chunk(2, 1)
    return torch.cat([state, _warped(first, to_first), _warped(last, to_last), flows], 1)


def _warped(values: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """What lies where the flow (in pixels) points; the border is repeated."""
    n, _, height, width = flow.shape
    size = torch.tensor([width - 1, height - 1], device=flow.device).reshape(1, 2, 1, 1)
    places = (2 * (_grid_of_pixels(n, height, width, flow) + flow) / size - 1).permute(0, 2, 3, 1)
    return functional.grid_sample(values, places, padding_mode="border", align_corners=True)


def _grid_of_pixels(n: int, height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Each pixel's own place, `(N, 2, H, W)`, x before y."""
    rows, columns = (torch.arange(side, device=like.device, dtype=like.dtype) for side in (height, width))
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy")).expand(n, 2, height, width)


def _flows_first(decoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both flows `(N, 4, H, W)`, and the state."""
    return decoded[:, :4], decoded[:, 4:]


def _finer(flows: torch.Tensor) -> torch.Tensor:
    """Flows at twice the size are twice as long."""
    return 2 * _resized(flows, 2)


def _resized(values: torch.Tensor, scale: float) -> torch.Tensor:
    if scale == 1:
        return values
    return functional.interpolate(values, scale_factor=scale, mode="bilinear", align_corners=False)


def _conv(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride=stride, padding=1), nn.PReLU(out))


def _two(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 76, 3, padding=1), nn.LeakyReLU(0.1), nn.Conv2d(76, out, 3, padding=1))


def _leaky(values: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(values, 0.1)
