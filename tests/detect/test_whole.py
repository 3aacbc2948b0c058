import numpy as np

from canthus.detect.detector import Detector


def test_the_picture_is_the_face() -> None:
    faces = Detector.open("none").detect(np.zeros((40, 60, 3), np.uint8))
    np.testing.assert_array_equal(faces.boxes, [[-0.5, -0.5, 59.5, 39.5]])
    assert np.isnan(faces.confidence).all() and np.isnan(faces.pose).all()
