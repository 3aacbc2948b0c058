"""The face score over an engine that computes its answers by a formula: its crops, and its answers in the image."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copy

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.detect.score import FaceScorer
from canthus.errors import BundleError, ShapeError
from canthus.runtime.bundle import default_bundle
from canthus.types import Floats


class Middle:
    """The score is the mean of the crop's middle; the box is half of the crop, the points lie in its middle."""

    def run(self, *inputs: NDArray[np.uint8]) -> Mapping[str, Floats]:
        (crops,) = inputs
        count, size = crops.shape[:2]
        corners = np.array([size / 4 - 0.5, size / 4 - 0.5, size * 3 / 4 - 0.5, size * 3 / 4 - 0.5], np.float32)
        return {
            "scores": crops[:, 20:28, 20:28].mean((1, 2, 3)).astype(np.float32) / 255,
            "boxes": np.tile(corners, (count, 1)),
            "points": np.full((count, 5, 2), (size - 1) / 2, np.float32),
        }


def test_boxes_and_points_are_those_of_the_picture() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:60, 20:40] = 255
    found = FaceScorer(Middle(), 48, 1.2).score(image, [[20, 40, 40, 60], [60, 10, 80, 30]])
    assert found.scores[0] > 0.95 and found.scores[1] < 0.05
    np.testing.assert_allclose(found.points[:, 0], [[30, 50], [70, 20]], atol=1e-4)
    np.testing.assert_allclose(found.boxes, [[24, 44, 36, 56], [64, 14, 76, 26]], atol=1e-3)


def test_a_turned_head_is_seen_upright() -> None:
    """Turned by a quarter the middle stays, and the box of half the crop is as large."""
    image = np.zeros((100, 100, 3), np.uint8)
    scorer = FaceScorer(Middle(), 48, 1.2)
    upright, turned, half = (scorer.score(image, [[20, 40, 40, 60]], [roll]) for roll in (np.nan, 90, 45))
    np.testing.assert_allclose(upright.boxes, turned.boxes, atol=1e-3)
    assert np.ptp(half.boxes[0, [0, 2]]) > 1.2 * np.ptp(upright.boxes[0, [0, 2]])


def test_no_box_and_wrong_rolls() -> None:
    image, scorer = np.zeros((50, 50, 3), np.uint8), FaceScorer(Middle(), 48, 1.2)
    none = scorer.score(image, [])
    assert none.scores.shape == (0,) and none.boxes.shape == (0, 4) and none.points.shape == (0, 5, 2)
    with pytest.raises(ShapeError, match="for 1 boxes"):
        scorer.score(image, [[1, 1, 9, 9]], [1, 2])


def test_the_bundle_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shipped = default_bundle("face_score")
    monkeypatch.setattr("canthus.runtime.bundle.files", lambda _: tmp_path)
    copy(shipped, tmp_path)
    assert FaceScorer.open().score(np.zeros((50, 50, 3), np.uint8), [[5, 5, 40, 40]]).scores[0] < 0.5
    (tmp_path / "face_score.canthus").unlink()
    with pytest.raises(BundleError, match=r"ships no bundle of the face_score; train it"):
        FaceScorer.open()
