"""The face score, the third stage of detection: from a 48x48 crop to a score, a better box and five points.

The size and the three outputs are those of the O-Net of [Zhang et al., "Joint Face Detection and Alignment Using
Multitask Cascaded Convolutional Networks", 2016], whose score multi_view and score_guided judge a face by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm, Residual
from canthus.nets.network import DetectionNetwork
from canthus.nets.part import Part
from canthus.nets.settings import Number, Strict


@dataclass(frozen=True, slots=True)
class FaceScoreConfig:
    """Sizes of the network.

    Attributes:
        size: Side of the crop in pixels, a multiple of 16.
        margin: Crop margin: side of the crop over the longer side of the box.
        widths: Channels at strides 2, 4, 8 and 16.
        head: Units of the layer before the outputs.
    """

    size: int = 48
    margin: float = 1.2
    widths: tuple[int, int, int, int] = (24, 48, 96, 128)
    head: int = 96


PRESETS: Mapping[str, FaceScoreConfig] = {"compact": FaceScoreConfig()}


class Prediction(NamedTuple):
    """What the network predicts, for the loss.

    Attributes:
        score: Logit that the crop is cut around a face. Shape (N,).
        box: Box of the face's landmarks, x0 y0 x1 y1, from the centre of the crop in sides of the crop. Shape (N, 4).
        points: The five points in the same units. Shape (N, 5, 2).
    """

    score: Tensor
    box: Tensor
    points: Tensor


class FaceScore(nn.Module):
    """The network: a crop to a score, a better box and five points."""

    def __init__(self, config: FaceScoreConfig) -> None:
        super().__init__()
        self.config = config
        c2, c4, c8, c16 = config.widths
        self.body = nn.Sequential(
            ConvNorm(3, c2, stride=2),
            ConvNorm(c2, c4, stride=2),
            ConvNorm(c4, c8, stride=2),
            Residual(c8),
            ConvNorm(c8, c16, stride=2),
            nn.Flatten(),
        )
        cells = (config.size // 16) ** 2
        self.head = nn.Sequential(nn.Linear(c16 * cells, config.head), nn.ReLU(), nn.Linear(config.head, 15))

    def forward(self, crops: Tensor) -> Prediction:
        """Crops (N, 3, S, S), values in -.5 .. .5."""
        out = self.head(self.body(crops)).float()
        half = torch.tensor([-0.5, -0.5, 0.5, 0.5], device=out.device) / self.config.margin
        return Prediction(out[:, 0], out[:, 1:5] + half, out[:, 5:].reshape(-1, 5, 2))


class Deployed(nn.Module):
    """The network as it is exported."""

    def __init__(self, net: FaceScore) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crops (N, S, S, 3) uint8 RGB -> scores (N,), boxes (N, 4) and points (N, 5, 2) in crop pixels."""
        size = self.net.config.size
        found = self.net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
        middle = (size - 1) / 2
        return found.score.sigmoid(), found.box * size + middle, found.points * size + middle


def parts(net: FaceScore) -> tuple[Part, ...]:
    """The one network that is exported."""
    return (Part("face_score", Deployed(net), ("crops",), ("scores", "boxes", "points")),)


class FaceScoreLosses(Strict):
    """Weights of the losses of the face score.

    Attributes:
        score: Weight of the cross entropy of the score.
        box: Weight of the smooth L1 loss on boxes, in units of a tenth of the crop; crops around faces alone.
        point: Weight of the smooth L1 loss on points, likewise.
    """

    score: Number = Field(1.0, ge=0)
    box: Number = Field(0.5, ge=0)
    point: Number = Field(0.5, ge=0)


def loss(prediction: Prediction, batch: Mapping[str, Tensor], losses: FaceScoreLosses) -> dict[str, Tensor]:
    """Weighted losses of a batch by name; in the cross entropy faces and negatives have half the weight each.

    Args:
        prediction: What the network predicts.
        batch: `face` (N,), 1 for crops around a face, 0 for others; `box` (N, 4) and `points` (N, 5, 2) from the centre
            of the crop in sides of the crop, NaN = no face.
        losses: Weights.
    """
    face = batch["face"]
    entropy = functional.binary_cross_entropy_with_logits(prediction.score, face, reduction="none")
    weight = torch.where(face > 0.5, 0.5 / face.sum().clamp(min=1), 0.5 / (1 - face).sum().clamp(min=1))
    known = face > 0.5
    count = known.sum().clamp(min=1)

    def distance(predicted: Tensor, truth: Tensor) -> Tensor:
        aim = torch.where(truth.isfinite(), truth, predicted.detach())
        error = functional.smooth_l1_loss(predicted[known], aim[known], beta=0.05, reduction="none")
        return error.flatten(1).mean(1).sum() / 0.1 / count

    return {
        "score": losses.score * (weight * entropy).sum(),
        "box": losses.box * distance(prediction.box, batch["box"]),
        "point": losses.point * distance(prediction.points, batch["points"]),
    }


NETWORK = DetectionNetwork(
    PRESETS,
    FaceScore,
    parts,
    loss,
    "third stage of Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded CNNs, 2016; "
    "the network is canthus's own",
)
"""How the face score is made, trained and exported."""
