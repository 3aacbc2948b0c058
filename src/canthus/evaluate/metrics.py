"""Errors of landmarks as pure functions of arrays.

Laws (tested): every error is unchanged when truth and prediction are moved, rotated and scaled together;
`auc` is the exact area under `ced`; `failure_rate` is 1 - `ced` at the threshold.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canthus.errors import ShapeError
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Normaliser = Literal["inter-ocular", "inter-pupil", "box", "diagonal"]
Measure = Literal["mean", "rms"]
NORMALISERS: tuple[Normaliser, ...] = get_args(Normaliser)


def normalisers(truth: NDArray[Any], kind: Normaliser, scheme: Scheme, boxes: NDArray[Any] | None = None) -> Array:
    """The distance that the error of each face is divided by.

    Args:
        truth: True points; NaN = not annotated. Shape (F, P, 2 or 3), pixels.
        kind: "inter-ocular", between the outer eye corners; "inter-pupil", between the means of the eyes' points;
            "box", sqrt(w * h); "diagonal", sqrt(w^2 + h^2) of the box.
        scheme: Landmark scheme; it names the points of the eyes.
        boxes: x0 y0 x1 y1; None = the tightest boxes of the points. Shape (F, 4), pixels.

    Returns:
        Shape (F,), pixels; NaN where the points that define the distance are not annotated.

    Raises:
        ShapeError: the scheme has no such normaliser.
    """
    plane = np.asarray(truth, np.float64)[..., :2]
    if kind in ("inter-ocular", "inter-pupil"):
        if kind not in scheme.normalisers:
            known = ", ".join((*scheme.normalisers, "box", "diagonal"))
            raise ShapeError(f"scheme {scheme.name} has no {kind} distance; it can be normalised by {known}")
        right, left = (plane[:, list(points)].mean(1) for points in scheme.normalisers[kind])
        return _length(right - left)
    low, high = (plane.min(1), plane.max(1)) if boxes is None else (boxes[:, :2], boxes[:, 2:])
    if boxes is None and np.isnan(low).any():
        low = np.where(np.isnan(plane), np.inf, plane).min(1)
        high = np.where(np.isnan(plane), -np.inf, plane).max(1)
    width, height = np.asarray(high - low, np.float64).T
    size: Array = np.sqrt(width * height) if kind == "box" else np.hypot(width, height)
    return size


def distances(predicted: NDArray[Any], truth: NDArray[Any]) -> Array:
    """Distance of each point from its truth. Shapes (F, P, D) -> (F, P), pixels; NaN where either is NaN.

    Raises:
        ShapeError: the two do not describe the same faces.
    """
    if predicted.shape != truth.shape or truth.ndim != 3:
        raise ShapeError(f"prediction {predicted.shape} and truth {truth.shape} are not the same (F, P, D)")
    return _length(np.asarray(predicted, np.float64) - truth)


def face_errors(distance: NDArray[Any], normaliser: NDArray[Any], mask: Mask, measure: Measure = "mean") -> Array:
    """Error of each face over its normaliser: eq. (3) of [Mahpod et al., 2018], or the root mean square of Menpo-3D.

    Args:
        distance: Distance of each point from its truth; a NaN under the mask makes the face's error NaN.
            Shape (F, P), pixels.
        normaliser: Distance to divide by, > 0. Shape (F,), pixels.
        mask: Which points are scored. Shape (F, P).
        measure: Mean of the distances, or root of their mean square.

    Returns:
        Error of each face as a fraction; NaN where no point is scored. Shape (F,).
    """
    power = distance**2 if measure == "rms" else distance
    count = mask.sum(-1)
    mean = np.divide(np.where(mask, power, 0).sum(-1), count, out=np.full(len(distance), np.nan), where=count > 0)
    error: Array = (np.sqrt(mean) if measure == "rms" else mean) / normaliser
    return error


def nme(predicted: NDArray[Any], truth: NDArray[Any], normaliser: NDArray[Any]) -> Array:
    """Mean point error over `normaliser`: eq. (3) of [Mahpod et al., 2018].

    Args:
        predicted: Points. Shape (F, P, D), pixels.
        truth: Points. Shape (F, P, D), pixels; NaN = not annotated, left out of the mean.
        normaliser: Distance of each face. Shape (F,), pixels, > 0.

    Returns:
        Error of each face as a fraction; NaN where a predicted point is missing or no point is annotated. Shape (F,).

    Raises:
        ShapeError: the three do not describe the same faces.
    """
    distance = distances(predicted, truth)
    if normaliser.shape != distance.shape[:1]:
        raise ShapeError(f"{len(distance)} faces need as many normalisers, not {normaliser.shape}")
    return face_errors(distance, normaliser, ~np.isnan(truth).any(-1))


def auc(errors: ArrayLike, threshold: float) -> float:
    """Exact area under the cumulative error distribution up to `threshold`, over `threshold`.

    The area under a step function that rises by 1/F at each error e <= t is the mean of max(0, 1 - e/t).

    Args:
        errors: Error of each face as a fraction; infinity = not found. Shape (F,).
        threshold: t, a fraction, > 0.

    Returns:
        0..1; NaN without faces.
    """
    errors = np.asarray(errors, np.float64)
    return float(np.maximum(0, 1 - errors / threshold).mean()) if errors.size else float("nan")


def failure_rate(errors: ArrayLike, threshold: float) -> float:
    """Share of faces whose error is larger than `threshold`, 0..1; NaN without faces."""
    errors = np.asarray(errors, np.float64)
    return float((errors > threshold).mean()) if errors.size else float("nan")


def ced(errors: ArrayLike, at: ArrayLike) -> Array:
    """Cumulative error distribution: the share of faces whose error is at most `at`.

    Args:
        errors: Error of each face as a fraction; infinity = not found. Shape (F,).
        at: Errors at which to read the curve. Shape (N,).

    Returns:
        Shape (N,), 0..1.
    """
    errors = np.sort(np.asarray(errors, np.float64))
    return np.searchsorted(errors, np.asarray(at, np.float64), side="right") / max(len(errors), 1)


def along_contour(predicted: NDArray[Any], truth: NDArray[Any], contour: Sequence[int]) -> tuple[Array, Array]:
    """Error of the contour points, split into parts along and across the contour: figure 6 of coarse_to_fine.

    The tangent at a point is the direction from the previous to the next point; at the ends, from or to the end point.

    Args:
        predicted: Points. Shape (F, P, 2 or 3), pixels.
        truth: Points. Shape (F, P, 2 or 3), pixels.
        contour: Indices of the contour's points in order. Length C > 1.

    Returns:
        Tangential part (positive in the direction of the contour) and normal part (positive to the right of that
        direction, y pointing down). Each (F, C), pixels.
    """
    line = np.asarray(truth, np.float64)[:, list(contour), :2]
    offset = np.asarray(predicted, np.float64)[:, list(contour), :2] - line
    direction = np.concatenate(
        [line[:, 1:2] - line[:, :1], line[:, 2:] - line[:, :-2], line[:, -1:] - line[:, -2:-1]], 1
    )
    length = np.linalg.norm(direction, axis=-1, keepdims=True)
    direction = np.divide(direction, length, out=np.full_like(direction, np.nan), where=length > 0)
    tangent = (offset * direction).sum(-1)
    normal = offset[..., 1] * direction[..., 0] - offset[..., 0] * direction[..., 1]
    return tangent, normal


def _length(vectors: Array) -> Array:
    """Shape (..., D) -> (...)."""
    length: Array = np.sqrt((vectors**2).sum(-1))
    return length
