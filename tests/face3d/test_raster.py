import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.face3d import raster
from canthus.face3d.raster import rasterise, seen

QUAD = np.array([[0, 1, 2], [0, 2, 3]])


def quad(x0, y0, x1, y1, depth=lambda x, y: 0.0):
    """Counter-clockwise on the screen, where y points down."""
    return np.array([[x, y, depth(x, y)] for x, y in [(x0, y0), (x0, y1), (x1, y1), (x1, y0)]], float)


def grid(count, rng):
    """A square of 0..20 with its inner nodes shaken, in count^2 cells."""
    ticks = np.linspace(0, 20, count + 1)
    x, y = np.meshgrid(ticks, ticks)
    shake = rng.uniform(-0.4, 0.4, (2, *x.shape)) * (20 / count)
    shake[:, [0, -1]] = shake[:, :, [0, -1]] = 0
    corner = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).ravel()
    a, b, c, d = corner, corner + 1, corner + count + 1, corner + count + 2
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return np.stack([x + shake[0], y + shake[1], np.zeros_like(x)], -1).reshape(-1, 3), triangles


def sphere(radius, centre, steps):
    polar, around = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, 2 * steps), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
    row, column = np.meshgrid(np.arange(steps - 1), np.arange(2 * steps - 1), indexing="ij")
    a = (row * 2 * steps + column).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + 2 * steps], 1), np.stack([a + 1, a + 2 * steps + 1, a + 2 * steps], 1)]
    )
    return centre + radius * unit.reshape(-1, 3), triangles


def test_a_pixel_belongs_to_a_triangle_when_its_centre_does():
    vertices = np.array([[0, 0, 1.0], [0, 4, 1], [4, 0, 1]])
    drawn = rasterise(vertices, np.array([[0, 1, 2]]), (6, 7))
    row, column = np.indices((6, 7))
    assert (drawn.covered == (row + column <= 4)).all()
    moved = rasterise(vertices + np.array([0.01, 0, 0]), np.array([[0, 1, 2]]), (6, 7))
    assert (moved.covered == ((column >= 1) & (row + column <= 4))).all()


def test_a_plane_has_its_depth_and_carries_what_is_linear(rng):
    plane = np.array([0.3, -0.7, 5.0])
    vertices = quad(-3.3, -2.1, 40.2, 33.7, lambda x, y: plane @ [x, y, 1])
    drawn = rasterise(vertices, QUAD, (24, 32))
    row, column = np.indices((24, 32))
    assert drawn.covered.all()
    np.testing.assert_allclose(drawn.depth, plane[0] * column + plane[1] * row + plane[2], atol=1e-4)
    np.testing.assert_allclose(drawn.weights.sum(-1), 1, atol=1e-5)
    carried = drawn.interpolate(vertices[:, :2], QUAD)
    np.testing.assert_allclose(carried, np.stack([column, row], -1), atol=1e-4)


def test_a_sphere_has_the_depth_of_its_formula():
    centre, radius = np.array([30.4, 29.7, 50.0]), 25.0
    vertices, triangles = sphere(radius, centre, 60)
    drawn = rasterise(vertices, triangles, (64, 64))
    row, column = np.indices((64, 64))
    square = (column - centre[0]) ** 2 + (row - centre[1]) ** 2
    sure = square < (0.95 * radius) ** 2
    formula = centre[2] - np.sqrt(radius**2 - square[sure])
    assert np.abs(drawn.depth[sure] - formula).max() < 0.3
    assert not drawn.covered[square > radius**2].any()
    assert np.isinf(drawn.depth[~drawn.covered]).all()
    assert np.isnan(drawn.interpolate(vertices, triangles)[~drawn.covered]).all()


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 3, 0, 1], [3, 0, 2, 1]])
def test_the_nearer_surface_hides_the_farther_whatever_the_order(order):
    vertices = np.concatenate([quad(0, 0, 20, 20, lambda x, y: 10.0), quad(5, 5, 12, 12, lambda x, y: x)])
    triangles = np.concatenate([QUAD, QUAD + 4])[order]
    drawn = rasterise(vertices, triangles, (21, 21))
    row, column = np.indices((21, 21))
    small = (row >= 5) & (row <= 12) & (column >= 5) & (column < 10)
    assert (np.isin(drawn.triangle, np.flatnonzero(triangles[:, 0] == 4)) == small)[column != 10].all()
    np.testing.assert_allclose(drawn.depth, np.where(small, column, 10), atol=1e-4)


def test_of_surfaces_equally_near_the_first_is_drawn():
    vertices = np.concatenate([quad(0, 0, 9, 9), quad(0, 0, 9, 9)])
    triangles = np.concatenate([QUAD, QUAD + 4])
    assert rasterise(vertices, triangles, (10, 10)).triangle.max() == 1
    assert rasterise(vertices, triangles[::-1], (10, 10)).triangle.max() == 1


def test_backs_are_left_out_when_asked():
    vertices = quad(0, 0, 9, 9)
    assert rasterise(vertices, QUAD, (10, 10), cull=True).covered.all()
    assert not rasterise(vertices, QUAD[:, ::-1], (10, 10), cull=True).covered.any()
    assert rasterise(vertices, QUAD[:, ::-1], (10, 10)).covered.all()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_a_mesh_without_holes_is_drawn_without_holes(seed, count):
    vertices, triangles = grid(count, np.random.default_rng(seed))
    assert rasterise(vertices, triangles, (21, 21)).covered.all()


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_it_agrees_with_solving_for_each_pixel(seed):
    rng = np.random.default_rng(seed)
    vertices = np.column_stack([rng.uniform(-4, 16, (18, 2)), rng.uniform(0, 9, 18)])
    triangles = np.arange(18).reshape(6, 3)
    drawn = rasterise(vertices, triangles, (12, 12))
    for row, column in np.ndindex(12, 12):
        depths, near_edge = [np.inf], False
        for corners in vertices[triangles]:
            inside = np.linalg.solve(np.stack([*corners[:, :2].T, np.ones(3)]), [column, row, 1])
            near_edge |= bool(np.abs(inside).min() < 1e-6)
            if inside.min() >= 0:
                depths.append(inside @ corners[:, 2])
        if not near_edge:
            np.testing.assert_allclose(drawn.depth[row, column], min(depths), rtol=1e-5, atol=1e-5)


def test_many_fragments_are_drawn_in_parts(rng, monkeypatch):
    vertices = rng.uniform(0, 30, (60, 3))
    triangles = rng.integers(0, 60, (50, 3))
    whole = rasterise(vertices, triangles, (31, 31))
    monkeypatch.setattr(raster, "FRAGMENTS", 100)
    parts = rasterise(vertices, triangles, (31, 31))
    for name in ("depth", "triangle", "weights"):
        assert (getattr(whole, name) == getattr(parts, name)).all()


def test_flat_triangles_and_an_empty_mesh_draw_nothing():
    line = np.array([[0, 0, 0], [3, 3, 0], [6, 6, 0.0]])
    assert not rasterise(line, np.array([[0, 1, 2], [0, 0, 1]]), (8, 8)).covered.any()
    assert not rasterise(line, np.zeros((0, 3), int), (8, 8)).covered.any()
    far = quad(100, 100, 120, 120)
    assert not rasterise(far, QUAD, (8, 8)).covered.any()


def towards(count):
    """Normals that face the viewer."""
    return np.tile([0.0, 0.0, -1.0], (count, 1))


def test_points_are_seen_before_the_surface_and_hidden_behind_it():
    drawn = rasterise(quad(0, 0, 9, 9, lambda x, y: 5.0), QUAD, (10, 20))
    points = [[4, 4, 4], [4, 4, 5.9], [4, 4, 6.1], [15, 4, 99], [-3, 4, 0], [4, 9.6, 0], [np.nan, 4, 0], [4, 4, np.nan]]
    expected = [True, True, False, True, False, False, False, False]
    assert seen(points, drawn, towards(8), 1.0).tolist() == expected


def test_the_outline_lets_no_hidden_point_through():
    drawn = rasterise(quad(5, 5, 14, 14, lambda x, y: 5.0), QUAD, (20, 20))
    row, column = np.indices((20, 20))
    near, far = (np.stack([column, row, np.full((20, 20), z)], -1).reshape(-1, 3) for z in (5.9, 50))
    assert seen(near, drawn, towards(400), 1.0).all()
    within_a_pixel = (np.abs(row - 9.5) <= 5.5) & (np.abs(column - 9.5) <= 5.5)
    assert (seen(far, drawn, towards(400), 1.0).reshape(20, 20) == ~within_a_pixel).all()


def test_an_edge_before_a_surface_lets_no_hidden_point_through():
    vertices = np.concatenate([quad(0, 0, 19, 19, lambda x, y: 50.0), quad(0, 0, 9, 19, lambda x, y: 5.0)])
    drawn = rasterise(vertices, np.concatenate([QUAD, QUAD + 4]), (20, 20))
    points = [[8, 9, 50], [9, 9, 50], [10, 9, 50]]
    assert seen(points, drawn, towards(3), 1.0).tolist() == [False, False, True]


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), steep=st.floats(0, 6), turn=st.floats(0, 7))
def test_a_surface_does_not_hide_itself_however_steep(seed, steep, turn):
    slope = steep * np.array([np.cos(turn), np.sin(turn)])
    drawn = rasterise(quad(-2, -2, 22, 22, lambda x, y: slope @ [x, y]), QUAD, (20, 20))
    place = np.random.default_rng(seed).uniform(0, 19, (50, 2))
    normals = np.tile(np.array([*slope, -1]) / np.hypot(steep, 1), (50, 1))
    assert seen(np.column_stack([place, place @ slope]), drawn, normals, 1e-3).all()
    assert not seen(np.column_stack([place, place @ slope + 2 * steep + 1]), drawn, normals, 1e-3).any()


def test_what_is_no_mesh_is_refused():
    with pytest.raises(ShapeError, match="mesh is"):
        rasterise(np.zeros((4, 2)), QUAD, (8, 8))
    with pytest.raises(ShapeError, match="vertices 0 to 3 of 3"):
        rasterise(np.zeros((3, 3)), QUAD, (8, 8))
    with pytest.raises(ShapeError, match="not finite"):
        rasterise(quad(0, 0, 9, np.nan), QUAD, (8, 8))
