"""coarse_to_fine [Chen et al., "Delving Deep into Coarse-to-fine Framework for Facial Landmark Localization", 2017].

Networks that are trained apart: the angle of the head, its coarse points, its components and its points.
`docs/systems/coarse_to_fine.md` lists what the paper leaves open.
"""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from canthus.align.coarse_to_fine import components_of, mean_face, mean_views
from canthus.nets.coarse_to_fine import angle, coarse, components, points
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses
from canthus.nets.network import Labels, Network

PAPER = "Chen, Zhou, Mo, Liu and Cao, Delving Deep into Coarse-to-fine Framework for Facial Landmark Localization, 2017"


def mean_arrays(labels: Labels, config: Any) -> dict[str, NDArray[Any]]:
    """The mean face, and the component of each of its points."""
    mean = mean_face(labels.points, labels.scheme).round(4)
    return {"mean": mean, "component": components_of(labels.scheme)}


def coarse_arrays(labels: Labels, config: Any) -> dict[str, NDArray[Any]]:
    """The mean face of each view, to which coarse crops are aligned, and the component of each of its points."""
    mean = mean_views(labels.points, labels.scheme).round(4)
    return {"mean": mean, "component": components_of(labels.scheme)}


NETWORKS: Mapping[str, Network] = {
    "angle": Network(angle.ANGLE, angle.Angle, angle.angle_parts, angle.angle_loss, PAPER, CoarseToFineLosses),
    "coarse": Network(
        coarse.COARSE, coarse.Coarse, coarse.coarse_parts, coarse.coarse_loss, PAPER, CoarseToFineLosses, coarse_arrays
    ),
    "components": Network(
        components.COMPONENTS,
        components.Components,
        components.component_parts,
        components.component_loss,
        PAPER,
        CoarseToFineLosses,
        mean_arrays,
        several=components.component_crops,
        fill=components.fill_components,
    ),
    "points": Network(
        points.POINTS,
        points.Points,
        points.point_parts,
        points.points_loss,
        PAPER,
        CoarseToFineLosses,
        mean_arrays,
        several=points.point_crops,
        fill=points.fill_points,
    ),
}
"""The networks that are trained separately, by their first stage."""
