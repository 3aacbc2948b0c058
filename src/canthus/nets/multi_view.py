"""multi_view [Deng et al., "Cascade Multi-view Hourglass Model for Robust 3D Face Alignment", 2018].

The plane network finds the 2D points of a face from the front (68) or from a side (39) in one set of 68 maps, and the
view. The solid network sees the face in a crop that these points align, and finds its 3D points. A network may also
have both in one stack, without the second crop: rows of table I. `docs/systems/multi_view.md` lists what the paper
leaves open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from canthus.align.multi_view import mean_solid, plane_means
from canthus.nets.attention import Plain
from canthus.nets.blocks import Bottleneck, Inception
from canthus.nets.decode import Spread, expectation, reliability
from canthus.nets.hourglass import Block, Hourglass, Stage
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Labels, Network
from canthus.nets.part import Part
from canthus.nets.settings import Number
from canthus.nets.trunk import Trunk
from canthus.schemes.transfer import UNION, VIEWS
from canthus.types import SLOTS

PAPER = "Deng, Zhou, Cheng and Zafeiriou, Cascade Multi-view Hourglass Model for Robust 3D Face Alignment, 2018"
Towards = Literal["plane", "solid"]


@dataclass(frozen=True, slots=True)
class MultiViewConfig:
    """Sizes of a network; the defaults are the paper's.

    Attributes:
        points: Number of landmarks P that the last hourglass finds; of plane points those of the union of views.
        towards: For each hourglass what its maps show: "plane" = the 2D points of the views, "solid" = the 3D points.
        size: Side of the crop S in pixels.
        base: Source of the features: "paper" = 7x7 convolution with stride 2, residual, max pool; "trunk" = a trunk of
            the kind of the default network.
        pool: Whether the max pool is there: maps of stride 4, else 2.
        stem: Channels at the first two steps: after the 7x7 convolution and the residual, or at strides 2 and 4.
        widths: Channels at strides 8 and 16 of a trunk.
        depths: Numbers of residual blocks at strides 8 and 16 of a trunk.
        width: Channels of the hourglasses.
        scales: Number of times that an hourglass halves its maps.
        block: Module that hourglasses and the paper's base are made of.
        maps: Kind of heatmaps: "l2" = heights of Gaussians, "softmax" = logits.
        gamma: Factor on L2 heights before the softmax whose expectation is the point.
        hidden: Features of the regressor of depths.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    towards: tuple[Towards, ...] = ("plane",)
    size: int = 256
    base: Literal["paper", "trunk"] = "paper"
    pool: bool = True
    stem: tuple[int, int] = (64, 128)
    widths: tuple[int, int] = (64, 128)
    depths: tuple[int, int] = (2, 2)
    width: int = 256
    scales: int = 4
    block: Literal["bottleneck", "inception"] = "inception"
    maps: Literal["l2", "softmax"] = "l2"
    gamma: float = 20.0
    hidden: int = 128
    near: float = 0.025
    margin: float = 1.3


_PLANE, _SOLID = MultiViewConfig(), MultiViewConfig(towards=("solid",), points=84)
_COMPACT: dict[str, Any] = {
    "size": 96,
    "base": "trunk",
    "stem": (16, 48),
    "width": 64,
    "scales": 2,
    "maps": "softmax",
}
_ABLATION: dict[str, Any] = {"size": 96, "pool": False, "stem": (16, 24), "width": 24, "scales": 3, "maps": "softmax"}


def _presets(full: MultiViewConfig) -> Mapping[str, MultiViewConfig]:
    return {"full": full, "compact": replace(full, **_COMPACT), "ablation": replace(full, **_ABLATION)}


class MultiViewLosses(Losses):
    """Losses of view and depth.

    Attributes:
        view: Weight of the cross entropy of the view.
        depth: Weight of the loss of depths, in units of `depth_beta`.
        depth_beta: Unit of that loss, and the distance at which smooth L1 turns linear, over the crop side.
    """

    view: Number = Field(0.5, ge=0)
    depth: Number = Field(0.5, ge=0)
    depth_beta: Number = Field(0.02, gt=0)


class Prediction(NamedTuple):
    """What a network predicts, for the loss.

    Attributes:
        heatmaps: Maps of each hourglass that finds the points of the network, logits or heights. Each (N, P, H, W).
        plane: Maps of plane points below 3D ones. Each (N, 68, H, W).
        points: Points of the last maps, crop pixels. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
        view: Logits of the views, in the order of `VIEWS`; V is 0 where the network does not end with plane points.
            Shape (N, V).
        depth: Depths less their mean, crop pixels; P is 0 where the network ends with plane points. Shape (N, P).
    """

    heatmaps: tuple[Tensor, ...]
    plane: tuple[Tensor, ...]
    points: Tensor
    log_spread: Tensor
    view: Tensor
    depth: Tensor


class Base(nn.Sequential):
    """Section IV-A (3): 7x7 convolution with stride 2, residual, max pool. (N, 3, S, S) -> (N, width, H, W)."""

    def __init__(self, config: MultiViewConfig, block: Block) -> None:
        first, second = config.stem
        steps = [nn.Conv2d(3, first, 7, 2, 3), nn.BatchNorm2d(first), nn.ReLU(inplace=True), block(first, second)]
        if config.pool:
            steps.append(nn.MaxPool2d(2))
        super().__init__(*steps, block(second, config.width))


class Depth(nn.Module):
    """Depths of the points, in box sides, from their places and from the mean of the features."""

    def __init__(self, config: MultiViewConfig) -> None:
        super().__init__()
        self.inner = nn.Linear(config.width + 2 * config.points, config.hidden)
        self.outer = nn.Linear(config.hidden, config.points)
        nn.init.zeros_(self.outer.weight)

    def forward(self, features: Tensor, points: Tensor, size: int) -> Tensor:
        """Features (N, width, H, W) and points (N, P, 2) in crops of `size` pixels -> depths less their mean (N, P)."""
        places = (points.detach() / size - 0.5).flatten(1)
        inner = functional.relu(self.inner(torch.cat([features.float().mean((2, 3)), 4 * places], 1)))
        depth: Tensor = self.outer(inner)
        return depth - depth.mean(1, keepdim=True)


class MultiView(nn.Module):
    """A network of one or several hourglasses over one crop."""

    def __init__(self, config: MultiViewConfig) -> None:
        super().__init__()
        self.config = config
        block: Block = Inception if config.block == "inception" else Bottleneck
        if config.base == "trunk":
            self.base: nn.Module = Trunk(config.stem, config.widths, config.depths, config.width)
        else:
            self.base = Base(config, block)
        self.last = config.towards[-1]
        counts = [config.points if what == self.last else SLOTS for what in config.towards]
        self.stages = nn.ModuleList(self._stage(block, count, last=False) for count in counts[:-1])
        self.stages.append(self._stage(block, counts[-1], last=True))
        self.spread = Spread(config.points)
        self.view = nn.Linear(config.width, len(VIEWS)) if self.last == "plane" else None
        self.depth = Depth(config) if self.last == "solid" else None

    def _stage(self, block: Block, count: int, last: bool) -> Stage:
        config, width = self.config, self.config.width
        head = Plain(width, count, 0.0)
        return Stage(Hourglass(width, config.scales, block), block(width, width), head, width, 0 if last else count)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        config, size = self.config, crops.shape[-1]
        x = self.base(crops)
        x = x[0] if config.base == "trunk" else x  # (N, width, H, W)
        found: list[Tensor] = []
        for stage in self.stages:
            maps, features, x = stage(x)
            found.append(maps)
        logits = maps.float() * (config.gamma if config.maps == "l2" else 1.0)
        points, variance = expectation(logits, size // logits.shape[-1])
        none = points[:, :0, 0]
        view = none if self.view is None else self.view(features.float().mean((2, 3)))
        depth = none if self.depth is None else self.depth(features, points, size) * (size / config.margin)
        own, below = (
            tuple(maps for maps, what in zip(found, config.towards, strict=True) if (what == self.last) == last)
            for last in (True, False)
        )
        return Prediction(own, below, points, self.spread(variance, size), view, depth)


class Deployed(nn.Module):
    """A network as it is exported."""

    def __init__(self, net: MultiView, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops to points.

        Args:
            crops: Pictures, RGB. Shape (N, S, S, 3), uint8.

        Returns:
            Of plane points: points (N, 68, 2) in crop pixels, scores (N, 68), probability of each view (N, V). Of 3D
            points: points (N, P, 3), scores (N, P).
        """
        config = self.net.config
        found: Prediction = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(found.log_spread + self.calibration, config.near / config.margin)
        if self.net.last == "plane":
            return found.points, scores, found.view.softmax(-1)
        return torch.cat([found.points, found.depth[..., None]], -1), scores


def parts(net: MultiView, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one part of a network, named after what it finds."""
    names = ("points", "scores", "views") if net.last == "plane" else ("points", "scores")
    return (Part(net.last, Deployed(net, calibration), ("crops",), names, net.last),)


def loss(prediction: Prediction, target: Target, losses: MultiViewLosses) -> dict[str, Tensor]:
    """Eq. 2 for the maps of plane points, the same for those of 3D points; losses of points, spread, view and depth.

    v_n of eq. 2 is whether a point is known: those that the view of a face lacks are not.
    """
    plane = target._replace(points=target.given, inside=target.given_inside)
    heats = [heatmap_term(maps, target, losses) for maps in prediction.heatmaps]
    heats += [heatmap_term(maps, plane, losses) for maps in prediction.plane]
    return {
        "point": losses.point * point_term(prediction.points, target, losses),
        "heat": losses.heat * torch.stack(heats).mean(0),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
        "view": losses.view * view_loss(prediction.view, target),
        "depth": losses.depth * depth_loss(prediction.depth, target, losses.depth_beta),
    }


def view_loss(logits: Tensor, target: Target) -> Tensor:
    """Cross entropy of the view (N, V). Shape (N,).

    A profile annotation tells the view, and so does a frontal one whose points are all known; points that the head
    itself hides are not known in some sets, whose faces therefore have no view here.
    """
    if not logits.shape[1]:
        return torch.zeros_like(target.inside[:, 0])
    known = (target.view > 0) | (target.inside > 0).all(1)
    return functional.cross_entropy(logits.float(), target.view, reduction="none") * known


def depth_loss(depth: Tensor, target: Target, beta: float) -> Tensor:
    """Smooth L1 loss of depths (N, P), each less its mean over the points whose depth is known. Shape (N,)."""
    if not depth.shape[1]:
        return torch.zeros_like(target.inside[:, 0])
    known = (target.depth.isfinite() & (target.inside > 0)).float()
    count = known.sum(1, keepdim=True).clamp(min=1)
    apart = (depth - torch.where(known > 0, target.depth, torch.zeros_like(depth))) * known
    apart = (apart - apart.sum(1, keepdim=True) / count) * known / (beta * target.size)
    return functional.smooth_l1_loss(apart, torch.zeros_like(apart), reduction="none").sum(1) / count[:, 0]


def solid_arrays(labels: Labels, config: MultiViewConfig) -> dict[str, NDArray[Any]]:
    """The mean 3D face, to which head poses are fitted; none where no label has depth and pose."""
    mean = mean_solid(labels.points, labels.depth, labels.pose, labels.scheme)
    return {} if mean is None else {"solid": mean}


NETWORKS: Mapping[str, Network] = {
    "plane": Network(_presets(_PLANE), MultiView, parts, loss, PAPER, MultiViewLosses),
    "solid": Network(
        _presets(_SOLID), MultiView, parts, loss, PAPER, MultiViewLosses, solid_arrays, given=UNION, mean=plane_means
    ),
}
"""The networks that are trained separately, by their first stage: one for plane points, one for 3D points."""
