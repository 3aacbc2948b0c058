"""Losses that networks for detection share, each a pure function of tensors."""

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(logits: Tensor, truth: Tensor, alpha: float, gamma: float) -> Tensor:
    """Focal loss of each logit [Lin et al., "Focal Loss for Dense Object Detection", 2017, eq. 5].

    Args:
        logits: Any shape.
        truth: 1 for positives, 0 for negatives, in the same shape.
        alpha: Weight of positives; negatives have 1 - alpha.
        gamma: Focusing parameter: how strongly easy examples are weighed down; 0 = cross entropy.

    Returns:
        Loss of each element, in the same shape.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    wrong = torch.where(truth > 0.5, 1 - logits.sigmoid(), logits.sigmoid())
    return torch.where(truth > 0.5, alpha, 1 - alpha) * wrong**gamma * entropy


def overlap_loss(boxes: Tensor, truth: Tensor) -> Tensor:
    """1 - generalised intersection over union [Rezatofighi et al., 2019].

    Args:
        boxes: x0 y0 x1 y1. Shape (M, 4).
        truth: Shape (M, 4).

    Returns:
        Loss of each pair of boxes, 0..2. Shape (M,).
    """
    shared = (
        (torch.minimum(boxes[:, 2:], truth[:, 2:]) - torch.maximum(boxes[:, :2], truth[:, :2])).clamp(min=0).prod(1)
    )
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - shared
    hull = (torch.maximum(boxes[:, 2:], truth[:, 2:]) - torch.minimum(boxes[:, :2], truth[:, :2])).prod(1)
    return 1 - shared / union + (hull - union) / hull
