"""Detector by the package mtcnn-runtime [Zhang et al., 2016], whose boxes are converted to boxes of the 68 landmarks.

The numbers are medians over the training images of wild68 and ytf68, printed by `benchmarks/detectors.py --fit-mtcnn`.
"""

import numpy as np

from canthus.errors import ShapeError, need
from canthus.types import FaceDetector, Faces, Image, as_image

SHIFT = (0.017, 0.137)
"""Shift from the centre of its box to that of the landmarks, as fractions of its sides, for level eyes."""
SCALE = (1.056, 0.782)
"""Width and height of the box of the landmarks, as fractions of the sides of its box, for level eyes."""


class MtcnnDetector(FaceDetector):
    """The three-stage cascade of the package; the roll is that of the line between the eyes."""

    def __init__(self, *, min_face: float = 20, threshold: float = 0.7, max_faces: int | None = None) -> None:
        """Load the networks.

        Args:
            min_face: Size of the smallest face in pixels.
            threshold: Minimum score of the third stage, 0..1.
            max_faces: Largest number of faces per image, most confident first; None = all.

        Raises:
            ShapeError: an option is out of its range.
            ExtraMissingError: the package is not installed.
        """
        if min_face < 12 or not 0 <= threshold <= 1 or (max_faces is not None and max_faces < 1):
            raise ShapeError(
                "this detector needs min_face >= 12, threshold in 0..1 and max_faces >= 1, not"
                f" {min_face}, {threshold} and {max_faces}"
            )
        try:
            from mtcnnruntime import MTCNN
        except ImportError as error:
            raise need("mtcnn") from error
        self.network = MTCNN()
        self.min_face, self.threshold, self.max_faces = min_face, threshold, max_faces

    def detect(self, image: Image) -> Faces:
        """Boxes, confidence, five points and roll of the faces in an image (H, W, 3), most confident first."""
        boxes, points, scores = self.raw(image)
        eyes = points[:, 1] - points[:, 0]
        roll = np.arctan2(eyes[:, 1], eyes[:, 0])
        order = np.argsort(-scores, kind="stable")[: self.max_faces]
        pose = np.full((len(scores), 3), np.nan, np.float32)
        pose[:, 2] = np.degrees(roll)
        tight = tightened(boxes, roll)
        return Faces(points[order], tight[order], confidence=scores[order], pose=pose[order], scheme="5")

    def raw(self, image: Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output of the package: boxes (N, 4), points (N, 5, 2) in the order of scheme 5, scores (N,)."""
        bgr = np.ascontiguousarray(as_image(image)[..., ::-1])
        try:
            found, points = self.network.detect(bgr, self.min_face, [0.7, 0.7, self.threshold])
        except ValueError as error:
            if "need at least one array" not in str(error):  # raised where its first stage finds nothing
                raise
            found, points = [], []
        table = np.asarray(found, np.float32).reshape(-1, 5)
        places = np.asarray(points, np.float32).reshape(-1, 2, 5).swapaxes(1, 2)  # x1..x5 y1..y5
        usable = (table[:, 2:4] > table[:, :2]).all(1)
        return table[usable, :4], places[usable], table[usable, 4]


def tightened(boxes: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Boxes of the landmarks (N, 4) from the boxes of the package (N, 4) and the roll of the heads (N,), radians."""
    side, middle = boxes[:, 2:] - boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2
    (across, down), cosine, sine = SHIFT, np.cos(roll), np.sin(roll)
    shift = np.stack([cosine * across - sine * down, sine * across + cosine * down], 1)
    scale = np.stack([np.hypot(cosine * SCALE[0], sine * SCALE[1]), np.hypot(sine * SCALE[0], cosine * SCALE[1])], 1)
    centre, half = middle + side * shift, side * scale / 2
    return np.concatenate([centre - half, centre + half], 1)
