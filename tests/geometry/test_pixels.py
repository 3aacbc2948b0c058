import numpy as np

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
