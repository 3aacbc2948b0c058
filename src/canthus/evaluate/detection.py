"""Quality of a face detector: recall, precision, average precision; and of a score: its ROC.

A detection is true if it overlaps enough with a face that no more confident detection has taken [Everingham et al.,
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
    """The detections in some pictures, compared with the true faces.

    Attributes:
        confidence: Confidence of each detection, 0..1. Shape (D,).
        true: Which detections are faces. Shape (D,).
        faces: Number of true faces.
        pictures: Number of pictures.
    """

    confidence: Array
    true: Mask
    faces: int
    pictures: int

    def recall(self, threshold: float = 0.0) -> float:
        """Share of the faces that are found at a confidence threshold; NaN where there is no face."""
        return float((self.true & (self.confidence >= threshold)).sum() / self.faces) if self.faces else np.nan

    def precision(self, threshold: float = 0.0) -> float:
        """Share of the detections that are true at a confidence threshold; 1 where there is no detection."""
        chosen = self.confidence >= threshold
        return float(self.true[chosen].mean()) if chosen.any() else 1.0

    def false_per_picture(self, threshold: float = 0.0) -> float:
        """Number of false detections per picture at a confidence threshold."""
        return float((~self.true & (self.confidence >= threshold)).sum() / max(self.pictures, 1))

    def curve(self) -> tuple[Array, Array]:
        """Recall and precision at each of the K different confidences, from the highest. Shapes (K,), (K,)."""
        order = np.argsort(-self.confidence, kind="stable")
        last = np.flatnonzero(np.append(np.diff(self.confidence[order]) != 0, True))[: len(order)]
        hits = np.cumsum(self.true[order])[last].astype(np.float64)
        return hits / max(self.faces, 1), hits / (last + 1)

    def average_precision(self) -> float:
        """Area under the curve of precision over recall, 0..1."""
        recall, precision = self.curve()
        return float((np.diff(recall, prepend=0.0) * precision).sum())


def match(found: Sequence[Faces], truth: Sequence[NDArray[Any]], least: float = 0.4) -> Detections:
    """Compare the detections in pictures with the true faces.

    Args:
        found: Detections in each picture.
        truth: Boxes of the true faces of each picture. Shape (F, 4).
        least: Minimum overlap (intersection over union) of a true detection.
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
    """The face (index into `truth`) of each detection, assigned from the most confident on; -1 = none. Shape (F,)."""
    chosen = np.full(len(faces), -1, np.intp)
    overlap = overlaps(faces.boxes, np.asarray(truth).reshape(-1, 4))
    for index in np.argsort(-np.nan_to_num(faces.confidence, nan=1.0), kind="stable"):
        if overlap.shape[1] and overlap[index].max() >= least:
            chosen[index] = int(overlap[index].argmax())
            overlap[:, chosen[index]] = -1
    return chosen


def roc(scores: NDArray[Any], true: NDArray[Any]) -> tuple[Array, Array, Array]:
    """Receiver operating characteristic of a score.

    Args:
        scores: Score of each example. Shape (N,).
        true: Which examples are positive; there must be both kinds. Shape (N,).

    Returns:
        False positive rate, true positive rate and threshold at each of the K different scores, from the highest:
        the shares of negatives and positives whose score is at least the threshold. Shapes (K,).
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    ordered, hits = np.asarray(scores, np.float64)[order], np.asarray(true, bool)[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    return (~hits).cumsum()[last] / (~hits).sum(), hits.cumsum()[last] / hits.sum(), ordered[last]


def roc_area(scores: NDArray[Any], true: NDArray[Any]) -> float:
    """Area under `roc`: the probability that a positive scores higher than a negative."""
    false_rate, true_rate, _ = roc(scores, true)
    before = np.append(0, true_rate[:-1])
    return float((np.diff(false_rate, prepend=0.0) * (true_rate + before)).sum() / 2)


def best_threshold(scores: NDArray[Any], true: NDArray[Any]) -> float:
    """The threshold at which true and false positive rate differ most [Youden, 1950]."""
    false_rate, true_rate, thresholds = roc(scores, true)
    return float(thresholds[(true_rate - false_rate).argmax()])
