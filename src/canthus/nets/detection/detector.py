"""The face detector: single-shot and anchor-free, on strides 8, 16 and 32.

Each cell of a stride predicts whether the centre of a face lies near it and, if so, the face's box, five points and
in-plane rotation [Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", 2019; Zhou, Wang and
Kraehenbuehl, "Objects as Points", 2019]. The body has the dense 3x3 residual blocks of `trunk.py`; on the way back to
finer strides, features are only added. Each stride has its own head: the batch norms of a shared one would be trained
on the statistics of one stride at a time, but run with the mean over all strides.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm, Residual
from canthus.nets.detection.cells import STRIDES, Assigned, assign, cells
from canthus.nets.detection.losses import focal_loss, overlap_loss
from canthus.nets.network import DetectionNetwork
from canthus.nets.part import Part
from canthus.nets.settings import Number, Strict
from canthus.nets.trunk import double

CHANNELS = 17
"""Channels of a map: score, four sides of the box, five points, sine and cosine of the roll."""
FIRST_SCORE = 0.01
"""Score of every cell before training [Lin et al., "Focal Loss for Dense Object Detection", 2017]."""


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Sizes of the network; the default has 147 M multiply-adds at 320x320.

    Attributes:
        stem: Channels at strides 2 and 4.
        widths: Channels at strides 8, 16 and 32.
        depths: Numbers of residual blocks at strides 8, 16 and 32.
        head: Channels of the heads.
    """

    stem: tuple[int, int] = (8, 16)
    widths: tuple[int, int, int] = (32, 64, 128)
    depths: tuple[int, int, int] = (1, 1, 1)
    head: int = 32


PRESETS: Mapping[str, DetectorConfig] = {"compact": DetectorConfig()}


class Detector(nn.Module):
    """The network: pictures to a map of predictions for each stride."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        (c2, c4), (c8, c16, c32) = config.stem, config.widths
        self.stem = nn.Sequential(ConvNorm(3, c2, stride=2), ConvNorm(c2, c4, stride=2))
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNorm(inside, width, stride=2), *(Residual(width) for _ in range(depth)))
            for inside, width, depth in zip((c4, c8, c16), (c8, c16, c32), config.depths, strict=True)
        )
        self.sides = nn.ModuleList(ConvNorm(width, config.head, 1, activate=False) for width in (c8, c16, c32))
        self.heads = nn.ModuleList(
            nn.Sequential(nn.ReLU(), ConvNorm(config.head, config.head), _answers(config.head)) for _ in STRIDES
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, 3, H, W) in -.5 .. .5, sides multiples of 32 -> for each stride s (N, 17, H/s, W/s)."""
        x = self.stem(pictures)
        features = []
        for stage, side in zip(self.stages, self.sides, strict=True):
            x = stage(x)
            features.append(side(x))  # (N, head, H/s, W/s)
        for fine in (1, 0):
            features[fine] = features[fine] + double(features[fine + 1])
        return tuple(head(feature) for head, feature in zip(self.heads, features, strict=True))


def _answers(width: int) -> nn.Conv2d:
    """The last layer of a head; before training it predicts no face anywhere, and boxes with sides of four strides."""
    last = nn.Conv2d(width, CHANNELS, 1)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    nn.init.constant_(last.bias[:1], math.log(FIRST_SCORE / (1 - FIRST_SCORE)))
    nn.init.constant_(last.bias[1:5], math.log(2.0))
    return last


class Found(NamedTuple):
    """The predictions of every cell, for the loss.

    Attributes:
        score: Logit that the cell lies near the centre of a face. Shape (N, C).
        box: x0 y0 x1 y1 in pixels. Shape (N, C, 4).
        points: The five points in pixels. Shape (N, C, 5, 2).
        turn: Sine and cosine of the roll, not normalised. Shape (N, C, 2).
    """

    score: Tensor
    box: Tensor
    points: Tensor
    turn: Tensor


def decode(maps: tuple[Tensor, ...]) -> Found:
    """The predictions of all cells in pixels; `detect/own.py` decodes the confident ones alone."""
    height, width = (side * STRIDES[0] for side in maps[0].shape[2:])
    centre, stride = cells(height, width, maps[0].device)
    flat = torch.cat([one.flatten(2) for one in maps], 2).transpose(1, 2).float()  # (N, C, 17)
    sides = stride[:, None] * flat[..., 1:5].clamp(max=6).exp()  # left, top, right, bottom
    points = flat[..., 5:15].reshape(*flat.shape[:2], 5, 2) * stride[:, None, None] + centre[:, None]
    box = torch.cat([centre - sides[..., :2], centre + sides[..., 2:]], 2)
    return Found(flat[..., 0], box, points, flat[..., 15:])


class Deployed(nn.Module):
    """The network as it is exported; the runtime decodes the maps where scores are high."""

    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Pictures (N, H, W, 3) uint8 RGB, sides multiples of 32 -> maps of strides 8, 16 and 32."""
        maps: tuple[Tensor, ...] = self.net(pictures.permute(0, 3, 1, 2).float() / 255 - 0.5)
        return maps


def parts(net: Detector) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("detector", Deployed(net), ("pictures",), tuple(f"maps{stride}" for stride in STRIDES)),)


class DetectorLosses(Strict):
    """Weights and scales of the losses of the detector.

    Attributes:
        score: Weight of the focal loss on scores.
        box: Weight of the overlap loss on boxes.
        point: Weight of the smooth L1 loss on points, in units of `beta`.
        beta: Unit of the point loss, and the distance at which it turns linear, over the longer side of the box.
        turn: Weight of the smooth L1 loss on sine and cosine of the roll.
        alpha: Weight of positives in the focal loss; negatives have 1 - alpha.
        gamma: Focusing parameter of the focal loss: how strongly easy cells are weighed down.
    """

    score: Number = Field(1.0, ge=0)
    box: Number = Field(1.0, ge=0)
    point: Number = Field(0.25, ge=0)
    beta: Number = Field(0.05, gt=0)
    turn: Number = Field(0.5, ge=0)
    alpha: Number = Field(0.25, gt=0, lt=1)
    gamma: Number = Field(2.0, ge=0)


def loss_of_cells(found: Found, batch: Mapping[str, Tensor], losses: DetectorLosses) -> dict[str, Tensor]:
    """Weighted losses of a batch by name, each summed over cells and divided by the number of positive cells.

    Args:
        found: Predictions of all cells.
        batch: `pictures` (N, H, W, 3), `boxes` (N, K, 4) and `points` (N, K, 5, 2) in pixels, `rolls` (N, K) in
            degrees; a NaN among the boxes = no face, elsewhere = not known.
        losses: Weights and scales.
    """
    height, width = batch["pictures"].shape[1:3]
    centre, stride = cells(height, width, found.score.device)
    assigned = assign(centre, stride, batch["boxes"])
    count = assigned.positive.sum().clamp(min=1)
    focal = focal_loss(found.score, assigned.positive.float(), losses.alpha, losses.gamma)
    row, cell = assigned.positive.nonzero(as_tuple=True)
    boxes, points, rolls = (_of(batch[name], assigned, row, cell) for name in ("boxes", "points", "rolls"))
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1)[:, None, None]
    position = _known_mean(found.points[row, cell] / side, points / side, losses.beta)
    angle = torch.deg2rad(rolls)
    turn = 2 * _known_mean(found.turn[row, cell], torch.stack([angle.sin(), angle.cos()], 1), 0.1)
    return {
        "score": losses.score * (focal * assigned.counted).sum() / count,
        "box": losses.box * overlap_loss(found.box[row, cell], boxes).sum() / count,
        "point": losses.point * position.sum() / losses.beta / count,
        "turn": losses.turn * turn.sum() / count,
    }


def _known_mean(found: Tensor, truth: Tensor, beta: float) -> Tensor:
    """Smooth L1 loss of each row (M, ...), mean over the values that are known; NaN = not known. Shape (M,)."""
    known = truth.isfinite()
    error = functional.smooth_l1_loss(found, torch.where(known, truth, found.detach()), beta=beta, reduction="none")
    return error.flatten(1).sum(1) / known.flatten(1).sum(1).clamp(min=1)


def _of(truth: Tensor, assigned: Assigned, row: Tensor, cell: Tensor) -> Tensor:
    """The truth (N, K, ...) of the face that each positive cell predicts. Shape (M, ...)."""
    return truth[row, assigned.face[row, cell]]


def loss(maps: tuple[Tensor, ...], batch: Mapping[str, Tensor], losses: DetectorLosses) -> dict[str, Tensor]:
    """Weighted losses of the maps of a batch, as `loss_of_cells`."""
    return loss_of_cells(decode(maps), batch, losses)


NETWORK = DetectionNetwork(
    PRESETS,
    Detector,
    parts,
    loss,
    "anchor-free: Tian et al., FCOS, 2019; the network is canthus's own",
    open_size=True,
)
"""How the detector is made, trained and exported."""
