"""Detector by OpenCV's cascades of boosted Haar features [Viola and Jones, 2001; Lienhart and Maydt, 2002].

The detections of the frontal cascade, and of the profile cascade on the image and on its mirror image, are fused. They
are squares around brows and mouth, and each is mapped to the box of the 68 landmarks. The numbers are medians over the
training images of wild68 and ytf68, printed by `benchmarks/cascade_boxes.py` together with the accuracy of the boxes.
"""

from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError, ShapeError
from canthus.types import FaceDetector, Faces, Image, as_image

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cascade:
    """A cascade, and the map from its squares to boxes of the landmarks.

    Attributes:
        file: File name in the folder of OpenCV's cascades.
        shift: Shift from the centre of the square to that of the box, x and y, as fractions of its side.
        scale: Width and height of the box, as fractions of the side of the square.
    """

    file: str
    shift: tuple[float, float]
    scale: tuple[float, float]

    def boxes(self, squares: Doubles) -> Doubles:
        """Boxes of the landmarks. Squares (N, 4) as x y width height -> (N, 4) as x0 y0 x1 y1, pixels."""
        side = squares[:, 2:]
        centre = squares[:, :2] - 0.5 + side / 2 + side * self.shift  # the first pixel begins at -.5
        half = side * self.scale / 2
        return np.concatenate([centre - half, centre + half], 1)


FRONTAL = Cascade("haarcascade_frontalface_alt2.xml", (0.0, 0.156), (0.877, 0.852))
PROFILE = Cascade("haarcascade_profileface.xml", (-0.1, 0.158), (0.77, 0.744))
"""The profile cascade; it finds faces that look to the left of the image."""

WINDOW = 24
"""Side of the smallest square that is searched for, in pixels of the reduced image."""
STEP = 1.1
"""Ratio between one size of squares and the next."""
CERTAINTY = (-5.11, 3.06)
"""Coefficients a and b of the confidence 1 / (1 + exp(-a - b log(votes)))."""


class OpenCVDetector(FaceDetector):
    """Needs only OpenCV 4; weak on tilted, occluded, dark and very small faces.

    Several threads may share a detector: a cascade is not thread-safe, so each thread loads its own.
    """

    def __init__(
        self, *, min_face: float = 32, threshold: float = 0.3, max_faces: int | None = None, max_side: int = 960
    ) -> None:
        """Load the cascades of this thread.

        Args:
            min_face: Longer side of the smallest box, in pixels of the image.
            threshold: Minimum confidence, 0..1.
            max_faces: Largest number of faces per image, most confident first; None = all.
            max_side: Longer side to which larger images are reduced first, in pixels; faces that are then smaller than
                24 pixels are not found.

        Raises:
            ShapeError: an option is out of its range.
            InputError: the installed OpenCV has no cascades.
        """
        if min_face < 1 or not 0 <= threshold <= 1 or max_side < WINDOW or (max_faces is not None and max_faces < 1):
            raise ShapeError(
                "a detector needs min_face >= 1, threshold in 0..1, max_faces >= 1 and max_side >= 24, not"
                f" {min_face}, {threshold}, {max_faces} and {max_side}"
            )
        self.min_face, self.threshold, self.max_faces, self.max_side = min_face, threshold, max_faces, max_side
        self._cascades = Cascades()

    def detect(self, image: Image) -> Faces:
        """Boxes and confidence of the faces in an image (H, W, 3), most confident first."""
        boxes, votes = fuse(*self.candidates(as_image(image)))
        confidence = certainty(votes)
        large = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= self.min_face
        order = np.argsort(-confidence, kind="stable")
        order = order[(large & (confidence >= self.threshold))[order]][: self.max_faces]
        return Faces.of_boxes(boxes[order], confidence[order])

    def candidates(self, image: Image) -> tuple[Doubles, Doubles]:
        """Detections of the cascades before fusion: boxes (N, 4) and votes (N,)."""
        height, width = image.shape[:2]
        factor = min(1.0, self.max_side / max(height, width))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if factor < 1:
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        least = max(WINDOW, round(self.min_face * factor))
        frontal, profile = search(self._cascades.frontal, grey, least), search(self._cascades.profile, grey, least)
        mirrored = search(self._cascades.profile, cv2.flip(grey, 1), least)
        other = PROFILE.boxes(mirrored[0])
        other[:, [0, 2]] = size[0] - 1 - other[:, [2, 0]]
        boxes = np.concatenate([FRONTAL.boxes(frontal[0]), PROFILE.boxes(profile[0]), other])
        stretch = np.tile([width / size[0], height / size[1]], 2)
        return (boxes + 0.5) * stretch - 0.5, np.concatenate([frontal[1], profile[1], mirrored[1]])


class Cascades(local):
    """The two cascades, loaded once in each thread that uses them.

    Attributes:
        frontal: Cascade of frontal faces.
        profile: Cascade of faces that look to the left of the image.
    """

    def __init__(self) -> None:
        self.frontal, self.profile = load_cascade(FRONTAL), load_cascade(PROFILE)


def load_cascade(cascade: Cascade) -> "cv2.CascadeClassifier":
    """Read the file of a cascade.

    Raises:
        InputError: OpenCV is a version 5, which has no cascades, or its file of the cascade is missing.
    """
    remedy = "use another detector, or install OpenCV 4: pip install 'opencv-python-headless<5'"
    if not hasattr(cv2, "CascadeClassifier"):
        raise InputError(f"the detector opencv needs the cascades of OpenCV 4, not {cv2.__version__}; {remedy}")
    file = Path(cv2.__file__).with_name("data") / cascade.file
    classifier = cv2.CascadeClassifier(str(file)) if file.is_file() else None
    if classifier is None or classifier.empty():
        raise InputError(f"{file}: the cascade of OpenCV is missing; {remedy}")
    return classifier


def search(classifier: "cv2.CascadeClassifier", grey: NDArray[Any], least: int) -> tuple[Doubles, Doubles]:
    """Squares (N, 4) as x y width height in a grey image (H, W), and votes (N,): the number of windows that agree."""
    if min(grey.shape) < least:
        return np.zeros((0, 4)), np.zeros(0)
    squares, votes = classifier.detectMultiScale2(grey, scaleFactor=STEP, minNeighbors=2, minSize=(least, least))
    return np.array(squares, np.float64).reshape(-1, 4), np.array(votes, np.float64).reshape(-1)


def fuse(boxes: Doubles, votes: Doubles, overlap: float = 0.3, inside: float = 0.6) -> tuple[Doubles, Doubles]:
    """Fuse detections to one box per face: the mean of a box and all that overlap it, weighted by votes.

    Non-maximum suppression with box voting [Gidaris and Komodakis, 2015, section 5].

    Args:
        boxes: Detections, x0 y0 x1 y1. Shape (N, 4).
        votes: Votes for each, > 0. Shape (N,).
        overlap: Intersection over union above which two boxes are of one face.
        inside: Intersection over the area of the smaller box above which they are, too.

    Returns:
        Boxes (F, 4) and the sum of their votes (F,).
    """
    left = np.argsort(-votes, kind="stable")
    fused, sums = [], []
    while len(left):
        best, others = boxes[left[0]], boxes[left]
        common = np.minimum(best[2:], others[:, 2:]) - np.maximum(best[:2], others[:, :2])
        shared = np.clip(common, 0, None).prod(1)
        area, areas = (best[2:] - best[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(1)
        same = (shared > overlap * (area + areas - shared)) | (shared > inside * np.minimum(area, areas))
        weights = votes[left[same]]
        fused.append(np.average(others[same], 0, weights))
        sums.append(weights.sum())
        left = left[~same]
    return np.array(fused).reshape(-1, 4), np.array(sums)


def certainty(votes: Doubles) -> Doubles:
    """Confidence of detections by their votes: the fraction that are true faces. Shape (F,)."""
    chance: Doubles = 1 / (1 + np.exp(-CERTAINTY[0]) * np.maximum(votes, 1e-9) ** -CERTAINTY[1])
    return chance
