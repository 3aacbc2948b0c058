"""score_guided [Yan et al., "Score-Guided Face Alignment Network Under Occlusions"]: heatmaps and score maps.

Heatmaps say where a landmark is, score maps how far its place can be relied on; a landmark's weight is the mean of its
score map around its place (eq. 1). Beyond the paper, a head says which landmarks are hidden, where labels teach it.
`docs/systems/score_guided.md` lists what the paper leaves open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from canthus.align.maps import MAPS
from canthus.align.rebuild import Kind, shapes_of
from canthus.nets.blocks import Bottleneck, ConvNorm, NormConv
from canthus.nets.decode import Spread, highest, moments, probability, reliability
from canthus.nets.hourglass import Hourglass
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Labels, Network
from canthus.nets.part import Part
from canthus.nets.settings import Number
from canthus.nets.trunk import Trunk


@dataclass(frozen=True, slots=True)
class ScoreGuidedConfig:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        points: Number of landmarks P.
        size: Side of the crop S in pixels, a multiple of 32.
        base: Features under the two branches: "residual" = 7x7 convolution and three residual blocks, "trunk" = the
            trunk of the default network.
        stem: Channels of the 7x7 convolution and of the three residual blocks.
        branch: Channels of the branches after their hourglass.
        scales: Number of poolings of an hourglass; 0 = the branches have no hourglass.
        stride: Crop pixels per cell of the maps; the branches upsample to it.
        maps: Kind of heatmaps: "l2" = heights of Gaussians, "softmax" = logits.
        decode: How points are read from heatmaps: "maximum" (eq. 4), or "expectation" of the softmax.
        gamma: Factor on L2 heights before a softmax, for expectation and spread.
        scores: Kind of score maps: "l2" = heights, "sigmoid" = logits.
        window: r of eq. 1, in cells.
        occluded: What says that a point is hidden: "weight" = one minus its weight, without labels as in the paper;
            "head" = a head that learns it from visibility labels.
        rebuild: How points are rebuilt: "exemplars" = points of low weight are replaced, as in the paper; "posterior" =
            all points move, the less reliable the further; "none".
        atoms: Number of exemplars in the dictionary; 0 = all training shapes.
        sparsity: Number of exemplars that sum up to a training shape when the dictionary is learnt by K-SVD.
        nearest: Number of exemplars from which a face is rebuilt (k of eq. 2).
        least: Weight below which a point is not reliable.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 128
    base: Literal["residual", "trunk"] = "residual"
    stem: tuple[int, int, int, int] = (64, 128, 128, 256)
    branch: int = 128
    scales: int = 4
    stride: int = 1
    maps: Literal["l2", "softmax"] = "l2"
    decode: Literal["maximum", "expectation"] = "maximum"
    gamma: float = 20.0
    scores: Literal["l2", "sigmoid"] = "l2"
    window: int = 2
    occluded: Literal["weight", "head"] = "weight"
    rebuild: Kind = "exemplars"
    atoms: int = 400
    sparsity: int = 1
    nearest: int = 50
    least: float = 0.4
    near: float = 0.025
    margin: float = 1.3


_OURS = ScoreGuidedConfig(
    size=96, stride=2, maps="softmax", decode="expectation", scores="sigmoid", window=1, rebuild="posterior"
)
PRESETS: Mapping[str, ScoreGuidedConfig] = {
    "full": ScoreGuidedConfig(),
    "compact": replace(_OURS, base="trunk", branch=24, scales=0, occluded="head"),
    "ablation": replace(_OURS, stem=(32, 64, 64, 64), branch=32, scales=2),
}


class ScoreGuidedLosses(Losses):
    """Losses of score maps and of hidden points.

    Attributes:
        score: Weight of the loss of the score maps: lambda of eq. 3.
        radius: Radius of the disc of ones of a score map, in cells.
        score_form: Form of the loss of score maps, by their kind: "l2" = squared distance (eq. 3), "sigmoid" = cross
            entropy of each cell.
        occluded: Weight of the loss of the probability that a point is hidden.
    """

    score: Number = Field(1.0, ge=0)
    radius: Number = Field(3.0, gt=0)
    score_form: Literal["l2", "sigmoid"] = "l2"
    occluded: Number = Field(0.2, ge=0)


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        heatmaps: Heights or logits. Shape (N, P, S/stride, S/stride).
        scoremaps: Heights or logits. Shape (N, P, S/stride, S/stride).
        points: Crop pixels; from the maximum they have no gradient. Shape (N, P, 2).
        weights: Weight of each point, eq. 1. Shape (N, P).
        log_spread: Log of b over the crop side. Shape (N, P).
        hidden: Logit of the probability that a point is hidden. Shape (N, P).
    """

    heatmaps: Tensor
    scoremaps: Tensor
    points: Tensor
    weights: Tensor
    log_spread: Tensor
    hidden: Tensor


class ResidualBase(nn.Module):
    """7x7 convolution and three residual blocks (section 3.1); norms before all other convolutions.

    Its cells are twice as wide as those of the maps, as in the paper, where the maps have the size of the crop.
    """

    def __init__(self, config: ScoreGuidedConfig) -> None:
        super().__init__()
        first, *later = config.stem
        self.channels, self.stride = later[-1], 2 * config.stride
        self.first = nn.Conv2d(3, first, 7, self.stride, 3)
        self.blocks = nn.Sequential(*(Bottleneck(a, b) for a, b in zip(config.stem, later, strict=False)))

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, S, S) -> (N, channels, S/stride, S/stride)."""
        features: Tensor = self.blocks(self.first(crops))
        return features


class TrunkBase(nn.Module):
    """The trunk of the default network."""

    def __init__(self, config: ScoreGuidedConfig) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.channels, self.stride = 64, 4

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (N, 3, S, S) -> (N, channels, S/4, S/4)."""
        features: Tensor = self.trunk(crops)[0]
        return features


class Branch(nn.Module):
    """One of the two branches: hourglass, two residual blocks, nearest upsampling, residual block, 1x1 convolution."""

    def __init__(self, config: ScoreGuidedConfig, channels: int, stride: int) -> None:
        """Build a branch over features with `channels` at `stride`."""
        super().__init__()
        width, steps = config.branch, max(0, (stride // config.stride).bit_length() - 1)
        self.up = nn.Upsample(scale_factor=float(2**steps), mode="nearest") if steps else nn.Identity()
        if config.scales:
            self.before = nn.Sequential(
                Hourglass(channels, config.scales, Bottleneck), Bottleneck(channels, width), Bottleneck(width, width)
            )
            self.after: nn.Module = Bottleneck(width, width)
            self.maps: nn.Module = NormConv(width, config.points, 1)
        else:
            self.before, self.after = nn.Sequential(), ConvNorm(channels, width)
            self.maps = nn.Conv2d(width, config.points, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, P, S/stride, S/stride)."""
        maps: Tensor = self.maps(self.after(self.up(self.before(features))))
        return maps


class Hidden(nn.Module):
    """Logit of the probability that a point is hidden, from the features around it and its weight."""

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.inner = nn.Linear(channels + 1, channels)
        self.outer = nn.Linear(channels, points)

    def forward(self, features: Tensor, heat: Tensor, weights: Tensor) -> Tensor:
        """Which points are hidden.

        Args:
            features: Features under the branches. Shape (N, C, H, W).
            heat: Probability of each place for each point; H and W divide its height and width. Shape (N, P, H', W').
            weights: Shape (N, P).

        Returns:
            Shape (N, P).
        """
        stride = heat.shape[-1] // features.shape[-1]
        share = functional.avg_pool2d(heat, stride) * stride**2  # (N, P, H, W)
        seen = share.flatten(2) @ features.float().flatten(2).transpose(1, 2)  # (N, P, C)
        inner = functional.relu(self.inner(torch.cat([seen, weights[..., None]], -1)))
        logits: Tensor = (inner * self.outer.weight).sum(-1) + self.outer.bias
        return logits


class ScoreGuided(nn.Module):
    """The network: a crop to heatmaps and score maps, and the points, weights and flags that follow from them."""

    def __init__(self, config: ScoreGuidedConfig) -> None:
        super().__init__()
        self.config = config
        self.base = (ResidualBase if config.base == "residual" else TrunkBase)(config)
        channels, stride = self.base.channels, self.base.stride
        self.heat, self.score = (Branch(config, channels, stride) for _ in range(2))
        self.spread = Spread(config.points)
        self.trust = nn.Parameter(torch.zeros(config.points))
        self.hidden = Hidden(channels, config.points) if config.occluded == "head" else None

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        config = self.config
        features = self.base(crops)
        heatmaps, scoremaps = (plain(branch(features)) for branch in (self.heat, self.score))
        heat = probability(heatmaps * config.gamma if config.maps == "l2" else heatmaps)
        points, variance = moments(heat, config.stride)
        if config.decode == "maximum":
            points = highest(heatmaps, config.stride)  # eq. 4
        found = scoremaps.detach()
        scores = torch.sigmoid(found) if config.scores == "sigmoid" else found.clamp(0, 1)
        weights = weigh(scores, points.detach(), config.stride, config.window)
        log_spread = self.spread(variance, crops.shape[-1]) + self.trust * (1 - weights)
        if self.hidden is not None:
            hidden = self.hidden(features, heat.detach(), weights)
        else:
            hidden = torch.logit(1 - weights, 1e-6)
        return Prediction(heatmaps, scoremaps, points, weights, log_spread, hidden)


def plain(maps: Tensor) -> Tensor:
    """Maps (N, P, H, W) in float32, row by row in memory: all that follows reads each map as a whole."""
    return maps.to(torch.float32, memory_format=torch.contiguous_format)


def weigh(scores: Tensor, points: Tensor, stride: int, window: int) -> Tensor:
    """Mean of each score map in the window around its point (eq. 1).

    What lies beyond the border of a map counts as 0; between cells the mean is interpolated.

    Args:
        scores: Score maps. Shape (N, P, H, W).
        points: Crop pixels. Shape (N, P, 2).
        stride: Crop pixels per cell.
        window: r of eq. 1, in cells.

    Returns:
        Shape (N, P).
    """
    cells = (points - (stride - 1) / 2) / stride
    columns, rows = (
        (window + 1 - (torch.arange(length, device=cells.device) - cells[..., axis, None].clamp(0, length - 1)).abs())
        .clamp(0, 1)
        .div(2 * window + 1)
        for axis, length in ((0, scores.shape[-1]), (1, scores.shape[-2]))
    )  # share of each column and row in the window
    return ((scores @ columns[..., None])[..., 0] * rows).sum(-1)


class Deployed(nn.Module):
    """The network as it is exported, with decoding, weights and reliabilities."""

    def __init__(self, net: ScoreGuided, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops to points and to what the stages and pictures need.

        Args:
            crops: Pictures, RGB. Shape (N, S, S, 3), uint8.

        Returns:
            Points (N, P, 2) in crop pixels; scores, weights and occluded (N, P); heatmaps and score maps
            (N, P, S/stride, S/stride).
        """
        config = self.net.config
        found = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(found.log_spread + self.calibration, config.near / config.margin)
        return found.points, scores, found.weights, torch.sigmoid(found.hidden), found.heatmaps, found.scoremaps


def parts(net: ScoreGuided, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one network that is exported."""
    names = ("points", "scores", "weights", "occluded", *MAPS)
    return (Part("landmarks", Deployed(net, calibration), ("crops",), names, "maps"),)


def loss(prediction: Prediction, target: Target, losses: ScoreGuidedLosses) -> dict[str, Tensor]:
    """Eq. 3, and the losses of points, spread and occlusion."""
    stride = target.size // prediction.heatmaps.shape[-1]
    return {
        "point": losses.point * point_term(prediction.points, target, losses),
        "heat": losses.heat * heatmap_term(prediction.heatmaps, target, losses),
        "score": losses.score * score_loss(prediction.scoremaps, target, stride, losses),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
        "occluded": losses.occluded * occluded_loss(prediction.hidden, target),
    }


def discs(target: Target, size: tuple[int, int], stride: int, radius: float) -> Tensor:
    """Score maps of the truth: 1 where a cell lies within `radius` cells of the point, else 0. Shape (N, P, H, W)."""
    cell = (target.points - (stride - 1) / 2) / stride  # (N, P, 2)
    columns, rows = (
        (torch.arange(length, device=cell.device) - cell[..., axis, None]) ** 2
        for axis, length in ((0, size[1]), (1, size[0]))
    )
    return (rows[..., :, None] + columns[..., None, :] <= radius**2).float()


def score_loss(maps: Tensor, target: Target, stride: int, losses: ScoreGuidedLosses) -> Tensor:
    """Loss of the score maps (N, P, H, W): sum over a map over the area of a disc, mean over the points. Shape (N,)."""
    truth = discs(target, (maps.shape[-2], maps.shape[-1]), stride, losses.radius)
    if losses.score_form == "l2":
        apart = (maps - truth) ** 2
    else:
        apart = functional.binary_cross_entropy_with_logits(maps, truth, reduction="none")
    each = apart.sum((2, 3)) / (torch.pi * losses.radius**2)
    mean: Tensor = (each * target.inside).sum(1) / target.inside.sum(1).clamp(min=1)
    return mean


def occluded_loss(hidden: Tensor, target: Target) -> Tensor:
    """Cross entropy of the probability that a point is hidden, where labels say it. (N, P) -> (N,)."""
    known = target.visible.isfinite() & (target.inside > 0)
    truth = torch.where(known, 1 - target.visible, torch.zeros_like(hidden))
    each = functional.binary_cross_entropy_with_logits(hidden, truth, reduction="none") * known
    found: Tensor = each.sum(1) / known.sum(1).clamp(min=1)
    return found


def arrays(labels: Labels, config: ScoreGuidedConfig) -> dict[str, NDArray[Any]]:
    """What the rebuild needs, from the labels of the training faces: `align.rebuild.shapes_of`."""
    return shapes_of(labels.points, config.rebuild, (config.atoms, config.sparsity), config.nearest, config.least)


NETWORKS: Mapping[str, Network] = {
    "maps": Network(
        PRESETS,
        ScoreGuided,
        parts,
        loss,
        "Yan, Wang, Wang, Song and Tao, Score-Guided Face Alignment Network Under Occlusions",
        ScoreGuidedLosses,
        arrays,
    )
}
"""The networks that are trained separately, by their first stage."""
