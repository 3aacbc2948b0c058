"""How a data set places its landmarks, learnt from the set: a constant offset of each point from the model's vertex.

Annotators of one set agree with each other more than with the vertices that someone chose on a mesh. Left alone, the
difference is taken for identity: the mean coefficients of a set come to lie many standard deviations from 0.

Law (tested): offsets added to a model's own points are found again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.face3d.fit import Fitter

Doubles = NDArray[np.float64]

LEAST = 50
"""So many fitted faces tell a style."""
POOR = 0.08
"""A fit with a larger error tells nothing of it."""


def learn_style(fitter: Fitter, points: NDArray[Any], rounds: int = 4) -> Doubles:
    """The offsets at which the set's faces need no mean identity, and residuals have mean zero in the head's axes.

    In turn: fit all faces; add to the offsets the mean residual (least squares over the views) and the shape of the
    mean identity; make them symmetric; take out what a similarity of the whole head would do: pose and size.

    Args:
        fitter: Of the set's scheme.
        points: Labels. Shape (F, P, 2), pixels; a few hundred faces of many people, in poses of all kinds.
        rounds: How often.

    Returns:
        Offset of each point. Shape (P, 3), cm; for `Fitter.styled`.

    Raises:
        ShapeError: too few of the faces could be fitted.
    """
    points = np.asarray(points, np.float64)
    style = np.zeros((fitter.scheme.count, 3))
    vertices = fitter.model.landmarks.of(fitter.scheme.name)
    for _ in range(rounds):
        fit = fitter.styled(style).fit(points)
        good = np.flatnonzero(fit.error < POOR)
        if len(good) < LEAST:
            raise ShapeError(f"a style is learnt from {LEAST} well fitted faces, {len(good)} of {len(fit)} were")
        far = (points[good] - fit.points[good, :, :2]) / fit.camera.scale[good, None, None]
        style = style + _mean_offset(far, fit.camera.rotation[good, :2])
        style += np.tensordot(fit.identity[good].mean(0), fitter.model.identity[:, vertices], 1)
        style = _without_pose(_symmetric(style, fitter), fitter.model.mean[vertices], fitter)
    return style


def _mean_offset(far: Doubles, view: Doubles) -> Doubles:
    """The offset (P, 3) that seen by `view` (F, 2, 3) comes nearest to residuals (F, P, 2); NaN is left out."""
    weight = np.asarray(np.isfinite(far).all(-1), np.float64)
    push = np.einsum("fij,fpi->pj", view, np.nan_to_num(far, nan=0.0))
    spread = np.einsum("fp,fij,fik->pjk", weight, view, view) + 1e-2 * len(far) * np.eye(3)
    offset: Doubles = np.linalg.solve(spread, push[..., None])[..., 0]
    return offset


def _symmetric(style: Doubles, fitter: Fitter) -> Doubles:
    scheme = fitter.scheme
    return style if scheme.mirror_scheme != scheme.name else (style + style[scheme.mirror] * (-1, 1, 1)) / 2


def _without_pose(style: Doubles, mean: NDArray[Any], fitter: Fitter) -> Doubles:
    """Less the shift, turn and growth of the whole head that comes nearest to it at the inner points."""
    centred = mean - mean.mean(0)
    turns = [np.cross(axis, centred) for axis in np.eye(3)]
    shifts = [np.broadcast_to(axis, mean.shape) for axis in np.eye(3)]
    moves = np.stack([*shifts, *turns, centred], -1)  # (P, 3, 7)
    inner = list(fitter.scheme.groups["inner"])
    amount = np.linalg.lstsq(moves[inner].reshape(-1, 7), style[inner].ravel(), rcond=None)[0]
    rest: Doubles = style - moves @ amount
    return rest
