"""Contour labels of 2D schemes on a rotated head: they lie on the outline that is seen, not on the jaw bone.

Each contour point has a line of vertices from the true jaw to the front of the face. The outline is where the surface
begins to face the viewer. The normals are those of the mean head, so the outline depends only on the rotation.
`lines_to` makes the lines for a mesh.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.face3d.mesh import Neighbours

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]


def vertex_normals(vertices: NDArray[Any], triangles: Indices, rings: int = 0) -> Doubles:
    """Outward unit normals of the vertices of a surface: means of those of their triangles, weighted by area.

    Args:
        vertices: Positions. Shape (V, 3).
        triangles: Vertices, counter-clockwise seen from outside. Shape (T, 3).
        rings: Number of times that normals are averaged with those of their neighbours.

    Returns:
        Zero for a vertex without triangle. Shape (V, 3).
    """
    a, b, c = np.asarray(vertices, np.float64)[triangles].transpose(1, 0, 2)
    across = np.cross(b - a, c - a)
    normal = np.zeros((len(vertices), 3))
    for turn in range(rings + 1):
        parts = normal[triangles].sum(1) if turn else across
        for axis in range(3):
            for corner in triangles.T:
                normal[:, axis] += np.bincount(corner, parts[:, axis], len(normal))
    unit: Doubles = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return unit


def outline(normals: NDArray[Any], rotation: NDArray[Any]) -> tuple[Indices, Doubles]:
    """The vertex of each line that lies on the outline.

    On a simple line it is the first vertex that faces the viewer. As a line may wind, it is the one with the largest
    sum of the depths of the normals before it: most vertices before it face away, most after it face the viewer.

    Args:
        normals: Normals of the vertices of the lines, true jaw first. Shape (C, L, 3).
        rotation: Rotations of F heads. Shape (F, 3, 3).

    Returns:
        Number of the vertex in its line (F, C), and the outward normal of the outline in the image (F, C, 2), unit.
    """
    depth = np.tensordot(rotation[:, 2], normals, (1, 2))  # (F, C, L), > 0 turns away
    before = np.cumsum(depth, -1) - depth
    picked = np.argmax(before, -1)
    chosen = normals[np.arange(len(normals)), picked]  # (F, C, 3)
    outward = chosen @ np.swapaxes(rotation[:, :2], 1, 2)
    return picked, outward / np.maximum(np.linalg.norm(outward, axis=-1, keepdims=True), 1e-9)


def lines_to(neighbours: Neighbours, mean: NDArray[Any], jaw: Indices, front: Indices) -> list[list[int]]:
    """Lines of vertices from one half of the true jaw to the front of the face, for a model that has none.

    Each vertex of the jaw is assigned the point at the same share of a path of landmarks in the front; its line follows
    the edges that bring it nearest to this point.

    Args:
        neighbours: Edges of the skin.
        mean: The mean head. Shape (V, 3).
        jaw: Vertices of the jaw from the ear to the chin. Shape (J,).
        front: Vertices of the path, from the side of the ear to above the chin, as outer eye corner, mouth corner,
            middle of the lower lip. Shape (N,).

    Returns:
        A line for each vertex of the jaw, beginning with this vertex. Length J.
    """
    path, share = np.asarray(mean[front], np.float64), _share(mean[jaw])
    goals = np.stack([np.interp(share, _share(path), axis) for axis in path.T], -1)
    return [neighbours.walk(int(vertex), goal, mean) for vertex, goal in zip(jaw, goals, strict=True)]


def _share(points: NDArray[Any]) -> Doubles:
    """Share of the length of a path at each of its points (N, 3), 0 to 1."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    share: Doubles = length / length[-1]
    return share
