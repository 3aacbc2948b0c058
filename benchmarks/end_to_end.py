"""From a photograph alone: NME of the default model from the boxes of a detector, with one pass and two.

Run by `scripts/bench end_to_end` with CANTHUS_DATA set; wild68 val, inter-ocular, over the faces that are found.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.detect.detector import Detector
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of

OVERLAP = 0.4
"""Intersection over union from which a detection is the face."""


def overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with one box (4,). Shape (N,)."""
    common = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(common, 0, None).prod(1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - shared)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--detector")
    parser.add_argument("--data", default="wild68")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    samples = open_set(options.data, Path(os.environ["CANTHUS_DATA"]), options.split)
    aligner, detector = Aligner.open(options.model), Detector.open(options.detector)
    points: dict[str, list[np.ndarray]] = {"detector, one pass": [], "detector, two passes": [], "true box": []}
    truth = []
    for sample in samples:
        image, box = sample.picture(), box_of(sample.points)
        boxes = detector.detect(image).boxes
        shared = overlaps(boxes, box)
        if shared.max(initial=0) < OVERLAP:
            continue
        truth.append(sample.points)
        first = aligner.align(image, boxes[shared.argmax()])
        points["detector, one pass"].append(first.points[0])
        points["detector, two passes"].append(aligner.align(image, box_of(first.points)).points[0])
        points["true box"].append(aligner.align(image, box).points[0])
    true = np.stack(truth)
    scale = normalisers(true, "inter-ocular", aligner.scheme)
    print(f"{options.data} {options.split}: {len(true)} of {len(samples)} faces found; NME over these, %")
    for name, found in points.items():
        error = distances(np.stack(found), true).mean(1) / scale
        print(f"| {name} | {100 * error.mean():.2f} | failures over 8 %: {100 * (error > 0.08).mean():.2f} % |")


if __name__ == "__main__":
    main()
