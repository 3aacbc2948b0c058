"""Losses of the networks of landmarks: pure functions of tensors that give one number for each sample."""

import math
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from canthus.nets.settings import Number, Strict


class Losses(Strict):
    """Weights and scales of the losses of a network of landmarks.

    Attributes:
        point: Weight of the loss of points, in units of `beta`.
        point_form: Form of the loss of points: "smooth" = smooth L1, "l2" = half the squared distance, as in the
            papers.
        beta: Unit of the point loss, and the distance at which smooth L1 turns linear, over the crop side.
        heat: Weight of the loss of heatmaps, mean over the stages that have some.
        heat_form: Form of the loss of heatmaps against a Gaussian: "softmax" = cross entropy of the whole map,
            "sigmoid" = cross entropy of each cell, "l2" = squared distance.
        sigma: Standard deviation of that Gaussian in cells.
        decoded: Weight of the loss of points that are decoded from heatmaps and refined later.
        spread: Weight of the negative log likelihood of the errors, which trains the reliabilities.
        pose: Weight of the loss of the head pose.
    """

    point: Number = Field(1.0, ge=0)
    point_form: Literal["smooth", "l2"] = "smooth"
    beta: Number = Field(0.015, gt=0)
    heat: Number = Field(0.5, ge=0)
    heat_form: Literal["softmax", "sigmoid", "l2"] = "softmax"
    sigma: Number = Field(1.0, gt=0)
    decoded: Number = Field(0.0, ge=0)
    spread: Number = Field(0.05, ge=0)
    pose: Number = Field(1.0, ge=0)


class Target(NamedTuple):
    """The truth of a batch of N crops.

    Attributes:
        points: Crop pixels; 0 where `inside` is 0. Shape (N, P, 2).
        inside: 1 where a point is known and lies in the crop, else 0. Shape (N, P).
        depth: Third coordinate in crop pixels; NaN = not known. Shape (N, P).
        visible: 1 where a point can be seen, 0 where it is hidden; NaN = not known. Shape (N, P).
        pose: Yaw, pitch, roll over 90 degrees; NaN = not known. Shape (N, 3).
        view: View that the annotation shows: 0 frontal, 1 left profile, 2 right profile. Shape (N,).
        turn: In-plane rotation of the face by its points, degrees clockwise on the screen; NaN = not known. Shape (N,).
        size: Side of the crop in pixels.
        given: The points from which the stage of the network starts, where these are others (`Network.given`), like
            `points`; Q is 0 where they are not. Shape (N, Q, 2).
        given_inside: 1 where such a point is known and lies in the crop, else 0. Shape (N, Q).
    """

    points: Tensor
    inside: Tensor
    depth: Tensor
    visible: Tensor
    pose: Tensor
    view: Tensor
    turn: Tensor
    size: int
    given: Tensor
    given_inside: Tensor


def in_crop(points: Tensor, size: int) -> Tensor:
    """Whether points (N, P, 2) are known and lie in their crop of `size` pixels. Shape (N, P), bool."""
    return points.isfinite().all(-1) & (points > -0.5).all(-1) & (points < size - 0.5).all(-1)


def target_of(batch: Mapping[str, Tensor]) -> Target:
    """The truth of a batch of the loader of landmarks."""
    size = batch["crops"].shape[1]
    points, inside = _inside(batch["points"], size)
    given, given_inside = _inside(batch["given"], size)
    return Target(
        points,
        inside,
        batch["depth"],
        batch["visible"],
        batch["pose"] / 90,
        batch["view"],
        batch["turn"],
        size,
        given,
        given_inside,
    )


def _inside(points: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Points (N, P, 2), 0 where they are not known or lie outside the crop, and whether they are not (N, P)."""
    known = in_crop(points, size)
    return torch.where(known[..., None], points, torch.zeros_like(points)), known.float()


def heatmap_term(maps: Tensor, target: Target, losses: Losses) -> Tensor:
    """Loss of the heatmaps (N, P, H, W) of one stage, in the form of the recipe. Shape (N,)."""
    return HEAT[losses.heat_form](maps, target.points, target.inside, target.size // maps.shape[-1], losses.sigma)


def point_term(points: Tensor, target: Target, losses: Losses) -> Tensor:
    """Loss of the points (N, P, 2) of one stage, in the form of the recipe. Shape (N,)."""
    return POINT[losses.point_form](points, target.points, target.inside, losses.beta * target.size)


def spread_term(points: Tensor, log_spread: Tensor, target: Target) -> Tensor:
    """Loss of the reliabilities (N, P) of points (N, P, 2). Shape (N,)."""
    distance = (points - target.points).norm(dim=-1) / target.size
    return spread_loss(log_spread, distance, target.inside)


def point_loss(predicted: Tensor, truth: Tensor, inside: Tensor, scale: float) -> Tensor:
    """Smooth L1 loss in units of `scale`: quadratic below it, linear above.

    Args:
        predicted: Predicted points, pixels. Shape (N, P, 2).
        truth: True points, pixels. Shape (N, P, 2).
        inside: 1 for points that enter the loss, else 0. Shape (N, P).
        scale: Unit of the loss in pixels.

    Returns:
        Mean over the points that enter the loss; 0 if there are none. Shape (N,).
    """
    error = functional.smooth_l1_loss(predicted / scale, truth / scale, reduction="none").sum(-1)
    return _mean(error, inside)


def square_loss(predicted: Tensor, truth: Tensor, inside: Tensor, scale: float) -> Tensor:
    """Half the squared distance in units of `scale`: the L2 loss of the papers. Shapes as `point_loss`."""
    return _mean((((predicted - truth) / scale) ** 2).sum(-1) / 2, inside)


POINT: dict[str, Callable[[Tensor, Tensor, Tensor, float], Tensor]] = {"smooth": point_loss, "l2": square_loss}
"""Losses of points by name."""


def _mean(values: Tensor, inside: Tensor) -> Tensor:
    """Mean of the values where `inside` is 1; 0 if it is nowhere. (N, P), (N, P) -> (N,)."""
    return (values * inside).sum(1) / inside.sum(1).clamp(min=1)


def gaussians(points: Tensor, size: tuple[int, int], stride: int, sigma: float) -> Tensor:
    """Heatmaps of height 1 around points.

    Args:
        points: Pixels of the crop. Shape (N, P, 2).
        size: Height and width of the maps.
        stride: Crop pixels per cell.
        sigma: Standard deviation in cells.

    Returns:
        Shape (N, P, H, W).
    """
    cell = (points - (stride - 1) / 2) / stride  # (N, P, 2)
    columns, rows = (
        torch.exp(
            -((torch.arange(length, device=points.device, dtype=torch.float32) - cell[..., axis, None]) ** 2)
            / (2 * sigma**2)
        )
        for axis, length in ((0, size[1]), (1, size[0]))
    )
    return rows[..., :, None] * columns[..., None, :]


def sigmoid_loss(heatmaps: Tensor, truth: Tensor, inside: Tensor, stride: int, sigma: float) -> Tensor:
    """Sigmoid cross entropy of each cell to a Gaussian of height 1: section 3.1 (5) of local_global.

    Summed over the cells of a map and divided by the sum of its Gaussian, so that its scale is that of `heat_loss`.
    Arguments and result as `heat_loss`.
    """
    height, width = heatmaps.shape[-2:]
    wanted = gaussians(truth, (height, width), stride, sigma)
    entropy = functional.binary_cross_entropy_with_logits(heatmaps.float(), wanted, reduction="none")
    least = functional.binary_cross_entropy(wanted, wanted, reduction="none")  # the entropy of a perfect map
    return _mean((entropy - least).sum((2, 3)) / _mass(sigma), inside)


def map_loss(heatmaps: Tensor, truth: Tensor, inside: Tensor, stride: int, sigma: float) -> Tensor:
    """Squared distance to a Gaussian of height 1 over the sum of the Gaussian's own squares: the papers' L2 loss.

    Arguments and result as `heat_loss`.
    """
    height, width = heatmaps.shape[-2:]
    wanted = gaussians(truth, (height, width), stride, sigma)
    return _mean(((heatmaps.float() - wanted) ** 2).sum((2, 3)) / (_mass(sigma) / 2), inside)


def _mass(sigma: float) -> float:
    """Sum of a Gaussian of height 1."""
    return 2 * math.pi * sigma**2


def heat_loss(heatmaps: Tensor, truth: Tensor, inside: Tensor, stride: int, sigma: float) -> Tensor:
    """Cross entropy between the softmax of a heatmap and a Gaussian around the truth.

    Args:
        heatmaps: Logits. Shape (N, P, H, W).
        truth: True points, pixels of the crop. Shape (N, P, 2).
        inside: 1 for points that enter the loss, else 0. Shape (N, P).
        stride: Crop pixels per cell.
        sigma: Standard deviation of the Gaussian in cells.

    Returns:
        Mean over the points that enter the loss; 0 if there are none. Shape (N,).
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
    return _mean(entropy, inside)


HEAT: dict[str, Callable[[Tensor, Tensor, Tensor, int, float], Tensor]] = {
    "softmax": heat_loss,
    "sigmoid": sigmoid_loss,
    "l2": map_loss,
}
"""Losses of heatmaps by name."""


def spread_loss(log_spread: Tensor, distance: Tensor, inside: Tensor) -> Tensor:
    """Negative log likelihood of errors under exp(-r / b) / (2 pi b^2), up to a constant.

    Args:
        log_spread: Log of b over the crop side. Shape (N, P).
        distance: Error r over the crop side; it is detached. Shape (N, P).
        inside: 1 for points that enter the loss, else 0. Shape (N, P).

    Returns:
        Mean over the points that enter the loss; 0 if there are none. Shape (N,).
    """
    likelihood = distance.detach() * torch.exp(-log_spread) + 2 * log_spread
    return _mean(likelihood, inside)


def pose_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Smooth L1 loss of angles over 90 degrees, linear from .1 on; NaN = not known. (N, 3), (N, 3) -> (N,)."""
    known = ~truth.isnan()
    error = functional.smooth_l1_loss(
        predicted, torch.where(known, truth, predicted.detach()), beta=0.1, reduction="none"
    )
    return (error * known).sum(1)
