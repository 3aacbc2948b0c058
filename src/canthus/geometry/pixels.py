"""Points and pixels: which pixel a point lies on, and pictures cut from a picture. Pixel centres lie at integers."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import warp
from canthus.geometry.transform import Matrix, compose, scale_of, similarity
from canthus.types import Image

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def inside(points: NDArray[Any], size: tuple[float, float]) -> Mask:
    """Whether points (P, 2) lie inside a picture of this height and width; NaN does not. Shape (P,)."""
    height, width = size
    within: Mask = np.all((points >= -0.5) & (points < (width - 0.5, height - 0.5)), axis=1)
    return within


def nearest(points: NDArray[Any], size: tuple[int, int]) -> tuple[Indices, Indices]:
    """Pixels nearest to points (P, 2) in a picture of this height and width; for NaN the first pixel.

    Returns:
        Rows and columns, to index the picture with. Shapes (P,).
    """
    height, width = size
    column, row = np.nan_to_num(points).round().clip(0, (width - 1, height - 1)).astype(np.intp).T
    return row, column


def cut(image: Image, matrix: Matrix, size: int) -> Image:
    """Cut a crop (size, size, 3) by a map (2, 3) from the picture; outside the picture its border is repeated."""
    margin = int(np.ceil(0.75 * size / scale_of(matrix)))
    wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
    return warp(wide.astype(np.uint8, copy=False), compose(matrix, similarity(shift=(-margin, -margin))), size)
