"""Points of a face rebuilt from the reliable ones, by what is known of face shapes: score_guided, section 3.3.

`shapes_of` makes the arrays that go into a bundle, `Rebuild` reads them at run time. Their frame is that of the mean
shape, whose longer side is 1, so that lengths in it are in units of the longer side of a box.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import unit_mean
from canthus.geometry.dictionary import ShapePosterior, k_svd, rebuild
from canthus.geometry.shape import ShapeModel, align
from canthus.geometry.transform import apply, fit_similarity, invert
from canthus.types import Floats

Kind = Literal["none", "exemplars", "posterior"]
Arrays = Mapping[str, NDArray[Any]]
Doubles = NDArray[np.float64]

ROUNDS, KEPT = 8, 0.95
"""Rounds of K-SVD; share of the variance of the shapes that the modes of the Gaussian prior explain."""
ENOUGH = 4
"""Number of reliable points without which a face stays as it is."""
FLOOR = 1e-3
"""Smallest weight of a point in the frame of its face, so that a frame exists."""
NEAR = 0.025
"""Distance that a score is the probability of, over the longer side of the box (`nets/decode.py`)."""


def shapes_of(
    points: NDArray[Any], kind: Kind, dictionary: tuple[int, int], nearest: int, least: float
) -> dict[str, NDArray[Any]]:
    """Arrays of a rebuild, from the labels of the training faces.

    Args:
        points: Labels; faces with unknown points are left out. Shape (L, P, 2).
        kind: Kind of rebuild.
        dictionary: Number of exemplars, 0 = all shapes, and sparsity of K-SVD.
        nearest: Number of exemplars from which a face is rebuilt.
        least: Weight below which a point is not reliable.

    Returns:
        Nothing for "none". Else "shape_mean" (P, 2) and "least" (1,); for "exemplars" also "exemplars" (K, P, 2) and
        "nearest" (1,); for "posterior" "modes" (M, 2 P), "deviations" (M,) and "rest" (1,), the variance of a
        coordinate that the modes leave.
    """
    if kind == "none":
        return {}
    whole = points[np.isfinite(points).all((1, 2))]
    mean = unit_mean(whole)
    shapes = align(whole, mean)[0]
    found: dict[str, NDArray[Any]] = {"shape_mean": mean, "least": np.array([least])}
    if kind == "exemplars":
        found |= {"exemplars": _exemplars(shapes, mean, *dictionary), "nearest": np.array([nearest])}
    else:
        model = ShapeModel.fit(shapes, KEPT)
        left = shapes - model.rebuild(model.project(shapes))
        found |= {"modes": model.modes, "deviations": model.deviations, "rest": left.var().reshape(1)}
    return {name: array.astype(np.float32) for name, array in found.items()}


def _exemplars(shapes: Doubles, mean: NDArray[Any], atoms: int, sparsity: int) -> Doubles:
    """A dictionary (K, P, 2) of aligned shapes (L, P, 2), by K-SVD; all shapes for 0 atoms."""
    if not atoms:
        return shapes
    found = k_svd(shapes.reshape(len(shapes), -1), min(atoms, len(shapes)), sparsity, ROUNDS)
    return align(found.reshape(-1, *mean.shape), mean)[0]


@dataclass(frozen=True, eq=False)
class Rebuild:
    """A rebuild by the arrays of a bundle.

    Attributes:
        mean: Mean shape. Shape (P, 2).
        least: Weight below which a point is not reliable.
        exemplars: Dictionary of shapes, of which the `nearest` are summed up; None = posterior. Shape (K, P, 2).
        nearest: Number of exemplars from which a face is rebuilt.
        prior: Gaussian prior of shapes; None = exemplars.
    """

    mean: Doubles
    least: float
    exemplars: Doubles | None = None
    nearest: int = 0
    prior: ShapePosterior | None = None

    @classmethod
    def of(cls, arrays: Arrays) -> Self | None:
        """The rebuild of the arrays of `shapes_of`; None = they hold none."""
        if "shape_mean" not in arrays:
            return None
        mean, least = arrays["shape_mean"].astype(np.float64), float(arrays["least"][0])
        if "exemplars" in arrays:
            return cls(mean, least, arrays["exemplars"].astype(np.float64), int(arrays["nearest"][0]))
        model = ShapeModel(mean, *(arrays[name].astype(np.float64) for name in ("modes", "deviations")))
        return cls(mean, least, prior=ShapePosterior(model, float(arrays["rest"][0])))

    def points(self, points: Floats, weights: NDArray[Any], scores: NDArray[Any]) -> Floats:
        """Rebuild the points of faces; a face with too few reliable points keeps its own.

        With a dictionary the points of low weight are replaced by a sum of exemplars (section 3.3). With a prior a
        point stays with the probability that its score claims, and else lies at its mean under the prior and the noise
        that the scores claim; the result is the mean of both.

        Args:
            points: Shape (N, P, 2), pixels.
            weights: Weight of each point, 0..1. Shape (N, P).
            scores: Reliability of each point, 0..1. Shape (N, P).

        Returns:
            Shape (N, P, 2).
        """
        found = points.copy()
        enough = (weights >= self.least).sum(1) >= ENOUGH
        if not enough.any():
            return found
        some, trusted = points[enough].astype(np.float64), np.maximum(weights[enough], FLOOR).astype(np.float64)
        frames = fit_similarity(some, np.broadcast_to(self.mean, some.shape), trusted)
        shapes = apply(frames, some)
        if self.exemplars is not None:
            replaced = rebuild(self.exemplars, shapes, weights[enough], self.nearest)
            better = np.where((weights[enough] < self.least)[..., None], replaced, shapes)
        else:
            assert self.prior is not None
            doubt = (1 - scores[enough])[..., None]
            better = shapes + doubt * (self.prior.mean(shapes, spread_of(scores[enough])) - shapes)
        found[enough] = apply(invert(frames), better)
        return found


_Q = np.geomspace(1e-3, 60, 4000)
_SCORES = 1 - (1 + _Q) * np.exp(-_Q)


def spread_of(scores: NDArray[Any]) -> Doubles:
    """Standard deviation of a coordinate of a point, over the longer side of the box, from its score.

    Under the density exp(-r / b) / (2 pi b^2) of the error (`nets/decode.py`) a coordinate has the variance 3 b^2.
    """
    spread: Doubles = np.sqrt(3.0) * NEAR / np.interp(scores, _SCORES, _Q)
    return spread
