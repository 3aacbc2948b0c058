"""The default network: one stage, integral heatmaps, a reliability for each point, head pose.

Points are the expectation of a softmax heatmap [Sun et al., "Integral Human Pose Regression", 2018].
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from canthus.nets.blocks import ConvNorm
from canthus.nets.decode import expectation, reliability
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, pose_loss, spread_term
from canthus.nets.network import Network
from canthus.nets.part import Part
from canthus.nets.trunk import Trunk


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """Sizes of the network.

    Attributes:
        points: Number of landmarks P.
        size: Side of the crop S in pixels, a multiple of 16.
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8 and 16.
        depths: Numbers of residual blocks at strides 8 and 16.
        head: Channels of the decoder at stride 4.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 96
    stem: tuple[int, int] = (16, 48)
    widths: tuple[int, int] = (64, 128)
    depths: tuple[int, int] = (2, 2)
    head: int = 64
    near: float = 0.025
    margin: float = 1.3


PRESETS: Mapping[str, CompactConfig] = {"compact": CompactConfig()}


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        heatmaps: Logits. Shape (N, P, S/4, S/4).
        points: Crop pixels. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
        pose: Yaw, pitch, roll over 90 degrees. Shape (N, 3).
    """

    heatmaps: Tensor
    points: Tensor
    log_spread: Tensor
    pose: Tensor


class Compact(nn.Module):
    """The network: a crop to points, reliabilities and pose."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = Trunk(config.stem, config.widths, config.depths, config.head)
        self.maps = nn.Sequential(ConvNorm(config.head, config.head, 1), nn.Conv2d(config.head, config.points, 1))
        self.spread = nn.Linear(config.widths[1], config.points)
        self.sharpness = nn.Parameter(torch.ones(config.points))
        self.pose = nn.Linear(config.widths[1], 3)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        features, whole = self.trunk(crops)  # (N, head, S/4, S/4), (N, c16)
        heatmaps = self.maps(features)  # (N, P, S/4, S/4)
        points, variance = expectation(heatmaps, crops.shape[-1] // heatmaps.shape[-1])
        own = self.sharpness * (0.5 * torch.log(variance.detach() + 0.25))  # keeps its name when exported
        log_spread = self.spread(whole) + own - math.log(crops.shape[-1])
        return Prediction(heatmaps, points, log_spread, self.pose(whole))


class Deployed(nn.Module):
    """The network as it is exported, with decoding and reliabilities."""

    def __init__(self, net: Compact, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB -> points (N, P, 2) in crop pixels, scores (N, P), pose (N, 3) in degrees."""
        config = self.net.config
        prediction = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        return (
            prediction.points,
            reliability(prediction.log_spread + self.calibration, config.near / config.margin),
            prediction.pose * 90,
        )


def parts(net: Compact, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("landmarks", Deployed(net, calibration), ("crops",), ("points", "scores", "pose")),)


def loss(prediction: Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """Losses of the heatmaps, their points, the spread of these, and the pose."""
    return {
        "point": losses.point * point_term(prediction.points, target, losses),
        "heat": losses.heat * heatmap_term(prediction.heatmaps, target, losses),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
        "pose": losses.pose * pose_loss(prediction.pose, target.pose),
    }


NETWORKS: Mapping[str, Network] = {
    "landmarks": Network(
        PRESETS,
        Compact,
        parts,
        loss,
        "integral heatmaps: Sun et al., Integral Human Pose Regression, 2018; the network is canthus's own",
    )
}
"""The networks that are trained separately, by their first stage."""
