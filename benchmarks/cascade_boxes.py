"""Cascades of OpenCV: fits the map from their squares to boxes of landmarks on train, and measures the boxes on val.

    CANTHUS_DATA=... python benchmarks/cascade_boxes.py [NUMBER OF PICTURES]

Prints the constants of `canthus.detect.opencv`: for each cascade the median shift and scale from its square to the
tight box of the 68 landmarks, and the logistic regression from the number of votes to the probability of a true face.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.detect.opencv import FRONTAL, PROFILE, WINDOW, OpenCVDetector, fuse, load_cascade, search
from canthus.geometry.crop import box_of
from canthus.reader.image import read

SETS = ("wild68", "ytf68")


def samples(root: Path, split: str, count: int) -> list[Sample]:
    """The same number of samples from each set, evenly spaced."""
    chosen = []
    for name in SETS:
        every = open_set(name, root, split)
        chosen += [every[index] for index in np.linspace(0, len(every) - 1, min(count, len(every))).astype(int)]
    return chosen


def iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of a box with boxes (N, 4)."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    return shared / ((box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - shared)


def geometry(pictures: Sequence[Sample]) -> None:
    """Print median shift and scale of each cascade, and the median deviation from them."""
    cascades = {"FRONTAL": load_cascade(FRONTAL), "PROFILE": load_cascade(PROFILE)}
    seen: dict[str, list[np.ndarray]] = {name: [] for name in cascades}
    for sample in pictures:
        grey = cv2.cvtColor(read(sample.image), cv2.COLOR_RGB2GRAY)
        box = box_of(sample.points).astype(float)
        flipped = np.array([grey.shape[1] - 1 - box[2], box[1], grey.shape[1] - 1 - box[0], box[3]])
        views = [("FRONTAL", grey, box), ("PROFILE", grey, box), ("PROFILE", cv2.flip(grey, 1), flipped)]
        for name, view, truth in views:
            squares, _ = search(cascades[name], view, WINDOW)
            side, size = squares[:, 2:3], truth[2:] - truth[:2]
            shift = ((truth[:2] + truth[2:]) / 2 - (squares[:, :2] - 0.5 + side / 2)) / side
            scale = size / side
            near = (np.abs(shift * side) < 0.35 * size).all(1) & (scale > 0.5).all(1) & (scale < 1.5).all(1)
            seen[name] += list(np.concatenate([shift, scale], 1)[near])
    for name, rows in seen.items():
        middle = np.median(rows, 0)
        spread = np.median(np.abs(rows - middle), 0)
        print(f"{name}: shift {middle[:2].round(3)}, scale {middle[2:].round(3)}; deviation {spread.round(3)}")


def found(detector: OpenCVDetector, pictures: Iterable[Sample]) -> Iterable[tuple[Sample, np.ndarray, np.ndarray]]:
    """Each picture with its fused boxes (N, 4) and their votes (N,)."""
    for sample in pictures:
        boxes, votes = fuse(*detector.candidates(read(sample.image)))
        yield sample, boxes, votes


def confidence(detector: OpenCVDetector, pictures: Sequence[Sample]) -> None:
    """Print the logistic regression from the number of votes to the probability of a true face."""
    votes, true = [], []
    for sample, boxes, counts in found(detector, pictures):
        votes += list(counts)
        true += list(iou(box_of(sample.points), boxes) > 0.4)
    model = LogisticRegression(C=1e6).fit(np.log(votes)[:, None], true)
    constants = f"{model.intercept_[0]:.2f}, {model.coef_[0, 0]:.2f}"
    print(f"CERTAINTY: {constants}; {len(true)} detections, {np.mean(true):.3f} true")


def quality(detector: OpenCVDetector, pictures: Sequence[Sample]) -> None:
    """Print the share of faces found in each set, and the errors of their boxes."""
    print("set      faces  found  false  IoU median, tenth  shift x, y (rms, of the side)  scale (sd)")
    for name in SETS:
        mine = [sample for sample in pictures if name in sample.image.parts]
        errors, overlaps, false = [], [], 0
        for sample in mine:
            truth, faces = box_of(sample.points), detector.detect(read(sample.image))
            overlap = iou(truth, faces.boxes)
            false += int((overlap <= 0.4).sum())
            if (overlap > 0.4).any():
                box = faces.boxes[overlap.argmax()]
                overlaps.append(overlap.max())
                size = truth[2:] - truth[:2]
                errors.append([*(box[:2] + box[2:] - truth[:2] - truth[2:]) / 2 / size, *(box[2:] - box[:2]) / size])
        shift = np.sqrt((np.array(errors)[:, :2] ** 2).mean(0)).round(3)
        scale = np.array(errors)[:, 2:].std(0).round(3)
        shares = (
            f"{len(errors) / len(mine):6.3f} {false:6d}  {np.median(overlaps):.3f} {np.quantile(overlaps, 0.1):.3f}"
        )
        print(f"{name:8} {len(mine):5d} {shares}  {shift}  {scale}")


def main() -> None:
    """Run all parts."""
    root = Path(os.environ["CANTHUS_DATA"])
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    detector = OpenCVDetector()
    train = samples(root, "train", count)
    geometry(train)
    confidence(detector, train)
    quality(detector, samples(root, "val", count))


if __name__ == "__main__":
    main()
