"""coarse_to_fine at run time: the upright face, its coarse points, then each component and each point from the picture.

The row has the stages whose networks there are (`nets/coarse_to_fine/`): "coarse", which the angle network turns
upright, "components", "points" and "transfer". Later stages cut their crops by the points found before. Groups of
points, neighbours and frames follow from the mean face alone, for training as well.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage
from canthus.align.view import View
from canthus.errors import ShapeError
from canthus.geometry.box import turned_box
from canthus.geometry.crop import box_frames, box_of, shape_frames, unit_mean, view_means
from canthus.geometry.transform import Matrix, apply, compose, invert
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS, LinearTransfer, convert, index_map
from canthus.types import Floats

Arrays = Mapping[str, NDArray[Any]]
SPANS = (3, 5, 7)
"""Numbers of nearest points that the three patches of a point span: section 3.3 of the paper."""
SIDES = ("left", "right")
FURTHEST = 3.0
"""Largest factor between the sizes of a component in its face and in the mean face; one that is further off is cut as
the mean face has it."""


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row of the networks that there are; an angle network without coarse points is a stage of its own."""
    if "coarse" in parts:
        row = [_coarse(parts["coarse"], parts.get("angle"))]
    else:
        row = [_angle(parts["angle"])] if "angle" in parts else []
    made = {"components": _components, "points": _points}
    row += [make(parts[name]) for name, make in made.items() if name in parts]
    if "transfer" in parts:
        source, target = (str(parts["transfer"].arrays[f"transfer_{end}"][0]) for end in ("from", "to"))
        row[:1] = [_given_in(stage, source, target) for stage in row[:1]]
        row = [*(replace(stage, scheme=source) for stage in row), _transfer(parts["transfer"])]
    return tuple(row)


def _given_in(stage: Stage, source: str, target: str) -> Stage:
    """A first stage of one scheme that also takes points of the target of the transfer, as those of the frame before.

    Points that do not follow from them (`transfer.convert`) are NaN; crops are aligned by the others.
    """
    counts = Scheme.open(source).count, Scheme.open(target).count

    def look(view: View, estimate: Estimate | None) -> View:
        if estimate is not None and estimate.points.shape[1] == counts[1] != counts[0]:
            points = convert(estimate.points[..., :2], target, source)
            estimate = Estimate.of_points(points.astype(np.float32))
        return stage.look(view, estimate)

    return replace(stage, look=look)


def shown(scheme: str) -> NDArray[np.bool_]:
    """Which points each view of a face has.

    Args:
        scheme: Name of the scheme of all views.

    Returns:
        One row, all True; or for a scheme with the contours of both profiles, as 103, the views of `transfer.VIEWS`:
        frontal, left and right profile. Shape (V, P).
    """
    described = Scheme.open(scheme)
    inner, jaw = np.zeros((2, described.count), bool)
    inner[list(described.groups["inner"])], jaw[list(described.contour)] = True, True
    profiles = np.array([[name.startswith(f"profile_{side}_") for name in described.names] for side in SIDES])
    if not profiles.any(1).all():
        return np.ones((1, described.count), bool)
    return np.stack([inner | (jaw & ~profiles.any(0)), *(inner | profiles)])


def mean_face(points: NDArray[Any], scheme: str) -> Floats:
    """Mean shape of faces of all views, mirror symmetric, in a frame whose origin and unit are those of the first view.

    Args:
        points: Labels; NaN = not known. Shape (L, P, 2).
        scheme: Name of their scheme, which is its own mirror.

    Returns:
        The box of the points that the first view has (`shown`) has its centre at 0 and longer side 1. Shape (P, 2).
    """
    mirrored = points[:, Scheme.open(scheme).mirror] * np.array([-1, 1], np.float32)
    mean = unit_mean(np.concatenate([points, mirrored]))
    both = (mean + mean[Scheme.open(scheme).mirror] * np.array([-1, 1])) / 2
    if len(views := shown(scheme)) > 1:
        both = apply(box_frames(box_of(both[None, views[0]]))[0], both)
    face: Floats = both.astype(np.float32)
    return face


def mean_views(points: NDArray[Any], scheme: str) -> Floats:
    """The mean faces to which coarse crops are aligned: `mean_face`, or those of several views (`shape_frames`).

    Args:
        points: Labels; NaN = not known. Shape (L, P, 2).
        scheme: Name of their scheme, which is its own mirror.

    Returns:
        Shape (P, 2); or (V, P, 2), NaN where a view lacks a point.

    Raises:
        DataError: no face shows one of several views.
    """
    if len(views := shown(scheme)) == 1:
        return mean_face(points, scheme)
    return view_means(points, Scheme.open(scheme).mirror, dict(zip(VIEWS, views, strict=True)))


def components_of(scheme: str) -> NDArray[np.int64]:
    """Number of the component of each point in the order of the scheme; -1 on the contour. Shape (P,)."""
    numbers = np.full(Scheme.open(scheme).count, -1)
    for number, group in enumerate(Scheme.open(scheme).components.values()):
        numbers[list(group)] = number
    return numbers


def groups_of(component: NDArray[Any]) -> list[list[int]]:
    """The points of each component, from the number of the component of each point (P,)."""
    return [np.flatnonzero(component == number).tolist() for number in range(int(component.max()) + 1)]


def unit_groups(mean: NDArray[Any], groups: list[list[int]]) -> tuple[list[Floats], Floats]:
    """The mean shape (P, 2) of each group in its own frame, and the longer side of each group in the mean face (G,)."""
    boxes = [np.concatenate([mean[group].min(0), mean[group].max(0)]) for group in groups]
    sides = np.array([float((box[2:] - box[:2]).max()) for box in boxes], np.float32)
    middle = [(box[:2] + box[2:]) / 2 for box in boxes]
    parts = zip(groups, middle, sides, strict=True)
    return [((mean[group] - centre) / side).astype(np.float32) for group, centre, side in parts], sides


class Patches(NamedTuple):
    """The patches of the inner points of a scheme.

    Attributes:
        points: The I inner points. Length I.
        near: The nearest points of each in the mean face, itself first. Shape (I, 7).
        sides: Side of the square around each point that spans its nearest 3, 5 and 7 points, over the longer side of
            the box of the mean face. Shape (I, 3).
    """

    points: list[int]
    near: NDArray[np.int64]
    sides: Floats


def patches_of(mean: NDArray[Any], component: NDArray[Any]) -> Patches:
    """The patches of a mean face (P, 2) whose points have the numbers of components (P,), -1 on the contour."""
    inner = np.flatnonzero(component >= 0)
    apart = np.abs(mean[inner, None].astype(np.float64) - mean[inner])  # (I, I, 2)
    order = np.argsort(np.hypot(*np.moveaxis(apart, -1, 0)).round(6), 1, "stable")[:, : max(SPANS)]
    reach = np.take_along_axis(apart.max(-1), order, 1)  # (I, 7)
    sides = np.stack([2 * reach[:, :count].max(1) for count in SPANS], 1)
    return Patches(inner.tolist(), inner[order], sides.astype(np.float32))


def upright(view: View, angles: NDArray[Any]) -> View:
    """Faces turned upright, from the boxes of turned heads.

    Args:
        view: Frames of boxes that are upright in the picture.
        angles: In-plane rotation of the heads in these frames, degrees clockwise on the screen. Shape (N,).
    """
    unit = np.tile(np.array([-0.5, -0.5, 0.5, 0.5]), (len(view), 1))
    return View(view.pictures, compose(box_frames(turned_box(unit, angles)), view.frames)).turned(angles)


def _angle(parts: Parts) -> Stage:
    """The mean face in the box, turned by the angle that the network finds: all that it knows of the points."""
    crop, networks, _ = parts

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["angle"].run(view.cut(crop))
        turned = upright(view, _degrees(out["angle"]))
        points = apply(invert(turned.frames), out["shape"]).astype(np.float32)
        return Estimate(points, out["scores"], _pose(turned), {"angle": turned.angles.astype(np.float32)})

    return Stage("angle", crop, solve)


def _looked(view: View, parts: Parts) -> NDArray[Any]:
    """In-plane rotation of heads in their frames that the angle network finds, degrees (N,)."""
    return _degrees(parts.networks["angle"].run(view.cut(parts.crop))["angle"])


def _degrees(angle: Floats) -> NDArray[Any]:
    """Sine and cosine (N, 2) as degrees (N,)."""
    return np.degrees(np.arctan2(angle[:, 0], angle[:, 1]))


def _pose(view: View) -> Floats:
    """Poses (N, 3) of heads that are upright in their frames, of which the roll alone is known."""
    return view.lift_pose(np.tile(np.array([np.nan, np.nan, 0], np.float32), (len(view), 1)))


def _coarse(parts: Parts, angle: Parts | None) -> Stage:
    crop, networks, arrays = parts

    def look(view: View, estimate: Estimate | None) -> View:
        """By given points; else by the angle, the mean of a look at the box and one at the turned face."""
        if estimate is not None:
            return view.aligned(estimate.points, arrays["mean"])
        if angle is None:
            return view
        first = _looked(view, angle)
        return upright(view, first + _looked(upright(view, first), angle) / 2)

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = networks["coarse"].run(view.cut(crop))
        return Estimate(view.lift(out["points"], crop), out["scores"], view.lift_pose(out["pose"]))

    return Stage("coarse", crop, solve, look, boxed=True)


def _components(parts: Parts) -> Stage:
    crop, networks, arrays = parts
    groups = groups_of(arrays["component"])
    means, _ = unit_groups(arrays["mean"], groups)
    inner = [point for group in groups for point in group]
    owner = np.repeat(np.arange(len(groups)), [len(group) for group in groups])

    def look(view: View, estimate: Estimate | None) -> View:
        return view.around(_sound(_before(estimate, "components").points, arrays["mean"], groups), groups, means)

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        known = _before(estimate, "components")
        out = networks["components"].run(view.together(crop, len(groups)))
        matrices = view.matrices(crop).reshape(len(known), len(groups), 2, 3)[:, owner]
        return _refined(known, inner, _lifted(out["inner"], matrices), out["scores"])

    return Stage("components", crop, solve, look)


def _points(parts: Parts) -> Stage:
    crop, networks, arrays = parts
    patches = patches_of(arrays["mean"], arrays["component"])
    inner, count = patches.points, len(patches.points)

    def look(view: View, estimate: Estimate | None) -> View:
        """Squares around each point, turned and scaled as the face is: all of a face, the three of each point."""
        points = np.asarray(_before(estimate, "points").points, np.float64)
        face = shape_frames(points[:, inner], arrays["mean"][inner])  # (N, 2, 3)
        centres = apply(face, points[:, inner])  # (N, I, 2)
        frames = np.repeat(face[:, None, None], 3, 2).repeat(count, 1)
        frames[..., 2] -= centres[:, :, None]
        frames /= patches.sides[None, :, :, None, None]
        pictures = [picture for picture in view.pictures for _ in range(3 * count)]
        return View(pictures, frames.reshape(-1, 2, 3))

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        known = _before(estimate, "points")
        out = networks["points"].run(view.together(crop, 3 * count))
        matrices = view.matrices(crop).reshape(len(known), count, 3, 2, 3)
        answers = _lifted(out["answers"], matrices)  # (N, I, 3, 2)
        fused = (out["gates"][..., None] * answers).sum(2)
        found = _refined(known, inner, fused, out["scores"])
        return replace(found, extras={**found.extras, "gates": out["gates"]})

    return Stage("points", crop, solve, look)


def _before(estimate: Estimate | None, name: str) -> Estimate:
    if estimate is None:
        raise ShapeError(f"the stage {name} of coarse_to_fine refines points; it cannot start a row")
    return estimate


def _sound(points: Floats, mean: NDArray[Any], groups: list[list[int]]) -> Floats:
    """Points by which components can be cut.

    Args:
        points: Picture pixels. Shape (N, P, 2).
        mean: Mean face. Shape (P, 2).
        groups: Points of each component.

    Returns:
        The same, but a component that coincides, or is far larger or smaller than its face says, has the shape of the
        mean face where it lies. Shape (N, P, 2).
    """
    found = np.asarray(points, np.float64)[..., :2].copy()
    ratio = np.stack([found[:, group].std(1).sum(1) / mean[group].std(0).sum() for group in groups], 1)  # (N, G)
    usual = np.median(ratio, 1, keepdims=True)
    odd = (ratio * FURTHEST < usual) | (ratio > usual * FURTHEST)
    if not odd.any():
        return points
    sound = found.copy()
    for number, group in enumerate(groups):
        sound[:, group] = np.where(odd[:, number, None, None], np.nan, sound[:, group])
    placed = apply(invert(shape_frames(sound, mean)), mean.astype(np.float64))  # (N, P, 2)
    for number, group in enumerate(groups):
        own, wanted = found[:, group], placed[:, group]
        moved = wanted - wanted.mean(1, keepdims=True) + own.mean(1, keepdims=True)
        found[:, group] = np.where(odd[:, number, None, None], moved, own)
    return found.astype(np.float32)


def _lifted(points: Floats, matrices: Matrix) -> Floats:
    """Points (..., 2), each in a crop of its own (..., 2, 3), in pixels of their pictures."""
    return apply(invert(matrices), points[..., None, :])[..., 0, :].astype(np.float32)


def _refined(before: Estimate, inner: list[int], points: Floats, scores: Floats) -> Estimate:
    """An estimate with other inner points (N, I, 2) and their scores (N, I)."""
    all_points, all_scores = before.points[..., :2].copy(), before.scores.copy()
    all_points[:, inner], all_scores[:, inner] = points, scores
    return replace(before, points=all_points, scores=all_scores)


def _transfer(parts: Parts) -> Stage:
    crop, _, arrays = parts

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        return transferred(_before(estimate, "transfer"), arrays)

    return Stage("transfer", crop, solve)


def fit_transfer(
    found: NDArray[Any], source: str, truth: NDArray[Any], target: str, ridge: float = 0.0
) -> dict[str, NDArray[Any]]:
    """Arrays of a transfer by least squares with a bias column: section 3.4 of the paper.

    Contour points that both schemes have are copied, since a linear map of inner points does not find them (section
    4.3); all others are learnt from the inner points.

    Args:
        found: What a system finds in photographs. Shape (L, P, 2).
        source: Name of the scheme of these points.
        truth: Labels of the photographs. Shape (L, Q, 2).
        target: Name of the scheme of the labels.
        ridge: Weight of the squared map, as of `LinearTransfer.fit`.

    Raises:
        SchemeError: a scheme is unknown.
        ShapeError: no face is known in full.
    """
    have, want, shared = Scheme.open(source), Scheme.open(target), index_map(source, target)
    copied = [(point, shared.parts[point][0]) for point in want.contour if shared.exact[point]]
    inner, learnt = list(have.groups["inner"]), [q for q in range(want.count) if q not in dict(copied)]
    linear = LinearTransfer.fit(found[:, inner], truth[:, learnt], ridge)
    placed = linear.apply(linear.mean[None])[0]
    apart = np.linalg.norm(placed[:, None] - linear.mean, axis=-1)
    return {
        "transfer_from": np.array([source]),
        "transfer_to": np.array([target]),
        "transfer_mean": linear.mean.astype(np.float32),
        "transfer_matrix": linear.matrix.astype(np.float32),
        "transfer_error": linear.error.astype(np.float32),
        "transfer_inner": np.array(inner),
        "transfer_learnt": np.array(learnt),
        "transfer_nearest": np.array(inner)[apart.argmin(1)],
        "transfer_copied": np.array(copied, np.int64).reshape(-1, 2),
    }


def transferred(estimate: Estimate, arrays: Arrays) -> Estimate:
    """An estimate in the target scheme of a transfer; a learnt point has the score of the nearest point it had."""
    names = ("transfer_mean", "transfer_matrix", "transfer_error")
    linear = LinearTransfer(*(arrays[name].astype(np.float64) for name in names))
    learnt, (target, source) = arrays["transfer_learnt"], arrays["transfer_copied"].T
    count = len(learnt) + len(target)
    points = np.empty((len(estimate), count, 2), np.float32)
    scores = np.empty((len(estimate), count), np.float32)
    points[:, learnt] = linear.apply(estimate.points[:, arrays["transfer_inner"], :2])
    scores[:, learnt] = estimate.scores[:, arrays["transfer_nearest"]]
    points[:, target], scores[:, target] = estimate.points[:, source, :2], estimate.scores[:, source]
    return replace(estimate, points=points, scores=scores)
