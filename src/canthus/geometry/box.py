"""Boxes of landmarks: how far two overlap, and what becomes of one when the head turns in the plane.

Laws (tested): `turned_box` of the box of a turned mean face is the box of the upright one, turned back around its
centre; at 0, 90, 180 degrees the longer side stays.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.types import Floats

Doubles = NDArray[np.float64]

_RIGHT = np.array(
    [
        [0.256, -0.482],
        [0.341, -0.465],
        [0.403, -0.411],
        [0.5, -0.307],
        [0.496, -0.175],
        [0.481, -0.045],
        [0.454, 0.083],
        [0.403, 0.203],
        [0.324, 0.306],
        [0.228, 0.393],
        [0.121, 0.462],
        [0.0, 0.482],
    ]
)
OUTLINE = np.concatenate([_RIGHT, _RIGHT * (-1, 1)])
"""Hull of the mean 68 landmarks of wild68 train, made symmetric; its box is centred at 0, the longer side is 1."""


def overlaps(boxes: NDArray[Any], others: NDArray[Any]) -> Doubles:
    """Intersection over union of every pair.

    Args:
        boxes: x0 y0 x1 y1. Shape (M, 4).
        others: Shape (N, 4).

    Returns:
        Shape (M, N), 0..1.
    """
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    common = np.minimum(boxes[..., 2:], others[..., 2:]) - np.maximum(boxes[..., :2], others[..., :2])
    shared = common.clip(0).prod(-1)
    union = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (others[..., 2:] - others[..., :2]).prod(-1) - shared
    ratio: Doubles = shared / np.maximum(union, 1e-12)
    return ratio


def turned_box(boxes: NDArray[Any], rolls: NDArray[Any]) -> Floats:
    """The square that a turned head has in its own frame, from the box of its landmarks in the picture.

    The face is taken for the mean one (`OUTLINE`), whose box drifts off its head frame by up to a tenth of its side and
    grows by 6 % on the way to 45 degrees.

    Args:
        boxes: Boxes of the landmarks, upright in the picture. Shape (F, 4).
        rolls: How far the heads are turned, degrees clockwise on the screen; NaN = not at all. Shape (F,).

    Returns:
        x0 y0 x1 y1 of squares that are to be turned by the rolls around their centres:
        `crop_matrix(square, size, margin, roll)` shows the head upright. Shape (F, 4).
    """
    boxes = np.asarray(boxes, np.float64)
    angle = np.deg2rad(np.nan_to_num(np.asarray(rolls, np.float64)))
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y = OUTLINE.T
    turned = np.stack([cosine * x - sine * y, sine * x + cosine * y], -1)  # (F, K, 2)
    low, high = turned.min(1), turned.max(1)
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / (high - low).max(1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 - side * (low + high) / 2
    return np.concatenate([centre - side / 2, centre + side / 2], 1).astype(np.float32)
