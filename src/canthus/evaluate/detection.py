"""How well boxes are found: recall, precision, average precision, and the curve of a score.

A detection is true if its overlap with a face that no surer detection has taken is large enough [Everingham et al.,
"The PASCAL Visual Object Classes Challenge", 2010, section 4.2; the area under the curve as it is, not interpolated].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.box import overlaps
from canthus.types import Faces

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections of some pictures against their truth.

    Attributes:
        confidence: Of each detection. Shape (D,).
        true: Which of them are faces. Shape (D,).
        faces: How many faces there are.
        pictures: How many pictures.
    """

    confidence: Array
    true: Mask
    faces: int
    pictures: int

    def recall(self, threshold: float = 0.0) -> float:
        """Share of the faces that are found at a threshold; NaN where there is no face."""
        return float((self.true & (self.confidence >= threshold)).sum() / self.faces) if self.faces else np.nan

    def precision(self, threshold: float = 0.0) -> float:
        """Share of the detections that are true at a threshold; 1 where there is none."""
        chosen = self.confidence >= threshold
        return float(self.true[chosen].mean()) if chosen.any() else 1.0

    def false_per_picture(self, threshold: float = 0.0) -> float:
        """False detections a picture at a threshold."""
        return float((~self.true & (self.confidence >= threshold)).sum() / max(self.pictures, 1))

    def curve(self) -> tuple[Array, Array]:
        """Recall and precision as the threshold falls past each different confidence. Shapes (K,), (K,)."""
        order = np.argsort(-self.confidence, kind="stable")
        last = np.flatnonzero(np.append(np.diff(self.confidence[order]) != 0, True))[: len(order)]
        hits = np.cumsum(self.true[order])[last].astype(np.float64)
        return hits / max(self.faces, 1), hits / (last + 1)

    def average_precision(self) -> float:
        """Area under the curve of precision over recall, 0..1."""
        recall, precision = self.curve()
        return float((np.diff(recall, prepend=0.0) * precision).sum())


def match(found: Sequence[Faces], truth: Sequence[NDArray[Any]], least: float = 0.4) -> Detections:
    """Compare what was found in pictures with their faces.

    Args:
        found: Of each picture.
        truth: Boxes of the faces of each picture (F, 4).
        least: Overlap from which a detection is true.
    """
    true, confidence = [], []
    for faces, boxes in zip(found, truth, strict=True):
        true.append(matched(faces, boxes, least) >= 0)
        confidence.append(np.nan_to_num(faces.confidence, nan=1.0).astype(np.float64))
    return Detections(
        np.concatenate([np.zeros(0), *confidence]),
        np.concatenate([np.zeros(0, bool), *true]),
        sum(len(boxes) for boxes in truth),
        len(truth),
    )


def matched(faces: Faces, truth: NDArray[Any], least: float = 0.4) -> NDArray[np.intp]:
    """The face (number in `truth`) that each detection has found, the surest first; -1 = none. Shape (F,)."""
    chosen = np.full(len(faces), -1, np.intp)
    overlap = overlaps(faces.boxes, np.asarray(truth).reshape(-1, 4))
    for index in np.argsort(-np.nan_to_num(faces.confidence, nan=1.0), kind="stable"):
        if overlap.shape[1] and overlap[index].max() >= least:
            chosen[index] = int(overlap[index].argmax())
            overlap[:, chosen[index]] = -1
    return chosen


def roc(scores: NDArray[Any], true: NDArray[Any]) -> tuple[Array, Array, Array]:
    """The curve of a score: false positive rate, true positive rate and threshold, the highest first.

    Args:
        scores: Shape (N,).
        true: Shape (N,), both kinds there.

    Returns:
        Shapes (K,): at each different score the shares of what is at least that high.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    ordered, hits = np.asarray(scores, np.float64)[order], np.asarray(true, bool)[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    return (~hits).cumsum()[last] / (~hits).sum(), hits.cumsum()[last] / hits.sum(), ordered[last]


def roc_area(scores: NDArray[Any], true: NDArray[Any]) -> float:
    """Probability that a true one scores higher than a false one: the area under `roc`."""
    false_rate, true_rate, _ = roc(scores, true)
    before = np.append(0, true_rate[:-1])
    return float((np.diff(false_rate, prepend=0.0) * (true_rate + before)).sum() / 2)


def best_threshold(scores: NDArray[Any], true: NDArray[Any]) -> float:
    """The threshold with the largest distance of true from false positive rate [Youden, 1950]."""
    false_rate, true_rate, thresholds = roc(scores, true)
    return float(thresholds[(true_rate - false_rate).argmax()])
