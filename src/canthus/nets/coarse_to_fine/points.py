"""coarse_to_fine, section 3.3: three networks and a gate for each inner point, which see patches around it.

Crops come in the order of `View.around`: all of the first face, then all of the second one. The networks of all points
run together as grouped convolutions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from canthus.align.coarse_to_fine import SPANS, components_of, patches_of
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses, pooled
from canthus.nets.decode import reliability
from canthus.nets.losses import Target, point_term, spread_term
from canthus.nets.network import Several
from canthus.nets.part import Part
from canthus.schemes.scheme import Scheme

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class PointConfig:
    """Sizes of the networks of points; the defaults have about the paper's 25 million multiply-adds for each point.

    Attributes:
        points: Number of landmarks P of the whole face.
        scheme: Name of their scheme, which tells the inner points.
        size: Side of the crop S in pixels, a multiple of 16.
        widths: Channels of the three convolutions: 4x4 with stride 4, and 3x3 at strides 4 and 8.
        hidden: Features of the gate.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the face's box.
        margin: Crop margin: side of the crop over that of the square that spans the nearest points.
    """

    points: int = 68
    scheme: str = "68"
    size: int = 48
    widths: tuple[int, int, int] = (64, 64, 112)
    hidden: int = 32
    near: float = 0.025
    margin: float = 1.25


POINTS: Mapping[str, PointConfig] = {
    "full": PointConfig(),
    "compact": PointConfig(size=32, widths=(16, 16, 16), hidden=16),
    "ablation": PointConfig(size=32, widths=(8, 8, 16), hidden=8),
}


class PointPrediction(NamedTuple):
    """What the networks of points predict, for the loss.

    Attributes:
        points: The weighed answer for each point in its first patch, crop pixels; NaN elsewhere. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
        patches: Answers of every patch for the nearest points, pixels of its crop. Shape (N, 7, 2).
        asked: Which points these are. Shape (N, 7).
        counted: Whether a patch is asked for the point: 3, 5 or 7 of them. Shape (N, 7).
        own: Whether `points` holds an answer. Shape (N, P).
    """

    points: Tensor
    log_spread: Tensor
    patches: Tensor
    asked: Tensor
    counted: Tensor
    own: Tensor


def _grouped(inside: int, outside: int, groups: int, stride: int = 1) -> nn.Sequential:
    """A convolution, norm and ReLU in each of many networks: 3x3, or one that covers `stride` rows and columns."""
    kernel, padding = (3, 1) if stride == 1 else (stride, 0)
    convolution = nn.Conv2d(groups * inside, groups * outside, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(groups * outside), nn.ReLU(inplace=True))


class Points(nn.Module):
    """Three networks and a gate for each inner point."""

    near: Tensor
    mean: Tensor
    ratio: Tensor
    share: Tensor

    def __init__(self, config: PointConfig) -> None:
        super().__init__()
        self.config = config
        self.inner = count = int((components_of(config.scheme) >= 0).sum())
        every, (a, b, c) = 3 * count, config.widths
        self.layers = nn.Sequential(
            _grouped(3, a, every, 4), _grouped(a, b, every), nn.MaxPool2d(2), _grouped(b, c, every)
        )
        self.side = config.size // 8
        self.heads = nn.ModuleList(nn.Conv2d(c * count, 2 * k * count, self.side, groups=count) for k in SPANS)
        self.hidden = nn.Conv2d(3 * c * count, config.hidden * count, 1, groups=count)
        self.gate = nn.Conv2d(config.hidden * count, 3 * count, 1, groups=count)
        self.spread = nn.Conv2d(config.hidden * count, count, 1, groups=count)
        for layer in (*self.heads, self.gate, self.spread):
            nn.init.zeros_(layer.weight)
        self.register_buffer("near", torch.zeros(count, max(SPANS), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(count, 3, max(SPANS), 2))
        self.register_buffer("ratio", torch.ones(count, 3))
        self.register_buffer("share", torch.ones(count))

    def found(self, crops: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Answers of the patches, weights of the three of each point, and log of b over the first crop.

        Args:
            crops: Values in -.5 .. .5. Shape (N, 9 I, S, S).

        Returns:
            For 3, 5 and 7 nearest points (N, I, k, 2), pixels of their crop; (N, I, 3); (N, I).
        """
        count, width, side = self.inner, self.config.widths[-1], crops.shape[-1]
        features = pooled(self.layers(crops), self.side)  # (N, 3 I d, h, h)
        each = features.reshape(-1, count, 3, width, *features.shape[2:])
        answers = []
        for place, (head, span) in enumerate(zip(self.heads, SPANS, strict=True)):
            offsets = head(each[:, :, place].flatten(1, 2)).float().reshape(-1, count, span, 2)
            answers.append((side - 1) / 2 + side / self.config.margin * (self.mean[:, place, :span] + offsets))
        hidden = functional.relu(self.hidden(features.mean((2, 3), keepdim=True)))
        gates = self.gate(hidden).float().reshape(-1, count, 3).softmax(-1)
        return answers, gates, self.spread(hidden.detach()).float().reshape(-1, count) - 4

    def forward(self, crops: Tensor) -> PointPrediction:
        """Crops (N * 3 I, 3, S, S), values in -.5 .. .5."""
        count, most, side = self.inner, max(SPANS), crops.shape[-1]
        answers, gates, spread = self.found(crops.reshape(-1, 9 * count, side, side))
        total, device = len(spread), crops.device
        patches = torch.stack([functional.pad(one, (0, 0, 0, most - one.shape[2])) for one in answers], 2)
        middle = (side - 1) / 2
        away = (patches[:, :, :, 0] - middle) * self.ratio[..., None]  # of the point, in pixels of its first crop
        fused = middle + (gates[..., None] * away).sum(2)  # (N, I, 2)
        shape, rows = (total, count, 3, self.config.points), torch.arange(count, device=device)
        points = fused.new_full((*shape, 2), torch.nan)
        log_spread, own = fused.new_zeros(shape), torch.zeros(shape, dtype=torch.bool, device=device)
        at = self.near[:, 0]
        points[:, rows, 0, at], log_spread[:, rows, 0, at], own[:, rows, 0, at] = fused, spread, True
        counted = torch.arange(most, device=device) < torch.tensor(SPANS, device=device)[:, None]
        return PointPrediction(
            points.flatten(0, 2),
            log_spread.flatten(0, 2),
            patches.flatten(0, 2),
            self.near[:, None].expand(total, count, 3, most).flatten(0, 2),
            counted.expand(total, count, 3, most).flatten(0, 2),
            own.flatten(0, 2),
        )


class DeployedPoints(nn.Module):
    """The networks of points as they are exported, in one graph."""

    def __init__(self, net: Points, calibration: float = 0.0) -> None:
        """Wrap the networks; `calibration` is added to their log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 9 I) uint8 -> three answers (N, I, 3, 2) in their crops, gates (N, I, 3), scores (N, I)."""
        config = self.net.config
        answers, gates, spread = self.net.found(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(spread + self.calibration, config.near / config.margin / self.net.share)
        return torch.stack([one[:, :, 0] for one in answers], 2), gates, scores


def point_parts(net: Points, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one part of the networks of points."""
    outputs = ("answers", "gates", "scores")
    return (Part("points", DeployedPoints(net, calibration), ("crops",), outputs, "points"),)


def point_crops(scheme: str) -> Several:
    """Three crops for each inner point; mirrored ones show the point of the other side."""
    mirror, inner = Scheme.open(scheme).mirror, np.flatnonzero(components_of(scheme) >= 0)
    return Several(np.searchsorted(inner, mirror[inner]), together=3)


def fill_points(net: Points, arrays: Arrays) -> None:
    """Write the nearest points in the mean face, and where they lie in each patch, into new networks."""
    points, near, sides = patches_of(arrays["mean"], arrays["component"])
    apart = arrays["mean"][near] - arrays["mean"][points][:, None]  # (I, 7, 2)
    net.near.copy_(torch.from_numpy(near))
    net.mean.copy_(torch.from_numpy((apart[:, None] / sides[:, :, None, None]).astype(np.float32)))
    net.ratio.copy_(torch.from_numpy(sides / sides[:, :1]))
    net.share.copy_(torch.from_numpy(sides[:, 0]))


def points_loss(prediction: PointPrediction, target: Target, losses: CoarseToFineLosses) -> dict[str, Tensor]:
    """Losses of the weighed points, which train the gate as well, and of the answers of single patches."""
    own = target._replace(inside=target.inside * prediction.own)
    points = torch.where(prediction.own[..., None], prediction.points, target.points)
    wanted = torch.gather(target.points, 1, prediction.asked[..., None].expand(-1, -1, 2))
    inside = torch.gather(target.inside, 1, prediction.asked) * prediction.counted
    asked = target._replace(points=wanted, inside=inside)
    return {
        "point": losses.point * point_term(points, own, losses),
        "patch": losses.patch * point_term(prediction.patches, asked, losses),
        "spread": losses.spread * spread_term(points, prediction.log_spread, own),
    }
