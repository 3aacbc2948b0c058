"""The default network: one stage, integral heatmaps, a reliability for each point, head pose.

Dense 3x3 convolutions at strides 2 to 16 and cheap 1x1 ones on the way back to stride 4 (`benchmarks/README.md`
compares the alternatives). Points are the expectation of a softmax heatmap [Sun et al., "Integral Human Pose
Regression", 2018]. The reliability of a point is the probability that it lies within `near` box sides of its truth,
under the isotropic density exp(-r / b) / (2 pi b^2) of its error r, whose b the network predicts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm, Residual


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """Sizes of the network.

    Attributes:
        points: Landmarks P.
        size: Side of the crop S in pixels, a multiple of 16.
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8 and 16.
        depths: Residual blocks at strides 8 and 16.
        head: Channels of the decoder at stride 4.
        near: What counts as near, as a fraction of the box side.
        extent: Side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 96
    stem: tuple[int, int] = (16, 48)
    widths: tuple[int, int] = (64, 128)
    depths: tuple[int, int] = (2, 2)
    head: int = 64
    near: float = 0.025
    extent: float = 1.3


class Prediction(NamedTuple):
    """What the network says, for the loss.

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
    """A crop to points, reliabilities and pose."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        (c2, c4), (c8, c16) = config.stem, config.widths
        self.stem = nn.Sequential(ConvNorm(3, c2, stride=2), ConvNorm(c2, c4, stride=2))
        self.stage8 = nn.Sequential(ConvNorm(c4, c8, stride=2), *(Residual(c8) for _ in range(config.depths[0])))
        self.stage16 = nn.Sequential(ConvNorm(c8, c16, stride=2), *(Residual(c16) for _ in range(config.depths[1])))
        self.context = nn.Linear(c16, c16)
        self.up16 = ConvNorm(c16, c8, 1, activate=False)
        self.merge8 = ConvNorm(c8, c8)
        self.up8 = ConvNorm(c8, config.head, 1, activate=False)
        self.side4 = ConvNorm(c4, config.head, 1, activate=False)
        self.maps = nn.Sequential(ConvNorm(config.head, config.head, 1), nn.Conv2d(config.head, config.points, 1))
        self.spread = nn.Linear(c16, config.points)
        self.sharpness = nn.Parameter(torch.ones(config.points))
        self.pose = nn.Linear(c16, 3)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        x4 = self.stem(crops)  # (N, c4, S/4, S/4)
        x8 = self.stage8(x4)  # (N, c8, S/8, S/8)
        x16 = self.stage16(x8)  # (N, c16, S/16, S/16)
        whole = x16.mean((2, 3))  # (N, c16)
        x16 = x16 + functional.relu(self.context(whole))[:, :, None, None]
        x8 = self.merge8(functional.relu(x8 + double(self.up16(x16))))
        x4 = functional.relu(self.side4(x4) + double(self.up8(x8)))
        heatmaps = self.maps(x4)  # (N, P, S/4, S/4)
        points, variance = expectation(heatmaps, crops.shape[-1] // heatmaps.shape[-1])
        own = self.sharpness * 0.5 * torch.log(variance.detach() + 0.25)
        log_spread = self.spread(whole) + own - torch.log(torch.tensor(float(crops.shape[-1])))
        return Prediction(heatmaps, points, log_spread, self.pose(whole))


def double(x: Tensor) -> Tensor:
    """Nearest upsampling by two. (N, C, H, W) -> (N, C, 2H, 2W)."""
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


def expectation(heatmaps: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the places that heatmaps tell (soft-argmax), in float32.

    Args:
        heatmaps: Logits. Shape (N, P, H, W).
        stride: Crop pixels a cell; cell j is centred on stride * j + (stride - 1) / 2.

    Returns:
        Points in crop pixels (N, P, 2) and their variance, summed over x and y, in square pixels (N, P).
    """
    height, width = heatmaps.shape[-2:]
    half = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=heatmaps.device) * stride
    xs = (torch.arange(width, device=heatmaps.device, dtype=torch.float32) * stride - half[0]).expand(height, width)
    ys = (torch.arange(height, device=heatmaps.device, dtype=torch.float32) * stride - half[1])[:, None].expand(
        height, width
    )
    moments = torch.stack([xs, ys, xs**2 + ys**2], -1).flatten(0, 1)  # (H * W, 3)
    mean = heatmaps.float().flatten(2).softmax(-1) @ moments  # (N, P, 3)
    place = mean[..., :2]
    variance = mean[..., 2] - (place**2).sum(-1)
    return place + half + (stride - 1) / 2, variance.clamp(min=0)


def reliability(log_spread: Tensor, near: float) -> Tensor:
    """Probability that the error is below `near`: 1 - (1 + q) exp(-q) with q = near / b, both over the crop side."""
    q = near * torch.exp(-log_spread)
    return 1 - (1 + q) * torch.exp(-q)


class Deployed(nn.Module):
    """What is exported: pictures in, results out, nothing left to do but to map the points back."""

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
            reliability(prediction.log_spread + self.calibration, config.near / config.extent),
            prediction.pose * 90,
        )
