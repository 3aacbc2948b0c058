"""Ways along the edges of a mesh."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


class Neighbours:
    """Which vertices an edge joins."""

    def __init__(self, triangles: Indices) -> None:
        """Prepare.

        Args:
            triangles: Shape (T, 3).
        """
        edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
        edges = np.concatenate([edges, edges[:, ::-1]])
        edges = edges[np.argsort(edges[:, 0], kind="stable")]
        self._start, self._end = edges[:, 0], edges[:, 1]

    def of(self, vertex: int) -> Indices:
        """The neighbours of a vertex; none where no triangle has it."""
        first, last = np.searchsorted(self._start, [vertex, vertex + 1])
        return self._end[first:last]

    def walk(self, vertex: int, goal: NDArray[Any], places: NDArray[Any]) -> list[int]:
        """The vertices that one passes by always taking the edge that brings one nearest to a place.

        Args:
            vertex: The first of them.
            goal: Shape (3,).
            places: Of the vertices. Shape (V, 3).
        """
        way = [vertex]
        while True:
            around = np.append(way[-1], self.of(way[-1]))
            best = int(around[np.argmin(((places[around] - goal) ** 2).sum(1))])
            if best == way[-1]:
                return way
            way.append(best)
