from itertools import pairwise

import numpy as np

from canthus.face3d.mesh import Neighbours

# A 4 x 4 grid of vertices; each cell is two triangles, cut from the upper left.
CELLS = [(4 * r + c, 4 * r + 4 + c, 4 * r + 5 + c, 4 * r + c + 1) for r in range(3) for c in range(3)]
GRID = Neighbours(np.array([corner for a, b, c, d in CELLS for corner in ((a, b, c), (a, c, d))]))
PLACES = np.array([(c, r, 0) for r in range(4) for c in range(4)], float)


def test_neighbours():
    assert set(GRID.of(5).tolist()) == {0, 1, 4, 6, 9, 10}
    assert set(GRID.of(3).tolist()) == {2, 7}
    assert len(GRID.of(16)) == 0


def test_a_walk_takes_edges_and_comes_nearer():
    assert GRID.walk(0, np.array([3.0, 3, 0]), PLACES) == [0, 5, 10, 15]
    way = GRID.walk(12, np.array([3.2, -1, 2]), PLACES)
    assert way[0] == 12 and way[-1] == 3
    assert all(b in GRID.of(a) for a, b in pairwise(way))
    away = np.linalg.norm(PLACES[way] - (3.2, -1, 2), axis=1)
    assert (np.diff(away) < 0).all()
    assert GRID.walk(6, PLACES[6], PLACES) == [6]
