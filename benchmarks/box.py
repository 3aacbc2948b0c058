"""Sensitivity to the box: NME of the default model as a function of shift and scale of the true boxes.

Run by `scripts/bench box` with CANTHUS_DATA set; validation faces of wild68, inter-ocular, one pass, no mirror.
"""

import argparse
import os
from pathlib import Path

import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of

SHIFTS = (0.0, 0.05, 0.1, 0.15, 0.2)
SCALES = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
DIRECTIONS = 4


def moved(boxes: np.ndarray, shift: float, scale: float, angle: float) -> np.ndarray:
    """Boxes (F, 4) shifted by a share of their longer side in a direction, and scaled around their centre."""
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    side = 2 * half.max(1, keepdims=True)
    centre = centre + shift * side * np.array([np.cos(angle), np.sin(angle)])
    return np.concatenate([centre - scale * half, centre + scale * half], 1).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--data", default="wild68")
    parser.add_argument("--split", default="val")
    options = parser.parse_args()
    samples = open_set(options.data, Path(os.environ["CANTHUS_DATA"]), options.split)
    images = [sample.picture() for sample in samples]
    truth = np.stack([sample.points for sample in samples])
    aligner = Aligner.open(options.model)
    scale_of_face = normalisers(truth, "inter-ocular", aligner.scheme)
    boxes = box_of(truth)

    def error(shift: float, scale: float) -> float:
        angles = [0.0] if shift == 0 else [2 * np.pi * (k + 0.5) / DIRECTIONS for k in range(DIRECTIONS)]
        found = []
        for angle in angles:
            results = aligner.align_many(images, [box[None] for box in moved(boxes, shift, scale, angle)])
            predicted = np.concatenate([faces.points for faces in results])
            found.append((distances(predicted, truth).mean(1) / scale_of_face).mean())
        return 100 * float(np.mean(found))

    print(f"{aligner.card.name}, {options.data} {options.split}, {len(samples)} faces, NME inter-ocular, %")
    print("| shift \\ scale | " + " | ".join(f"{scale:g}" for scale in SCALES) + " |")
    print("|---" * (len(SCALES) + 1) + "|")
    for shift in SHIFTS:
        print(f"| {shift:.0%} | " + " | ".join(f"{error(shift, scale):.2f}" for scale in SCALES) + " |")


if __name__ == "__main__":
    main()
