import numpy as np
import pytest

from canthus.errors import DataError
from canthus.evaluate.pairing import paired
from canthus.evaluate.table import Table


def table(images, places=None, **more) -> Table:
    """Faces of 3 points at x = their place."""
    places = range(len(images)) if places is None else places
    points = np.zeros((len(images), 3, 2), np.float32)
    points[..., 0] = np.array(list(places), np.float32)[:, None]
    return Table(points, images=tuple(images), **more)


def places(found: Table) -> list[float]:
    return [None if np.isnan(points).all() else float(points[0, 0]) for points in found.points]


@pytest.mark.parametrize(
    ("predicted", "true"),
    [
        (["b.jpg", "a.jpg"], ["a.jpg", "b.jpg"]),
        (["b", "a"], ["a.jpg", "b.png"]),
        (["b.pts", "a.pts"], ["set/a.jpg", "set/b.jpg"]),
        (["/data/set/b.jpg", "/data/set/a.jpg"], ["set/a.jpg", "set/b.jpg"]),
        (["set\\b.jpg", "set\\a.jpg"], ["set/a.jpg", "set/b.jpg"]),
    ],
)
def test_names_are_matched_from_the_end(predicted, true):
    assert places(paired(table(predicted), table(true))) == [1, 0]


def test_folders_tell_equal_names_apart():
    predicted, true = table(["x/1.jpg", "y/1.jpg"]), table(["root/y/1.jpg", "root/x/1.jpg"])
    assert places(paired(predicted, true)) == [1, 0]
    with pytest.raises(DataError, match="matches 2 of the predicted images"):
        paired(predicted, table(["1.jpg"]))
    with pytest.raises(DataError, match=r"matches 'x/1.jpg' and 'y/1.jpg'"):
        paired(table(["1.jpg"]), table(["x/1.jpg", "y/1.jpg"]))


def test_a_face_without_prediction_is_nan():
    found = paired(table(["c", "a"]), table(["a", "b", "c"]))
    assert places(found) == [1, None, 0]


def test_several_faces_of_an_image_go_to_the_nearest():
    predicted = table(["a", "a", "a"], [100, 51, 10], scores=np.arange(9, dtype=np.float32).reshape(3, 3))
    found = paired(predicted, table(["a", "a"], [9, 52]))
    assert places(found) == [10, 51]
    assert found.scores[:, 0].tolist() == [6, 3]


def test_one_prediction_is_not_given_twice():
    assert places(paired(table(["a"], [40]), table(["a", "a"], [0, 50]))) == [None, 40]


def test_without_names_the_order_decides():
    bare = Table(np.ones((2, 3, 2), np.float32))
    assert paired(bare, table(["a", "b"])) is bare
    with pytest.raises(DataError, match="2 predictions and 3 true faces"):
        paired(bare, table(["a", "b", "c"]))


def test_names_of_something_else_are_refused():
    with pytest.raises(DataError, match="'x' and 'a'"):
        paired(table(["x"]), table(["a"]))


@pytest.mark.parametrize("name", ["", ".", "/", ".jpg", "./"])
def test_names_without_letters(name):
    assert places(paired(table(["b.jpg", name]), table([name, "b.jpg"]))) == [1, 0]


def test_hundreds_of_faces_in_a_picture():
    """The nearest pair of all is taken first, then the nearest of those that are left."""
    rng = np.random.default_rng(1)
    predicted, true = table(["a"] * 1500, rng.random(1500) * 999), table(["a"] * 1200, rng.random(1200) * 999)
    found = paired(predicted, true).points
    assert np.isfinite(found).all() and len(np.unique(found[:, 0, 0])) > 1190
    predicted, true = table(["a"] * 3, [2.25, 8, 1.875]), table(["a"] * 3, [1, 2, 9])
    assert places(paired(predicted, true)) == [2.25, 1.875, 8]
