"""multi_view at run time: plane points and view, then 3D points in a crop that the plane points align.

The row has the stages whose networks there are: "plane" and "solid" (`nets/multi_view.py`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage, aligned_to
from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.crop import view_means
from canthus.geometry.pose import pose_from_solid, rotation
from canthus.geometry.shape import size_of
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import UNION, VIEWS, union_slots
from canthus.types import SLOTS, Floats


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "plane" on the crop of the box, "solid" on the crop that aligns the plane points to their mean shape.

    A solid stage without a mean shape sees the crop of the box: rows of table I without the second crop.
    """
    made = {"plane": _plane, "solid": _solid}
    return tuple(make(parts[name]) for name, make in made.items() if name in parts)


def shown() -> NDArray[np.bool_]:
    """Which slots of the union each view has. Shape (V, 68)."""
    table = np.zeros((len(VIEWS), SLOTS), bool)
    for row, scheme in zip(table, VIEWS, strict=True):
        row[list(union_slots(scheme))] = True
    return table


def _plane(parts: Parts) -> Stage:
    crop, networks, arrays = parts

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["plane"].run(view.cut(crop))
        points, chosen = view.lift(out["points"], crop), out["views"].argmax(1)
        plane = np.where(shown()[chosen][..., None], points, np.float32(np.nan))
        extras = {"view": chosen.astype(np.float32), "plane": plane, "views": out["views"]}
        return Estimate(points, out["scores"], np.full((len(view), 3), np.nan, np.float32), extras)

    return Stage("plane", crop, solve, aligned_to(arrays.get("mean")), UNION)


def _solid(parts: Parts) -> Stage:
    crop, networks, arrays = parts
    align, mean = aligned_to(arrays.get("mean")), arrays.get("solid")

    def look(view: View, estimate: Estimate | None) -> View:
        if "mean" not in arrays:
            return view
        if estimate is None:
            raise ShapeError("the 3D points of multi_view follow its plane points; they cannot start a row")
        given = estimate.extras.get("plane")
        return align(view, estimate if given is None else replace(estimate, points=given))

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["solid"].run(view.cut(crop))
        points = view.lift(out["points"], crop)
        pose = np.full((len(view), 3), np.nan, np.float32) if mean is None else pose_from_solid(points, mean)
        extras = {} if estimate is None else estimate.extras
        return Estimate(points, out["scores"], pose.astype(np.float32), extras)

    return Stage("solid", crop, solve, look, dims=3)


def plane_means(plane: NDArray[Any]) -> Floats:
    """Mean plane shape of each view, as of `geometry.crop.view_means`.

    Args:
        plane: Plane points in the slots of the union; NaN where a view has none. Shape (L, 68, 2).

    Returns:
        NaN in the slots that a view lacks. Shape (V, 68, 2).

    Raises:
        DataError: no face shows one of the views.
    """
    return view_means(plane, Scheme.open(UNION).mirror, dict(zip(VIEWS, shown(), strict=True)))


def mean_solid(points: NDArray[Any], depth: NDArray[Any], pose: NDArray[Any], scheme: str) -> Floats | None:
    """Mean 3D shape of faces, turned to the front by their poses, mirror symmetric.

    Args:
        points: Points. Shape (L, P, 2), pixels; NaN = not known.
        depth: Their depths. Shape (L, P), pixels; NaN = not known.
        pose: Yaw, pitch, roll. Shape (L, 3), degrees; NaN = not known.
        scheme: Name of the scheme of the points, which is its own mirror.

    Returns:
        The mean, in the axes of `geometry.pose`, with its centre at 0 and `size_of` 1; None where no face is known in
        full. Shape (P, 3).
    """
    solid = np.concatenate([points, depth[..., None]], -1).astype(np.float64)
    whole = np.isfinite(solid).all((1, 2)) & np.isfinite(pose).all(1)
    if not whole.any():
        return None
    faces = solid[whole] - solid[whole].mean(1, keepdims=True)
    front = (faces @ rotation(pose[whole])) / size_of(faces)[:, None, None]
    mean = front.mean(0)
    mean = (mean + mean[Scheme.open(scheme).mirror] * np.array([-1, 1, 1])) / 2
    unit: Floats = (mean / size_of(mean)).astype(np.float32)
    return unit
