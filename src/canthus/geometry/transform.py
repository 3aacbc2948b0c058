"""Plane similarities and affine maps as (..., 2, 3) matrices: fit, apply, compose, invert.

Laws (tested): `apply(compose(a, b), p) == apply(a, apply(b, p))`, `compose(a, invert(a)) == identity`,
`fit_similarity(p, apply(m, p)) == m` for a similarity m.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError

Matrix = NDArray[np.float64]
"""A map of the plane. Shape (..., 2, 3): x' = m[:, :2] x + m[:, 2]."""


def similarity(scale: float = 1.0, angle: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> Matrix:
    """Map that rotates by `angle` degrees (from x towards y, clockwise on the screen), scales, then shifts.

    Returns:
        Shape (2, 3).
    """
    cosine, sine = scale * np.cos(np.deg2rad(angle)), scale * np.sin(np.deg2rad(angle))
    return np.array([[cosine, -sine, shift[0]], [sine, cosine, shift[1]]])


def apply(matrix: Matrix, points: NDArray[Any]) -> NDArray[Any]:
    """Apply a map to points.

    Args:
        matrix: One map or F maps. Shape (2, 3) or (F, 2, 3).
        points: Points; a third coordinate is scaled by sqrt(|det|), as depth is under a similarity.
            Shape (P, 2 or 3) or (F, P, 2 or 3).

    Returns:
        Moved points in the shape and type of `points`; F maps of one set of points give (F, P, D).
    """
    points = np.asarray(points)
    moved = points[..., :2] @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    if points.shape[-1] == 3:
        depth = points[..., 2:] * scale_of(matrix)[..., None, None]
        moved = np.concatenate([moved, np.broadcast_to(depth, (*moved.shape[:-1], 1))], -1)
    return moved.astype(points.dtype if np.issubdtype(points.dtype, np.floating) else np.float64)


def compose(outer: Matrix, inner: Matrix) -> Matrix:
    """Map that applies `inner`, then `outer`. Shapes (..., 2, 3)."""
    linear = outer[..., :2] @ inner[..., :2]
    shift = (outer[..., :2] @ inner[..., 2:]) + outer[..., 2:]
    return np.concatenate([linear, shift], -1)


def invert(matrix: Matrix) -> Matrix:
    """Inverse map. Shape (..., 2, 3).

    Raises:
        ShapeError: the map has no inverse.
    """
    (a, b), (c, d) = np.moveaxis(np.asarray(matrix, np.float64)[..., :2], (-2, -1), (0, 1))
    determinant = a * d - b * c
    if not np.all(determinant):
        raise ShapeError("the map squeezes the plane to a line; it has no inverse")
    linear = np.moveaxis(np.array([[d, -b], [-c, a]]) / determinant, (0, 1), (-2, -1))
    return np.concatenate([linear, -linear @ matrix[..., 2:]], -1)


def scale_of(matrix: Matrix) -> NDArray[np.float64]:
    """Factor by which lengths grow: sqrt(|det|). Shape (..., 2, 3) -> (...)."""
    part = np.asarray(matrix, np.float64)
    scale: NDArray[np.float64] = np.sqrt(np.abs(part[..., 0, 0] * part[..., 1, 1] - part[..., 0, 1] * part[..., 1, 0]))
    return scale


def fit_similarity(source: NDArray[Any], target: NDArray[Any], weights: NDArray[Any] | None = None) -> Matrix:
    """Similarity that brings `source` nearest to `target` in least squares [Umeyama, 1991], without reflection.

    Args:
        source: Points to move. Shape (..., P, 2).
        target: Points to reach. Shape (..., P, 2).
        weights: Weight of each point, >= 0; None = all equal. Shape (..., P).

    Returns:
        Shape (..., 2, 3).

    Raises:
        ShapeError: the array shapes differ, or all points of a source coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.shape[-1] != 2:
        raise ShapeError(f"a similarity needs two sets of (P, 2) points, not {source.shape} and {target.shape}")
    weight = np.ones(source.shape[:-1]) if weights is None else np.asarray(weights, np.float64)
    weight = weight / weight.sum(-1, keepdims=True)
    centre, goal = (weight[..., None] * source).sum(-2), (weight[..., None] * target).sum(-2)
    a, b = source - centre[..., None, :], target - goal[..., None, :]
    spread = (weight * (a**2).sum(-1)).sum(-1)
    if not np.all(spread > 1e-12 * (1 + (centre**2).sum(-1))):
        raise ShapeError("all points coincide: no similarity can be fitted")
    cosine = (weight * (a * b).sum(-1)).sum(-1) / spread
    sine = (weight * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(-1) / spread
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    shift = goal[..., None] - linear @ centre[..., None]
    return np.concatenate([linear, shift], -1)


def fit_affine(source: NDArray[Any], target: NDArray[Any]) -> Matrix:
    """Affine map that brings `source` (P, 2) nearest to `target` (P, 2) in least squares. Shape (2, 3).

    Raises:
        ShapeError: the array shapes differ, or the source points lie on a line.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ShapeError(f"an affine map needs two sets of (P, 2) points, not {source.shape} and {target.shape}")
    design = np.column_stack([source, np.ones(len(source))])
    if np.linalg.matrix_rank(design) < 3:
        raise ShapeError("the points lie on a line: no affine map can be fitted")
    matrix: Matrix = np.linalg.lstsq(design, target, rcond=None)[0].T
    return matrix
