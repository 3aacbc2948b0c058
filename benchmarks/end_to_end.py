"""Error from the photograph alone: NME of the default model from the boxes of a detector, with one and two passes.

    CANTHUS_DATA=... python benchmarks/end_to_end.py [--detector own] [--split test] [--turn 90]

The NME is over the inter-ocular distance and over the faces that are found. The model gets the roll of the detector;
for the true box it gets the angle of `--turn`. With `--no-roll` it gets neither, which a model with an angle network of
its own can do without.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.detect.detector import Detector
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.box import overlaps
from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply
from detectors import turned

OVERLAP = 0.4
"""Minimum intersection over union of a detection with the face."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--detector")
    parser.add_argument("--detector-model")
    parser.add_argument("--turn", type=float, default=0.0, help="degrees clockwise by which pictures are rotated")
    parser.add_argument("--no-roll", action="store_true", help="do not tell the model any roll")
    parser.add_argument("--data", default="wild68")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    samples = open_set(options.data, Path(os.environ["CANTHUS_DATA"]), options.split)
    extra = {"bundle": options.detector_model} if options.detector_model else {}
    aligner, detector = Aligner.open(options.model), Detector.open(options.detector, **extra)
    points: dict[str, list[np.ndarray]] = {"detector, one pass": [], "detector, two passes": [], "true box": []}
    truth = []
    for sample in samples:
        image, matrix = turned(sample, options.turn)
        labels = apply(matrix, sample.points[:, :2])
        box, faces = box_of(labels), detector.detect(image)
        shared = overlaps(faces.boxes, box[None])[:, 0]
        if shared.max(initial=0) < OVERLAP:
            continue
        truth.append(labels)
        best = int(shared.argmax())
        roll = None if options.no_roll else faces.pose[best : best + 1, 2]
        turn = None if options.no_roll else [options.turn]
        first = aligner.align(image, faces.boxes[best : best + 1], roll)
        points["detector, one pass"].append(first.points[0])
        points["detector, two passes"].append(aligner.align(image, box_of(first.points), roll).points[0])
        points["true box"].append(aligner.align(image, box[None], turn).points[0])
    true = np.stack(truth)
    scale = normalisers(true, "inter-ocular", aligner.scheme)
    what = f"{options.data} {options.split}, rotated by {options.turn:g}{', no roll told' if options.no_roll else ''}"
    print(f"{what}: {len(true)} of {len(samples)} faces found; NME over these, %")
    for name, found in points.items():
        error = distances(np.stack(found), true).mean(1) / scale
        print(f"| {name} | {100 * error.mean():.2f} | failures over 8 %: {100 * (error > 0.08).mean():.2f} % |")


if __name__ == "__main__":
    main()
