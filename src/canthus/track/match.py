"""Which detection is which face: by place, size and shape, and no recognition of persons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.track.motion import Placement, shape_distance
from canthus.types import Floats

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a face may be from what it was when it was lost.

    Attributes:
        place: Distance of the middle of the face, over its size, right after it was lost.
        drift: Rise of `place` with each second.
        size: Factor between the sizes.
        shape: `shape_distance` of the points.
    """

    place: float
    drift: float
    size: float
    shape: float


SAME_SCENE = Limits(place=0.6, drift=1.2, size=1.7, shape=0.14)
"""Limits for a face that was lost in a scene."""
OTHER_SCENE = Limits(place=0.35, drift=0.0, size=1.25, shape=0.06)
"""Limits for a face that was lost by a cut: the scene must show it as it was."""


@dataclass(frozen=True, eq=False, slots=True)
class Known:
    """A face as it was last seen.

    Attributes:
        placement: Place, size and rotation.
        ahead: Where its middle is now if it has moved on as before. Shape (2,), pixels.
        points: Points, shape (P, 2 or 3), pixels.
        away: Time since then, seconds.
        limits: How far it may be from that.
    """

    placement: Placement
    ahead: Doubles
    points: Floats
    away: float
    limits: Limits


def cost_of(known: Known, placement: Placement, points: Floats) -> float:
    """How far a fitted face is from a known one: the sum of three parts that are at most 1; infinite beyond a limit.

    The place counts from where the face was seen or from where it would be by now, whichever is nearer: a face that
    leaves comes back where it went, and one that passes behind another comes out on the other side.
    """
    limits = known.limits
    size = max(known.placement.size, placement.size)
    place = min(_apart(placement, known.placement.centre), _apart(placement, known.ahead)) / size
    parts = (place / (limits.place + limits.drift * known.away), *_looks(known, placement, points))
    return sum(parts) if max(parts) <= 1 else float("inf")


def costs_of(faces: Sequence[Known], placements: Sequence[Placement], points: Sequence[Floats]) -> Doubles:
    """`cost_of` of every face (M) and fit (N); shapes are compared only where place and size are within the limits.

    Args:
        faces: The known faces.
        placements: Place, size and rotation of each fit.
        points: Points of each fit, each (P, 2 or 3), pixels.

    Returns:
        Shape (M, N).
    """
    costs = np.full((len(faces), len(placements)), np.inf)
    if not costs.size:
        return costs
    centres, sizes = np.stack([place.centre for place in placements]), np.array([place.size for place in placements])
    for row, known in enumerate(faces):
        limits, size = known.limits, known.placement.size
        apart = np.minimum(*(np.hypot(*(centres - centre).T) for centre in (known.placement.centre, known.ahead)))
        near = apart / np.maximum(size, sizes) <= limits.place + limits.drift * known.away
        alike = np.abs(np.log(sizes / size)) <= np.log(limits.size)
        for column in np.flatnonzero(near & alike).tolist():
            costs[row, column] = cost_of(known, placements[column], points[column])
    return costs


def strangeness(known: Known, placement: Placement, points: Floats) -> float:
    """How far a fitted face is from what a known one would be now, without a limit: motion, size and shape together."""
    place = _apart(placement, known.ahead) / max(known.placement.size, placement.size)
    return place / known.limits.place + sum(_looks(known, placement, points))


def _apart(placement: Placement, centre: Doubles) -> float:
    """Distance of the middle of a face from a position, pixels."""
    return float(np.hypot(*(placement.centre - centre)))


def _looks(known: Known, placement: Placement, points: Floats) -> tuple[float, float]:
    """Differences of size and shape over their limits."""
    growth = abs(float(np.log(placement.size / known.placement.size)))
    return growth / float(np.log(known.limits.size)), shape_distance(points, known.points) / known.limits.shape


def assign(costs: NDArray[Any]) -> list[tuple[int, int]]:
    """Pairs of rows and columns, each once, the cheapest first, none of infinite cost. (M, N) -> at most min(M, N)."""
    rows, columns = np.nonzero(np.isfinite(costs))
    order = np.argsort(costs[rows, columns], kind="stable")
    pairs, taken = [], (set[int](), set[int]())
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken[0] and column not in taken[1]:
            pairs.append((row, column))
            taken[0].add(row)
            taken[1].add(column)
    return pairs


def doubles(points: Sequence[Floats], sizes: Sequence[float], near: float = 0.12) -> list[tuple[int, int]]:
    """Pairs of faces whose points are the same: their mean distance is under `near` of the smaller size.

    The middles of such faces are no farther apart than their points are on average, so all other pairs are left out.
    """
    found = []
    middles, wide = np.array([one[:, :2].mean(0) for one in points]).reshape(-1, 2), np.array(sizes)
    for one in range(len(points) - 1):
        far = np.hypot(*(middles[one + 1 :] - middles[one]).T)
        for two in (one + 1 + np.flatnonzero(far < near * np.minimum(wide[one], wide[one + 1 :]))).tolist():
            apart = np.linalg.norm(points[one][:, :2] - points[two][:, :2], axis=-1).mean()
            if apart < near * min(sizes[one], sizes[two]):
                found.append((one, two))
    return found
