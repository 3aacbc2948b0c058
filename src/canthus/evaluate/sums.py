"""Running sums over chunks of faces, from which `score` makes the tables of a result."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate import metrics
from canthus.evaluate.reliability import Tally, bad_precision, brier, calibration_error, reliability_curve, tally
from canthus.evaluate.result import Contour, Reliability
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHORTEST_CONTOUR = 5
"""Number of points that a contour needs for a tangent; fewer do not follow the outline of the face."""
NEAR = 0.025
"""A point is near its truth within this part of the longer side of the box: what the scores of `Faces` claim."""


@dataclass(eq=False)
class Sums:
    """Sums of errors per point, per contour point and by visibility, and tallies of scores; no face that was not found.

    Attributes:
        total: Sum of the errors of each point, fractions. Shape (P,).
        count: Number of errors in `total`. Shape (P,).
        seen: Sum of the errors of visible and of occluded points. Shape (2,).
        seen_count: Number of errors in `seen`. Shape (2,).
        line: Points of the contour in order. Length C.
        along: Sums of the error along and across the contour. Shape (2, C).
        along_count: Number of errors in `along`. Shape (2, C).
        near: Tally of the points near their truth, by score; None = no scores.
        visible: Tally of the visible points, by score; None = no scores, or visibility is not labelled.
    """

    total: Array
    count: Array
    seen: Array
    seen_count: Array
    line: Sequence[int]
    along: Array
    along_count: Array
    near: Tally | None = None
    visible: Tally | None = None

    @classmethod
    def empty(cls, scheme: Scheme) -> "Sums":
        """Sums over no face of a scheme."""
        points, line = np.zeros(scheme.count), scheme.contour
        zero = np.zeros((2, len(line)))
        return cls(points, points.copy(), np.zeros(2), np.zeros(2), line, zero, zero.copy())

    def add(self, error: Array, mask: Mask, visible: Mask | None) -> None:
        """Add the errors of n faces.

        Args:
            error: Error of each point, a fraction. Shape (n, P).
            mask: Which points count. Shape (n, P).
            visible: Which points can be seen; None = not known. Shape (n, P).
        """
        known = mask & ~np.isnan(error)
        kept = np.where(known, error, 0)
        self.total += kept.sum(0)
        self.count += known.sum(0)
        if visible is not None:
            self.seen += kept[visible].sum(), kept[~visible].sum()
            self.seen_count += (known & visible).sum(), (known & ~visible).sum()

    def add_contour(self, predicted: NDArray[Any], true: NDArray[Any], unit: Array, mask: Mask) -> None:
        """Add the errors along and across the contour of n faces.

        Args:
            predicted: Predicted points. Shape (n, P, D), pixels.
            true: True points. Shape (n, P, D), pixels.
            unit: Normaliser of each face. Shape (n,), pixels.
            mask: Which points count. Shape (n, P).
        """
        if len(self.line) >= SHORTEST_CONTOUR:
            predicted = np.where(mask[..., None], predicted, np.nan)
            parts = np.abs(metrics.along_contour(predicted, true, self.line)) / unit[:, None]  # (2, n, C)
            self.along += np.nansum(parts, 1)
            self.along_count += (~np.isnan(parts)).sum(1)

    def add_scores(self, distance: Array, true: NDArray[Any], scores: NDArray[Any], visible: Mask | None) -> None:
        """Add the scores of n faces.

        Args:
            distance: Distance of each point from its truth, pixels. Shape (n, P).
            true: True points. Shape (n, P, D), pixels.
            scores: Score of each point; NaN = does not count. Shape (n, P).
            visible: Which points can be seen; None = not known. Shape (n, P).
        """
        side = np.nanmax(true[..., :2], axis=1) - np.nanmin(true[..., :2], axis=1)
        self.near = _plus(self.near, tally(distance <= NEAR * side.max(-1, keepdims=True), scores))
        if visible is not None:
            self.visible = _plus(self.visible, tally(visible, scores))

    def points(self) -> Array:
        """Mean error of each point, a fraction; NaN = never counted. Shape (P,)."""
        return _ratio(self.total, self.count)

    def regions(self, scheme: Scheme) -> dict[str, float]:
        """Mean error of all points and of each group of the scheme that has points that count."""
        groups = {"all": tuple(range(scheme.count)), **scheme.groups}
        total = {name: (self.total[list(at)].sum(), self.count[list(at)].sum()) for name, at in groups.items()}
        return {name: float(value / count) for name, (value, count) in total.items() if count}

    def visibility(self) -> dict[str, float]:
        """Mean error of "visible" and of "occluded" points, where there are any."""
        means = _ratio(self.seen, self.seen_count)
        return {
            name: float(mean)
            for name, mean, count in zip(("visible", "occluded"), means, self.seen_count, strict=True)
            if count
        }

    def contour(self) -> Contour | None:
        """Mean error of each contour point along and across the contour; None without a contour."""
        tangent, normal = _ratio(self.along, self.along_count)
        return Contour(tangent, normal) if np.isfinite(tangent).any() else None

    def reliability(self) -> Reliability | None:
        """Quality of the scores; None without scores."""
        if self.near is None:
            return None
        curve = reliability_curve(self.near)
        occluded = float("nan") if self.visible is None else bad_precision(self.visible)
        return Reliability(curve, calibration_error(curve), brier(self.near), bad_precision(self.near), occluded)


def _plus(total: Tally | None, part: Tally) -> Tally:
    return part if total is None else total + part


def _ratio(total: Array, count: Array) -> Array:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
