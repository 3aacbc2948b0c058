"""Labels from fitted faces: points of every scheme with depth, and which of them the face itself hides."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.face3d.fit import Fit
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.raster import rasterise, seen
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import index_map

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

CELL = 0.15
"""Side of a pixel of the depth map, cm."""
SLACK = 0.3
"""A point is hidden only by a surface that lies nearer by more than this, cm."""


def points_of(
    model: MorphableModel, fit: Fit, scheme: str, outline: bool = False, bias: NDArray[Any] | None = None
) -> Doubles:
    """The landmarks of a scheme on fitted faces.

    Args:
        model: The model that was fitted.
        fit: F faces.
        scheme: A scheme that the model has.
        outline: The contour lies on the outline that is seen, as 2D labels do; False = on the true jaw.
        bias: Annotation bias of the set that was fitted, to be added: to inner points that the scheme shares with it,
            and to the outline when it is the same scheme. Shape (Q, 3), cm.

    Returns:
        x and y in pixels; z in pixels, away from the viewer, 0 where the model's origin is. NaN where there is no fit.
        Shape (F, P, 3).

    Raises:
        SchemeError: the model does not have the scheme.
    """
    vertices = model.on_view(scheme, fit.camera.rotation, outline)
    used, rows = np.unique(vertices, return_inverse=True)
    shape = model.vertices(fit.identity, fit.expression, used).astype(np.float64)
    shape = np.take_along_axis(shape, rows.reshape(*vertices.shape, 1), 1)
    if bias is not None:
        shape = shape + _offsets(fit.scheme, scheme, outline, np.asarray(bias, np.float64))
    return fit.camera.project(shape)


def _offsets(source: str, target: str, outline: bool, bias: Doubles) -> Doubles:
    """Offsets of one scheme's points as those of another; 0 where they are not known."""
    offsets: Doubles = np.nan_to_num(index_map(source, target).apply(bias), nan=0.0)
    if not (outline and source == target):
        offsets[list(Scheme.open(target).contour)] = 0
    return offsets


def visibility(model: MorphableModel, fit: Fit, schemes: Iterable[str]) -> dict[str, Mask]:
    """Which points, on the true jaw, the camera sees: those that no skin of the head hides.

    Args:
        model: The model that was fitted.
        fit: F faces; all False where there is no fit.
        schemes: Schemes that the model has.

    Returns:
        True where a point is seen, for each scheme. Shape (F, P).

    Raises:
        SchemeError: the model does not have one of the schemes.
    """
    sets = {scheme: model.landmarks.of(scheme) for scheme in schemes}
    visible = {scheme: np.zeros((len(fit), len(vertices)), bool) for scheme, vertices in sets.items()}
    for face in np.flatnonzero(np.isfinite(fit.camera.scale)).tolist():
        turned = fit.camera.rotation[face].T
        head = fit.head(model, face) @ turned / CELL
        skin = head[model.skin, :2]
        head[:, :2] += 2 - skin.min((0, 1))
        width, height = np.ceil(skin.max((0, 1)) - skin.min((0, 1))).astype(int) + 4
        drawn = rasterise(head, model.skin, (height, width), cull=True)
        for scheme, vertices in sets.items():
            visible[scheme][face] = seen(head[vertices], drawn, model.normals[vertices] @ turned, SLACK / CELL)
    return visible
