"""Scores as probabilities: a rising curve from what a system claims to how often it is right.

Isotonic regression [Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", 2002] of means of equally many points, found by pooling adjacent violators.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.types import Floats

Doubles = NDArray[np.float64]
BINS, LEAST = 100, 20
"""Largest number of groups of points, and least number of points in a group."""


@dataclass(frozen=True, eq=False)
class Curve:
    """A rising curve through knots, constant beyond them.

    Attributes:
        claimed: Claimed probability at each knot, rising. Shape (K,).
        true: Share of good points there, rising. Shape (K,).
    """

    claimed: Doubles
    true: Doubles

    @classmethod
    def fit(cls, scores: NDArray[Any], good: NDArray[Any], weights: NDArray[Any]) -> Self:
        """Fit a curve.

        Args:
            scores: Claimed probability of each point. Shape (N,), N > 0.
            good: Which points are good. Shape (N,).
            weights: Weight of each point, > 0. Shape (N,).

        Raises:
            ShapeError: no points, or the three are not of the same points.
        """
        if not len(scores) or not scores.shape == good.shape == weights.shape:
            raise ShapeError(
                f"{scores.shape} scores, {good.shape} outcomes, {weights.shape} weights: not a calibration"
            )
        groups = np.array_split(np.argsort(scores, kind="stable"), min(BINS, max(1, len(scores) // LEAST)))
        mass = np.array([weights[some].sum() for some in groups])
        claimed = np.array([np.average(scores[some], weights=weights[some]) for some in groups])
        share = np.array([np.average(good[some], weights=weights[some]) for some in groups])
        return cls(claimed, rising(share, mass))

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Self | None:
        """The curve in the arrays of a stage; None = there is none."""
        if "score_claimed" not in arrays:
            return None
        return cls(*(arrays[name].astype(np.float64) for name in ("score_claimed", "score_true")))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """The curve as arrays of a stage, by name."""
        return {"score_claimed": self.claimed.astype(np.float32), "score_true": self.true.astype(np.float32)}

    def __call__(self, scores: Floats) -> Floats:
        """Calibrated scores, in any shape; NaN stays NaN."""
        found = np.interp(scores, self.claimed, self.true)
        return np.where(np.isnan(scores), np.nan, found).astype(np.float32)


def rising(values: NDArray[Any], weights: NDArray[Any]) -> Doubles:
    """The rising sequence nearest to values (N,) in weighted least squares: pooling of adjacent violators."""
    blocks: list[tuple[float, float, int]] = []  # mean, weight, length
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        mean, mass, length = value, weight, 1
        while blocks and blocks[-1][0] >= mean:
            before, more, count = blocks.pop()
            mean = (before * more + mean * mass) / (more + mass)
            mass, length = mass + more, length + count
        blocks.append((mean, mass, length))
    return np.repeat([mean for mean, _, _ in blocks], [length for _, _, length in blocks])
