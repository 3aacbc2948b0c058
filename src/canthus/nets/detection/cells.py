"""The cells of the detector's maps: where they lie, and which of them predict which face.

A face belongs to the strides whose range in `RANGES` contains the longer side of its box; neighbouring ranges overlap.
On these strides, the cells whose centres lie within `NEAR` strides of the centre of the box are its positives; a cell
near several faces predicts the nearest one. The other cells within `AROUND` sides of the centre are neither positive
nor background, and their scores are ignored. On all other strides the face is background.
"""

from typing import NamedTuple

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
"""Strides of the maps, in pixels."""
RANGES = {8: (0.0, 60.0), 16: (44.0, 124.0), 32: (92.0, float("inf"))}
"""Longer sides of the boxes that are predicted on each stride, in pixels."""
NEAR = 1.25
"""Largest distance of a positive cell from the centre of its box, in strides."""
AROUND = 0.3
"""Half the side of the square around the centre of a box in which no cell is background, in sides of the box."""


def cells(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Centre (C, 2) in pixels and stride (C,) of the cells of a picture, those of stride 8 first, row by row."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        centres.append(torch.stack([columns, rows], -1).reshape(-1, 2) * stride + (stride - 1) / 2)
        strides.append(torch.full((centres[-1].shape[0],), float(stride), device=device))
    return torch.cat(centres).float(), torch.cat(strides)


class Assigned(NamedTuple):
    """The training target of each cell.

    Attributes:
        face: Number of the face that the cell predicts; 0 where it predicts none. Shape (N, C).
        positive: Whether the cell predicts a face. Shape (N, C).
        counted: Whether the cell's score enters the loss, as a positive or as background. Shape (N, C).
    """

    face: Tensor
    positive: Tensor
    counted: Tensor


def assign(centre: Tensor, stride: Tensor, boxes: Tensor) -> Assigned:
    """Assign the faces of pictures to cells.

    Args:
        centre: Centres of the cells, pixels. Shape (C, 2).
        stride: Strides of the cells. Shape (C,).
        boxes: x0 y0 x1 y1 of the faces; NaN = no face. Shape (N, K, 4).
    """
    there = boxes.isfinite().all(-1)  # (N, K)
    known = torch.where(there[..., None], boxes, torch.full_like(boxes, -1e4))
    middle = (known[..., :2] + known[..., 2:]) / 2  # (N, K, 2)
    side = (known[..., 2:] - known[..., :2]).amax(-1)  # (N, K)
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
