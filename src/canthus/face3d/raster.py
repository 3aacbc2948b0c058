"""Draw triangle meshes into a z-buffer with NumPy: the nearest triangle of each pixel, its depth and weights.

Every triangle is split into the pixels of its box, all triangles at once; a pixel keeps the nearest of the fragments
whose centre lies in their triangle. That is fast for meshes of many small triangles, such as a head. The camera is far
away (weak perspective): x and y of a vertex are pixels, z grows away from the viewer, and what is linear on a triangle
is linear in the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.pixels import inside, nearest
from canthus.types import Floats

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

FRAGMENTS = 1 << 19
"""Largest number of fragments in memory, unless a single triangle has more."""
EDGE = 1e-7
"""A centre outside by less than this share of the height of the triangle is on its edge: no cracks."""
STEEPEST = 0.15
"""Least cosine of the angle to the line of sight that `seen` uses for the slope of a surface."""


@dataclass(frozen=True, eq=False)
class Raster:
    """The nearest triangle at each pixel.

    Attributes:
        depth: Depth; infinite where there is no triangle. Shape (H, W), pixels.
        triangle: Number of the triangle; -1 where there is none. Shape (H, W).
        weights: Barycentric coordinates of the pixel centre; 0 where there is no triangle. Shape (H, W, 3).
    """

    depth: Floats
    triangle: NDArray[np.int32]
    weights: Floats

    @property
    def covered(self) -> Mask:
        """True where there is a triangle. Shape (H, W)."""
        covered: Mask = self.triangle >= 0
        return covered

    def interpolate(self, values: NDArray[Any], triangles: Indices, fill: float = np.nan) -> Floats:
        """Values of the vertices, interpolated at each pixel.

        Args:
            values: Values of the vertices. Shape (V, C).
            triangles: The triangles that were drawn. Shape (T, 3).
            fill: Value where there is no triangle.

        Returns:
            Shape (H, W, C).
        """
        drawn = np.full((*self.triangle.shape, values.shape[1]), fill, np.float32)
        covered = self.covered
        corners = values[triangles[self.triangle[covered]]]  # (N, 3, C)
        drawn[covered] = np.einsum("nkc,nk->nc", corners, self.weights[covered])
        return drawn


def rasterise(vertices: NDArray[Any], triangles: Indices, size: tuple[int, int], cull: bool = False) -> Raster:
    """Draw a mesh.

    A pixel belongs to a triangle when its centre lies in it or on its edge; of several at the same depth, to the first.

    Args:
        vertices: x, y and depth in pixels, pixel centres at integers. Shape (V, 3).
        triangles: Vertices of the triangles. Shape (T, 3).
        size: Height and width of the picture.
        cull: Omit triangles seen from behind; seen from the front, they are counter-clockwise on the screen.

    Raises:
        ShapeError: the arrays are not a mesh, or a vertex that is used is not finite.
    """
    vertices, triangles = np.asarray(vertices, np.float64), np.asarray(triangles, np.intp)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ShapeError(f"a mesh is (V, 3) vertices and (T, 3) triangles, not {vertices.shape} and {triangles.shape}")
    if len(triangles) and (triangles.min() < 0 or triangles.max() >= len(vertices)):
        raise ShapeError(f"triangles name vertices {triangles.min()} to {triangles.max()} of {len(vertices)}")
    corners = vertices[triangles]  # (T, 3, 3)
    if not np.isfinite(corners).all():
        raise ShapeError("a vertex of the mesh is not finite")
    depth = np.full(size[0] * size[1], np.inf)
    owner = np.full(len(depth), -1, np.int32)
    weights = np.zeros((len(depth), 3), np.float32)
    plane, chosen = _planes(corners, cull)
    depths = np.ascontiguousarray(corners[..., 2].T)
    for part, pixel, column, row in _fragments(corners, chosen, size):
        ux, uy, u0, vx, vy, v0 = (coefficient.take(part) for coefficient in plane)
        u, v = ux * column + uy * row + u0, vx * column + vy * row + v0
        within = np.flatnonzero((u >= -EDGE) & (v >= -EDGE) & (u + v <= 1 + EDGE))
        part, pixel, u, v = part[within], pixel[within], u[within], v[within]
        a, b, c = (heights.take(part) for heights in depths)
        z = a + u * (b - a) + v * (c - a)
        nearer = np.flatnonzero(z < depth[pixel])
        part, pixel, u, v, z = part[nearer], pixel[nearer], u[nearer], v[nearer], z[nearer]
        np.minimum.at(depth, pixel, z)
        first = np.flatnonzero(z == depth[pixel])[::-1]  # of equals the last one written stays
        part, pixel, u, v = part[first], pixel[first], u[first], v[first]
        owner[pixel] = part
        weights[pixel] = np.stack([1 - u - v, u, v], -1)
    return Raster(depth.reshape(size).astype(np.float32), owner.reshape(size), weights.reshape(*size, 3))


def seen(points: NDArray[Any], raster: Raster, normals: NDArray[Any], slack: float) -> Mask:
    """The points that no surface hides.

    The surface at the pixel of a point hides it when it lies nearer by more than the slack and the slope of the point's
    own surface over a pixel. Beside the outline, where this pixel is empty, the farthest of the eight around it is
    used; where they are empty too, the point is seen.

    Args:
        points: Points: x, y and depth, pixels. Shape (P, 3).
        raster: The surfaces.
        normals: Unit normals of the surface that the points lie on. Shape (P, 3).
        slack: A point may lie so far behind what is drawn, pixels.

    Returns:
        False for points outside the picture or not finite. Shape (P,).
    """
    points, normals = np.asarray(points, np.float64), np.asarray(normals, np.float64)
    hit: Mask = inside(points[:, :2], raster.depth.shape) & np.isfinite(points[:, 2])
    points, normals = points[hit], normals[hit]
    row, column = nearest(points[:, :2], raster.depth.shape)
    depth = np.pad(raster.depth, 1, constant_values=np.inf)
    around = np.stack([depth[row + y, column + x] for y in range(3) for x in range(3)])
    farthest = np.max(around, axis=0, where=np.isfinite(around), initial=-np.inf)
    drawn = np.where(np.isfinite(around[4]), around[4], np.where(np.isfinite(farthest), farthest, np.inf))
    rise = np.hypot(normals[:, 0], normals[:, 1]) / np.maximum(np.abs(normals[:, 2]), STEEPEST)
    hit[hit] = points[:, 2] <= drawn + slack + rise
    return hit


def _planes(corners: Doubles, cull: bool) -> tuple[Doubles, Indices]:
    """Second and third barycentric coordinate as planes over x and y (6, T), and which triangles may be seen."""
    (ax, ay), (bx, by), (cx, cy) = np.ascontiguousarray(corners[..., :2].transpose(1, 2, 0))
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)  # < 0: counter-clockwise on the screen, as y points down
    longest = (bx - ax) ** 2 + (by - ay) ** 2 + (cx - ax) ** 2 + (cy - ay) ** 2
    flat = np.abs(area) <= 1e-12 * longest
    chosen = area < 0 if cull else np.ones(len(area), bool)
    u = cy - ay, ax - cx, (cx - ax) * ay - (cy - ay) * ax
    v = ay - by, bx - ax, (by - ay) * ax - (bx - ax) * ay
    return np.stack([*u, *v]) / np.where(flat, 1, area), np.flatnonzero(chosen & ~flat)


def _fragments(
    corners: Doubles, chosen: Indices, size: tuple[int, int]
) -> Iterator[tuple[Indices, Indices, Indices, Indices]]:
    """Triangle, flat pixel, column and row of each pixel centre in the boxes of the triangles, some at a time."""
    a, b, c = corners[chosen, :, :2].transpose(1, 0, 2)
    first = np.maximum(np.ceil(np.minimum(np.minimum(a, b), c) - EDGE), 0).astype(np.intp)
    last = np.minimum(np.floor(np.maximum(np.maximum(a, b), c) + EDGE), (size[1] - 1, size[0] - 1)).astype(np.intp)
    wide, high = np.maximum(last - first + 1, 0).T
    some = np.flatnonzero(wide * high)
    chosen, left, top, wide, count = chosen[some], first[some, 0], first[some, 1], wide[some], (wide * high)[some]
    end = np.cumsum(count)
    start = 0
    while start < len(chosen):
        before = int(end[start] - count[start])
        stop = max(start + 1, int(np.searchsorted(end, before + FRAGMENTS, side="right")))
        part = np.repeat(np.arange(start, stop), count[start:stop])
        number = np.arange(len(part)) - np.repeat(end[start:stop] - count[start:stop] - before, count[start:stop])
        breadth = wide.take(part)
        down = number // breadth
        column, row = left.take(part) + number - down * breadth, top.take(part) + down
        yield chosen[part], row * size[1] + column, column, row
        start = stop
