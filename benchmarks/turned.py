"""Faces rotated in the image plane: NME of the default model from true boxes, with and without given roll.

    CANTHUS_DATA=... python benchmarks/turned.py [--count 170] [--turns 0,30,60,90,180]

Each picture is rotated by the angle around the centre of its face; the box is that of the rotated landmarks. The given
roll is the angle, or the angle plus the roll of the head in the original picture (Procrustes fit of the mean face to
its landmarks).
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of, shape_frames, unit_mean
from canthus.geometry.transform import apply, compose, similarity
from canthus.types import Image


def turned(image: Image, points: np.ndarray, angle: float) -> tuple[Image, np.ndarray]:
    """A picture and its points (P, 2) rotated by degrees clockwise around the centre of the points' box."""
    box = box_of(points)
    x, y = ((box[:2] + box[2:]) / 2).tolist()
    side = round(2.2 * float((box[2:] - box[:2]).max()))
    matrix = compose(similarity(1, angle, (side / 2, side / 2)), similarity(shift=(-x, -y)))
    picture = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    return picture, apply(matrix, points)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--data", default="wild68")
    parser.add_argument("--split", default="val")
    parser.add_argument("--count", type=int, default=170)
    parser.add_argument("--turns", default="0,30,60,90,180")
    options = parser.parse_args()
    root = Path(os.environ["CANTHUS_DATA"])
    every = open_set(options.data, root, options.split)
    samples = [every[int(place)] for place in np.linspace(0, len(every) - 1, min(options.count, len(every)))]
    aligner = Aligner.open(options.model)
    mean = unit_mean(np.stack([sample.points for sample in open_set(options.data, root, "train")]))
    own = shape_frames(np.stack([sample.points for sample in samples]), mean)
    own_rolls = -np.degrees(np.arctan2(own[:, 1, 0], own[:, 0, 0]))
    print(f"{aligner.card.name}, {options.data} {options.split}, {len(samples)} faces, NME inter-ocular, %, one pass")
    print(
        "| rotated by | no roll given | the angle given | the angle and the head's own roll given |\n|---|---|---|---|"
    )
    for angle in map(float, options.turns.split(",")):
        pictures, truth = zip(*(turned(s.picture(), s.points, angle) for s in samples), strict=True)
        points = np.stack(truth)
        scale = normalisers(points, "inter-ocular", aligner.scheme)
        cells = []
        for rolls in (None, np.full(len(samples), angle), angle + own_rolls):
            given = None if rolls is None else [roll[None] for roll in rolls]
            found = aligner.align_many(pictures, [box[None] for box in box_of(points)], given)
            predicted = np.concatenate([faces.points for faces in found])
            cells.append(f"{100 * (distances(predicted, points).mean(1) / scale).mean():.2f}")
        print(f"| {angle:g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
