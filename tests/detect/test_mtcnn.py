"""The adapter against a stand-in of the package: order of channels, points and boxes; what is missing."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from canthus.detect import mtcnn
from canthus.detect.detector import Detector
from canthus.errors import ExtraMissingError, ShapeError
from canthus.types import Image


class StandIn:
    """Two faces in pictures that are blue in BGR order, as the package takes them; else as it fails."""

    def detect(self, image: Image, least: float, thresholds: list[float]) -> tuple[object, object]:
        if image[0, 0, 0] == 255:
            boxes = np.array([[10, 20, 50, 60, 0.8], [60, 20, 100, 70, 0.9], [5, 5, 4, 9, 0.95]])
            points = np.array([[20, 40, 30, 22, 38, 30, 30, 40, 50, 50]] * 3, float)
            points[1] = [80, 80, 75, 70, 70, 30, 50, 40, 30, 50]
            return boxes, points
        if image[0, 0, 1] == 255:
            return [], []
        raise ValueError("need at least one array to concatenate" if image[0, 0, 2] == 255 else "broken")


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> mtcnn.MtcnnDetector:
    monkeypatch.setitem(sys.modules, "mtcnnruntime", SimpleNamespace(MTCNN=StandIn))
    return mtcnn.MtcnnDetector()


def colour(*rgb: int) -> np.ndarray:
    return np.full((90, 120, 3), rgb, np.uint8)


def test_faces(detector: mtcnn.MtcnnDetector) -> None:
    faces = detector.detect(colour(0, 0, 255))
    np.testing.assert_allclose(faces.confidence, [0.9, 0.8])
    np.testing.assert_allclose(faces.points[1], [[20, 30], [40, 30], [30, 40], [22, 50], [38, 50]])
    np.testing.assert_allclose(faces.pose[:, 2], [90, 0], atol=1e-4)
    side = np.array([40, 40])
    centre, half = np.array([30, 40]) + side * mtcnn.SHIFT, side * mtcnn.SCALE / 2
    np.testing.assert_allclose(faces.boxes[1], [*(centre - half), *(centre + half)], rtol=1e-5)
    (across, down), side = mtcnn.SHIFT, np.array([40, 50])
    centre, half = np.array([80, 45]) + side * [-down, across], side * mtcnn.SCALE[::-1] / 2
    np.testing.assert_allclose(faces.boxes[0], [*(centre - half), *(centre + half)], rtol=1e-5)
    detector.max_faces = 1
    assert len(detector.detect(colour(0, 0, 255))) == 1


def test_no_face_and_other_errors(detector: mtcnn.MtcnnDetector) -> None:
    for picture in (colour(0, 255, 0), colour(255, 0, 0)):
        assert len(detector.detect(picture)) == 0
    with pytest.raises(ValueError, match="broken"):
        detector.detect(colour(0, 0, 0))


def test_what_is_missing_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mtcnnruntime", None)
    with pytest.raises(ExtraMissingError, match=r"canthus\[mtcnn\]"):
        Detector.open("mtcnn")
    with pytest.raises(ShapeError, match="min_face >= 12"):
        Detector.open("mtcnn", min_face=5)
