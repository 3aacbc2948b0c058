"""Points and the pixels of a picture, whose centres lie at integers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]


def inside(points: NDArray[Any], size: tuple[float, float]) -> Mask:
    """True for points (P, 2) that lie on a pixel of a picture of this height and width; NaN does not. Shape (P,)."""
    height, width = size
    within: Mask = np.all((points >= -0.5) & (points < (width - 0.5, height - 0.5)), axis=1)
    return within


def nearest(points: NDArray[Any], size: tuple[int, int]) -> tuple[Indices, Indices]:
    """Row and column of the pixel nearest to points (P, 2), in a picture of this height and width; NaN takes the first.

    Returns:
        Shapes (P,), to index the picture with.
    """
    height, width = size
    column, row = np.nan_to_num(points).round().clip(0, (width - 1, height - 1)).astype(np.intp).T
    return row, column
