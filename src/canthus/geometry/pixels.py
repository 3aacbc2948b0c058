"""Points and pixels: which pixel a point lies on, and pictures cut from a picture. Pixel centres lie at integers."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import grid, part_under, reduction, shrink
from canthus.geometry.transform import Matrix, compose, invert
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
    factor = reduction(matrix)
    part, corner = part_under(image, matrix, size, factor, least=1)
    down, across = (min(factor, length) for length in part.shape[:2])
    small = part
    if factor > 1:  # the outermost pixels of the reduced part are the border alone
        wide = cv2.copyMakeBorder(part, down, down, across, across, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
        small, corner = shrink(wide, across, down, cv2.BORDER_REPLICATE), (corner[0] - across, corner[1] - down)
    back = invert(compose(matrix, grid(corner, across, down)))
    row, column = np.mgrid[:size, :size]
    x, y = (line[0] * column + line[1] * row + line[2] for line in back)
    last_row, last_column = small.shape[0] - 1, small.shape[1] - 1
    within = x.clip(0, last_column).astype(np.float32), y.clip(0, last_row).astype(np.float32)
    return cv2.remap(small, *within, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
