import numpy as np

from canthus.synth.pixels import inside, nearest


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
