import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.evaluate.cut import Cut, cut_values, estimated_yaw, mouth_opening, natural_cuts
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme

SCHEME = Scheme.open("68")


@given(st.lists(st.floats(0, 90), min_size=1, max_size=30))
def test_classes_are_half_open_like_numpys_histogram(values):
    cut = cut_values("yaw", np.array(values), (0, 30, 60, 90))
    assert np.bincount(cut.index, minlength=3).tolist() == np.histogram(values, (0, 30, 60, 90))[0].tolist()


def test_what_lies_in_no_class():
    cut = cut_values("yaw", np.array([-1, 0, 29.9, 30, 90, 91, np.nan]), (0, 30, 90))
    assert cut.index.tolist() == [-1, 0, 0, 1, 1, -1, -1]
    assert cut.classes == ("0-30", "30-90")
    with pytest.raises(ShapeError, match="from -1 to 0"):
        Cut("yaw", ("all",), np.array([1]))


@pytest.mark.parametrize("yaw", [-60, -25, 0, 10, 45, 70])
def test_yaw_of_a_head_whose_nose_stands_out_as_far_as_the_eyes_lie_apart(yaw):
    head = np.zeros((68, 3))
    head[36], head[45], head[30] = (-4.5, 0, 0), (4.5, 0, 0), (0, 3, -4.5)  # z away from the viewer
    turned = (head @ rotation(np.array([yaw, 0.0, 20.0])).T)[None, :, :2]
    assert estimated_yaw(turned, SCHEME) == pytest.approx([yaw], abs=6)


def test_mouth_opening_is_the_gap_of_the_lips():
    points = np.zeros((1, 68, 2))
    points[0, 45] = (10, 0)
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[0, lower] = points[0, upper] + (0, 3)
    assert mouth_opening(points, SCHEME) == pytest.approx([0.3])


def test_cuts_of_a_scheme_that_cannot_tell():
    assert natural_cuts(np.zeros((2, 5, 2)), Scheme.open("5"))[1:] == ()
    assert mouth_opening(np.zeros((2, 5, 2)), Scheme.open("5")) is None
    assert estimated_yaw(np.zeros((2, 39, 2)), Scheme.open("39_left")) is None


def test_known_yaw_is_taken_and_estimated_yaw_is_called_so(make_faces):
    faces = make_faces(3)
    known = natural_cuts(faces, SCHEME, np.array([-20.0, 50.0, 5.0]))[0]
    assert [known.classes[index] for index in known.index] == ["15-30", "30-60", "0-15"]
    assert "estimated" not in known.title
    assert "estimated" in natural_cuts(faces, SCHEME)[0].title
