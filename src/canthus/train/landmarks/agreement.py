"""Agreement of a network with itself on two crops of a face that differ little, so that its points do not jitter.

In a video the crop of a face moves by a fraction of a pixel to a few pixels from frame to frame, and points that depend
on where the crop lies shake. A second crop of each face, shifted, turned and scaled a little, and changed in its looks
as the first one but for a little noise, gives a second answer; the distance of the two, in the same picture, is a loss.
It needs no labels [Sajjadi, Javanmardi and Tasdizen, "Regularization With Stochastic Transformations and Perturbations
for Deep Semi-Supervised Learning", 2016; for landmarks Honari et al., "Improving Landmark Localization with
Semi-Supervised Learning", 2018, equivariant landmark transformation].

Law (tested): the loss of a network whose points move with the crop is 0.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from canthus.geometry.transform import Matrix, compose
from canthus.nets.losses import in_crop, point_loss
from canthus.train.augment import Random
from canthus.train.recipe import Agreement


def small_moves(count: int, size: int, settings: Agreement, rng: Random) -> Matrix:
    """Random small similarities of crops, as the crop of a face moves from frame to frame.

    Args:
        count: N, the number of crops.
        size: Side of the crops in pixels.
        settings: Their ranges.
        rng: Randomness.

    Returns:
        Maps from the pixels of a crop to those of the moved one. Shape (N, 2, 3).
    """
    far = size * np.exp(rng.uniform(np.log(settings.least), np.log(settings.most), count))
    way, turn = rng.uniform(-np.pi, np.pi, count), np.deg2rad(settings.rotation) * rng.uniform(-1, 1, count)
    scale = np.exp(np.log(settings.scale) * rng.uniform(-1, 1, count))
    cosine, sine, middle = scale * np.cos(turn), scale * np.sin(turn), (size - 1) / 2
    across = middle - (cosine - sine) * middle + far * np.cos(way)  # the middle stays but for the shift
    down = middle - (sine + cosine) * middle + far * np.sin(way)
    return np.moveaxis(np.array([[cosine, -sine, across], [sine, cosine, down]]), -1, 0)


def seen_moves(moves: Matrix, flip: NDArray[np.bool_], size: int) -> Matrix:
    """Moves (N, 2, 3) of crops as they are in the crops that are mirrored where `flip` (N,) is set. Shape (N, 2, 3)."""
    mirror = np.array([[-1.0, 0, size - 1], [0, 1, 0]])
    return np.where(flip[:, None, None], compose(mirror, compose(moves, mirror)), moves)


def with_noise(crops: Tensor, deviation: float, rng: Random) -> Tensor:
    """Crops (N, S, S, 3), uint8, with Gaussian noise of a standard deviation in grey levels, as from frame to frame."""
    if deviation == 0:
        return crops
    seed = torch.Generator(crops.device).manual_seed(int(rng.integers(2**62)))
    noise = torch.randn(crops.shape, generator=seed, device=crops.device)
    return (crops + deviation * noise).round().clamp(0, 255).to(torch.uint8)


def agreement_loss(points: Tensor, others: Tensor, moves: Tensor, labels: Tensor, size: int, unit: float) -> Tensor:
    """Distance of the points of two crops of a face, in the second one: smooth L1 in units of `unit`.

    Left out are points that lie outside one of the crops, by the answers or, where it is known, by the label: what a
    network says of them depends on the border. Both answers have a gradient.

    Args:
        points: Points in the first crops, pixels. Shape (N, P, 2).
        others: Points in the second crops, pixels. Shape (N, P, 2).
        moves: Maps from the pixels of the first crops to those of the second. Shape (N, 2, 3).
        labels: Labels in the first crops, pixels; NaN = not known. Shape (N, P, 2).
        size: Side of the crops in pixels.
        unit: Unit of the loss over the crop side, and the distance at which it turns linear.

    Returns:
        Mean over the points that enter the loss; 0 if there are none. Shape (N,).
    """
    moved, known = _moved(points, moves), labels.isfinite().all(-1)
    inside = in_crop(points.detach(), size) & in_crop(others.detach(), size)
    inside &= ~known | (in_crop(labels, size) & in_crop(_moved(labels, moves), size))
    return point_loss(moved, others.float(), inside.float(), unit * size)


def _moved(points: Tensor, moves: Tensor) -> Tensor:
    """Points (N, P, 2) after moves (N, 2, 3), in full precision also where a network runs in half. Shape (N, P, 2)."""
    x, y = points.float()[..., :1], points.float()[..., 1:]
    columns = moves.float()[:, None]  # (N, 1, 2, 3)
    return columns[..., 0] * x + columns[..., 1] * y + columns[..., 2]
