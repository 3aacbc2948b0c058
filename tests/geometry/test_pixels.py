import tracemalloc

import cv2
import numpy as np
import pytest

from canthus.geometry.crop import crop_matrix, warp
from canthus.geometry.pixels import cut, inside, nearest


def test_a_point_lies_on_a_pixel_whose_centre_is_within_half_a_pixel():
    points = np.array([[-0.5, 0], [-0.51, 0], [6.49, 3.49], [6.5, 0], [0, 3.5], [np.nan, 1], [3, 2]])
    assert inside(points, (4, 7)).tolist() == [True, False, True, False, False, False, True]


def test_the_nearest_pixel_to_a_point_inside_is_the_one_it_lies_on(rng):
    points = rng.uniform(-3, 10, (500, 2))
    row, column = nearest(points, (4, 7))
    distance = np.abs(points - np.stack([column, row], -1)).max(1)
    assert ((distance <= 0.5) == inside(points, (4, 7))).all()
    assert (row.min(), row.max(), column.min(), column.max()) == (0, 3, 0, 6)


def test_a_missing_point_takes_the_first_pixel():
    row, column = nearest(np.array([[np.nan, np.nan]]), (4, 7))
    assert (row.tolist(), column.tolist()) == ([0], [0])


def test_beside_the_photograph_its_border_goes_on():
    image = np.full((20, 20, 3), (10, 200, 60), np.uint8)
    assert (cut(image, np.array([[1.0, 0, 15], [0, 1, -12]]), 32) == (10, 200, 60)).all()


def test_within_the_photograph_its_pixels_are_cut(rng):
    image = rng.integers(0, 256, (40, 30, 3), np.uint8)
    assert (cut(image, np.array([[1.0, 0, -6], [0, 1, -9]]), 20) == image[9:29, 6:26]).all()


def crop_around(centre: tuple[float, float], side: float, size: int) -> np.ndarray:
    """The map of an upright square (side pixels) around a centre."""
    return crop_matrix(
        np.array([centre[0] - side / 2, centre[1] - side / 2, centre[0] + side / 2, centre[1] + side / 2]), size, 1.0
    )


def test_far_outside_the_photograph_its_nearest_corner_goes_on():
    image = np.zeros((20, 30, 3), np.uint8)
    image[-1, -1] = (10, 200, 60)
    for distance in (100, 1e5, 1e12):
        assert (cut(image, crop_around((distance, distance), 50, 32), 32) == (10, 200, 60)).all()


@pytest.mark.parametrize("side", [1e4, 1e6, 1e7, 1e30])
def test_a_huge_square_takes_little_memory(side):
    image = np.full((200, 300, 3), (10, 200, 60), np.uint8)
    tracemalloc.start()
    crop = cut(image, crop_around((150, 100), side, 128), 128)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000 and (crop == (10, 200, 60)).all()


@pytest.mark.parametrize("side", [40, 90, 300, 700])
def test_the_border_is_that_of_a_photograph_padded_by_hand(rng, side):
    noise = rng.integers(0, 256, (60, 80, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 6)
    padded = cv2.copyMakeBorder(image, 700, 700, 700, 700, cv2.BORDER_REPLICATE)
    crop = cut(image, crop_around((70, 10), side, 32), 32).astype(float)
    expected = warp(padded, crop_around((770, 710), side, 32), 32)
    assert np.abs(crop - expected).mean() < 3
