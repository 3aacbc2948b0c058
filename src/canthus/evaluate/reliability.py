"""Quality of the scores of points: do low scores find the bad points, and is a score of .8 right 80 times out of 100?

A point is good when it lies near its truth (or, for the figures on occlusion, when it is visible); its score claims the
probability of that. Everything is computed from counts in `STEPS` steps of the score, so that memory does not grow with
the number of faces.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError

Array = NDArray[np.float64]
STEPS = 20_000
"""Number of steps; scores closer than 1 / STEPS may be treated as equal."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts by score. Each array has shape (STEPS,).

    Attributes:
        counts: Number of points.
        good: Number of good points.
        claimed: Sum of the scores.
        square: Sum of (score - outcome)^2 over all points; the outcome of a good point is 1, of another 0.
    """

    counts: Array
    good: Array
    claimed: Array
    square: float

    def __add__(self, other: "Tally") -> "Tally":
        """The counts of both."""
        return Tally(
            self.counts + other.counts, self.good + other.good, self.claimed + other.claimed, self.square + other.square
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """A reliability diagram of B bins.

    Attributes:
        claimed: Mean score in each bin; NaN where it is empty. Shape (B,).
        true: Share of good points in each bin; NaN where it is empty. Shape (B,).
        counts: Number of points in each bin. Shape (B,).
    """

    claimed: Array
    true: Array
    counts: NDArray[np.intp]


def tally(good: NDArray[Any], scores: NDArray[Any]) -> Tally:
    """Count outcomes by score; points whose score is NaN are left out.

    Args:
        good: Which points are good. Any shape.
        scores: Claimed probability of each point, 0..1. Same shape.

    Raises:
        ShapeError: shapes differ, or a score is not a probability.
    """
    if good.shape != scores.shape:
        raise ShapeError(f"{good.shape} outcomes and {scores.shape} scores are not of the same points")
    known = ~np.isnan(scores)
    hits, values = good[known], scores[known].astype(np.float64)
    if values.size and not 0 <= values.min() <= values.max() <= 1:
        raise ShapeError(f"scores are probabilities, 0..1, not {values.min():.3g}..{values.max():.3g}")
    place = np.minimum((values * STEPS).astype(np.intp), STEPS - 1)
    counts, right = (np.bincount(part, minlength=STEPS).astype(np.float64) for part in (place, place[hits]))
    claimed: Array = np.bincount(place, values, STEPS).astype(np.float64)
    return Tally(counts, right, claimed, float(((values - hits) ** 2).sum()))


def bad_precision(found: Tally) -> float:
    """Average precision of finding the bad points by their low scores; equal scores are one step.

    Returns:
        Area under precision over recall, summed over the steps of recall, 0..1; NaN when no point is bad.
    """
    bad = found.counts - found.good
    if not bad.any():
        return float("nan")
    precision = np.cumsum(bad) / np.maximum(np.cumsum(found.counts), 1)
    return float((precision * bad).sum() / bad.sum())


def reliability_curve(found: Tally, bins: int = 10) -> Curve:
    """Share of good points over the score, in bins of equal width; their number divides STEPS."""
    counts, right, claimed = (part.reshape(bins, -1).sum(1) for part in (found.counts, found.good, found.claimed))
    empty = np.full(bins, np.nan)
    return Curve(
        np.divide(claimed, counts, out=empty.copy(), where=counts > 0),
        np.divide(right, counts, out=empty, where=counts > 0),
        counts.astype(np.intp),
    )


def calibration_error(curve: Curve) -> float:
    """Expected calibration error [Naeini et al., 2015]: mean of |claimed - true| over the points' bins."""
    filled = curve.counts > 0
    if not filled.any():
        return float("nan")
    gap = np.abs(curve.claimed - curve.true)[filled]
    return float(np.average(gap, weights=curve.counts[filled]))


def brier(found: Tally) -> float:
    """Brier score [Brier, 1950]: mean square of score - outcome; 0 is perfect, a constant score of .5 gives .25."""
    total = found.counts.sum()
    return float(found.square / total) if total else float("nan")
