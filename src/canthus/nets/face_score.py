"""The third stage: a 48x48 crop to how much it is a face, where the face is in it, and its five points.

The size and the three answers are those of the O-Net of [Zhang et al., "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks", 2016], whose score multi_view and score_guided judge a face by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from canthus.nets.blocks import ConvNorm, Residual
from canthus.nets.part import Part


@dataclass(frozen=True, slots=True)
class FaceScoreConfig:
    """Sizes of the network.

    Attributes:
        size: Side of the crop in pixels, a multiple of 16.
        margin: Crop margin: side of the crop over the longer side of the box.
        widths: Channels at strides 2, 4, 8 and 16.
        head: Units of the layer before the answers.
    """

    size: int = 48
    margin: float = 1.2
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    head: int = 96


PRESETS: Mapping[str, FaceScoreConfig] = {"compact": FaceScoreConfig()}


class Prediction(NamedTuple):
    """What the network says, for the loss.

    Attributes:
        score: Logit that the crop is cut around a face. Shape (N,).
        box: Box of the face's landmarks, in crops around the crop's middle: x0 y0 x1 y1. Shape (N, 4).
        points: The five points in the same units. Shape (N, 5, 2).
    """

    score: Tensor
    box: Tensor
    points: Tensor


class FaceScore(nn.Module):
    """A crop to a score, a better box, five points."""

    def __init__(self, config: FaceScoreConfig) -> None:
        super().__init__()
        self.config = config
        c2, c4, c8, c16 = config.widths
        self.body = nn.Sequential(
            ConvNorm(3, c2, stride=2),
            ConvNorm(c2, c4, stride=2),
            ConvNorm(c4, c8, stride=2),
            Residual(c8),
            ConvNorm(c8, c16, stride=2),
            nn.Flatten(),
        )
        cells = (config.size // 16) ** 2
        self.head = nn.Sequential(nn.Linear(c16 * cells, config.head), nn.ReLU(), nn.Linear(config.head, 15))

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        out = self.head(self.body(crops)).float()
        half = torch.tensor([-0.5, -0.5, 0.5, 0.5], device=out.device) / self.config.margin
        return Prediction(out[:, 0], out[:, 1:5] + half, out[:, 5:].reshape(-1, 5, 2))


class Deployed(nn.Module):
    """What is exported: pictures in; score, box and points out."""

    def __init__(self, net: FaceScore) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB -> scores (N,), boxes (N, 4) and points (N, 5, 2) in crop pixels."""
        size = self.net.config.size
        found = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        middle = (size - 1) / 2
        return found.score.sigmoid(), found.box * size + middle, found.points * size + middle


def parts(net: FaceScore) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("face_score", Deployed(net), ("crops",), ("scores", "boxes", "points")),)
