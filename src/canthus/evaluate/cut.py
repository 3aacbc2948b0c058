"""Divides a set of faces into classes: by pose, by expression, by any number that is known of each face.

Where a set gives no head pose, the yaw is estimated from the true points, and the title of the table says "estimated".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]

EYES, NOSE = ("eye_right_outer", "eye_left_outer"), "nose_tip"
LIPS = tuple((f"upper_lip_inner_{part}", f"lower_lip_inner_{part}") for part in ("right", "middle", "left"))


@dataclass(frozen=True, eq=False)
class Cut:
    """A division of faces into classes, each face in at most one.

    Attributes:
        title: Quantity that divides the faces.
        classes: Names of the classes.
        index: Number of each face's class; -1 = none. Shape (F,).
    """

    title: str
    classes: tuple[str, ...]
    index: NDArray[np.intp]

    def __post_init__(self) -> None:
        if self.index.ndim != 1 or (
            self.index.size and not -1 <= self.index.min() <= self.index.max() < len(self.classes)
        ):
            raise ShapeError(f"{self.title}: a class is a number from -1 to {len(self.classes) - 1} for each face")


def cut_values(title: str, values: NDArray[Any], edges: Sequence[float], names: Sequence[str] = ()) -> Cut:
    """Classes [e0, e1), [e1, e2) ... of a quantity; the last class includes its upper edge.

    Args:
        title: Name of the quantity.
        values: Value of each face; NaN falls in no class. Shape (F,).
        edges: Edges of the classes, ascending, one more than there are classes.
        names: Names of the classes; "e0-e1" by default.
    """
    values = np.asarray(values, np.float64)
    index = np.searchsorted(np.asarray(edges, np.float64), values, side="right") - 1
    index[values == edges[-1]] = len(edges) - 2
    index[(index >= len(edges) - 1) | ~(values >= edges[0])] = -1
    ranges = tuple(f"{low:g}-{high:g}" for low, high in pairwise(edges))
    return Cut(title, tuple(names) or ranges, index)


def estimated_yaw(points: NDArray[Any], scheme: Scheme) -> Array | None:
    """Yaw of the head from its 2D points, degrees, positive where the nose points to larger x.

    The tip of the nose stands as far before the line of the outer eye corners as they lie from its middle (4.5 cm each
    on the mean head of ICT-FaceKit), so its shift along that line over half the line is the tangent of the yaw.

    Args:
        points: True points. Shape (F, P, 2 or 3), pixels.
        scheme: Scheme of the points.

    Returns:
        Shape (F,); None when the scheme lacks these points.
    """
    at = _indices(scheme)
    if not {*EYES, NOSE} <= at.keys():
        return None
    plane = np.asarray(points, np.float64)[..., :2]
    right, left, nose = (plane[:, at[name]] for name in (*EYES, NOSE))
    axis = left - right
    shift = ((nose - (right + left) / 2) * axis).sum(-1)
    yaw: Array = np.degrees(np.arctan2(shift, (axis**2).sum(-1) / 2))
    return yaw


def mouth_opening(points: NDArray[Any], scheme: Scheme) -> Array | None:
    """Mean gap between the inner lips, as a fraction of the distance between the outer eye corners.

    Args:
        points: True points. Shape (F, P, 2 or 3), pixels.
        scheme: Scheme of the points.

    Returns:
        Shape (F,); None when the scheme lacks these points.
    """
    at = _indices(scheme)
    if not {*EYES, *(name for pair in LIPS for name in pair)} <= at.keys():
        return None
    plane = np.asarray(points, np.float64)[..., :2]
    gaps = [np.linalg.norm(plane[:, at[upper]] - plane[:, at[lower]], axis=-1) for upper, lower in LIPS]
    opening: Array = np.mean(gaps, axis=0) / np.linalg.norm(plane[:, at[EYES[0]]] - plane[:, at[EYES[1]]], axis=-1)
    return opening


def natural_cuts(points: NDArray[Any], scheme: Scheme, yaw: NDArray[Any] | None = None) -> tuple[Cut, ...]:
    """Divisions by pose and by expression, as far as the points of the scheme allow.

    Args:
        points: True points. Shape (F, P, 2 or 3), pixels.
        scheme: Scheme of the points.
        yaw: Yaw in degrees; None = the set does not give it. Shape (F,).
    """
    cuts = []
    angle = estimated_yaw(points, scheme) if yaw is None else yaw
    if angle is not None:
        title = "|yaw| in degrees" + (", estimated from the true points" if yaw is None else "")
        cuts.append(cut_values(title, np.abs(angle), (0, 15, 30, 60, 180), ("0-15", "15-30", "30-60", "over 60")))
    opening = mouth_opening(points, scheme)
    if opening is not None:
        title = "mouth, by the gap of the inner lips: .03 and .15 of the inter-ocular distance"
        cuts.append(cut_values(title, opening, (0, 0.03, 0.15, np.inf), ("closed", "open", "wide open")))
    return tuple(cuts)


def _indices(scheme: Scheme) -> Mapping[str, int]:
    return {name: index for index, name in enumerate(scheme.names)}
