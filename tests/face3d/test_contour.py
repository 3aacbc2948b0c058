import numpy as np
import pytest

from canthus.face3d.contour import lines_to, outline, vertex_normals
from canthus.face3d.mesh import Neighbours
from canthus.geometry.pose import rotation


def sphere(steps: int = 40):
    polar, around = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, 2 * steps), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1).reshape(-1, 3)
    row, column = np.meshgrid(np.arange(steps - 1), np.arange(2 * steps - 1), indexing="ij")
    a = (row * 2 * steps + column).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + 2 * steps], -1), np.stack([a + 1, a + 2 * steps + 1, a + 2 * steps], -1)]
    )
    centres = unit[triangles].sum(1)
    outward = (np.cross(*(unit[triangles[:, [1, 2]]] - unit[triangles[:, :1]]).transpose(1, 0, 2)) * centres).sum(1)
    triangles[outward < 0] = triangles[outward < 0][:, ::-1]
    return unit, triangles


@pytest.mark.parametrize("rings", [0, 1])
def test_normals_of_a_sphere_are_its_radii(rings):
    unit, triangles = sphere()
    inner = (np.abs(unit[:, 1]) < 0.95) & (np.abs(unit[:, 2]) > 0.2)  # not the poles and the seam
    assert vertex_normals(3 * unit + 5, triangles, rings)[inner] == pytest.approx(unit[inner], abs=0.05)


def test_a_vertex_without_triangle_has_no_normal():
    assert vertex_normals(np.eye(3), np.zeros((0, 3), int)).tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize("yaw", [0, 20, 45, 70])
def test_outline_of_a_sphere(yaw):
    """Lines run along the equator from 100 degrees to the front; what is seen of a sphere ends 90 degrees away."""
    azimuth = np.arange(100, -1, -2)
    sides = np.deg2rad(np.stack([azimuth, -azimuth]))
    normals = np.stack([np.sin(sides), np.zeros_like(sides), -np.cos(sides)], -1)
    picked, outward = outline(normals, rotation(np.array([[yaw, 0, 0], [-yaw, 0, 0]])))
    near, far = azimuth[picked[0, 1]], azimuth[picked[0, 0]]
    assert far == pytest.approx(90 - yaw, abs=2)  # the subject's left turns away
    assert near == (100 if yaw > 10 else 90)
    assert picked[1].tolist() == picked[0, ::-1].tolist()
    assert outward[0, :, 0].tolist() == pytest.approx([1, -1], abs=0.05)
    assert np.linalg.norm(outward, axis=-1) == pytest.approx(np.ones((2, 2)))


def test_a_line_that_turns_back_is_cut_where_most_turns_away():
    depth = np.array([0.8, 0.7, -0.1, 0.6, 0.5, -0.4, -0.9, 0.3])
    normals = np.stack([np.sqrt(1 - depth**2), np.zeros(8), depth], -1)[None]
    picked, _ = outline(normals, np.eye(3)[None])
    assert picked.tolist() == [[5]]


def test_lines_lead_to_the_path_in_the_front():
    """On a flat grid of squares: the jaw is its lower edge, the path its upper one."""
    across, down = 9, 7
    cells = [(across * r + c, across * r + across + c) for r in range(down - 1) for c in range(across - 1)]
    triangles = np.array([t for a, b in cells for t in ((a, b, b + 1), (a, b + 1, a + 1))])
    places = np.array([(c, r, 0.0) for r in range(down) for c in range(across)])
    jaw, front = across * (down - 1) + np.arange(across), np.array([0, across - 1])
    lines = lines_to(Neighbours(triangles), places, jaw, front)
    assert [line[0] for line in lines] == jaw.tolist()
    assert [line[-1] for line in lines] == list(range(across))
    assert lines_to(Neighbours(triangles), places, jaw[:3], front[::-1])[2][-1] == 0  # divided alike
