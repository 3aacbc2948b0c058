import base64
import re

import cv2
import numpy as np
import pytest

from canthus.evaluate.report.pictures import MARGIN, SIDE, face_picture
from canthus.geometry.crop import box_of


def points_of(path: str) -> np.ndarray:
    """Points (n, 2) of a path of dots."""
    return np.array([[float(x), float(y)] for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)h0", path)])


def test_a_photograph_with_its_points(make_study):
    picture = face_picture(make_study(), 0)
    kind, _, text = picture.photograph.partition(",")
    assert kind == "data:image/webp;base64"
    found = cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)
    assert found.shape == (SIDE, SIDE, 3)
    points = points_of(picture.true)
    assert len(points) == len(points_of(picture.found)) == picture.off.count("L") == 68
    x0, y0, x1, y1 = box_of(points)
    assert (x0 + x1) / 2 == pytest.approx(SIDE / 2, abs=1) and (y0 + y1) / 2 == pytest.approx(SIDE / 2, abs=1)
    assert max(x1 - x0, y1 - y0) == pytest.approx(SIDE / MARGIN, abs=1)
    assert (picture.name, picture.stem) == ("a/<0>.jpg", "<0>")


def test_without_a_photograph_the_curves_are_drawn(make_study):
    picture = face_picture(make_study(rich=False), 3)
    assert picture.photograph == ""
    assert picture.true_curves.count("M") == picture.found_curves.count("M") == 9
    assert picture.name == "face 3"


def test_a_lost_face_shows_its_truth(make_study):
    picture = face_picture(make_study(rich=False, lost=[4]), 4)
    assert len(points_of(picture.true)) == 68 and picture.true_curves.count("M") == 9
    assert picture.found == picture.found_curves == picture.off == ""
    assert picture.error == "not found"
