"""Statistics of shapes: the mean shape (generalised Procrustes) and a linear shape model (principal components).

Laws (tested): the mean of similar copies of one shape is that shape; `project(rebuild(b)) == b`; with all modes kept
`rebuild(project(x)) == x`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.transform import Matrix, apply, fit_similarity

Doubles = NDArray[np.float64]


def size_of(shapes: NDArray[Any]) -> Doubles:
    """Root mean square distance of the points from their centre, without NaN. Shape (..., P, D) -> (...)."""
    shapes = np.asarray(shapes, np.float64)
    far = ((shapes - np.nanmean(shapes, -2, keepdims=True)) ** 2).sum(-1)
    size: Doubles = np.sqrt(np.nanmean(far, -1))
    return size


def align(shapes: NDArray[Any], mean: NDArray[Any]) -> tuple[Doubles, Matrix]:
    """Align each shape to a mean shape by the similarity of least squares.

    Args:
        shapes: Shapes; NaN has no weight and stays NaN. Shape (F, P, 2).
        mean: Mean shape. Shape (P, 2).

    Returns:
        The aligned shapes (F, P, 2) and the similarities (F, 2, 3) that were applied.

    Raises:
        ShapeError: the array shapes do not fit, or the known points of a shape coincide.
    """
    shapes, mean = np.asarray(shapes, np.float64), np.asarray(mean, np.float64)
    if shapes.ndim != 3 or shapes.shape[1:] != mean.shape:
        raise ShapeError(f"shapes (F, P, 2) are aligned to a mean (P, 2), not {shapes.shape} to {mean.shape}")
    known = np.isfinite(shapes).all(-1)
    if (known.sum(1) < 2).any():
        raise ShapeError(f"shape {int(np.argmin(known.sum(1)))} has fewer than two points")
    filled = np.where(known[..., None], shapes, 0.0)
    frame = fit_similarity(filled, np.broadcast_to(mean, shapes.shape), known.astype(np.float64))
    return apply(frame, shapes), frame


def mean_shape(shapes: NDArray[Any], rounds: int = 20) -> Doubles:
    """Mean of shapes, free of position, size and in-plane rotation: generalised Procrustes analysis [Gower, 1975].

    Args:
        shapes: Shapes; a NaN is left out of the mean of its point. Shape (F, P, 2).
        rounds: Largest number of iterations; they end earlier when the mean moves by less than 1e-9.

    Returns:
        Mean shape with its centre at 0 and `size_of` 1, oriented like the plain mean of the shapes. Shape (P, 2).

    Raises:
        ShapeError: there is no shape, or no shape has a certain point.
    """
    shapes = np.asarray(shapes, np.float64)
    if shapes.ndim != 3 or shapes.shape[2] != 2 or not len(shapes):
        raise ShapeError(f"a mean is taken of shapes (F, P, 2), F > 0, not {shapes.shape}")
    known = np.isfinite(shapes).all(-1)
    if not known.any(0).all():
        raise ShapeError(f"point {int(np.argmin(known.any(0)))} is NaN in every shape")
    if not known.any(1).all() or not (size_of(shapes) > 0).all():
        raise ShapeError("a shape has no points, or all its points coincide")
    standing = _unit(np.nanmean((shapes - np.nanmean(shapes, 1, keepdims=True)) / size_of(shapes)[:, None, None], 0))
    mean = standing
    for _ in range(rounds):
        before = mean
        moved = _unit(np.nanmean(align(shapes, mean)[0], 0))
        mean = _unit(align(moved[None], standing)[0][0])
        if np.abs(mean - before).max() < 1e-9:
            break
    return mean


def _unit(shape: Doubles) -> Doubles:
    unit: Doubles = (shape - shape.mean(0)) / size_of(shape)
    return unit


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Shapes as a mean plus a weighted sum of modes.

    Attributes:
        mean: Mean shape. Shape (P, D).
        modes: Modes as orthonormal rows, the most important first. Shape (K, P * D).
        deviations: Standard deviation of each mode's coefficient. Shape (K,).
    """

    mean: Doubles
    modes: Doubles
    deviations: Doubles

    @classmethod
    def fit(cls, shapes: NDArray[Any], keep: float = 1.0) -> "ShapeModel":
        """Principal components of shapes that are already aligned.

        Args:
            shapes: Aligned shapes without NaN, F > 1. Shape (F, P, D).
            keep: Share of the variance that the modes must explain, 0..1.

        Raises:
            ShapeError: fewer than two shapes, or a NaN.
        """
        shapes = np.asarray(shapes, np.float64)
        if shapes.ndim != 3 or len(shapes) < 2 or not np.isfinite(shapes).all():
            raise ShapeError(f"a shape model needs two or more shapes (F, P, D) without NaN, not {shapes.shape}")
        mean = shapes.mean(0)
        _, stretch, modes = np.linalg.svd((shapes - mean).reshape(len(shapes), -1), full_matrices=False)
        variance = stretch**2
        real = stretch > 1e-9 * max(stretch[0], 1e-300)
        before = np.concatenate([[0.0], np.cumsum(variance)[:-1]])
        kept = real & (before < keep * variance.sum() * (1 - 1e-12))
        modes = modes[kept]
        signs = np.sign(np.take_along_axis(modes, np.abs(modes).argmax(1)[:, None], 1))
        return cls(mean, modes * signs, stretch[kept] / np.sqrt(len(shapes) - 1))

    def project(self, shapes: NDArray[Any]) -> Doubles:
        """Coefficients of the modes that come nearest to shapes. Shape (F, P, D) -> (F, K)."""
        flat = (np.asarray(shapes, np.float64) - self.mean).reshape(len(shapes), -1)
        coefficients: Doubles = flat @ self.modes.T
        return coefficients

    def rebuild(self, coefficients: NDArray[Any], limit: float = np.inf) -> Doubles:
        """Shapes from coefficients.

        Args:
            coefficients: Coefficients of the modes. Shape (F, K).
            limit: Number of standard deviations at which coefficients are clipped.

        Returns:
            Shape (F, P, D).
        """
        reach = limit * self.deviations
        flat = np.clip(coefficients, -reach, reach) @ self.modes
        shapes: Doubles = flat.reshape(-1, *self.mean.shape) + self.mean
        return shapes
