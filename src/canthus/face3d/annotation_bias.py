"""The annotation bias of a data set: a constant offset of each label from the vertex of the face model, learnt.

Annotators of one set agree with each other more than with the vertices that someone chose on a mesh. Without the
offsets a fit takes the difference for identity, and the mean coefficients lie many standard deviations from 0.

Law (tested): offsets added to a model's own points are found again.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.face3d.fit import Fitter

Doubles = NDArray[np.float64]

LEAST = 50
"""Number of well fitted faces that are needed."""
POOR = 0.08
"""Faces fitted with a larger error are not used, as a share of the inter-ocular distance."""


def learn_bias(fitter: Fitter, points: NDArray[Any], rounds: int = 4) -> Doubles:
    """The offsets at which the set's faces have mean identity 0, and residuals of mean 0 in the head's axes.

    Each round fits all faces, adds the mean residual (least squares over the views) and the shape of the mean identity
    to the offsets, makes them symmetric, and removes what a similarity of the whole head would do: pose and size.

        >>> fitter = Fitter(MorphableModel.open(Path("face.npz")), "68")
        >>> fit = fitter.with_bias(learn_bias(fitter, train)).fit(val)

    Args:
        fitter: A fitter of the set's scheme.
        points: Labels of a few hundred faces of many people, in poses of all kinds. Shape (F, P, 2), pixels.
        rounds: Number of rounds.

    Returns:
        Offset of each point, for `Fitter.with_bias`. Shape (P, 3), cm.

    Raises:
        ShapeError: too few of the faces could be fitted.
    """
    points = np.asarray(points, np.float64)
    bias = np.zeros((fitter.scheme.count, 3))
    vertices = fitter.model.landmarks.of(fitter.scheme.name)
    for _ in range(rounds):
        fit = fitter.with_bias(bias).fit(points)
        good = np.flatnonzero(fit.error < POOR)
        if len(good) < LEAST:
            raise ShapeError(
                f"an annotation bias is learnt from {LEAST} or more well fitted faces, {len(good)} of {len(fit)} were"
            )
        far = (points[good] - fit.points[good, :, :2]) / fit.camera.scale[good, None, None]
        bias = bias + _mean_offset(far, fit.camera.rotation[good, :2])
        bias += np.tensordot(fit.identity[good].mean(0), fitter.model.identity[:, vertices], 1)
        bias = _without_pose(_symmetric(bias, fitter), fitter.model.mean[vertices], fitter)
    return bias


def _mean_offset(far: Doubles, view: Doubles) -> Doubles:
    """The offset (P, 3) that seen by `view` (F, 2, 3) comes nearest to residuals (F, P, 2); NaN is omitted."""
    weight = np.asarray(np.isfinite(far).all(-1), np.float64)
    push = np.einsum("fij,fpi->pj", view, np.nan_to_num(far, nan=0.0))
    spread = np.einsum("fp,fij,fik->pjk", weight, view, view) + 1e-2 * len(far) * np.eye(3)
    offset: Doubles = np.linalg.solve(spread, push[..., None])[..., 0]
    return offset


def _symmetric(bias: Doubles, fitter: Fitter) -> Doubles:
    scheme = fitter.scheme
    return bias if scheme.mirror_scheme != scheme.name else (bias + bias[scheme.mirror] * (-1, 1, 1)) / 2


def _without_pose(bias: Doubles, mean: NDArray[Any], fitter: Fitter) -> Doubles:
    """The bias less the shift, rotation and growth of the whole head that is nearest to it at the inner points."""
    centred = mean - mean.mean(0)
    turns = [np.cross(axis, centred) for axis in np.eye(3)]
    shifts = [np.broadcast_to(axis, mean.shape) for axis in np.eye(3)]
    moves = np.stack([*shifts, *turns, centred], -1)  # (P, 3, 7)
    inner = list(fitter.scheme.groups["inner"])
    amount = np.linalg.lstsq(moves[inner].reshape(-1, 7), bias[inner].ravel(), rcond=None)[0]
    rest: Doubles = bias - moves @ amount
    return rest
