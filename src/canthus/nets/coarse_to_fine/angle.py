"""coarse_to_fine, section 3.1: the rotation of the head in the plane."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses, pooled
from canthus.nets.decode import reliability
from canthus.nets.losses import Target, point_term, spread_term
from canthus.nets.part import Part


@dataclass(frozen=True, slots=True)
class AngleConfig:
    """Sizes of the angle network.

    Attributes:
        points: Number of landmarks P of the mean face that it places.
        size: Side of the crop S in pixels, a multiple of 16.
        widths: Channels at strides 2, 4, 8 and 16.
        depth: Number of convolutions at each stride.
        hidden: Features before the angle.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 128
    widths: tuple[int, ...] = (32, 64, 128, 256)
    depth: int = 2
    hidden: int = 256
    near: float = 0.025
    margin: float = 1.5


ANGLE: Mapping[str, AngleConfig] = {
    "full": AngleConfig(),
    "compact": AngleConfig(size=64, widths=(24, 48, 96, 128), depth=2, hidden=96),
    "ablation": AngleConfig(size=64, widths=(8, 16, 32, 48), depth=1, hidden=32),
}


class AnglePrediction(NamedTuple):
    """What the angle network predicts, for the loss.

    Attributes:
        angle: Sine and cosine of the rotation of the head in the crop, on the unit circle. Shape (N, 2).
        points: The mean face of the box, turned by the angle, crop pixels. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
    """

    angle: Tensor
    points: Tensor
    log_spread: Tensor


class Angle(nn.Module):
    """Rotation of the head in the plane over the full circle, from a crop of its box."""

    def __init__(self, config: AngleConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inside = 3
        for width in config.widths:
            layers.append(ConvNorm(inside, width, stride=2))
            layers += [ConvNorm(width, width) for _ in range(config.depth - 1)]
            inside = width
        self.layers = nn.Sequential(*layers)
        self.side = config.size // 2 ** len(config.widths)
        self.hidden = nn.Conv2d(inside, config.hidden, self.side)  # of all places: fully connected
        self.angle = nn.Linear(config.hidden, 2)
        self.shape = nn.Parameter(torch.zeros(config.points, 2))
        self.spread = nn.Parameter(torch.full((config.points,), -3.0))

    def forward(self, crops: Tensor) -> AnglePrediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        config = self.config
        features = pooled(self.layers(crops), self.side)
        raw = self.angle(functional.relu(self.hidden(features)).flatten(1)).float()
        angle = raw / (raw**2).sum(1, keepdim=True).add(1e-6).sqrt()
        sine, cosine = angle.detach()[:, :1], angle.detach()[:, 1:]  # the angle learns from its own loss alone
        x, y = self.shape[:, 0], self.shape[:, 1]
        turned = torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)  # (N, P, 2)
        side = crops.shape[-1]
        points = (side - 1) / 2 + side / config.margin * turned
        return AnglePrediction(angle, points, self.spread + torch.zeros_like(angle[:, :1]))


class DeployedAngle(nn.Module):
    """The angle network as it is exported."""

    def __init__(self, net: Angle, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 -> sine and cosine (N, 2), mean face in its frame (N, P, 2), scores (N, P)."""
        config = self.net.config
        found = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(found.log_spread + self.calibration, config.near / config.margin)
        return found.angle, self.net.shape + torch.zeros_like(found.angle[:, :1, None]), scores


def angle_loss(prediction: AnglePrediction, target: Target, losses: CoarseToFineLosses) -> dict[str, Tensor]:
    """Squared distance on the unit circle, and the losses of the mean face that is placed by the angle."""
    known = target.turn.isfinite()
    turn = torch.deg2rad(torch.where(known, target.turn, torch.zeros_like(target.turn)))
    wanted = torch.stack([turn.sin(), turn.cos()], 1)
    return {
        "angle": losses.angle * known * ((prediction.angle - wanted) ** 2).sum(1),
        "point": losses.point * point_term(prediction.points, target, losses),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
    }


def angle_parts(net: Angle, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one part of the angle network."""
    return (Part("angle", DeployedAngle(net, calibration), ("crops",), ("angle", "shape", "scores"), "angle"),)
