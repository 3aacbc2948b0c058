"""Where a face is, how large and how far turned: its placement, and the distance of two shapes without it.

Laws (tested): a similarity moves the placement of points as it moves the points; `shape_distance` does not change under
similarities of either shape.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import box_frames, box_of
from canthus.geometry.transform import Matrix, apply, compose, fit_similarity, similarity

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Placement:
    """Place, size and in-plane rotation of a face.

    Attributes:
        centre: Middle of its box in the frame of its head, in pixels of the picture. Shape (2,).
        size: Longer side of that box, pixels.
        roll: Rotation of the head, degrees clockwise on the screen.
    """

    centre: Doubles
    size: float
    roll: float

    @classmethod
    def of(cls, points: NDArray[Any], roll: float) -> "Placement":
        """The placement of points (P, 2 or 3); NaN is left out."""
        turn = similarity(angle=-roll)
        box = box_of(apply(turn, np.asarray(points, np.float64)[:, :2])).astype(np.float64)
        centre = apply(similarity(angle=roll), (box[None, :2] + box[None, 2:]) / 2)[0]
        return cls(centre, float((box[2:] - box[:2]).max()), roll)

    @property
    def frame(self) -> Matrix:
        """Map from picture pixels to the frame of the face, as `View.frames`. Shape (2, 3)."""
        x, y = self.centre.tolist()
        half = self.size / 2
        upright = box_frames(np.array([[-half, -half, half, half]]))[0]
        return compose(compose(upright, similarity(angle=-self.roll)), similarity(shift=(-x, -y)))


def shape_distance(points: NDArray[Any], others: NDArray[Any]) -> float:
    """Root mean square distance of two shapes (P, 2 or 3) after the best similarity, over the size of the second.

    The size is the longer side of the box of `others`. Points that are NaN in either are left out.
    """
    first, second = np.asarray(points, np.float64)[:, :2], np.asarray(others, np.float64)[:, :2]
    known = np.isfinite(first).all(1) & np.isfinite(second).all(1)
    if known.sum() < 3:
        return float("inf")
    first, second = first[known], second[known]
    moved = apply(fit_similarity(first, second), first)
    low, high = second.min(0), second.max(0)
    return float(np.sqrt(((moved - second) ** 2).sum(-1).mean()) / max(float((high - low).max()), 1e-9))


def wrapped(angle: float) -> float:
    """An angle in -180..180 degrees."""
    return (angle + 180) % 360 - 180
