"""local_global [Xiong, Li and Sun, "Combining Local and Global Features for 3D Face Tracking", 2017].

Stacked hourglasses give heatmaps through attention (local); from the heatmaps of all stages and the picture, a
regressor gives the points (global). Choices that the paper leaves open are explained in `docs/systems/local_global.md`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.errors import ShapeError
from canthus.nets.attention import HEADS, Head
from canthus.nets.blocks import Activation, Bottleneck, ConvNorm
from canthus.nets.decode import Reading, Spread, read, reliability
from canthus.nets.hourglass import Hourglass, Stack, Stage, Upsampling
from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Network
from canthus.nets.part import Part
from canthus.nets.resnet import ResNet18
from canthus.nets.trunk import Trunk, wide_trunk

FLOOR = 0.01
"""Height that lower heights of an L2 map are raised to before its points are decoded."""


@dataclass(frozen=True, slots=True)
class LocalGlobalConfig:
    """Sizes and switches of the network; the defaults are the paper's.

    Attributes:
        kind: "hourglass", or the paper's first baseline "resnet18", which uses the sizes and `width` alone.
        points: Number of landmarks P.
        size: Side of the crop S in pixels; S / stride is a multiple of 2 ** scales.
        stride: Crop pixels per cell of the heatmaps s: 4, or 2 without the pooling of the pre-processing. The trunk
            has 4.
        base: Source of the features: the pre-processing of the "paper", the "trunk" of the default
            network, or the "wide" one of the wide network, whose 128 channels a 1x1 convolution brings to `width`.
        stem: Channels of the first convolution and of the first residual of the pre-processing.
        width: Channels of the hourglasses.
        neck: Channels of the 3x3 convolution of a residual module, over those of the module.
        scales: Number of times that an hourglass halves its maps.
        stages: Number of hourglasses.
        upsampling: Upsampling in hourglasses: "nearest" or "deconvolution".
        activation: Activation of the residual modules: "post" or "pre" (identity mappings).
        after: Module after an hourglass: a "residual" module or a plain 1x1 "convolution".
        dropout: Probability that a channel is dropped after an hourglass.
        head: Module from features to heatmaps: "plain", "transform", "local" or "global_local" (modules 1 to 4).
        maps: Kind of heatmaps: "sigmoid" (logits) or "l2" (heights).
        read: How points are read from the maps of the last stage (`decode.py`).
        sharpen: Power to which heights are raised before their centroid is computed.
        finetune: Whether the regressor follows the hourglasses.
        regressor: Channels of the steps of the regressor, each of which ends with pooling.
        convolutions: Number of 3x3 convolutions in each step.
        hidden: Outputs of the first fully connected layer of the regressor.
        shrink: Factor by which heatmaps and picture are reduced before the regressor.
        residual_points: Whether the regressor predicts corrections of the heatmaps' points, which it then also sees, or
            the points themselves.
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    kind: Literal["hourglass", "resnet18"] = "hourglass"
    points: int = 68
    size: int = 256
    stride: Literal[2, 4] = 4
    base: Literal["paper", "trunk", "wide"] = "paper"
    stem: tuple[int, int] = (64, 128)
    width: int = 256
    neck: float = 0.5
    scales: int = 4
    stages: int = 4
    upsampling: Upsampling = "deconvolution"
    activation: Activation = "pre"
    after: Literal["residual", "convolution"] = "residual"
    dropout: float = 0.0
    head: Head = "global_local"
    maps: Literal["sigmoid", "l2"] = "sigmoid"
    read: Reading = "expectation"
    sharpen: float = 4.0
    finetune: bool = True
    regressor: tuple[int, ...] = (64, 128, 256, 512)
    convolutions: int = 2
    hidden: int = 1024
    shrink: int = 1
    residual_points: bool = False
    near: float = 0.025
    margin: float = 1.3


_SCALED = LocalGlobalConfig(
    size=128, stride=2, stem=(16, 32), width=64, regressor=(16, 32, 64, 128), hidden=256, read="argmax"
)
_SMALL = LocalGlobalConfig(
    size=64, stem=(16, 32), width=32, scales=2, stages=2, regressor=(32, 64), convolutions=1, hidden=128, shrink=2
)
PRESETS: Mapping[str, LocalGlobalConfig] = {
    "full": LocalGlobalConfig(),
    "compact": replace(_SMALL, size=96, base="trunk", width=64, neck=0.375, hidden=256, residual_points=True),
    "wide": LocalGlobalConfig(
        size=128,
        base="wide",
        width=64,
        neck=0.375,
        scales=3,
        stages=2,
        regressor=(16, 32, 64),
        hidden=128,
        residual_points=True,
    ),
    "ablation": _SMALL,
    "full_resnet18": LocalGlobalConfig(kind="resnet18", width=64),
    "ablation_resnet18": replace(_SMALL, kind="resnet18", width=16),
    "scaled": _SCALED,
    "scaled_coarse": replace(_SCALED, stride=4, width=32, scales=3, stages=2, regressor=(16, 32, 64), convolutions=1),
    "scaled_resnet18": LocalGlobalConfig(kind="resnet18", size=128, width=16),
}


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        heatmaps: Heatmaps of each stage, logits or heights (`maps`), each (N, P, S/s, S/s); () for ResNet-18.
        local: Points of the last stage's heatmaps, crop pixels; for ResNet-18 the same as `points`. Shape (N, P, 2).
        points: Crop pixels. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
    """

    heatmaps: tuple[Tensor, ...]
    local: Tensor
    points: Tensor
    log_spread: Tensor


class LocalGlobal(nn.Module):
    """The network: a crop to heatmaps, their points, and the points of the regressor."""

    def __init__(self, config: LocalGlobalConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk: nn.Module
        if config.base == "paper":
            self.trunk = Preprocess(config)
        else:
            self.trunk = wide_trunk() if config.base == "wide" else Trunk(head=config.width)
        self.project = ConvNorm(128, config.width, 1) if config.base == "wide" else nn.Identity()
        self.stack = Stack(*(self._stage(last=index + 1 == config.stages) for index in range(config.stages)))
        self.regressor = Regressor(config) if config.finetune else None
        self.spread = Spread(config.points)

    def _stage(self, last: bool) -> Stage:
        config, width = self.config, self.config.width

        def block(inside: int, outside: int) -> nn.Module:
            return Bottleneck(inside, outside, config.activation, config.neck)

        after = block(width, width) if config.after == "residual" else ConvNorm(width, width, 1)
        if config.dropout:
            after = nn.Sequential(after, nn.Dropout2d(config.dropout))
        head = HEADS[config.head](width, config.points, -4.0 if config.maps == "sigmoid" else 0.1)
        hourglass = Hourglass(width, config.scales, block, config.upsampling)
        return Stage(hourglass, after, head, width, 0 if last else config.points)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5.

        Raises:
            ShapeError: the crops of the regressor do not have the size in the config.
        """
        sigmoid = self.config.maps == "sigmoid"
        features = self.trunk(crops)
        features = features if self.config.base == "paper" else features[0]
        heatmaps = self.stack(self.project(features))  # of each stage (N, P, S/s, S/s)
        last = heatmaps[-1].float()
        logs = functional.logsigmoid(last) if sigmoid else last.clamp(min=FLOOR).log()
        local, variance = read(self.config.sharpen * logs, self.config.stride, self.config.read)  # (N, P, 2), (N, P)
        points = local
        if self.regressor is not None:
            heights = [maps.sigmoid() if sigmoid else maps for maps in heatmaps]
            points = self.regressor(crops, heights, local)  # (N, P, 2)
        return Prediction(heatmaps, local, points, self.spread(variance, crops.shape[-1]))


class Preprocess(nn.Sequential):
    """Section 3.1: 3x3 convolution with stride 2, residual, max pooling (at stride 4), two residuals. S -> S / s."""

    def __init__(self, config: LocalGlobalConfig) -> None:
        (c2, c4), kind = config.stem, config.activation
        super().__init__(
            ConvNorm(3, c2, stride=2),  # (N, c2, S/2, S/2)
            Bottleneck(c2, c4, kind),  # (N, c4, S/2, S/2)
            nn.MaxPool2d(2) if config.stride == 4 else nn.Identity(),  # (N, c4, S/s, S/s)
            Bottleneck(c4, c4, kind),  # (N, c4, S/s, S/s)
            Bottleneck(c4, config.width, kind),  # (N, width, S/s, S/s)
        )


class Regressor(nn.Module):
    """Section 3.3: heatmaps and picture through a small VGG and two fully connected layers to P points."""

    def __init__(self, config: LocalGlobalConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inside = config.stages * config.points + 3
        for channels in config.regressor:
            for _ in range(config.convolutions):
                layers.append(ConvNorm(inside, channels))
                inside = channels
            layers.append(nn.MaxPool2d(2))
        self.vgg = nn.Sequential(*layers)
        side = config.size // config.stride // config.shrink // 2 ** len(config.regressor)
        given = 2 * config.points if config.residual_points else 0
        self.hidden = nn.Linear(inside * side**2 + given, config.hidden)
        self.last = nn.Linear(config.hidden, 2 * config.points, bias=False)
        # the bias of the last layer, which learns the mean face; separate, so that it stays in full precision
        self.mean = nn.Parameter(torch.full((config.points, 2), 0.0 if config.residual_points else 0.5))
        if config.residual_points:
            nn.init.zeros_(self.last.weight)

    def forward(self, crops: Tensor, heights: list[Tensor], local: Tensor) -> Tensor:
        """Crops (N, 3, S, S), heights of each stage (N, P, S/s, S/s) and their points (N, P, 2) -> (N, P, 2)."""
        size = crops.shape[-1]
        if size != self.config.size:
            raise ShapeError(f"the regressor takes crops of {self.config.size} pixels, not {size}; set config.size")
        shrink = self.config.shrink
        if shrink > 1:
            heights = [functional.avg_pool2d(maps, shrink) for maps in heights]
        picture = functional.avg_pool2d(crops, self.config.stride * shrink).to(heights[0].dtype)
        seen = torch.cat([*heights, picture], 1)  # (N, stages * P + 3, S/s/shrink, S/s/shrink)
        flat = self.vgg(seen).flatten(1)
        if self.config.residual_points:
            flat = torch.cat([flat, (local / size - 0.5).flatten(1)], 1)
        found = self.last(functional.relu(self.hidden(flat)))  # (N, 2 * P)
        points: Tensor = (found.float().unflatten(1, (-1, 2)) + self.mean) * size
        if self.config.residual_points:
            points = local + points
        return points


class Baseline(nn.Module):
    """The first row of table 1: ResNet-18, which predicts the coordinates."""

    def __init__(self, config: LocalGlobalConfig) -> None:
        super().__init__()
        self.config = config
        self.body = ResNet18(config.width)
        self.last = nn.Linear(8 * config.width, 2 * config.points, bias=False)
        self.mean = nn.Parameter(torch.full((config.points, 2), 0.5))
        self.spread = nn.Linear(8 * config.width, config.points)
        nn.init.constant_(self.spread.bias, math.log(0.05))

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        whole = self.body(crops)  # (N, 8 * width)
        points = (self.last(whole).float().unflatten(1, (-1, 2)) + self.mean) * crops.shape[-1]  # (N, P, 2)
        return Prediction((), points, points, self.spread(whole).float())


def build(config: LocalGlobalConfig) -> LocalGlobal | Baseline:
    """The network of a config."""
    return Baseline(config) if config.kind == "resnet18" else LocalGlobal(config)


class Deployed(nn.Module):
    """The network as it is exported."""

    def __init__(self, net: LocalGlobal | Baseline, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.calibration = net, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB -> local and final points (N, P, 2) in crop pixels, scores (N, P)."""
        config = self.net.config
        found: Prediction = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(found.log_spread + self.calibration, config.near / config.margin)
        return found.local, found.points, scores


def parts(net: LocalGlobal | Baseline, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("landmarks", Deployed(net, calibration), ("crops",), ("local", "points", "scores"), "heatmaps"),)


def loss(prediction: Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """Losses of the heatmaps of every stage and of the regressor's points (figure 2), and of the heatmaps' points."""
    none = torch.zeros_like(target.points[:, 0, 0])
    heats = [losses.heat * heatmap_term(maps, target, losses) for maps in prediction.heatmaps]
    return {
        "point": losses.point * point_term(prediction.points, target, losses),
        "decoded": losses.decoded * point_term(prediction.local, target, losses),
        "heat": torch.stack(heats).mean(0) if heats else none,
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
    }


NETWORKS: Mapping[str, Network] = {
    "heatmaps": Network(
        PRESETS,
        build,
        parts,
        loss,
        "Xiong, Li and Sun, Combining Local and Global Features for 3D Face Tracking, 2017",
    )
}
"""The networks that are trained separately, by their first stage: one for heatmaps and regressor."""
