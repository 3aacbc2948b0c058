"""The vertices of a face model that are the landmarks of each scheme.

`landmarks.json` has a list of vertices for each set of points, and for contours the lines along which 2D labels slide.
The annotation of iBUG differs from the model's own inner points by up to 7 % of the inter-ocular distance; the set
"ibug68_3d_adapted" of the file follows it. The other sets are shifted in the same way here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, SchemeError
from canthus.face3d.mesh import Neighbours
from canthus.schemes.scheme import Scheme
from canthus.types import Floats
from canthus.work.documents import read_json

Indices = NDArray[np.intp]

SETS = {
    "68": "ibug68_3d",
    "51": "ibug51",
    "84": "menpo3d84",
    "81": "faceplusplus81",
    "29": "cofw29",
    "39_left": "menpo39_left",
    "39_right": "menpo39_right",
}
"""Name of the set of each scheme in the file."""
ADAPTED = "ibug68_3d_adapted"
REACH = 0.5
"""Distance over the skin to which the shift of a point extends, cm."""


@dataclass(frozen=True, eq=False)
class MeshLandmarks:
    """The landmarks of a model with V vertices.

    Attributes:
        points: Vertices of each scheme, contours on the true jaw. Shape (P,).
        lines: Vertices that the 2D label of each point may lie on, for each scheme with a contour: from the true jaw to
            the front of the face, padded with the last; the same vertex throughout for a point that does not slide.
            Shape (P, L).
        dropped: Beginnings of the names of expressions that are not fitted.
        holes: Loops of vertices around the eyes and the mouth, by name.
    """

    points: Mapping[str, Indices]
    lines: Mapping[str, Indices]
    dropped: tuple[str, ...]
    holes: Mapping[str, Indices]

    def of(self, scheme: str) -> Indices:
        """The vertices of a scheme. Shape (P,).

        Raises:
            SchemeError: the model does not have it; the message lists those it has.
        """
        if scheme not in self.points:
            raise SchemeError(f"the face model has no points of scheme {scheme!r}; it has {', '.join(self.points)}")
        return self.points[scheme]

    def candidates(self, scheme: str, outline: bool = True) -> Indices:
        """`lines` of a scheme, or its vertices where no point slides. Shape (P, L)."""
        vertices = self.of(scheme)
        return self.lines[scheme] if outline and scheme in self.lines else vertices[:, None]


def load_landmarks(path: Path, mean: Floats, triangles: Indices) -> MeshLandmarks:
    """Read landmarks.json.

    Args:
        path: The file.
        mean: The mean head. Shape (V, 3), cm.
        triangles: Triangles of the skin, along which points are shifted. Shape (S, 3).

    Raises:
        InputError: the file is missing, damaged, or belongs to another model.
    """
    tree = _read(path)
    try:
        sets = {scheme: np.array(tree["sets"][name], np.intp) for scheme, name in SETS.items() if name in tree["sets"]}
        adapted = tree["sets"].get(ADAPTED)
        curves = [line for lines in tree.get("contour_lines", {}).values() for line in lines.values()]
        lines = {int(line[0]): np.array(line, np.intp) for line in curves}
        holes = {str(name): np.array(loop, np.intp) for name, loop in tree.get("hole_polygons", {}).items()}
        dropped = tuple(str(name) for name in tree.get("fit_expression_drop", ()))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: not a file of landmark vertices: {error}; docs/face-model.md has the form"
        ) from error
    if "68" not in sets:
        raise InputError(f"{path}: the set {SETS['68']!r} is missing; docs/face-model.md has the form")
    for scheme, vertices in sets.items():
        if vertices.shape != (Scheme.open(scheme).count,):
            raise InputError(f"{path}: {SETS[scheme]} has {vertices.size} vertices, not {Scheme.open(scheme).count}")
    indices = np.concatenate([*sets.values(), *lines.values(), *holes.values()])
    if indices.min() < 0 or indices.max() >= len(mean):
        raise InputError(
            f"{path}: names vertex {indices.max()}, the model has {len(mean)}: they do not belong together"
        )
    if adapted is not None:
        sets = _shifted(sets, np.array(adapted, np.intp), mean, triangles)
    sliding = {scheme: found for scheme, vertices in sets.items() if (found := _lines_of(scheme, vertices, lines)).size}
    return MeshLandmarks(sets, sliding, dropped, holes)


def _read(path: Path) -> dict[str, Any]:
    tree = read_json(path, InputError, "name the file of landmark vertices with --landmarks")
    if not isinstance(tree, dict) or not isinstance(tree.get("sets"), dict):
        raise InputError(f"{path}: not a file of landmark vertices: it has no 'sets'; docs/face-model.md has the form")
    return tree


def _lines_of(scheme: str, vertices: Indices, lines: Mapping[int, Indices]) -> Indices:
    """Lines (P, L) of the contour points that a line starts at; empty where there is none.

    The contour of a profile is its true jaw: it does not slide.
    """
    contour = () if scheme.startswith("39") else Scheme.open(scheme).contour
    found = {index: lines[int(vertices[index])] for index in contour if int(vertices[index]) in lines}
    if not found:
        return np.zeros((0, 0), np.intp)
    longest = max(map(len, found.values()))
    table = np.repeat(vertices[:, None], longest, 1)
    for index, line in found.items():
        table[index] = np.pad(line, (0, longest - len(line)), mode="edge")
    return table


def _shifted(sets: Mapping[str, Indices], adapted: Indices, mean: Floats, triangles: Indices) -> dict[str, Indices]:
    """The sets with the shift from the model's own 68 points to the adapted ones.

    A vertex of the 68 is shifted as they are. Any other one on the skin of the same component is shifted by the mean of
    the shifts around it, weighted by exp(-(d / REACH)^2), to the nearest vertex along the edges of the mesh.
    """
    own, frontal = sets["68"], Scheme.open("68")
    goes = {int(old): int(new) for old, new in zip(own, adapted, strict=True)}
    neighbours = Neighbours(triangles)
    moved = {}
    for scheme, vertices in sets.items():
        parts = Scheme.open(scheme).components
        result = np.array([goes.get(int(vertex), int(vertex)) for vertex in vertices], np.intp)
        for part, members in parts.items():
            near = own[list(frontal.components[part])] if part in frontal.components else own[:0]
            for index in members:
                vertex = int(vertices[index])
                if vertex not in goes and len(near) and len(neighbours.of(vertex)):
                    weight = np.exp(-(((mean[near] - mean[vertex]) / REACH) ** 2).sum(1))
                    ends = np.array([goes[int(item)] for item in near])
                    shift = weight @ (mean[ends] - mean[near]) / max(float(weight.sum()), 0.1)
                    result[index] = neighbours.walk(vertex, mean[vertex] + shift, mean)[-1]
        moved[scheme] = result
    return moved
