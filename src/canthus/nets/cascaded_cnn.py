"""cascaded_cnn [Mahpod et al., "Facial Landmark Point Localization using Coarse-to-Fine Deep Recurrent ...", 2018].

A cascade of heatmap units beside a cascade of regression units. A1..C6 are the rows of the paper's tables 2 to 4. Where
the tables, the text and the equations of the paper disagree, `docs/systems/cascaded_cnn.md` explains the choice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm
from canthus.nets.decode import Spread, expectation, reliability
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Network
from canthus.nets.part import Part
from canthus.nets.trunk import Trunk
from canthus.nets.wide import halving, wide

STRIDE = 4
"""Crop pixels per cell of the heatmaps."""
FLOOR = 1e-3
"""Height below which cells of an L2 heatmap are all taken as equally low."""


@dataclass(frozen=True, slots=True)
class CascadedCnnConfig:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        points: Number of landmarks P.
        size: Side of the crop S in pixels, a multiple of 16.
        depth: Number of units K in each cascade.
        base: Base networks: "plain" = A1..A6 of table 2, "trunk" = the trunk of the default network.
        early: Channels of A1..A6.
        late: Channels of A8..A11.
        features: Channels of the feature maps F1 (for the regression units) and F2 (for the heatmap units): A7.
        heatmap: Channels of B1..B3.
        regression: Channels of C1..C5.
        factored: Whether filters wider than 3 are factored into k x 1 and 1 x k.
        dropout: Probability that a value of A11 is dropped in training.
        maps: Kind of heatmaps: "l2" = heights of Gaussians, "softmax" = logits.
        gamma: Power to which L2 heights are raised before their centroid is computed.
        additive: Whether heatmap units predict a correction of the maps before them, and the last layers of both kinds
            of units are zero before training, so that an untrained cascade gives what its base gives.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 256
    depth: int = 4
    base: Literal["plain", "trunk"] = "plain"
    early: tuple[int, int, int, int, int, int] = (64, 64, 64, 128, 128, 128)
    late: tuple[int, int, int, int] = (128, 128, 256, 256)
    features: tuple[int, int] = (128, 68)
    heatmap: tuple[int, int, int] = (64, 64, 128)
    regression: tuple[int, int, int, int, int] = (64, 128, 256, 512, 1024)
    factored: bool = False
    dropout: float = 0.5
    maps: Literal["l2", "softmax"] = "l2"
    gamma: float = 4.0
    additive: bool = False
    near: float = 0.025
    margin: float = 1.3


PRESETS: Mapping[str, CascadedCnnConfig] = {
    "full": CascadedCnnConfig(),
    "compact": CascadedCnnConfig(
        size=96,
        base="trunk",
        features=(24, 16),
        heatmap=(16, 24, 48),
        regression=(16, 32, 64, 64, 128),
        factored=True,
        maps="softmax",
        additive=True,
    ),
    "ablation": CascadedCnnConfig(
        size=64,
        early=(8, 8, 16, 24, 32, 32),
        late=(24, 24, 48, 48),
        features=(16, 16),
        heatmap=(16, 16, 32),
        regression=(8, 16, 32, 64, 128),
        factored=True,
        dropout=0.0,
    ),
}


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        heatmaps: H_0..H_K, each (N, P, S/4, S/4).
        decoded: The points that are decoded from H_1..H_K; crop pixels, each (N, P, 2).
        points_by_depth: These points refined by eq. 1, from detached decoded points; crop pixels, each (N, P, 2).
        points: The last of `points_by_depth`.
        log_spread: Log of b over the crop side. Shape (N, P).
    """

    heatmaps: tuple[Tensor, ...]
    decoded: tuple[Tensor, ...]
    points_by_depth: tuple[Tensor, ...]
    points: Tensor
    log_spread: Tensor


class PlainBase(nn.Module):
    """A1..A7 of table 2: 3x3 convolutions and two max pools."""

    def __init__(self, config: CascadedCnnConfig, channels: int) -> None:
        """Build a base whose feature map has `channels`."""
        super().__init__()
        a1, a2, a3, a4, a5, a6 = config.early
        self.layers = nn.Sequential(
            ConvNorm(3, a1), ConvNorm(a1, a2), nn.MaxPool2d(2),
            ConvNorm(a2, a3), ConvNorm(a3, a4), nn.MaxPool2d(2),
            ConvNorm(a4, a5), ConvNorm(a5, a6),
        )  # fmt: skip
        self.project = ConvNorm(a6, channels, 1, activate=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) -> F (N, channels, S/4, S/4), and the input of the head: F again."""
        features = self.project(self.layers(crops))
        return features, features


class TrunkBase(nn.Module):
    """The trunk of the default network with a 1x1 convolution in place of A7."""

    def __init__(self, config: CascadedCnnConfig, channels: int) -> None:
        """Build a base whose feature map has `channels`."""
        super().__init__()
        self.trunk = Trunk()
        self.project = ConvNorm(64, channels, 1, activate=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) -> F (N, channels, S/4, S/4), and the input of the head (N, 64, S/4, S/4)."""
        features, _ = self.trunk(crops)
        return self.project(features), features


BASES: Mapping[str, Callable[[CascadedCnnConfig, int], nn.Module]] = {"plain": PlainBase, "trunk": TrunkBase}
"""Base networks by name."""


def head(config: CascadedCnnConfig) -> nn.Sequential:
    """F2 -> H_0: A8..A12 of table 2, or the head of the default network."""
    if config.base == "trunk":
        return nn.Sequential(ConvNorm(64, 64, 1), nn.Conv2d(64, config.points, 1))
    c8, c9, c10, c11 = config.late
    return nn.Sequential(
        wide(config.features[1], c8, 9, config.factored),
        wide(c8, c9, 9, config.factored),
        ConvNorm(c9, c10, 1),
        ConvNorm(c10, c11, 1),
        nn.Dropout(config.dropout),
        nn.Conv2d(c11, config.points, 1),
    )


class HeatmapUnit(nn.Module):
    """Table 3: 7x7 and 13x13 filters relate distant landmarks."""

    def __init__(self, config: CascadedCnnConfig) -> None:
        super().__init__()
        b1, b2, b3 = config.heatmap
        self.layers = nn.Sequential(
            wide(config.features[1] + config.points, b1, 7, config.factored),
            wide(b1, b2, 13, config.factored),
            ConvNorm(b2, b3, 1),
        )
        self.out = nn.Conv2d(b3, config.points, 1)
        if config.additive:
            _zero(self.out)

    def forward(self, x: Tensor) -> Tensor:
        """F2 + H_{k-1} (N, F2 + P, H, W) -> (N, P, H, W)."""
        maps: Tensor = self.out(self.layers(x))
        return maps


class RegressionUnit(nn.Module):
    """Table 4: a feature that is passed on (C1..C3), and a refinement from it and the feature before it (C4..C6)."""

    def __init__(self, config: CascadedCnnConfig) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = config.regression
        inside = sum(config.features) + 2 * config.points
        self.features = nn.Sequential(
            halving(inside, c1, 7, config.factored),
            halving(c1, c2, 5, config.factored),
            halving(c2, c3, 3, config.factored),
        )
        self.refine = nn.Sequential(halving(2 * c3, c4, 3, False), halving(c4, c5, 3, False))
        left = -(-config.size // (STRIDE * 32))  # cells per side after five halvings
        self.out = nn.Conv2d(c5, 2 * config.points, left)
        if config.additive:
            _zero(self.out)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 2 (N, F1 + F2 + 2 P, H, W), E_{k-1} (N, c3, H/8, W/8) -> E_k, and the refinement in cells (N, P, 2)."""
        feature = self.features(x)
        refined = self.out(self.refine(torch.cat([feature, before], 1)))
        return feature, refined.flatten(1).unflatten(1, (-1, 2)).float()


class State(NamedTuple):
    """What is passed from unit to unit.

    Attributes:
        regression_features: F1. Shape (N, F1, S/4, S/4).
        heatmap_features: F2. Shape (N, F2, S/4, S/4).
        first: H_0. Shape (N, P, S/4, S/4).
        heatmaps: H_k. Shape (N, P, S/4, S/4).
        feature: E_k. Shape (N, c3, S/32, S/32).
    """

    regression_features: Tensor
    heatmap_features: Tensor
    first: Tensor
    heatmaps: Tensor
    feature: Tensor


class CascadedCnn(nn.Module):
    """Two bases, K heatmap units and K regression units, none of which share weights."""

    def __init__(self, config: CascadedCnnConfig) -> None:
        super().__init__()
        self.config = config
        self.regression_base, self.heatmap_base = (BASES[config.base](config, count) for count in config.features)
        self.maps = head(config)
        self.heatmap_units = nn.ModuleList(HeatmapUnit(config) for _ in range(config.depth))
        self.regression_units = nn.ModuleList(RegressionUnit(config) for _ in range(config.depth))
        self.spread = Spread(config.points)

    def start(self, crops: Tensor) -> State:
        """Crops (N, 3, S, S) -> the input of the first units; E_0 is zero."""
        regression_features, _ = self.regression_base(crops)
        heatmap_features, seen = self.heatmap_base(crops)
        first = self.maps(seen)
        grid = -(-first.shape[-1] // 8)
        feature = regression_features.new_zeros(crops.shape[0], self.config.regression[2], grid, grid)
        return State(regression_features, heatmap_features, first, first, feature)

    def step(self, index: int, state: State) -> tuple[State, Tensor, Tensor, Tensor]:
        """Run heatmap and regression unit `index`.

        The loss of the regression trains the regression units and the base of F1; F2 and the heatmaps are trained by
        the loss of the heatmaps alone (section 3.1), hence the detached inputs.

        Returns:
            The state after them; the decoded points and the refined ones, crop pixels (N, P, 2); the variance of the
            heatmaps in square pixels (N, P).
        """
        maps = self.heatmap_units[index](torch.cat([state.heatmap_features, self.heights(state.heatmaps)], 1))
        if self.config.additive:
            maps = state.heatmaps.float() + maps  # a sum of many in half precision would lose the small corrections
        decoded, variance = expectation(self.logits(maps), STRIDE)
        fixed = (state.heatmap_features, self.heights(maps), self.heights(state.first))
        x = torch.cat([state.regression_features, *(part.detach() for part in fixed)], 1)
        feature, refinement = self.regression_units[index](x, state.feature)
        points = decoded.detach() + STRIDE * refinement
        return state._replace(heatmaps=maps, feature=feature), decoded, points, variance

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        state = self.start(crops)
        heatmaps, decoded, points = [state.heatmaps], [], []
        variance = crops.new_zeros(crops.shape[0], self.config.points)
        for index in range(self.config.depth):
            state, found, refined, variance = self.step(index, state)
            heatmaps.append(state.heatmaps)
            decoded.append(found)
            points.append(refined)
        return Prediction(
            tuple(heatmaps), tuple(decoded), tuple(points), points[-1], self.spread(variance, crops.shape[-1])
        )

    def heights(self, maps: Tensor) -> Tensor:
        """Heatmaps as inputs of the units: not negative, about 1 at the landmark."""
        if self.config.maps == "softmax":
            return torch.exp(maps - maps.amax((2, 3), keepdim=True))
        return functional.relu(maps)  # A12-ReLU, B4-ReLU

    def logits(self, maps: Tensor) -> Tensor:
        """Heatmaps as inputs of `expectation`."""
        if self.config.maps == "softmax":
            return maps
        return self.config.gamma * torch.log(maps.float().clamp(min=FLOOR))


def _zero(layer: nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class DeployedBase(nn.Module):
    """The bases and the head as they are exported."""

    def __init__(self, net: CascadedCnn) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (N, S, S, 3) uint8 RGB -> the fields of `State`."""
        state = self.net.start(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        return tuple(state._replace(heatmaps=state.first.clone()))


class DeployedUnit(nn.Module):
    """One heatmap unit and its regression unit as they are exported."""

    def __init__(self, net: CascadedCnn, index: int, calibration: float) -> None:
        """Wrap the units `index`; `calibration` is added to log b."""
        super().__init__()
        self.net, self.index, self.calibration = net, index, calibration

    def forward(
        self, regression_features: Tensor, heatmap_features: Tensor, first: Tensor, heatmaps: Tensor, feature: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The fields of `State` -> H_k, E_k, points (N, P, 2) in crop pixels, scores (N, P)."""
        config = self.net.config
        state = State(regression_features, heatmap_features, first, heatmaps, feature)
        after, _, points, variance = self.net.step(self.index, state)
        log_spread = self.net.spread(variance, STRIDE * after.heatmaps.shape[-1])
        scores = reliability(log_spread + self.calibration, config.near / config.margin)
        return after.heatmaps, after.feature, points, scores


def parts(net: CascadedCnn, calibration: float = 0.0) -> tuple[Part, ...]:
    """The base, then one network for each depth, so that a system that stops early skips the rest."""
    shared = ("regression_features", "heatmap_features", "first")

    def unit(k: int) -> Part:
        inputs = (*shared, f"heatmaps{k - 1}", f"feature{k - 1}")
        return Part(
            f"unit{k}",
            DeployedUnit(net, k - 1, calibration),
            inputs,
            (f"heatmaps{k}", f"feature{k}", "points", "scores"),
            f"unit{k}",
        )

    base = Part("base", DeployedBase(net), ("crops",), (*shared, "heatmaps0", "feature0"), "unit1")
    return (base, *(unit(k) for k in range(1, net.config.depth + 1)))


def loss(prediction: Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """Losses of the heatmaps and refined points of every unit (figure 3), and of the decoded points."""
    heats = [heatmap_term(maps, target, losses) for maps in prediction.heatmaps]
    refined = [point_term(points, target, losses) for points in prediction.points_by_depth]
    decoded = [point_term(points, target, losses) for points in prediction.decoded]
    return {
        "point": losses.point * torch.stack(refined).mean(0),
        "decoded": losses.decoded * torch.stack(decoded).mean(0),
        "heat": losses.heat * torch.stack(heats).mean(0),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
    }


NETWORKS: Mapping[str, Network] = {
    "unit1": Network(
        PRESETS,
        CascadedCnn,
        parts,
        loss,
        "Mahpod et al., Facial Landmark Point Localization using Coarse-to-Fine Deep Recurrent Neural Network, 2018",
    )
}
"""The networks that are trained separately, by their first stage: one for all units."""
