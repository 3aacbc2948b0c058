"""The face detector: single-shot and anchor-free, on strides 8, 16 and 32.

Each cell of a stride says whether the middle of a face lies there and, if so, where its box, its five points and its
in-plane angle are [Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", 2019; Zhou, Wang and
Kraehenbuehl, "Objects as Points", 2019]. The body is that of `trunk.py`, dense 3x3 residuals, with a way back that only
adds. Each stride has a head of its own: the norms of a shared one would be trained on the statistics of one stride at a
time, and run on the mean of all.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from canthus.nets.blocks import ConvNorm, Residual
from canthus.nets.part import Part
from canthus.nets.trunk import double

STRIDES = (8, 16, 32)
CHANNELS = 17
"""Of a map: score, four sides, five points, sine and cosine."""
FIRST_SCORE = 0.01
"""What an untrained network believes of every cell [Lin et al., "Focal Loss for Dense Object Detection", 2017]."""


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Sizes of the network; the default has 147 M multiply-adds at 320x320.

    Attributes:
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8, 16 and 32.
        depths: Residual blocks at strides 8, 16 and 32.
        head: Channels of the heads.
    """

    stem: tuple[int, int] = (8, 16)
    widths: tuple[int, int, int] = (32, 64, 128)
    depths: tuple[int, int, int] = (1, 1, 1)
    head: int = 32


PRESETS: Mapping[str, DetectorConfig] = {"compact": DetectorConfig()}


class Detector(nn.Module):
    """Pictures to maps of faces."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        (c2, c4), (c8, c16, c32) = config.stem, config.widths
        self.stem = nn.Sequential(ConvNorm(3, c2, stride=2), ConvNorm(c2, c4, stride=2))
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(inside, width, stride=2), *(Residual(width) for _ in range(depth)))
            for inside, width, depth in zip((c4, c8, c16), (c8, c16, c32), config.depths, strict=True)
        )
        self.sides = nn.ModuleList(ConvNorm(width, config.head, 1, activate=False) for width in (c8, c16, c32))
        self.heads = nn.ModuleList(
            nn.Sequential(nn.ReLU(), ConvNorm(config.head, config.head), _answers(config.head)) for _ in STRIDES
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, 3, H, W) in -.5 .. .5, sides multiples of 32 -> for each stride s (N, 17, H/s, W/s)."""
        x = self.stem(pictures)
        features = []
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(x)
            features.append(side(x))  # (N, head, H/s, W/s)
        for fine in (1, 0):
            features[fine] = features[fine] + double(features[fine + 1])
        return tuple(head(feature) for head, feature in zip(self.heads, features, strict=True))


def _answers(width: int) -> nn.Conv2d:
    """The last layer of a head: at first no face anywhere, and boxes of four strides."""
    last = nn.Conv2d(width, CHANNELS, 1)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    nn.init.constant_(last.bias[:1], math.log(FIRST_SCORE / (1 - FIRST_SCORE)))
    nn.init.constant_(last.bias[1:5], math.log(2.0))
    return last


class Found(NamedTuple):
    """What every cell says, for the loss.

    Attributes:
        score: Logit that the middle of a face lies in the cell. Shape (N, C).
        box: x0 y0 x1 y1, pixels. Shape (N, C, 4).
        points: Pixels. Shape (N, C, 5, 2).
        turn: Sine and cosine of the roll, not normed. Shape (N, C, 2).
    """

    score: Tensor
    box: Tensor
    points: Tensor
    turn: Tensor


def cells(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Centre (C, 2) in pixels and stride (C,) of the cells of a picture, those of stride 8 first, row by row."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        centres.append(torch.stack([columns, rows], -1).reshape(-1, 2) * stride + (stride - 1) / 2)
        strides.append(torch.full((centres[-1].shape[0],), float(stride), device=device))
    return torch.cat(centres).float(), torch.cat(strides)


def decode(maps: tuple[Tensor, ...]) -> Found:
    """What maps mean; `detect/own.py` does the same for the cells that count."""
    height, width = (side * STRIDES[0] for side in maps[0].shape[2:])
    centre, stride = cells(height, width, maps[0].device)
    flat = torch.cat([one.flatten(2) for one in maps], 2).transpose(1, 2).float()  # (N, C, 17)
    sides = stride[:, None] * flat[..., 1:5].clamp(max=6).exp()  # left, top, right, bottom
    places = flat[..., 5:15].reshape(*flat.shape[:2], 5, 2) * stride[:, None, None] + centre[:, None]
    box = torch.cat([centre - sides[..., :2], centre + sides[..., 2:]], 2)
    return Found(flat[..., 0], box, places, flat[..., 15:])


class Deployed(nn.Module):
    """What is exported: pictures in, maps out; the runtime decodes the few cells that count."""

    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, H, W, 3) uint8 RGB, sides multiples of 32 -> maps of strides 8, 16 and 32."""
        maps: tuple[Tensor, ...] = self.net(pictures.permute(0, 3, 1, 2).float() / 255 - 0.5)
        return maps


def parts(net: Detector) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("detector", Deployed(net), ("pictures",), tuple(f"maps{stride}" for stride in STRIDES)),)
