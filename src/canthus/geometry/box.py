"""Boxes of landmarks: their overlap, and the box of a head that is rotated in the image plane.

Laws (tested): `turned_box` of the box of a rotated mean face is the box of the upright mean face, rotated back around
its centre; at 0, 90, 180 degrees the longer side stays the same.
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
"""Convex hull of the mean 68 landmarks of wild68 train, made symmetric; its box has centre 0 and longer side 1."""


def overlaps(boxes: NDArray[Any], others: NDArray[Any]) -> Doubles:
    """Intersection over union of every pair of boxes.

    Args:
        boxes: x0 y0 x1 y1. Shape (M, 4).
        others: x0 y0 x1 y1. Shape (N, 4).

    Returns:
        Shape (M, N), 0..1.
    """
    boxes, others = np.asarray(boxes, np.float64)[:, None], np.asarray(others, np.float64)[None]
    wide, high = (
        (np.minimum(boxes[..., end], others[..., end]) - np.maximum(boxes[..., start], others[..., start])).clip(0)
        for start, end in ((0, 2), (1, 3))
    )
    shared = wide * high
    union = (boxes[..., 2:] - boxes[..., :2]).prod(-1) + (others[..., 2:] - others[..., :2]).prod(-1) - shared
    ratio: Doubles = shared / np.maximum(union, 1e-12)
    return ratio


def turned_box(boxes: NDArray[Any], rolls: NDArray[Any]) -> Floats:
    """Square box of a rotated head in the frame of the head, from the upright box of its landmarks in the picture.

    The two differ: on the way to 45 degrees the upright box of the mean face (`OUTLINE`) shifts against the head by up
    to a tenth of its side and grows by 6 %. The face is assumed to have the shape of the mean face.

    Args:
        boxes: Boxes of the landmarks, upright in the picture. Shape (F, 4), pixels.
        rolls: In-plane rotation of the heads, degrees clockwise on the screen; NaN = 0. Shape (F,).

    Returns:
        x0 y0 x1 y1 of squares to rotate by the rolls around their centres: `crop_matrix(square, size, margin, roll)`
        shows the head upright. Shape (F, 4), pixels.
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
