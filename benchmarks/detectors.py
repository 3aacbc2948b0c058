"""Detectors beside each other: recall, precision and average precision at IoU .4 at five angles, and ms a picture.

    CANTHUS_DATA=... python benchmarks/detectors.py [--detectors own,opencv,mtcnn] [--detector-model FILE]

Test pictures of wild68 and ytf68 as they are (turned around the face's middle, what the turn uncovers is grey), mosaics
of their faces (those of `train/detection/scenes.py`, not varied), and mosaics' backdrops without a face. In pictures
that are alone people whom nobody has labelled count as false. `--fit-mtcnn` prints the numbers of `detect/mtcnn.py`.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.detect.detector import Detector
from canthus.evaluate.detection import Detections, match
from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply, compose, similarity
from canthus.train.augment import Augment
from canthus.train.detection.backdrops import make_backdrops
from canthus.train.detection.pool import load_faces
from canthus.train.detection.recipe import Scenes
from canthus.train.detection.scenes import Maker
from canthus.train.recipe import SetShare
from canthus.types import FaceDetector, Faces, Image

SETS = ("wild68", "ytf68")
ANGLES = (0, 30, 60, 90, 180)
SIDES = (320, 640, 1280)
MOSAIC = 640
PLAIN = Augment(flip=0, light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0, stretch=1)
Case = tuple[Image, np.ndarray]
"""A picture and the boxes of its faces (F, 4)."""


def turned(sample: Sample, angle: float) -> Case:
    """A picture turned around its face by degrees clockwise, grown so that nothing is lost."""
    image, points = sample.picture(), sample.points[:, :2]
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
    turn = similarity(1, angle)
    low, high = apply(turn, corners).min(0), apply(turn, corners).max(0)
    matrix = compose(similarity(shift=tuple((-low).tolist())), turn)
    size = tuple((np.ceil(high - low) + 1).astype(int).tolist())
    picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(127, 127, 127))
    return picture.astype(np.uint8, copy=False), box_of(apply(matrix, points))[None]


def spread(every: Sequence[Sample], count: int) -> list[Sample]:
    """So many samples, from all over a set."""
    return [every[int(place)] for place in np.linspace(0, len(every) - 1, min(count, len(every)))]


def cases(root: Path, count: int, split: str) -> Iterator[tuple[str, list[Case]]]:
    """Everything that detectors are tried on, by name."""
    for name in SETS:
        some = spread(open_set(name, root, split), count)
        for angle in ANGLES:
            yield f"{name} alone, {angle}", [turned(sample, angle) for sample in some]
    pool = load_faces([SetShare(name=name, split=split) for name in SETS], root, 160)
    backdrops = make_backdrops(pool, 40, MOSAIC + 40, np.random.default_rng(1))
    maker = Maker(pool, backdrops, Scenes(single=0, empty=0, smallest=20, largest=0.7), PLAIN)
    for angle in ANGLES:
        rng = np.random.default_rng(2)
        scenes = [maker.scene(MOSAIC, rng, angle) for _ in range(count)]
        yield f"mosaics, {angle}", [(scene.image, scene.boxes) for scene in scenes]
    rng = np.random.default_rng(3)
    yield "no face", [(maker.empty(MOSAIC, rng), np.zeros((0, 4))) for _ in range(count)]


def timed(detector: FaceDetector, image: Image, turns: int = 5) -> float:
    """Milliseconds a picture, the fastest of some turns."""
    detector.detect(image)
    spent = []
    for _ in range(turns):
        start = time.perf_counter()
        detector.detect(image)
        spent.append(time.perf_counter() - start)
    return 1000 * min(spent)


def row(found: Detections, threshold: float) -> str:
    return (
        f"{found.recall(threshold):.3f} | {found.precision(threshold):.3f} | {found.average_precision():.3f}"
        f" | {found.false_per_picture(threshold):.3f}"
    )


def fit_mtcnn(root: Path, count: int) -> None:
    """How the boxes of mtcnn-runtime lie to those of the landmarks, on train pictures."""
    detector = Detector.open("mtcnn")
    rows = []
    for name in SETS:
        for sample in spread(open_set(name, root, "train"), count):
            truth, boxes = box_of(sample.points), detector.raw(sample.picture())[0]  # type: ignore[attr-defined]
            for box in boxes:
                side, size = box[2:] - box[:2], truth[2:] - truth[:2]
                shift, scale = ((truth[:2] + truth[2:]) - (box[:2] + box[2:])) / 2 / side, size / side
                if np.abs(shift).max() < 0.4 and scale.min() > 0.4 and scale.max() < 1.6:
                    rows.append([*shift, *scale])
    print("SHIFT and SCALE:", np.median(rows, 0).round(3), f"of {len(rows)} boxes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", default="opencv")
    parser.add_argument("--detector-model")
    parser.add_argument("--split", default="test")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--fit-mtcnn", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    root = Path(os.environ["CANTHUS_DATA"])
    if options.fit_mtcnn:
        fit_mtcnn(root, options.count)
        return
    names = options.detectors.split(",")
    extra = {"own": {"bundle": options.detector_model} if options.detector_model else {}}
    sure = {name: Detector.open(name, **extra.get(name, {})) for name in names}
    # the curve needs what is below the threshold, too
    every = {name: Detector.open(name, **extra.get(name, {}), threshold=0.05) for name in names}
    print("| on | detector | recall | precision | average precision | false a picture |\n|---|---|---|---|---|---|")
    for what, some in cases(root, options.count, options.split):
        for name in names:
            found: list[Faces] = [every[name].detect(image) for image, _ in some]
            threshold = float(sure[name].threshold)  # type: ignore[attr-defined]
            print(f"| {what} | {name} | {row(match(found, [boxes for _, boxes in some]), threshold)} |", flush=True)
    print("\n| detector | " + " | ".join(f"ms at {side}" for side in SIDES) + " |\n|---|" + "---|" * len(SIDES))
    image = open_set("wild68", root, options.split)[0].picture()
    for name in names:
        sizes = [cv2.resize(image, (side, side)).astype(np.uint8, copy=False) for side in SIDES]
        print(f"| {name} | " + " | ".join(f"{timed(sure[name], one):.1f}" for one in sizes) + " |")


if __name__ == "__main__":
    main()
