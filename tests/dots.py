"""Pictures of dots, and a detector, a network and a tracker that see the dots as faces of five points."""

from typing import Any

import cv2
import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.stage import Stage, System, aligned_to
from canthus.align.view import View
from canthus.detect.score import Scored
from canthus.geometry.crop import Crop
from canthus.track.fitter import Fitter
from canthus.track.tracker import Tracker
from canthus.types import FaceDetector, Faces, Image

NOISE = np.random.default_rng(9).integers(0, 40, (2, 240, 320, 3), dtype=np.uint8)
SHAPE = np.random.default_rng(5).uniform(-30, 30, (5, 2)).astype(np.float32)


def picture(*places: tuple[int, int], scene: int = 0, size: tuple[int, int] = (240, 320)) -> Image:
    """A picture with a bright dot for each face; the n-th face has the red value 200 + n."""
    image = cv2.resize(NOISE[scene], size[::-1], interpolation=cv2.INTER_AREA).astype(np.uint8)
    for number, (x, y) in enumerate(places):
        image[y, x] = (200 + number, 255, 255)
    return image


def dots(image: Image) -> np.ndarray:
    rows, columns = np.nonzero(image[..., 0] >= 200)
    return np.column_stack([columns, rows]).astype(np.float32)


class DotDetector(FaceDetector):
    calls = 0

    def detect(self, image: Image) -> Faces:
        self.calls += 1
        at = dots(image)
        return Faces.of_boxes(np.concatenate([at - 30, at + 30], 1), np.ones(len(at)))


def solve(view: View, estimate: Estimate | None) -> Estimate:
    """The shape of five points around the dot nearest to the middle of the frame, or around that middle."""
    points = []
    for image, frame in zip(view.pictures, view.frames, strict=True):
        middle = -frame[:, 2] / frame[0, 0]
        at = dots(image)
        far = np.linalg.norm(at - middle, axis=1) if len(at) else np.array([])
        points.append(SHAPE + (at[far.argmin()] if len(at) and far.min() < 25 else middle))
    found = np.stack(points).astype(np.float32)
    return Estimate(found, np.ones(found.shape[:2], np.float32), np.zeros((len(found), 3), np.float32))


class DotScorer:
    def score(self, image: Image, boxes: Any, rolls: Any) -> Scored:
        """1 where a dot lies in the box."""
        at = dots(image)
        inside = [bool(((at >= box[:2]) & (at <= box[2:])).all(1).any()) for box in np.asarray(boxes)]
        return Scored(np.array(inside, np.float32), boxes, np.zeros((len(inside), 5, 2), np.float32))


def system(mean: np.ndarray | None = None) -> System:
    return System("toy", "5", (Stage("dots", Crop(32, 1.3), solve, aligned_to(mean)),))


def tracker(**options: Any) -> Tracker:
    return Tracker(DotDetector(), Fitter(system(), DotScorer()), **options)  # type: ignore[arg-type]
