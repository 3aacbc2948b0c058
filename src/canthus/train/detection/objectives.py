"""The losses of the detector and of the face score, each one number for a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from canthus.nets.detector import Found, cells
from canthus.nets.face_score import Prediction
from canthus.train.detection.recipe import DetectorLosses, FaceScoreLosses
from canthus.train.detection.targets import Assigned, assign


def focal_loss(logits: Tensor, truth: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of each logit [Lin et al., "Focal Loss for Dense Object Detection", 2017, eq. 5].

    Args:
        logits: Any shape.
        truth: 0 or 1, of the same shape.
        alpha: Weight of what is 1; what is 0 has 1 - alpha.
        gamma: How much what is easy counts less.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = torch.where(truth > 0.5, 1 - logits.sigmoid(), logits.sigmoid())
    return torch.where(truth > 0.5, alpha, 1 - alpha) * wrong**gamma * entropy


def overlap_loss(boxes: Tensor, truth: Tensor) -> Tensor:
    """1 - generalised intersection over union [Rezatofighi et al., 2019]. (M, 4), (M, 4) -> (M,), 0..2."""
    shared = (
        (torch.minimum(boxes[:, 2:], truth[:, 2:]) - torch.maximum(boxes[:, :2], truth[:, :2])).clamp(min=0).prod(1)
    )
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - shared
    hull = (torch.maximum(boxes[:, 2:], truth[:, 2:]) - torch.minimum(boxes[:, :2], truth[:, :2])).prod(1)
    return 1 - shared / union + (hull - union) / hull


def detector(found: Found, batch: Mapping[str, Tensor], losses: DetectorLosses) -> dict[str, Tensor]:
    """The weighted losses of a batch of `loader.SceneBatches`, over the number of cells that answer for faces."""
    height, width = batch["pictures"].shape[1:3]
    centre, stride = cells(height, width, found.score.device)
    assigned = assign(centre, stride, batch["boxes"])
    count = assigned.positive.sum().clamp(min=1)
    focal = focal_loss(found.score, assigned.positive.float(), losses.alpha, losses.gamma)
    row, cell = assigned.positive.nonzero(as_tuple=True)
    boxes, points, rolls = (_of(batch[name], assigned, row, cell) for name in ("boxes", "points", "rolls"))
    side = (boxes[:, 2:] - boxes[:, :2]).amax(1)[:, None, None]
    place = functional.smooth_l1_loss(
        found.points[row, cell] / side, points / side, beta=losses.beta, reduction="none"
    ).mean((1, 2))
    angle = torch.deg2rad(rolls)
    turn = functional.smooth_l1_loss(
        found.turn[row, cell], torch.stack([angle.sin(), angle.cos()], 1), beta=0.1, reduction="none"
    ).sum(1)
    return {
        "score": losses.score * (focal * assigned.counted).sum() / count,
        "box": losses.box * overlap_loss(found.box[row, cell], boxes).sum() / count,
        "point": losses.point * place.sum() / losses.beta / count,
        "turn": losses.turn * turn.sum() / count,
    }


def _of(truth: Tensor, assigned: Assigned, row: Tensor, cell: Tensor) -> Tensor:
    """Of each positive cell the truth (N, K, ...) of its face."""
    return truth[row, assigned.face[row, cell]]


def face_score(found: Prediction, batch: Mapping[str, Tensor], losses: FaceScoreLosses) -> dict[str, Tensor]:
    """The weighted losses of a batch of `score_loader.CropBatches`; both kinds of crops weigh the same."""
    face = batch["face"]
    entropy = functional.binary_cross_entropy_with_logits(found.score, face, reduction="none")
    weight = torch.where(face > 0.5, 0.5 / face.sum().clamp(min=1), 0.5 / (1 - face).sum().clamp(min=1))
    known = face > 0.5
    count = known.sum().clamp(min=1)

    def near(predicted: Tensor, truth: Tensor) -> Tensor:
        error = functional.smooth_l1_loss(predicted[known], truth[known], beta=0.05, reduction="none")
        return error.flatten(1).mean(1).sum() / 0.1 / count

    return {
        "score": losses.score * (weight * entropy).sum(),
        "box": losses.box * near(found.box, batch["box"]),
        "point": losses.point * near(found.points, batch["points"]),
    }
