"""Conversion between schemes: by index where positions are shared or near, by least squares where they are learnt.

Laws (tested): converting to the same scheme changes nothing; converting and mirroring commute; a linear transfer
commutes with similarities of the plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from canthus.errors import SchemeError, ShapeError
from canthus.geometry.shape import mean_shape
from canthus.geometry.transform import apply, fit_similarity, invert
from canthus.schemes.definition import Indices, indices, swap_sides
from canthus.schemes.scheme import Scheme

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

UNION = "68"
"""The scheme whose slots hold the points of all views in multi_view, fig. 3."""
VIEWS = (UNION, "39_left", "39_right")
"""The scheme of each view of a face: frontal, left profile, right profile."""
_UNION_OF_PROFILE = indices("16-5 26-23 27-30 33 35 43-47 51-57 62-66")


@dataclass(frozen=True, eq=False)
class IndexMap:
    """How each of the Q points of one scheme follows from the P points of another.

    Attributes:
        source: Name of the scheme with P points.
        target: Name of the scheme with Q points.
        parts: For each target point the source points whose mean it is; empty = it does not follow. Length Q.
        exact: True where both schemes name the same position. Shape (Q,).
        approximate: True where the mean of the source points is only near the target point. Shape (Q,).
    """

    source: str
    target: str
    parts: tuple[Indices, ...]
    exact: Mask
    approximate: Mask

    @property
    def missing(self) -> Mask:
        """True where the target point is NaN. Shape (Q,)."""
        return ~(self.exact | self.approximate)

    def apply(self, points: NDArray[Any]) -> NDArray[Any]:
        """Convert points to the target scheme.

        Args:
            points: Points of the source scheme. Shape (..., P, D).

        Returns:
            Points of the target scheme; NaN where they do not follow from the source. Shape (..., Q, D).

        Raises:
            ShapeError: the number of points is not P.
        """
        points = np.asarray(points)
        _check_count(points, self.source)
        return means_of(points, self.parts)


def means_of(points: NDArray[Any], parts: Sequence[Indices]) -> NDArray[Any]:
    """Means of some of the points.

    Args:
        points: Points. Shape (..., P, D).
        parts: For each of Q means the points that it is taken of; empty = NaN. Length Q.

    Returns:
        NaN where one of the points is. Shape (..., Q, D).
    """
    points = np.asarray(points)
    moved = np.full((*points.shape[:-2], len(parts), points.shape[-1]), np.nan, _floating(points))
    for index, part in enumerate(parts):
        if part:
            moved[..., index, :] = points[..., part, :].mean(-2)
    return moved


@cache
def index_map(source: str, target: str) -> IndexMap:
    """The map between two schemes, from their names and from `approximations.yaml`.

    Raises:
        SchemeError: one of the schemes is unknown.
    """
    index_of = {name: index for index, name in enumerate(Scheme.open(source).names)}
    rules = _approximations()
    parts: list[Indices] = []
    exact: list[bool] = []
    for name in Scheme.open(target).names:
        means = [(name,), *rules.get(name, ())]
        chosen = next((mean for mean in means if set(mean) <= index_of.keys()), ())
        parts.append(tuple(index_of[item] for item in chosen))
        exact.append(chosen == (name,))
    same = np.array(exact)
    return IndexMap(source, target, tuple(parts), same, np.array([bool(part) for part in parts]) & ~same)


def convert(points: NDArray[Any], source: str, target: str) -> NDArray[Any]:
    """Convert points by index: `index_map(source, target).apply(points)`.

    `index_map` says which points are exact, approximate or missing.

    Raises:
        SchemeError: one of the schemes is unknown, or no point of `target` follows from `source`.
        ShapeError: the points are not those of `source`.
    """
    mapping = index_map(source, target)
    if mapping.missing.all():
        raise SchemeError(f"no point of scheme {target} follows from scheme {source}; docs/schemes.md has a table")
    return mapping.apply(points)


def union_slots(scheme: str) -> Indices:
    """The points of scheme 68 that stand for those of another in the union of schemes of multi_view, fig. 3.

    The contour of a profile takes the slots of the nearest frontal points in order along the jaw, and beyond the chin
    those of the hidden side. They are slots of a network's output, not positions on the face; those are in `index_map`.

    Args:
        scheme: One of `VIEWS`.

    Returns:
        One index for each point of the scheme.

    Raises:
        SchemeError: the union does not hold this scheme.
    """
    frontal = Scheme.open(UNION)
    slots = {
        UNION: tuple(range(frontal.count)),
        "39_left": _UNION_OF_PROFILE,
        "39_right": tuple(int(frontal.mirror[index]) for index in _UNION_OF_PROFILE),
    }
    if scheme not in slots:
        raise SchemeError(f"the union of 68 and 39 points holds {', '.join(slots)}, not {scheme!r}")
    return slots[scheme]


@dataclass(frozen=True, eq=False)
class LinearTransfer:
    """A learnt linear map from P to Q points: least squares with a bias column, section 3.4 of coarse_to_fine.

    The map works in the frame of the mean face: a similarity takes the source points there, and its inverse takes the
    result back.

    Attributes:
        mean: Mean source shape, of unit size. Shape (P, 2).
        matrix: Map from (x0, y0, ..., 1) of the source to (x0, y0, ...) of the target. Shape (2 P + 1, 2 Q).
        error: Error of each target point: root mean square distance that remains on the fitted faces, over
            `shape.size_of` the source shape. Shape (Q,).
    """

    mean: Doubles
    matrix: Doubles
    error: Doubles

    @classmethod
    def fit(cls, source: NDArray[Any], target: NDArray[Any], ridge: float = 0.0) -> "LinearTransfer":
        """Learn the map from faces annotated in both schemes; faces with a NaN in either are left out.

        Args:
            source: Points of the source scheme. Shape (F, P, 2), pixels.
            target: Points of the target scheme. Shape (F, Q, 2), pixels.
            ridge: Weight of the squared map (without the bias) against the mean squared error; > 0 for few faces.

        Raises:
            ShapeError: shapes differ, or no face is complete.
        """
        source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
        if source.ndim != 3 or target.ndim != 3 or len(source) != len(target) or source.shape[2] + target.shape[2] != 4:
            raise ShapeError(f"a transfer is fitted to (F, P, 2) and (F, Q, 2), not {source.shape} and {target.shape}")
        whole = np.isfinite(source).all((1, 2)) & np.isfinite(target).all((1, 2))
        if not whole.any():
            raise ShapeError("no face has all points in both schemes; a transfer is learnt from complete faces")
        source, target = source[whole], target[whole]
        mean = mean_shape(source)
        frame = fit_similarity(source, np.broadcast_to(mean, source.shape))
        design = _design(apply(frame, source))
        goal = apply(frame, target).reshape(len(target), -1)
        penalty = np.sqrt(ridge * len(design)) * np.eye(design.shape[1])[:-1]
        nothing = np.zeros((len(penalty), goal.shape[1]))
        matrix = np.linalg.lstsq(np.concatenate([design, penalty]), np.concatenate([goal, nothing]), rcond=None)[0]
        left = (design @ matrix - goal).reshape(len(goal), -1, 2)
        return cls(mean, matrix, np.sqrt((left**2).sum(-1).mean(0)))

    def apply(self, points: NDArray[Any]) -> NDArray[Any]:
        """Convert points to the target scheme.

        Args:
            points: Points of the source scheme; a face with a NaN becomes NaN. Shape (F, P, 2), pixels.

        Returns:
            Points of the target scheme, in the type of `points`. Shape (F, Q, 2), pixels.

        Raises:
            ShapeError: the number of points is not P.
        """
        points = np.asarray(points)
        if points.ndim != 3 or points.shape[1:] != self.mean.shape:
            raise ShapeError(f"the transfer takes (F, {len(self.mean)}, 2) points, not {points.shape}")
        moved = np.full((len(points), self.matrix.shape[1] // 2, 2), np.nan, _floating(points))
        whole = np.isfinite(points).all((1, 2))
        faces = points[whole].astype(np.float64)
        frame = fit_similarity(faces, np.broadcast_to(self.mean, faces.shape))
        moved[whole] = apply(invert(frame), (_design(apply(frame, faces)) @ self.matrix).reshape(len(faces), -1, 2))
        return moved


def _floating(points: NDArray[Any]) -> np.dtype[Any]:
    return points.dtype if np.issubdtype(points.dtype, np.floating) else np.dtype(np.float64)


def _design(points: Doubles) -> Doubles:
    return np.column_stack([points.reshape(len(points), -1), np.ones(len(points))])


def _check_count(points: NDArray[Any], scheme: str) -> None:
    count = Scheme.open(scheme).count
    if points.ndim < 2 or points.shape[-2] != count:
        raise ShapeError(f"scheme {scheme} has {count} points, the array is {points.shape}")


@cache
def _approximations() -> dict[str, list[tuple[str, ...]]]:
    text = files("canthus.schemes").joinpath("approximations.yaml").read_text(encoding="utf-8")
    right = {name: [tuple(mean.split()) for mean in means] for name, means in yaml.safe_load(text).items()}
    left = {
        swap_sides(name): [tuple(swap_sides(item) for item in mean) for mean in means] for name, means in right.items()
    }
    return right | left
