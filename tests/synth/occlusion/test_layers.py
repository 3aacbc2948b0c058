import numpy as np
import pytest

from canthus.errors import ShapeError
from canthus.synth.occlusion.layers import (
    CoveredFace,
    Frame,
    cloth,
    fill,
    frame_of,
    lit,
    piece,
    rotated,
    stretched,
    strokes,
    superellipse,
)

EYES, MOUTH = slice(36, 48), slice(48, 68)


def face(turn=0.0):
    """Eyes around (60, 50), the mouth 30 pixels below; the rest between."""
    points = np.tile([0.0, 15.0], (68, 1))
    points[36:42], points[42:48], points[MOUTH] = (-14, 0), (14, 0), (0, 30)
    return points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + (60, 50)


@pytest.fixture
def scene(rng):
    image = np.full((100, 120, 3), 90, np.uint8)
    other = np.zeros((40, 80, 3), np.uint8)
    other[..., 1] = 200
    return CoveredFace(image, face(), "68", frame_of(face(), "68"), (other,), rng)


def test_the_axes_of_a_face_turn_with_it():
    upright, turned = frame_of(face(), "68"), frame_of(face(0.5), "68")
    np.testing.assert_allclose(upright.place([[0, 0], [0, 1], [1, 0]]), [[60, 50], [60, 80], [90, 50]], atol=1e-9)
    np.testing.assert_allclose(turned.find(turned.place([[0.3, -0.7]])), [[0.3, -0.7]], atol=1e-12)
    np.testing.assert_allclose(turned.down, [-np.sin(0.5), np.cos(0.5)], atol=1e-9)
    np.testing.assert_allclose(turned.right, [np.cos(0.5), np.sin(0.5)], atol=1e-9)
    assert turned.unit == pytest.approx(30)


def test_one_eye_is_enough_and_none_is_not():
    points = face()
    points[42:48] = np.nan
    assert isinstance(frame_of(points, "68"), Frame)
    np.testing.assert_allclose(frame_of(points, "68").origin, (46, 50))
    points[EYES] = np.nan
    with pytest.raises(ShapeError, match="eyes and mouth"):
        frame_of(points, "68")


def test_a_filled_circle_has_its_area_and_a_stroke_its_length(scene):
    alpha = fill(scene, 30 * superellipse(2.0) + 50)
    assert alpha.sum() == pytest.approx(np.pi * 30**2, rel=0.05) and alpha.max() == 1
    assert alpha[50, 50] == 1 and alpha[50, 85] == 0
    line = strokes(scene, [np.array([[10.0, 50.0], [90.0, 50.0]])], 3)
    assert line.sum(0)[20:80].std() < 0.01 and 3 <= line.sum(0)[50] <= 6 and not line[:, :7].any()


@pytest.mark.parametrize("power", [2.0, 5.0, 40.0])
def test_a_superellipse_keeps_its_equation(power):
    np.testing.assert_allclose((np.abs(superellipse(power)) ** power).sum(1), 1, rtol=1e-9)


def test_what_is_stretched_around_two_discs_is_a_stadium():
    outline = stretched([((0, 0), 1.0), ((4, 0), 1.0)])
    x, y = outline.T
    assert 0.5 * abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) == pytest.approx(np.pi + 8, rel=0.02)


def test_turning_goes_clockwise_on_the_screen():
    np.testing.assert_allclose(rotated(np.array([[1.0, 0.0]]), np.pi / 2), [[0, 1]], atol=1e-12)


def test_a_round_body_is_lighter_towards_the_light(scene):
    alpha = fill(scene, 30 * superellipse(2.0) + 50)
    shaded = lit(np.full((100, 120, 3), 150, np.float32), alpha, 0.6)[..., 0]
    assert shaded[35, 38] > shaded[50, 50] > shaded[65, 62]


def test_a_piece_fills_the_picture_and_cloth_keeps_its_colour(scene):
    filled = piece(scene)
    assert filled.shape == (100, 120, 3) and (filled == (0, 200, 0)).all()
    np.testing.assert_allclose(cloth(scene, np.array([120.0, 90, 60])).mean((0, 1)), (120, 90, 60), rtol=0.1)
