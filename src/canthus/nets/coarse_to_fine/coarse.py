"""coarse_to_fine, section 3.1: all points from the upright face; a student beside a teacher (figure 4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses, pooled
from canthus.nets.compact import Compact, CompactConfig
from canthus.nets.decode import reliability
from canthus.nets.losses import POINT, Losses, Target, heatmap_term, point_term, pose_loss, spread_term
from canthus.nets.part import Part
from canthus.nets.resnet import Basic


@dataclass(frozen=True, slots=True)
class CoarseConfig:
    """Sizes of the coarse network; the defaults have the paper's 500 million multiply-adds.

    Attributes:
        points: Number of landmarks P.
        size: Side of the crop S in pixels, a multiple of 32.
        base: "blocks" = the paper's: blocks, then coordinates; "trunk" = the default network, with integral heatmaps.
        block: Blocks of that base: "channelwise" = 1x1, 3x3 channel-wise, 1x1 with a skip (figure 3); "dense" = two 3x3
            with a skip.
        stem: Channels at strides 2 and 4.
        widths: Channels at stride 8 and after each further halving; two for a trunk.
        depths: Number of blocks there.
        hidden: Features before the coordinates; of a trunk the channels of its maps.
        teacher: Whether a second network of the same form is trained beside it, from which it learns (figure 4).
        near: Largest error of a point that is near its truth (`decode.py`), over the longer side of the box.
        margin: Crop margin: side of the crop over the longer side of the box.
    """

    points: int = 68
    size: int = 160
    base: Literal["blocks", "trunk"] = "blocks"
    block: Literal["channelwise", "dense"] = "channelwise"
    stem: tuple[int, int] = (32, 128)
    widths: tuple[int, ...] = (256, 512, 512)
    depths: tuple[int, ...] = (3, 3, 1)
    hidden: int = 256
    teacher: bool = True
    near: float = 0.025
    margin: float = 1.3


_TRUNK = CoarseConfig(size=96, base="trunk", stem=(16, 48), widths=(64, 128), depths=(2, 2), hidden=64, teacher=False)
COARSE: Mapping[str, CoarseConfig] = {
    "full": CoarseConfig(),
    "compact": _TRUNK,
    "channelwise": CoarseConfig(
        size=96, stem=(16, 48), widths=(160, 320, 320), depths=(3, 2, 1), hidden=128, teacher=False
    ),
    "ablation": CoarseConfig(size=96, block="dense", stem=(8, 16), widths=(24, 48, 64), depths=(1, 1, 1), hidden=64),
}


class Prediction(NamedTuple):
    """What a coarse network predicts, for the loss.

    Attributes:
        heatmaps: Logits of a trunk's maps; none of blocks. Each (N, P, H, W).
        points: Crop pixels. Shape (N, P, 2).
        log_spread: Log of b over the crop side. Shape (N, P).
        pose: Yaw, pitch, roll over 90 degrees. Shape (N, 3).
        teacher: What the teacher predicts; None in use and without one.
    """

    heatmaps: tuple[Tensor, ...]
    points: Tensor
    log_spread: Tensor
    pose: Tensor
    teacher: "Prediction | None" = None


class Channelwise(nn.Module):
    """Figure 3: 1x1, 3x3 of each channel alone, 1x1, added to the skip. (N, in, H, W) -> (N, out, H/s, W/s)."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        alone = nn.Conv2d(outside, outside, 3, stride, 1, groups=outside, bias=False)
        last = ConvNorm(outside, outside, 1, activate=False)
        nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]
        self.inner = nn.Sequential(
            ConvNorm(inside, outside, 1), nn.Sequential(alone, nn.BatchNorm2d(outside), nn.ReLU(inplace=True)), last
        )
        same = inside == outside and stride == 1
        self.skip: nn.Module = nn.Identity() if same else ConvNorm(inside, outside, 1, stride, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inside, H, W) -> (N, outside, H / stride, W / stride)."""
        return functional.relu(self.skip(x) + self.inner(x), inplace=True)


class Blocks(nn.Module):
    """The paper's network: blocks, then two fully connected layers that give the coordinates."""

    def __init__(self, config: CoarseConfig) -> None:
        super().__init__()
        self.config = config
        block = Channelwise if config.block == "channelwise" else Basic
        (c2, c4), layers = config.stem, []
        inside = c4
        for width, depth in zip(config.widths, config.depths, strict=True):
            layers += [block(inside, width, 2), *(block(width, width) for _ in range(depth - 1))]
            inside = width
        self.stem = nn.Sequential(ConvNorm(3, c2, stride=2), ConvNorm(c2, c4, stride=2))
        self.layers = nn.Sequential(*layers)
        self.side = config.size // 2 ** (2 + len(config.widths))
        self.hidden = nn.Conv2d(inside, config.hidden, self.side)  # of all places: fully connected
        self.points = nn.Linear(config.hidden, 2 * config.points)
        self.spread = nn.Linear(config.hidden, config.points)
        self.pose = nn.Linear(config.hidden, 3)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        side = crops.shape[-1]
        features = pooled(self.layers(self.stem(crops)), self.side)
        hidden = functional.relu(self.hidden(features)).flatten(1)
        places = self.points(hidden).float().reshape(-1, self.config.points, 2)
        points = (side - 1) / 2 + side / self.config.margin * places
        spread = self.spread(hidden.detach()).float() - 4
        return Prediction((), points, spread, self.pose(hidden).float())


class Maps(nn.Module):
    """The default network (`nets/compact.py`)."""

    def __init__(self, config: CoarseConfig) -> None:
        super().__init__()
        (c8, c16), (d8, d16) = config.widths, config.depths
        sizes = CompactConfig(config.points, config.size, config.stem, (c8, c16), (d8, d16), config.hidden)
        self.net = Compact(sizes)

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        heatmaps, points, log_spread, pose = self.net(crops)
        return Prediction((heatmaps,), points, log_spread, pose)


class Coarse(nn.Module):
    """The student, and in training the teacher beside it: figure 4."""

    def __init__(self, config: CoarseConfig) -> None:
        super().__init__()
        self.config = config
        one = Blocks if config.base == "blocks" else Maps
        self.student = one(config)
        self.teacher = one(config) if config.teacher else None

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        found: Prediction = self.student(crops)
        if self.teacher is None or not self.training:
            return found
        return found._replace(teacher=self.teacher(crops))


class DeployedCoarse(nn.Module):
    """The student as it is exported."""

    def __init__(self, net: Coarse, calibration: float = 0.0) -> None:
        """Wrap a network; `calibration` is added to its log b."""
        super().__init__()
        self.net, self.config, self.calibration = net.student, net.config, calibration

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB -> points (N, P, 2) in crop pixels, scores (N, P), pose (N, 3) in degrees."""
        found = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        scores = reliability(found.log_spread + self.calibration, self.config.near / self.config.margin)
        return found.points, scores, found.pose * 90


def coarse_loss(prediction: Prediction, target: Target, losses: CoarseToFineLosses) -> dict[str, Tensor]:
    """Student and teacher to truth, and student to teacher without a gradient to the teacher (figure 4)."""
    terms = _to_truth(prediction, target, losses)
    teacher = prediction.teacher
    if teacher is None:
        return terms
    taught = POINT[losses.point_form](
        prediction.points, teacher.points.detach(), target.inside, losses.beta * target.size
    )
    theirs = _to_truth(teacher, target, losses)
    return {name: value + theirs[name] for name, value in terms.items()} | {"taught": losses.taught * taught}


def _to_truth(prediction: Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    terms = {
        "point": losses.point * point_term(prediction.points, target, losses),
        "spread": losses.spread * spread_term(prediction.points, prediction.log_spread, target),
        "pose": losses.pose * pose_loss(prediction.pose, target.pose),
    }
    if prediction.heatmaps:
        heats = [heatmap_term(maps, target, losses) for maps in prediction.heatmaps]
        terms["heat"] = losses.heat * torch.stack(heats).mean(0)
    return terms


def coarse_parts(net: Coarse, calibration: float = 0.0) -> tuple[Part, ...]:
    """The one part of the coarse network: the student."""
    return (Part("coarse", DeployedCoarse(net, calibration), ("crops",), ("points", "scores", "pose"), "coarse"),)
