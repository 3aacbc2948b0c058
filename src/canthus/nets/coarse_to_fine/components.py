"""coarse_to_fine, section 3.2: a network for each component of the face, which sees a crop of its own.

Crops come in the order of `View.around`: all of the first face, then all of the second one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from canthus.align.coarse_to_fine import components_of, groups_of, unit_groups
from canthus.nets.blocks import ConvNorm
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses, pooled
from canthus.nets.decode import Spread, expectation, reliability
from canthus.nets.losses import Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Several
from canthus.nets.part import Part
from canthus.nets.trunk import Trunk
from canthus.schemes.scheme import Scheme

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ComponentConfig:
    """Sizes of the networks of components; the defaults have about the paper's 100 million multiply-adds each.

    Attributes:
        points: Number of landmarks P of the whole face.
        scheme: Name of their scheme, which tells the components.
        size: Side of the crop S in pixels, a multiple of 16.
        base: "vgg" = the paper's: plain convolutions, then coordinates; "trunk" = a small copy of the default network,
            with integral heatmaps.
        widths: Channels at full size and after each pooling; of a trunk at strides 2, 4, 8 and 16.
        depths: Number of 3x3 convolutions there; of a trunk the number of residual blocks at strides 8 and 16.
        stride: Stride of the first convolution of "vgg".
        hidden: Features before the coordinates; of a trunk the channels of its maps.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the face's box.
        margin: Crop margin: side of the crop over the longer side of the box of the component.
    """

    points: int = 68
    scheme: str = "68"
    size: int = 64
    base: Literal["vgg", "trunk"] = "vgg"
    widths: tuple[int, ...] = (16, 52, 100, 128)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    stride: int = 1
    hidden: int = 256
    near: float = 0.025
    margin: float = 1.5


COMPONENTS: Mapping[str, ComponentConfig] = {
    "full": ComponentConfig(),
    "compact": ComponentConfig(widths=(16, 32, 64, 64), depths=(2, 2, 2, 1), stride=2, hidden=128),
    "maps": ComponentConfig(base="trunk", widths=(16, 32, 48, 96), depths=(1, 1), hidden=48),
    "ablation": ComponentConfig(widths=(8, 16, 32, 48), depths=(1, 1, 1, 1), stride=2, hidden=64),
}


class ComponentPrediction(NamedTuple):
    """What the networks of components predict, for the loss.

    Attributes:
        heatmaps: Logits of the points of the component of a crop, 0 for others; none of "vgg". Each (N, P, H, W).
        points: Crop pixels; NaN for points of other components than that of the crop. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
        own: Whether a point belongs to the component of the crop. Shape (N, P).
    """

    heatmaps: tuple[Tensor, ...]
    points: Tensor
    log_spread: Tensor
    own: Tensor


class Found(NamedTuple):
    """What a network finds in crops of its component.

    Attributes:
        places: From the middle of the crop, in component sides; of "vgg" from the mean shape. Shape (N, C, 2).
        log_spread: Log of b over the crop side. Shape (N, C).
        heatmaps: Logits; none of "vgg". Each (N, C, H, W).
    """

    places: Tensor
    log_spread: Tensor
    heatmaps: tuple[Tensor, ...] = ()


class Vgg(nn.Module):
    """Plain 3x3 convolutions with pooling, then two fully connected layers: points and the spread of their errors."""

    def __init__(self, config: ComponentConfig, points: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inside = 3
        for place, (width, depth) in enumerate(zip(config.widths, config.depths, strict=True)):
            layers += [nn.MaxPool2d(2)] if place else []
            layers.append(ConvNorm(inside, width, stride=1 if place else config.stride))
            layers += [ConvNorm(width, width) for _ in range(depth - 1)]
            inside = width
        self.layers = nn.Sequential(*layers)
        self.side = config.size // (config.stride * 2 ** (len(config.widths) - 1))
        self.count = points
        self.hidden = nn.Conv2d(inside, config.hidden, self.side)  # of all places: fully connected
        self.points = nn.Linear(config.hidden, 2 * points)
        self.spread = nn.Linear(config.hidden, points)
        for layer in (self.points, self.spread):
            nn.init.zeros_(layer.weight)

    def forward(self, crops: Tensor) -> Found:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        features = pooled(self.layers(crops), self.side)
        hidden = functional.relu(self.hidden(features)).flatten(1)
        return Found(self.points(hidden).float().reshape(-1, self.count, 2), self.spread(hidden.detach()).float() - 4)


class Maps(nn.Module):
    """A trunk (`nets/trunk.py`) and integral heatmaps at stride 4."""

    def __init__(self, config: ComponentConfig, points: int) -> None:
        super().__init__()
        self.margin, width = config.margin, config.hidden
        self.trunk = Trunk(config.widths[:2], config.widths[2:], config.depths, width)
        self.maps = nn.Sequential(ConvNorm(width, width, 1), nn.Conv2d(width, points, 1))
        self.spread = Spread(points)

    def forward(self, crops: Tensor) -> Found:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        heatmaps, side = self.maps(self.trunk(crops)[0]), crops.shape[-1]
        points, variance = expectation(heatmaps, side // heatmaps.shape[-1])
        return Found((points - (side - 1) / 2) * self.margin / side, self.spread(variance, side), (heatmaps,))


class Components(nn.Module):
    """A network for each component of the face."""

    mean: Tensor
    share: Tensor

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__()
        self.config = config
        self.groups = groups_of(components_of(config.scheme))
        one = Vgg if config.base == "vgg" else Maps
        self.nets = nn.ModuleList(one(config, len(group)) for group in self.groups)
        inner = sum(len(group) for group in self.groups)
        self.register_buffer("mean", torch.zeros(inner, 2))
        self.register_buffer("share", torch.ones(inner))

    def found(self, crops: Tensor) -> tuple[Tensor, list[Found]]:
        """Crops (N, G, 3, S, S) -> points (N, I, 2) in their crops, component after component; what each net finds."""
        found = [net(crops[:, number]) for number, net in enumerate(self.nets)]
        places, side = torch.cat([one.places for one in found], 1), crops.shape[-1]
        if self.config.base == "vgg":
            places = self.mean + places
        return (side - 1) / 2 + side / self.config.margin * places, found

    def forward(self, crops: Tensor) -> ComponentPrediction:
        """Crops (N * G, 3, S, S), values in -.5 .. .5."""
        count = len(self.groups)
        places, found = self.found(crops.reshape(-1, count, *crops.shape[1:]))
        shape = (len(places), count, self.config.points)
        points = places.new_full((*shape, 2), torch.nan)
        log_spread, own = places.new_zeros(shape), torch.zeros(shape, dtype=torch.bool, device=crops.device)
        maps = [one.new_zeros(*shape, *one.shape[2:]) for one in found[0].heatmaps]
        first = 0
        for number, (group, one) in enumerate(zip(self.groups, found, strict=True)):
            points[:, number, group] = places[:, first : (first := first + len(group))]
            log_spread[:, number, group], own[:, number, group] = one.log_spread, True
            for whole, part in zip(maps, one.heatmaps, strict=True):
                whole[:, number, group] = part
        heatmaps = tuple(whole.flatten(0, 1) for whole in maps)
        return ComponentPrediction(heatmaps, points.flatten(0, 1), log_spread.flatten(0, 1), own.flatten(0, 1))


class DeployedComponents(nn.Module):
    """The networks of components as they are exported, in one graph."""

    def __init__(self, net: Components, calibration: float = 0.0) -> None:
        """Wrap the networks; `calibration` is added to their log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (N, S, S, 3 G) uint8 -> points (N, I, 2) in the crop of their component, scores (N, I)."""
        config = self.net.config
        side = crops.shape[1]
        each = (crops.permute(0, 3, 1, 2).float() / 255 - 0.5).reshape(-1, len(self.net.groups), 3, side, side)
        points, found = self.net.found(each)
        spread = torch.cat([one.log_spread for one in found], 1)
        return points, reliability(spread + self.calibration, config.near / config.margin / self.net.share)


def component_parts(net: Components, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one part of the networks of components."""
    return (Part("components", DeployedComponents(net, calibration), ("crops",), ("inner", "scores"), "components"),)


def component_crops(scheme: str) -> Several:
    """A crop for each component; a mirrored crop shows the component of the other side."""
    component, mirror = components_of(scheme), Scheme.open(scheme).mirror
    return Several(np.array([component[mirror[group[0]]] for group in groups_of(component)]))


def fill_components(net: Components, arrays: Arrays) -> None:
    """Write the mean shapes of the components, and their sizes against the face, into new networks."""
    means, sides = unit_groups(arrays["mean"], net.groups)
    lengths = torch.tensor([len(group) for group in net.groups])
    net.mean.copy_(torch.from_numpy(np.concatenate(means)))
    net.share.copy_(torch.from_numpy(sides).repeat_interleave(lengths))


def component_loss(prediction: ComponentPrediction, target: Target, losses: CoarseToFineLosses) -> dict[str, Tensor]:
    """Losses of the points, and of the heatmaps, of the component that each crop shows."""
    own = target._replace(inside=target.inside * prediction.own)
    points = torch.where(prediction.own[..., None], prediction.points, target.points)
    terms = {
        "point": losses.point * point_term(points, own, losses),
        "spread": losses.spread * spread_term(points, prediction.log_spread, own),
    }
    if prediction.heatmaps:
        terms["heat"] = losses.heat * heatmap_term(prediction.heatmaps[0], own, losses)
    return terms
