import base64
import re
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from canthus.evaluate.report.pictures import SIDE, face_picture
from canthus.geometry.crop import box_of


def test_a_photograph_with_its_points(make_study):
    study = make_study()
    text = face_picture(study, 0)
    jpeg = base64.b64decode(re.search(r"base64,([^\"]+)", text)[1])
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (SIDE, SIDE, 3)
    places = [
        (float(item.get("cx")), float(item.get("cy")))
        for item in ElementTree.fromstring(text).iter("circle")
        if item.get("class") == "true"
    ]
    assert len(places) == 68
    x0, y0, x1, y1 = box_of(np.array(places))
    assert (x0 + x1) / 2 == pytest.approx(SIDE / 2, abs=1) and (y0 + y1) / 2 == pytest.approx(SIDE / 2, abs=1)
    assert max(x1 - x0, y1 - y0) == pytest.approx(SIDE / 1.35, abs=1)


def test_without_a_photograph_the_curves_are_drawn(make_study):
    text = face_picture(make_study(rich=False), 3)
    assert "image" not in text
    assert text.count('class="true" points') == text.count('class="found" points') == 9


def test_a_lost_face_shows_its_truth(make_study):
    text = face_picture(make_study(rich=False, lost=[4]), 4)
    assert 'class="true"' in text and 'class="found"' not in text
