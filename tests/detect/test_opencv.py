"""The cascades on a portrait that is moved, mirrored, shrunk and repeated; the fusion of boxes against its laws."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from canthus.data.catalogue import open_set
from canthus.detect import opencv
from canthus.detect.detector import Detector
from canthus.detect.opencv import FRONTAL, PROFILE, OpenCVDetector, certainty, fuse
from canthus.errors import InputError, ShapeError
from canthus.geometry.crop import box_of
from canthus.reader.image import read

cascades = pytest.mark.skipif(not hasattr(cv2, "CascadeClassifier"), reason="OpenCV 5 has no cascades")
PORTRAIT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"
FACE = np.array([109, 67, 189, 149])
"""The box of the landmarks in the portrait, by eye."""


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return read(PORTRAIT)[20:320, 80:380].copy()


@pytest.fixture(scope="module")
def detector() -> OpenCVDetector:
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("OpenCV 5 has no cascades")
    return OpenCVDetector()


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def test_portrait(portrait: np.ndarray, detector: OpenCVDetector) -> None:
    faces = detector.detect(portrait)
    assert len(faces) == 1 and faces.points.shape == (1, 0, 2)
    assert iou(faces.boxes[0], FACE) > 0.75
    assert 0.8 < faces.confidence[0] < 1


def test_mirror(portrait: np.ndarray, detector: OpenCVDetector) -> None:
    (box,) = detector.detect(np.ascontiguousarray(portrait[:, ::-1])).boxes
    assert iou(np.array([299 - box[2], box[1], 299 - box[0], box[3]]), FACE) > 0.75


@cascades
def test_both_profiles_are_looked_for(portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the profile cascade alone, the mirrored picture gives the mirrored candidates exactly."""
    detector = OpenCVDetector()
    monkeypatch.setattr(detector._cascades, "frontal", detector._cascades.profile)
    monkeypatch.setattr(opencv, "FRONTAL", opencv.Cascade("", (0, 0), (0.01, 0.01)))
    sides = []
    for image in (portrait, np.ascontiguousarray(portrait[:, ::-1])):
        boxes, votes = detector.candidates(image)
        real = (boxes[:, 2] - boxes[:, 0]) > 10
        sides.append((boxes[real], votes[real]))
    (boxes, votes), (mirrored, counts) = sides
    back = np.stack([299 - mirrored[:, 2], mirrored[:, 1], 299 - mirrored[:, 0], mirrored[:, 3]], 1)
    assert len(boxes) >= 1
    order, other = np.lexsort(boxes.T), np.lexsort(back.T)
    np.testing.assert_allclose(boxes[order], back[other], atol=1e-9)
    np.testing.assert_array_equal(votes[order], counts[other])


@cascades
@pytest.mark.parametrize(("factor", "max_side"), [(0.5, 960), (3, 480)])
def test_size_of_the_picture(factor: float, max_side: int, portrait: np.ndarray) -> None:
    size = round(300 * factor)
    image = cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    boxes = OpenCVDetector(max_side=max_side).detect(image).boxes
    overlaps = [iou((box + 0.5) / factor - 0.5, FACE) for box in boxes]
    assert max(overlaps) > 0.7


@cascades
def test_options(portrait: np.ndarray) -> None:
    face = portrait[30:200, 60:250]
    two = np.vstack([face, face])
    assert len(OpenCVDetector().detect(two)) == 2
    found = OpenCVDetector(threshold=0).detect(two)
    assert (np.diff(found.confidence) <= 0).all()
    assert len(OpenCVDetector(max_faces=1).detect(two)) == 1
    assert len(OpenCVDetector(threshold=0.9999).detect(two)) == 0
    assert len(OpenCVDetector(min_face=120).detect(two)) == 0
    assert len(OpenCVDetector(min_face=60).detect(two)) == 2
    assert len(Detector.open("opencv", max_faces=1).detect(two)) == 1


@pytest.mark.parametrize("options", [{"min_face": 0}, {"threshold": 1.1}, {"max_faces": 0}, {"max_side": 5}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ShapeError, match="a detector needs"):
        Detector.open(**options)


@pytest.mark.parametrize("shape", [(1, 1), (23, 300), (300, 23), (1, 4000), (64, 64)])
def test_no_face(shape: tuple[int, int], detector: OpenCVDetector) -> None:
    faces = detector.detect(np.full((*shape, 3), 127, np.uint8))
    assert len(faces) == 0 and faces.boxes.shape == (0, 4)


def test_no_image(detector: OpenCVDetector) -> None:
    with pytest.raises(ShapeError, match="an image is"):
        detector.detect(np.zeros((40, 40), np.uint8))


@cascades
def test_missing_cascades(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cv2, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(InputError, match=r"alt2\.xml: the cascade of OpenCV is missing; use another detector, or inst"):
        OpenCVDetector()


def test_opencv_without_cascades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    monkeypatch.setattr(cv2, "__version__", "5.0.0")
    with pytest.raises(
        InputError, match=r"needs the cascades of OpenCV 4, not 5\.0\.0; use another detector, or install"
    ):
        Detector.open("opencv")
    assert len(Detector.open().detect(read(PORTRAIT))) == 1


def test_eight_threads_share_a_detector(portrait: np.ndarray, detector: OpenCVDetector) -> None:
    sizes = [(300 - 20 * (index % 6), 300 - 10 * (index % 4)) for index in range(48)]
    pictures = [cv2.resize(portrait, size, interpolation=cv2.INTER_AREA) for size in sizes]
    alone = [detector.detect(picture) for picture in pictures]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(detector.detect, pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.confidence, other.confidence)


def test_box_of_a_square() -> None:
    (box,) = FRONTAL.boxes(np.array([[10.0, 20.0, 100.0, 100.0]]))
    np.testing.assert_allclose((box[2:] - box[:2]), [87.7, 85.2])
    np.testing.assert_allclose((box[2:] + box[:2]) / 2, [59.5, 69.5 + 15.6])
    (box,) = PROFILE.boxes(np.array([[10.0, 20.0, 100.0, 100.0]]))
    assert (box[0] + box[2]) / 2 == pytest.approx(49.5)


corners = arrays.arrays(float, st.tuples(st.integers(0, 12), st.just(2)), elements=st.integers(0, 60).map(float))


@given(corners, st.integers(4, 30), st.randoms())
def test_laws_of_fusion(corner: np.ndarray, side: int, random) -> None:  # type: ignore[no-untyped-def]
    boxes = np.concatenate([corner, corner + side], 1)
    votes = np.array([2.0 + random.randrange(50) + index / 100 for index in range(len(boxes))])
    fused, sums = fuse(boxes, votes)
    assert fused.shape == (len(sums), 4) and sums.sum() == pytest.approx(votes.sum())
    order = np.array(random.sample(range(len(boxes)), len(boxes)), int)
    again, counts = fuse(boxes[order], votes[order])
    np.testing.assert_allclose(again, fused)
    np.testing.assert_allclose(counts, sums)
    if len(boxes):
        assert (fused[:, :2] >= boxes[:, :2].min(0) - 1e-9).all() and (fused[:, 2:] <= boxes[:, 2:].max(0) + 1e-9).all()


@given(corners, st.integers(0, 1000))
def test_fusion_keeps_as_many_faces_as_suppression(corner: np.ndarray, seed: int) -> None:
    """OpenCV's suppression starts from the same strongest boxes."""
    boxes = np.concatenate([corner, corner + 10], 1)
    votes = np.random.default_rng(seed).permutation(len(boxes)) + 2.0
    kept = cv2.dnn.NMSBoxes([[*box[:2], 10, 10] for box in boxes], list(votes), 0, 0.3)
    assert len(fuse(boxes, votes, overlap=0.3, inside=2)[0]) == len(kept)


def test_a_box_within_another_is_of_the_same_face() -> None:
    boxes = np.array([[0, 0, 100, 100], [40, 40, 60, 60], [200, 0, 300, 100]], float)
    fused, sums = fuse(boxes, np.array([30.0, 10.0, 5.0]))
    np.testing.assert_allclose(fused, [[10, 10, 90, 90], [200, 0, 300, 100]])
    np.testing.assert_allclose(sums, [40, 5])


def test_certainty_is_the_logistic_function_of_the_log_of_the_votes() -> None:
    votes = np.array([2.0, 5.0, 30.0])
    a, b = opencv.CERTAINTY
    np.testing.assert_allclose(certainty(votes), 1 / (1 + np.exp(-(a + b * np.log(votes)))))
    assert certainty(np.zeros(1))[0] < 1e-6


@pytest.mark.data
def test_boxes_in_the_wild(data_root: Path, detector: OpenCVDetector) -> None:
    samples = open_set("wild68", data_root, "val")[::10]
    overlaps = []
    for sample in samples:
        boxes = detector.detect(read(sample.image)).boxes
        overlaps.append(max([iou(box, box_of(sample.points)) for box in boxes], default=0.0))
    found = np.array(overlaps) > 0.4
    assert found.mean() >= 0.75 and np.median(np.array(overlaps)[found]) > 0.73
