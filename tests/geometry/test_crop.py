import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.geometry.crop import box_frames, box_of, crop_matrix, crop_of_frame, shape_frames, unit_mean, warp
from canthus.geometry.transform import apply, invert, scale_of, similarity

BOX = np.array([90.0, 60, 190, 150])
Y, X = np.mgrid[:200, :300]
RAMP = np.rint(np.stack([0.8 * X, 1.2 * Y, 0 * X + 100], -1)).astype(np.uint8)


@given(st.integers(8, 200), st.floats(1, 3), st.floats(-180, 180))
def test_the_box_fills_the_crop(size: int, margin: float, angle: float) -> None:
    matrix = crop_matrix(BOX, size, margin, angle)
    middle = (size - 1) / 2
    assert apply(matrix, np.array([[140.0, 105]])) == pytest.approx(np.array([[middle, middle]]))
    assert scale_of(matrix) == pytest.approx(size / (margin * 100))
    upright = apply(matrix, apply(similarity(angle=angle), np.array([[0.0, 0], [1, 0]])))
    assert upright[1, 1] == pytest.approx(upright[0, 1], abs=1e-9)  # what was turned by the angle is level


@pytest.mark.parametrize(
    ("size", "margin", "angle"),
    [(64, 1.0, 0), (128, 1.1, 15), (64, 1.3, 20), (16, 1.0, 0), (16, 1.2, 30), (10, 1.1, -75)],
)
def test_a_crop_shows_what_lies_under_it(size: int, margin: float, angle: float) -> None:
    matrix = crop_matrix(BOX, size, margin, angle)
    y, x = np.mgrid[:size, :size]
    under = apply(invert(matrix), np.stack([x, y], -1).reshape(-1, 2).astype(float)).reshape(size, size, 2)
    crop = warp(RAMP, matrix, size).astype(float)
    assert np.abs(crop[..., :2] - under * [0.8, 1.2]).max() < 1.4  # half a pixel of shift would be .6 in the mean
    assert np.abs((crop[..., :2] - under * [0.8, 1.2]).mean((0, 1))).max() < 0.5
    assert (crop[..., 2] == 100).all()


@pytest.mark.parametrize("size", [8, 20, 33, 60, 120])
def test_no_border_of_the_image_is_lost(size: int) -> None:
    white = np.full((101, 103, 3), 255, np.uint8)
    crop = warp(white, crop_matrix(np.array([-20, -20, 123, 121]), size, 1.0), size).astype(float)
    area = 101 * 103 * (size / 143) ** 2
    assert crop[..., 0].sum() / 255 == pytest.approx(area, rel=0.03)
    assert np.abs(crop - crop[:, ::-1]).mean() < 12  # as dark left as right


def test_outside_of_the_image_is_black() -> None:
    for size in (10, 200):
        matrix = crop_matrix(np.array([-500.0, -500, -400, -400]), size, 1.0)
        assert not warp(RAMP, matrix, size).any()
        half = warp(RAMP, crop_matrix(np.array([-100.0, 50, 100, 250]), size, 1.0), size)
        assert not half[:, : size // 2 - 2].any()
        assert half[size // 2 - 2, size // 2 + 2 :].any(-1).all()


@pytest.mark.parametrize("shape", [(8, 40000, 3), (40000, 8, 3)])
def test_an_image_longer_than_opencv_warps(shape: tuple[int, int, int]) -> None:
    image = np.full(shape, 200, np.uint8)
    x, y = (35000, 0) if shape[1] > shape[0] else (0, 35000)
    for side in (4, 32):
        crop = warp(image, crop_matrix(np.array([x + 2, y + 2, x + 6, y + 6]), side, 1.0), side)
        assert (crop[1:-1, 1:-1] == 200).all()


def test_fine_stripes_become_grey() -> None:
    stripes = np.zeros((160, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    crop = warp(stripes, crop_matrix(np.array([0.0, 0, 159, 159]), 16, 0.9), 16)
    assert np.abs(crop.astype(float) - 127.5).max() < 20


def test_the_box_of_points() -> None:
    points = np.array([[[1, 5, 9], [4, 2, 9], [np.nan, 7, 9]], [[0, 0, 0], [1, 1, 1], [2, 2, 2]]])
    assert box_of(points).tolist() == [[1, 2, 4, 7], [0, 0, 2, 2]]
    assert box_of(points[0, :, :2]).dtype == np.float32


def test_a_matrix_that_squeezes() -> None:
    with pytest.raises(ShapeError, match="no inverse"):
        warp(RAMP, np.zeros((2, 3)), 8)


@given(st.floats(-180, 180), st.floats(0.2, 5), st.tuples(st.floats(-50, 50), st.floats(-50, 50)))
def test_crops_by_a_mean_shape_turn_with_the_face(angle: float, scale: float, shift: tuple[float, float]) -> None:
    """Whatever similarity a face undergoes, its points lie at the same places of its crop."""
    rng = np.random.default_rng(4)
    shapes = rng.normal(0, 20, (1, 9, 2)) + rng.normal(0, 1, (5, 9, 2)) + 60
    mean = unit_mean(shapes)
    assert np.abs(mean.max(0) + mean.min(0)).max() < 1e-6
    assert np.ptp(mean, axis=0).max() == pytest.approx(1, abs=1e-6)
    moved = apply(similarity(scale, angle, shift), shapes)
    before, after = (apply(crop_of_frame(shape_frames(s, mean), 96, 1.3), s) for s in (shapes, moved))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_frames_of_boxes_give_the_crops_of_boxes() -> None:
    boxes = np.float32([[10, 20, 60, 50], [-4, 3, 9, 80]])
    crops = crop_of_frame(box_frames(boxes), 64, 1.4)
    np.testing.assert_allclose(crops, [crop_matrix(box, 64, 1.4) for box in boxes], atol=1e-9)


@pytest.mark.parametrize("side", [1e3, 1e6, 1e7, 1e20, 1e38])
@pytest.mark.parametrize("angle", [0.0, 30.0])
def test_a_crop_of_a_huge_box_takes_little_memory(side: float, angle: float) -> None:
    white = np.full((200, 300, 3), 255, np.uint8)
    tracemalloc.start()
    crop = warp(white, crop_matrix(np.array([-side, -side, side, side]), 128, 1.2, angle), 128)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    area = 300 * 200 * (128 / (2.4 * side)) ** 2  # of the picture in the crop
    assert crop[..., 0].sum() / 255 == pytest.approx(area, rel=0.05, abs=0.05)


@pytest.mark.parametrize("box", [[0, 0, 1e-30, 1e-30], [-3e38, -3e38, 3e38, 3e38], [1e30, 1e30, 2e30, 3e30]])
def test_a_crop_of_any_finite_box(box: list[float]) -> None:
    assert warp(RAMP, crop_matrix(np.array(box), 32, 1.2), 32).shape == (32, 32, 3)
