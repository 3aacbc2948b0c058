"""cascaded_cnn [Mahpod et al., "Facial Landmark Point Localization using Coarse-to-Fine Deep Recurrent ...", 2018].

A cascade of heatmap units beside a cascade of regression units. A1..C6 are the rows of the paper's tables 2 to 4. Where
the tables, the text and the equations of the paper disagree, `docs/systems/cascaded_cnn.md` explains the choice.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.decode import Spread, read, reliability
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Network
from canthus.nets.part import Part
from canthus.nets.units import BASES, PRESETS, CascadedCnnConfig, HeatmapUnit, RegressionUnit, head

FLOOR = 1e-3
"""Height below which cells of an L2 heatmap are all taken as equally low."""


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        heatmaps: H_0..H_K, each (N, P, S/s, S/s).
        decoded: The points that are decoded from H_1..H_K, with `base_points` also from H_0; crop pixels, each
            (N, P, 2).
        points_by_depth: The points of each stage: these, refined by eq. 1 from detached decoded points where there are
            regression units; crop pixels, each (N, P, 2).
        points: The last of `points_by_depth`.
        log_spread: Log of b over the crop side. Shape (N, P).
    """

    heatmaps: tuple[Tensor, ...]
    decoded: tuple[Tensor, ...]
    points_by_depth: tuple[Tensor, ...]
    points: Tensor
    log_spread: Tensor


class State(NamedTuple):
    """What is passed from unit to unit.

    Attributes:
        regression_features: F1. Shape (N, F1, S/s, S/s).
        heatmap_features: F2. Shape (N, F2, S/s, S/s).
        first: H_0. Shape (N, P, S/s, S/s).
        heatmaps: H_k. Shape (N, P, S/s, S/s).
        feature: E_k. Shape (N, c3, S/8s, S/8s).

    Without regression units F1 and E_k are empty, (N, 0).
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
        first, second = config.features
        kind = config.base if config.regression_base == "same" else config.regression_base
        self.regression_base = BASES[kind](config, first) if config.refined else None
        self.heatmap_base = BASES[config.base](config, second)
        self.maps = head(config)
        self.heatmap_units = nn.ModuleList(HeatmapUnit(config) for _ in range(config.depth))
        self.regression_units = nn.ModuleList(
            RegressionUnit(config) for _ in range(config.depth if config.refined else 0)
        )
        self.spread = Spread(config.points)

    def start(self, crops: Tensor) -> State:
        """Crops (N, 3, S, S) -> the input of the first units; E_0 is zero."""
        heatmap_features, seen = self.heatmap_base(crops)
        first = self.maps(seen)
        if self.regression_base is None:
            nothing = crops.new_zeros(crops.shape[0], 0)
            return State(nothing, heatmap_features, first, first, nothing)
        regression_features, _ = self.regression_base(crops)
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
        decoded, variance = self.read(maps)
        if not self.config.refined:
            return state._replace(heatmaps=maps), decoded, decoded, variance
        fixed = (state.heatmap_features, self.heights(maps), self.heights(state.first))
        x = torch.cat([state.regression_features, *(part.detach() for part in fixed)], 1)
        feature, refinement = self.regression_units[index](x, state.feature)
        points = decoded.detach() + self.config.stride * refinement
        return state._replace(heatmaps=maps, feature=feature), decoded, points, variance

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        state = self.start(crops)
        heatmaps, decoded, points = [state.heatmaps], [], []
        if self.config.base_points:
            found, variance = self.read(state.first)
            decoded.append(found)
            points.append(found.detach() if self.config.refined else found)
        for index in range(self.config.depth):
            state, found, refined, variance = self.step(index, state)
            heatmaps.append(state.heatmaps)
            decoded.append(found)
            points.append(refined)
        return Prediction(
            tuple(heatmaps), tuple(decoded), tuple(points), points[-1], self.spread(variance, crops.shape[-1])
        )

    def read(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Heatmaps (N, P, H, W) -> points in crop pixels (N, P, 2), variance in square pixels (N, P)."""
        return read(self.logits(maps), self.config.stride, self.config.read)

    def scores(self, variance: Tensor, calibration: float) -> Tensor:
        """Reliabilities of points from the variance of their heatmaps. (N, P) -> (N, P)."""
        log_spread = self.spread(variance, self.config.size) + calibration
        return reliability(log_spread, self.config.near / self.config.margin)

    def heights(self, maps: Tensor) -> Tensor:
        """Heatmaps as inputs of the units: not negative, about 1 at the landmark."""
        if self.config.maps == "softmax":
            return torch.exp(maps - maps.amax((2, 3), keepdim=True))
        return functional.relu(maps)  # A12-ReLU, B4-ReLU

    def logits(self, maps: Tensor) -> Tensor:
        """Heatmaps as inputs of `decode.read`."""
        if self.config.maps == "softmax":
            return maps
        return self.config.gamma * torch.log(maps.float().clamp(min=FLOOR))


class DeployedBase(nn.Module):
    """The bases and the head as they are exported."""

    def __init__(self, net: CascadedCnn, calibration: float) -> None:
        """Wrap the bases; `calibration` is added to log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Crops (N, S, S, 3) uint8 RGB -> what the units take; with `base_points` also points (N, P, 2), scores."""
        config = self.net.config
        state = self.net.start(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        maps = state.first.clone()
        passed = tuple(state._replace(heatmaps=maps)) if config.refined else (state.heatmap_features, maps)
        if not config.base_points:
            return passed
        points, variance = self.net.read(state.first)
        return (*passed, points, self.net.scores(variance, self.calibration))


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
        state = State(regression_features, heatmap_features, first, heatmaps, feature)
        after, _, points, variance = self.net.step(self.index, state)
        return after.heatmaps, after.feature, points, self.net.scores(variance, self.calibration)


class DeployedHeatmapUnit(DeployedUnit):
    """One heatmap unit without a regression unit as it is exported."""

    def forward(self, heatmap_features: Tensor, heatmaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """F2, H_{k-1} -> H_k, points (N, P, 2) in crop pixels, scores (N, P)."""
        nothing = heatmaps.new_zeros(heatmaps.shape[0], 0)
        state = State(nothing, heatmap_features, heatmaps, heatmaps, nothing)
        after, _, points, variance = self.net.step(self.index, state)
        return after.heatmaps, points, self.net.scores(variance, self.calibration)


def parts(net: CascadedCnn, calibration: float = 0.0) -> tuple[Part, ...]:
    """The base, then one network for each depth, so that a system that stops early skips the rest."""
    config, found = net.config, ("points", "scores")
    shared = ("regression_features", "heatmap_features", "first") if config.refined else ("heatmap_features",)
    kind = DeployedUnit if config.refined else DeployedHeatmapUnit

    def passed(k: int) -> tuple[str, ...]:
        return (f"heatmaps{k}", f"feature{k}") if config.refined else (f"heatmaps{k}",)

    def unit(k: int) -> Part:
        module = kind(net, k - 1, calibration)
        return Part(f"unit{k}", module, (*shared, *passed(k - 1)), (*passed(k), *found), f"unit{k}")

    outputs = (*shared, *passed(0), *(found if config.base_points else ()))
    base = Part("base", DeployedBase(net, calibration), ("crops",), outputs, "unit0" if config.base_points else "unit1")
    return (base, *(unit(k) for k in range(1, config.depth + 1)))


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
