"""Which cells of the detector answer for which face.

A face belongs to the strides whose `RANGES` hold the longer side of its box; neighbours share some. There the cells
whose centres lie within `NEAR` strides of the middle of its box answer for it, the nearest face first. What else of
these strides lies around the middle of the face is neither face nor background; on other strides it is background.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from canthus.nets.detector import STRIDES

RANGES = {8: (0.0, 60.0), 16: (44.0, 124.0), 32: (92.0, float("inf"))}
"""Longer sides of boxes that a stride answers for, in pixels."""
NEAR = 1.25
"""Of the middle of a box, in strides."""
AROUND = 0.3
"""Cells so near to the middle of a face that their stride answers for, in sides of its box, are no background."""


class Assigned(NamedTuple):
    """What each cell should say.

    Attributes:
        face: Number of the face that a cell answers for; 0 where none. Shape (N, C).
        positive: The cell answers for a face. Shape (N, C).
        counted: The cell's score counts: it is a face, or background. Shape (N, C).
    """

    face: Tensor
    positive: Tensor
    counted: Tensor


def assign(centre: Tensor, stride: Tensor, boxes: Tensor) -> Assigned:
    """Give faces to cells.

    Args:
        centre: Of the cells, pixels. Shape (C, 2).
        stride: Shape (C,).
        boxes: x0 y0 x1 y1 of the faces; NaN = none. Shape (N, K, 4).
    """
    there = boxes.isfinite().all(-1)  # (N, K)
    known = torch.where(there[..., None], boxes, torch.full_like(boxes, -1e4))
    middle, side = (
        (known[..., :2] + known[..., 2:]) / 2,
        (known[..., 2:] - known[..., :2]).amax(-1),
    )  # (N, K, 2), (N, K)
    apart = centre[None, :, None] - middle[:, None]  # (N, C, K, 2)
    distance = apart.norm(dim=-1)  # (N, C, K)
    low, high = (torch.tensor([RANGES[step][end] for step in STRIDES], device=boxes.device) for end in (0, 1))
    level = torch.stack([stride == step for step in STRIDES], -1).float().argmax(-1)  # (C,)
    fits = (side[:, None] >= low[level][None, :, None]) & (side[:, None] < high[level][None, :, None])  # (N, C, K)
    near = fits & there[:, None] & (distance <= NEAR * stride[None, :, None])
    nearest, face = torch.where(near, distance, torch.full_like(distance, float("inf"))).min(-1)
    positive = nearest.isfinite()
    around = (fits & there[:, None] & (apart.abs().amax(-1) < AROUND * side[:, None])).any(-1)
    return Assigned(face * positive, positive, positive | ~around)
