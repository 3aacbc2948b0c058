"""Maps from a face box to the square crop that is the input of a network.

The crop has `size` pixels a side and covers, around the centre of the box, `margin` (the crop margin) times the longer
side of the box. Pixel centres lie at integers, so the left border of the crop is at -.5.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, ShapeError
from canthus.geometry.shape import align, mean_shape
from canthus.geometry.transform import Matrix, apply, compose, invert, scale_of, similarity
from canthus.types import Floats, Image


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
    """Similarities that bring faces nearest to a mean shape: local_global, section 3.4; multi_view, section III-C.

    Args:
        points: Points; NaN is left out. Shape (F, P, 2 or 3), image pixels.
        mean: Mean shape, as from `unit_mean`, shape (P, 2); or those of several views, NaN where a view lacks a point,
            shape (V, P, 2): each face has the one whose points are most nearly its known points.

    Returns:
        Maps from the image to the frame of the mean shape, whose box has its centre at 0 and longer side 1.
        Shape (F, 2, 3).
    """
    plane = np.asarray(points, np.float64)[..., :2]
    if mean.ndim == 2:
        return align(plane, mean)[1]
    seen = np.asarray(np.isfinite(plane).all(-1))
    has = np.asarray(np.isfinite(mean).all(-1))
    chosen = (seen[:, None] != has).sum(-1).argmin(1)  # (F,)
    frames = np.empty((len(plane), 2, 3))
    for number in np.unique(chosen).tolist():
        some, slots = chosen == number, has[number]
        frames[some] = align(plane[some][:, slots], mean[number, slots])[1]
    return frames


def unit_mean(points: NDArray[Any]) -> NDArray[np.float32]:
    """Mean shape whose box has its centre at 0 and longer side 1. (F, P, 2) -> (P, 2)."""
    mean = mean_shape(points)
    low, high = mean.min(0), mean.max(0)
    unit: NDArray[np.float32] = ((mean - (low + high) / 2) / (high - low).max()).astype(np.float32)
    return unit


def view_means(points: NDArray[Any], mirror: NDArray[np.intp], shown: Mapping[str, NDArray[np.bool_]]) -> Floats:
    """Mean shape of each view of faces, in frames whose box has its centre at 0 and longer side 1.

    Each is the mean of faces and of mirrored faces, so that a mirrored face has the mirrored crop.

    Args:
        points: Points; NaN where the view of a face has none. Shape (F, P, 2).
        mirror: Mirror partner of each point. Shape (P,).
        shown: Which points each view has, by its name. Shape (P,) each, V of them.

    Returns:
        NaN for the points that a view lacks. Shape (V, P, 2).

    Raises:
        DataError: no face shows one of the views.
    """
    both = np.concatenate([points, points[:, mirror] * np.array([-1, 1], np.float32)])
    known = np.isfinite(both).all(-1)
    means = np.full((len(shown), *points.shape[1:]), np.nan, np.float32)
    for mean, (name, slots) in zip(means, shown.items(), strict=True):
        faces = both[(known == slots).all(1)]
        if not len(faces):
            raise DataError(f"no training face has the plane points of the view {name}; add a set that has some")
        mean[slots] = unit_mean(faces[:, slots])
    return means


def crop_of_frame(frame: Matrix, size: int, margin: float) -> Matrix:
    """Maps from the image to crops, from the `box_frames` or `shape_frames` of faces. (..., 2, 3) -> (..., 2, 3)."""
    middle = (size - 1) / 2
    return compose(similarity(size / margin, shift=(middle, middle)), frame)


def warp(image: Image, matrix: Matrix, size: int) -> Image:
    """Cut a crop with bilinear interpolation, after area averaging where the image is over twice as fine as the crop.

    Memory and time are bounded by the image and the crop, however large the part of the plane is that the crop shows.

    Args:
        image: Picture. Shape (H, W, 3).
        matrix: Map from image pixels to crop pixels. Shape (2, 3).
        size: Side of the crop in pixels.

    Returns:
        Crop; black outside the image. Shape (size, size, 3).
    """
    factor = reduction(matrix)
    part, corner = part_under(image, matrix, size, factor)
    if 0 in part.shape:
        return np.zeros((size, size, 3), np.uint8)
    if factor > 1:
        part = _shrunk(part, factor)
    crop = cv2.warpAffine(
        part,
        compose(matrix, grid(corner, factor, factor)),
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return crop.astype(np.uint8, copy=False)


def warp_all(image: Image, matrices: Matrix, size: int) -> Image:
    """Cut many small crops of one image together: `warp`, but for rounding, in a fraction of its time.

    Crops that need the same reduction share one reduced part of the image.

    Args:
        image: Picture. Shape (H, W, 3).
        matrices: Maps from image pixels to the pixels of each crop. Shape (G, 2, 3).
        size: Side of the crops in pixels, at most 180.

    Returns:
        The pixels of all crops at each place; black outside the image. Shape (size, size, G, 3).
    """
    factors = np.maximum(1, 1 / np.maximum(scale_of(matrices), 1e-100)).astype(np.int64)
    crops = np.zeros((size * size, len(matrices), 3), np.uint8)
    rows, columns = np.divmod(np.arange(size * size, dtype=np.float32), size)
    places = np.stack([columns, rows, np.ones_like(rows)], 1)  # (S * S, 3)
    back = invert(matrices)
    corners = apply(back, np.array([[-1.0, -1], [-1, size], [size, -1], [size, size]]))  # (G, 4, 2)
    limits = np.array(image.shape[1::-1])
    for factor in np.unique(factors).tolist():
        chosen = np.flatnonzero(factors == factor)
        first = np.clip(np.floor(corners[chosen].min((0, 1))), 0, limits).astype(int)
        last = np.clip(np.ceil(corners[chosen].max((0, 1)) + 1), 0, limits).astype(int)
        x1, y1 = np.minimum(first - (first - last) // factor * factor, limits).tolist()
        x0, y0 = first.tolist()
        part = image[y0:y1, x0:x1]
        if 0 in part.shape:
            continue
        part = _shrunk(part, factor) if factor > 1 else part
        maps = compose(invert(grid((x0, y0), factor, factor)), back[chosen]).astype(np.float32)  # (K, 2, 3)
        at = (places @ maps.reshape(-1, 3).T).reshape(size * size, -1, 2)  # (S * S, K, 2)
        crops[:, chosen] = cv2.remap(
            part, at, np.empty(0, np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
    return crops.reshape(size, size, -1, 3)


def reduction(matrix: Matrix) -> int:
    """Whole number by which an image is reduced before a crop is cut by a map (2, 3); 1 = not at all."""
    return max(1, int(1 / max(float(scale_of(matrix)), 1e-100)))


def grid(corner: tuple[int, int], across: int, down: int) -> Matrix:
    """Map from the pixels of a reduced part of an image to those of the image. Shape (2, 3).

    Args:
        corner: First pixel of the part, x and y.
        across: Number of columns of the image that one column of the reduced part stands for.
        down: Number of rows that one row stands for.
    """
    middle = corner[0] + (across - 1) / 2, corner[1] + (down - 1) / 2
    return np.array([[across, 0, middle[0]], [0, down, middle[1]]], np.float64)


def part_under(image: Image, matrix: Matrix, size: int, factor: int, least: int = 0) -> tuple[Image, tuple[int, int]]:
    """Part of an image that a crop shows.

    Args:
        image: Picture. Shape (H, W, 3).
        matrix: Map from image pixels to crop pixels. Shape (2, 3).
        size: Side of the crop in pixels.
        factor: Number that the sides of the part are multiples of, where the image is large enough.
        least: Smallest number of rows and columns of the part: those nearest to the crop where it shows fewer.

    Returns:
        The part, and its first pixel (x, y).
    """
    height, width = image.shape[:2]
    (a, b, x), (c, d, y) = invert(matrix).tolist()
    (x0, x1), (y0, y1) = _span(a, b, x, size, width), _span(c, d, y, size, height)
    x1, y1 = min(x0 - (x0 - x1) // factor * factor, width), min(y0 - (y0 - y1) // factor * factor, height)
    x0, y0 = max(min(x0, x1 - least), 0), max(min(y0, y1 - least), 0)
    return image[y0 : max(y1, y0 + least), x0 : max(x1, x0 + least)], (x0, y0)


def _span(a: float, b: float, shift: float, size: int, limit: int) -> tuple[int, int]:
    """First pixel and last pixel + 1 that a u + b v + shift reaches for u and v in -1 .. size, within 0 .. limit."""
    low = shift + min(-a, a * size) + min(-b, b * size)
    high = shift + max(-a, a * size) + max(-b, b * size)
    return math.floor(min(max(low, 0), limit)), math.ceil(min(max(high + 1, 0), limit))


def _shrunk(image: Image, factor: int) -> Image:
    """The image `factor` times smaller, each pixel a mean; black where a row or column of pixels is incomplete."""
    down, across = (min(factor, length) for length in image.shape[:2])
    small = shrink(image, across, down, cv2.BORDER_CONSTANT)
    share = (down / factor) * (across / factor)  # of a pixel that is larger than the image
    return small if share == 1 else cv2.convertScaleAbs(small, alpha=share).astype(np.uint8, copy=False)


def shrink(image: Image, across: int, down: int, border: int) -> Image:
    """The image with each `down` rows and `across` columns of pixels reduced to their mean.

    Args:
        image: Picture. Shape (H, W, 3).
        across: Number of columns, at most W.
        down: Number of rows, at most H.
        border: Border mode of OpenCV that completes the last rows and columns.
    """
    rows, columns = -(-image.shape[0] // down) * down, -(-image.shape[1] // across) * across
    below, beside = rows - image.shape[0], columns - image.shape[1]
    whole = cv2.copyMakeBorder(image, 0, below, 0, beside, border) if below or beside else image
    small = cv2.resize(whole, (columns // across, rows // down), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def box_of(points: NDArray[Any]) -> NDArray[np.float32]:
    """Tightest box of points, without those that are NaN. Shape (..., P, 2 or 3) -> (..., 4)."""
    plane = np.asarray(points)[..., :2]
    return np.concatenate([np.nanmin(plane, -2), np.nanmax(plane, -2)], -1).astype(np.float32)
