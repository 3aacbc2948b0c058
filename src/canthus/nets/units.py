"""Sizes of cascaded_cnn and the modules that it is made of: wide filters, bases, head and units.

A1..C6 are the rows of tables 2 to 4 of the paper (`cascaded_cnn.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.errors import RecipeError
from canthus.nets.blocks import ConvNorm
from canthus.nets.decode import Reading
from canthus.nets.trunk import Trunk, wide_trunk


@dataclass(frozen=True, slots=True)
class CascadedCnnConfig:
    """Sizes of the network; the defaults are the paper's.

    Attributes:
        points: Number of landmarks P.
        size: Side of the crop S in pixels, a multiple of 16.
        depth: Number of units K in each cascade; 0 needs `base_points`.
        base: Base networks: "plain" = A1..A6 of table 2, "trunk" = the trunk of the default network, "wide" = that of
            the wide network.
        regression_base: Base of the regression units: "same" as `base`, or "plain" beside a trunk.
        early: Channels of A1..A6, of which there may be more or fewer.
        pools: Numbers of those convolutions after which the maps are halved: the stride of the maps is 4 after two
            pools, 2 after one. The trunk has its own stride, 4.
        late: Channels of A8..A11.
        sides: Sides of the filters of A8 and A9, and of B1 and B2, in cells.
        dilation: Cells between neighbouring weights of A8 and A9: what makes the base far-sighted at the same cost.
        features: Channels of the feature maps F1 (for the regression units) and F2 (for the heatmap units): A7.
        heatmap: Channels of B1..B3.
        regression: Channels of C1..C5.
        refined: Whether there are regression units, and a base for them; otherwise the points are those of the maps.
        base_points: Whether the points of H_0 are a stage of their own, "unit0", before those of the units.
        factored: Whether filters wider than 3 are factored into k x 1 and 1 x k.
        dropout: Probability that a value of A11 is dropped in training.
        maps: Kind of heatmaps: "l2" = heights of Gaussians, "softmax" = logits.
        read: How points are read from maps (`decode.py`); the paper takes the highest cell, "argmax".
        gamma: Power to which L2 heights are raised before their centroid is computed.
        additive: Whether heatmap units predict a correction of the maps before them, and the last layers of both kinds
            of units are zero before training, so that an untrained cascade gives what its base gives.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 256
    depth: int = 4
    base: Literal["plain", "trunk", "wide"] = "plain"
    regression_base: Literal["same", "plain"] = "same"
    early: tuple[int, ...] = (64, 64, 64, 128, 128, 128)
    pools: tuple[int, ...] = (2, 4)
    late: tuple[int, int, int, int] = (128, 128, 256, 256)
    sides: tuple[int, int, int, int] = (9, 9, 7, 13)
    dilation: int = 1
    features: tuple[int, int] = (128, 68)
    heatmap: tuple[int, int, int] = (64, 64, 128)
    regression: tuple[int, int, int, int, int] = (64, 128, 256, 512, 1024)
    refined: bool = True
    base_points: bool = False
    factored: bool = False
    dropout: float = 0.5
    maps: Literal["l2", "softmax"] = "l2"
    read: Reading = "expectation"
    gamma: float = 4.0
    additive: bool = False
    near: float = 0.025
    margin: float = 1.3

    def __post_init__(self) -> None:
        """Refuse a network without a stage, or with two bases whose maps differ in size.

        Raises:
            RecipeError: there are neither units nor `base_points`; a plain base beside a trunk has not two pools.
        """
        if not self.depth and not self.base_points:
            raise RecipeError("config of cascaded_cnn: depth 0 has no points; set base_points")
        if self.regression_base == "plain" and 2 ** len(self.pools) != self.stride:
            raise RecipeError(f"config of cascaded_cnn: a trunk has stride 4, so set two pools, not {len(self.pools)}")

    @property
    def stride(self) -> int:
        """Crop pixels per cell of the heatmaps."""
        return 4 if self.base != "plain" else 2 ** len(self.pools)

    @property
    def views(self) -> tuple[float, ...]:
        """Field of view of a cell of H_0..H_K over the crop side, for plain bases: figure 11 in numbers."""
        seen, cell = 1, 1
        for number in range(1, len(self.early) + 1):
            seen += 2 * cell
            if number in self.pools:
                seen, cell = seen + cell, 2 * cell
        a8, a9, b1, b2 = ((side - 1) * cell for side in self.sides)
        seen += self.dilation * (a8 + a9)
        return tuple((seen + k * (b1 + b2)) / self.size for k in range(self.depth + 1))


_SCALED = CascadedCnnConfig(
    size=128,
    early=(16, 32, 32, 32),
    pools=(1,),
    late=(32, 32, 64, 64),
    features=(32, 32),
    heatmap=(16, 16, 32),
    regression=(16, 32, 64, 128, 256),
    base_points=True,
    read="argmax",
)
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
    "wide": CascadedCnnConfig(
        size=128,
        depth=2,
        base="wide",
        regression_base="plain",
        early=(16, 32, 32, 48, 64, 64),
        pools=(1, 2),
        features=(24, 16),
        heatmap=(24, 24, 48),
        regression=(16, 32, 64, 64, 128),
        base_points=True,
        factored=True,
        maps="softmax",
        additive=True,
    ),
    "scaled": _SCALED,
    "scaled_coarse": replace(
        _SCALED, early=(8, 16, 32, 32, 32, 32), pools=(2, 4), sides=(3, 3, 3, 7), dropout=0.0, factored=True
    ),
}
"""Configs by name; "scaled" and "scaled_coarse" see the shares of the crop that "full" sees (`views`)."""


class PlainBase(nn.Module):
    """A1..A7 of table 2: 3x3 convolutions and max pools."""

    def __init__(self, config: CascadedCnnConfig, channels: int) -> None:
        """Build a base whose feature map has `channels`."""
        super().__init__()
        self.layers = nn.Sequential()
        for number, (inside, outside) in enumerate(pairwise((3, *config.early)), 1):
            self.layers.append(ConvNorm(inside, outside))
            if number in config.pools:
                self.layers.append(nn.MaxPool2d(2))
        self.project = ConvNorm(config.early[-1], channels, 1, activate=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) -> F (N, channels, S/s, S/s), and the input of the head: F again."""
        features = self.project(self.layers(crops))
        return features, features


class TrunkBase(nn.Module):
    """The trunk of the default or of the wide network with a 1x1 convolution in place of A7."""

    def __init__(self, config: CascadedCnnConfig, channels: int) -> None:
        """Build a base whose feature map has `channels`."""
        super().__init__()
        self.trunk = wide_trunk() if config.base == "wide" else Trunk()
        self.project = ConvNorm(TRUNK_FEATURES[config.base], channels, 1, activate=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) -> F (N, channels, S/s, S/s), and the input of the head (N, 64 or 128, S/s, S/s)."""
        features, _ = self.trunk(crops)
        return self.project(features), features


BASES: Mapping[str, Callable[[CascadedCnnConfig, int], nn.Module]] = {
    "plain": PlainBase,
    "trunk": TrunkBase,
    "wide": TrunkBase,
}
"""Base networks by name."""
TRUNK_FEATURES = {"trunk": 64, "wide": 128}
"""Channels of the features of the trunks."""


def head(config: CascadedCnnConfig) -> nn.Sequential:
    """F2 -> H_0: A8..A12 of table 2, or the head of the network whose trunk is the base."""
    if config.base != "plain":
        count = TRUNK_FEATURES[config.base]
        return nn.Sequential(ConvNorm(count, count, 1), nn.Conv2d(count, config.points, 1))
    c8, c9, c10, c11 = config.late
    a8, a9, *_ = config.sides
    return nn.Sequential(
        wide(config.features[1], c8, a8, config.factored, config.dilation),
        wide(c8, c9, a9, config.factored, config.dilation),
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
        *_, first, second = config.sides
        self.layers = nn.Sequential(
            wide(config.features[1] + config.points, b1, first, config.factored),
            wide(b1, b2, second, config.factored),
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
        left = -(-config.size // (config.stride * 32))  # cells per side after five halvings
        self.out = nn.Conv2d(c5, 2 * config.points, left)
        if config.additive:
            _zero(self.out)

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 2 (N, F1 + F2 + 2 P, H, W), E_{k-1} (N, c3, H/8, W/8) -> E_k, and the refinement in cells (N, P, 2)."""
        feature = self.features(x)
        refined = self.out(self.refine(torch.cat([feature, before], 1)))
        return feature, refined.flatten(1).unflatten(1, (-1, 2)).float()


def _zero(layer: nn.Conv2d) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def wide(inside: int, outside: int, kernel: int, factored: bool, dilation: int = 1) -> nn.Sequential:
    """A wide convolution, or two thin ones with the same receptive field. (N, inside, H, W) -> (N, outside, H, W)."""
    half = kernel // 2 * dilation

    def layer(source: int, shape: tuple[int, int], padding: tuple[int, int]) -> nn.Sequential:
        convolution = nn.Conv2d(source, outside, shape, padding=padding, dilation=dilation, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(outside), nn.ReLU(inplace=True))

    if not factored:
        return layer(inside, (kernel, kernel), (half, half))
    return nn.Sequential(layer(inside, (kernel, 1), (half, 0)), layer(outside, (1, kernel), (0, half)))


class Strided(nn.Sequential):
    """Convolution and batch norm; a length n becomes ceil(n / stride). At the paper's sizes the pads are table 4's."""

    def __init__(self, inside: int, outside: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        super().__init__(nn.Conv2d(inside, outside, kernel, stride, bias=False), nn.BatchNorm2d(outside))
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, ceil(H / stride), ceil(W / stride))."""
        down, across = (
            max((-(-length // stride) - 1) * stride + kernel - length, 0)
            for length, kernel, stride in zip(x.shape[-2:], self.kernel, self.stride, strict=True)
        )
        padded = functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
        made: Tensor = self[1](self[0](padded))
        return made


def halving(inside: int, outside: int, kernel: int, factored: bool) -> nn.Sequential:
    """A convolution of stride 2, and a 2x2 max pool of stride 1. (N, inside, n, n) -> (N, outside, n/2, n/2)."""
    if factored and kernel > 3:
        thin = [Strided(inside, outside, (kernel, 1), (2, 1)), Strided(outside, outside, (1, kernel), (1, 2))]
        return nn.Sequential(*thin, Highest())
    return nn.Sequential(Strided(inside, outside, (kernel, kernel), (2, 2)), Highest())


class Highest(nn.Module):
    """Max pool of 2x2 cells at stride 1; the padding of one cell is above and to the left. Shapes are kept."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return functional.max_pool2d(x, 2, 1, 1)[..., :-1, :-1]
