"""Paths along the edges of a mesh."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


class Neighbours:
    """The vertices that share an edge with each vertex."""

    def __init__(self, triangles: Indices) -> None:
        """Prepare.

        Args:
            triangles: Vertices of the triangles. Shape (T, 3).
        """
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        edges = np.concatenate([edges, edges[:, ::-1]])
        edges = edges[np.argsort(edges[:, 0], kind="stable")]
        self._start, self._end = edges[:, 0], edges[:, 1]

    def of(self, vertex: int) -> Indices:
        """The neighbours of a vertex; none where it is in no triangle."""
        first, last = np.searchsorted(self._start, [vertex, vertex + 1])
        return self._end[first:last]

    def walk(self, vertex: int, goal: NDArray[Any], positions: NDArray[Any]) -> list[int]:
        """The path of vertices that always follows the edge which leads nearest to a goal.

        Args:
            vertex: Start of the path.
            goal: Position. Shape (3,).
            positions: Positions of the vertices. Shape (V, 3).
        """
        way = [vertex]
        while True:
            around = np.append(way[-1], self.of(way[-1]))
            best = int(around[np.argmin(((positions[around] - goal) ** 2).sum(1))])
            if best == way[-1]:
                return way
            way.append(best)
