"""Maps from a face box to the square crop that is the input of a network.

The crop has `size` pixels a side and covers, around the centre of the box, `margin` (the crop margin) times the longer
side of the box. Pixel centres lie at integers, so the left border of the crop is at -.5.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.shape import align, mean_shape
from canthus.geometry.transform import Matrix, compose, invert, scale_of, similarity
from canthus.types import Image


@dataclass(frozen=True, slots=True)
class Crop:
    """Size and margin of the square crop of a face that a network gets.

    Attributes:
        size: Side of the square crop in pixels, > 0.
        margin: Side of the crop over the longer side of the box, > 0.
    """

    size: int
    margin: float

    def __post_init__(self) -> None:
        if not (self.size > 0 and 0 < self.margin < math.inf):
            raise ShapeError(f"a crop has a size and a margin above 0, not {self.size} pixels and {self.margin}")


def crop_matrix(box: NDArray[Any], size: int, margin: float, angle: float = 0.0) -> Matrix:
    """Similarity from the image to the crop.

    Args:
        box: x0 y0 x1 y1. Shape (4,), image pixels.
        size: Side of the crop in pixels.
        margin: Crop margin: side of the crop over the longer side of the box.
        angle: In-plane rotation of the face in degrees, clockwise on the screen; the crop shows it upright.

    Returns:
        Shape (2, 3), image pixels to crop pixels.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    scale = size / (margin * max(x1 - x0, y1 - y0))
    to_origin = similarity(shift=(-(x0 + x1) / 2, -(y0 + y1) / 2))
    return compose(similarity(scale, -angle, ((size - 1) / 2, (size - 1) / 2)), to_origin)


def box_frames(boxes: NDArray[Any]) -> Matrix:
    """Maps from the image to frames in which each box has its centre at 0 and longer side 1. (F, 4) -> (F, 2, 3)."""
    boxes = np.asarray(boxes, np.float64)
    scale = 1 / (boxes[:, 2:] - boxes[:, :2]).max(1)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([scale[:, None, None] * np.eye(2), -(scale[:, None] * centre)[..., None]], -1)


def shape_frames(points: NDArray[Any], mean: NDArray[Any]) -> Matrix:
    """Similarities that bring faces nearest to a mean shape: local_global, section 3.4.

    Args:
        points: Points; NaN is left out. Shape (F, P, 2 or 3), image pixels.
        mean: Mean shape, as from `unit_mean`. Shape (P, 2).

    Returns:
        Maps from the image to the frame of the mean shape, whose box has its centre at 0 and longer side 1.
        Shape (F, 2, 3).
    """
    return align(np.asarray(points, np.float64)[..., :2], mean)[1]


def unit_mean(points: NDArray[Any]) -> NDArray[np.float32]:
    """Mean shape whose box has its centre at 0 and longer side 1. (F, P, 2) -> (P, 2)."""
    mean = mean_shape(points)
    low, high = mean.min(0), mean.max(0)
    unit: NDArray[np.float32] = ((mean - (low + high) / 2) / (high - low).max()).astype(np.float32)
    return unit


def crop_of_frame(frame: Matrix, size: int, margin: float) -> Matrix:
    """Maps from the image to crops, from the `box_frames` or `shape_frames` of faces. (..., 2, 3) -> (..., 2, 3)."""
    middle = (size - 1) / 2
    return compose(similarity(size / margin, shift=(middle, middle)), frame)


def warp(image: Image, matrix: Matrix, size: int) -> Image:
    """Cut a crop with bilinear interpolation, after area averaging where the image is over twice as fine as the crop.

    Args:
        image: Picture. Shape (H, W, 3).
        matrix: Map from image pixels to crop pixels. Shape (2, 3).
        size: Side of the crop in pixels.

    Returns:
        Crop; black outside the image. Shape (size, size, 3).
    """
    factor = max(1, int(1 / max(float(scale_of(matrix)), 1e-6)))
    part, corner = _under(image, matrix, size, factor)
    if 0 in part.shape:
        return np.zeros((size, size, 3), np.uint8)
    if factor > 1:
        part = _shrunk(part, factor)
    # pixel i of the shrunken part is centred on corner + factor * i + (factor - 1) / 2
    middle = (factor - 1) / 2
    shrunken = compose(matrix, similarity(factor, 0.0, (corner[0] + middle, corner[1] + middle)))
    crop = cv2.warpAffine(part, shrunken, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crop.astype(np.uint8, copy=False)


def _under(image: Image, matrix: Matrix, size: int, factor: int) -> tuple[Image, tuple[int, int]]:
    """Part of the image under the crop, its sides multiples of `factor` where possible, and its first pixel (x, y)."""
    height, width = image.shape[:2]
    (a, b, x), (c, d, y) = invert(matrix).tolist()
    (x0, x1), (y0, y1) = _span(a, b, x, size, width), _span(c, d, y, size, height)
    x1, y1 = min(x0 - (x0 - x1) // factor * factor, width), min(y0 - (y0 - y1) // factor * factor, height)
    return image[y0:y1, x0:x1], (x0, y0)


def _span(a: float, b: float, shift: float, size: int, limit: int) -> tuple[int, int]:
    """First pixel and last pixel + 1 that a u + b v + shift reaches for u and v in -1 .. size, within 0 .. limit."""
    low = shift + min(-a, a * size) + min(-b, b * size)
    high = shift + max(-a, a * size) + max(-b, b * size)
    return int(min(max(math.floor(low), 0), limit)), int(min(max(math.ceil(high) + 1, 0), limit))


def _shrunk(image: Image, factor: int) -> Image:
    """The image `factor` times smaller, each pixel a mean; an incomplete last row or column is filled with black."""
    rows, columns = (-(-length // factor) * factor for length in image.shape[:2])
    below, beside = rows - image.shape[0], columns - image.shape[1]
    whole = cv2.copyMakeBorder(image, 0, below, 0, beside, cv2.BORDER_CONSTANT) if below or beside else image
    small = cv2.resize(whole, (columns // factor, rows // factor), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def box_of(points: NDArray[Any]) -> NDArray[np.float32]:
    """Tightest box of points, without those that are NaN. Shape (..., P, 2 or 3) -> (..., 4)."""
    plane = np.asarray(points)[..., :2]
    return np.concatenate([np.nanmin(plane, -2), np.nanmax(plane, -2)], -1).astype(np.float32)
