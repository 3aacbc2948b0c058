"""The losses of the heatmap networks, each a pure function of tensors that gives one number a sample."""

import torch
from torch import Tensor
from torch.nn import functional


def point_loss(predicted: Tensor, truth: Tensor, inside: Tensor, scale: float) -> Tensor:
    """Smooth L1 in units of `scale`: quadratic below it, linear above.

    Args:
        predicted: Shape (N, P, 2), pixels.
        truth: Shape (N, P, 2), pixels.
        inside: 1 where the point counts. Shape (N, P).
        scale: Pixels.

    Returns:
        Mean over the points that count. Shape (N,).
    """
    error = functional.smooth_l1_loss(predicted / scale, truth / scale, reduction="none").sum(-1)
    return (error * inside).sum(1) / inside.sum(1).clamp(min=1)


def heat_loss(heatmaps: Tensor, truth: Tensor, inside: Tensor, stride: int, sigma: float) -> Tensor:
    """Cross entropy between the softmax of a heatmap and a Gaussian around the truth.

    Args:
        heatmaps: Logits. Shape (N, P, H, W).
        truth: Shape (N, P, 2), pixels of the crop.
        inside: 1 where the point counts. Shape (N, P).
        stride: Crop pixels a cell.
        sigma: Standard deviation in cells.

    Returns:
        Mean over the points that count. Shape (N,).
    """
    height, width = heatmaps.shape[-2:]
    cell = (truth - (stride - 1) / 2) / stride  # (N, P, 2)
    xs = torch.arange(width, device=truth.device, dtype=torch.float32)
    ys = torch.arange(height, device=truth.device, dtype=torch.float32)
    across = (-((xs - cell[..., :1]) ** 2) / (2 * sigma**2)).softmax(-1)  # (N, P, W)
    down = (-((ys - cell[..., 1:]) ** 2) / (2 * sigma**2)).softmax(-1)  # (N, P, H)
    logits = heatmaps.float()
    agreement = ((logits @ across[..., None])[..., 0] * down).sum(-1)  # (N, P)
    entropy = logits.flatten(2).logsumexp(-1) - agreement
    return (entropy * inside).sum(1) / inside.sum(1).clamp(min=1)


def spread_loss(log_spread: Tensor, distance: Tensor, inside: Tensor) -> Tensor:
    """Negative log likelihood of errors under exp(-r / b) / (2 pi b^2), up to a constant.

    Args:
        log_spread: Log of b over the crop side. Shape (N, P).
        distance: Error r over the crop side; no gradient goes through it. Shape (N, P).
        inside: 1 where the point counts. Shape (N, P).

    Returns:
        Mean over the points that count. Shape (N,).
    """
    likelihood = distance.detach() * torch.exp(-log_spread) + 2 * log_spread
    return (likelihood * inside).sum(1) / inside.sum(1).clamp(min=1)


def pose_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Smooth L1 (turning at .1) of angles over 90 degrees, those that are NaN left out. (N, 3), (N, 3) -> (N,)."""
    known = ~truth.isnan()
    error = functional.smooth_l1_loss(
        predicted, torch.where(known, truth, predicted.detach()), beta=0.1, reduction="none"
    )
    return (error * known).sum(1)
