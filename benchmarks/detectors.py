"""Compares detectors: recall, precision, average precision at IoU .4, errors of points and roll at five angles, and ms.

    CANTHUS_DATA=... python benchmarks/detectors.py [--detectors own,opencv,mtcnn] [--detector-model FILE]

The pictures: test pictures of wild68 and ytf68 as they are (rotated, with grey in the uncovered corners), mosaics of
their faces (from `train/detection/scenes.py`, without augmentation), and backdrops without a face.

Test pictures may show unlabelled faces beside the labelled one. `unlabelled_faces.csv` lists those that we saw when we
looked at all detections of three detectors at a low threshold. Detections of them count neither as true nor as false,
and their pictures give no faces to mosaics. Backdrops are pieces in which the cascades of OpenCV find nothing, which is
an advantage for these. `--out` is the folder for the curves and the false detections. `--fit-mtcnn` prints the
constants of `detect/mtcnn.py`.
"""

import argparse
import csv
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.detect.detector import Detector
from canthus.evaluate.detection import Detections, match, matched
from canthus.evaluate.report.figure import COLOURS
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply, compose, similarity
from canthus.schemes.transfer import convert
from canthus.train.augment import Augment
from canthus.train.detection.backdrops import make_backdrops
from canthus.train.detection.pool import load_faces, rolls_of
from canthus.train.detection.recipe import Scenes
from canthus.train.detection.scenes import Scene, SceneMaker
from canthus.train.recipe import SetShare
from canthus.types import FaceDetector, Faces, Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETS = ("wild68", "ytf68")
ANGLES = (0, 30, 60, 90, 180)
SIDES = (320, 640, 1280)
MOSAIC = 640
UNLABELLED = Path(__file__).with_name("unlabelled_faces.csv")
PLAIN = Augment(flip=0, light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0, stretch=1)
NOBODY = np.zeros((0, 3))
Case = tuple[Scene, np.ndarray]
"""A picture, and the unlabelled faces in it: centre and longer side of the box (K, 3)."""


def turned(sample: Sample, angle: float) -> tuple[Image, np.ndarray]:
    """A picture rotated by degrees clockwise and enlarged so that nothing is cut off, and the map (2, 3) to it."""
    image = sample.picture()
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float)
    turn = similarity(1, angle)
    low, high = apply(turn, corners).min(0), apply(turn, corners).max(0)
    matrix = compose(similarity(shift=tuple((-low).tolist())), turn)
    size = tuple((np.ceil(high - low) + 1).astype(int).tolist())
    picture = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderValue=(127, 127, 127))
    return picture.astype(np.uint8, copy=False), matrix


def spread(every: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly spaced."""
    return [every[int(place)] for place in np.linspace(0, len(every) - 1, min(count, len(every)))]


def read_unlabelled() -> dict[str, np.ndarray]:
    """Unlabelled faces by set and name of the picture."""
    found: dict[str, list[list[float]]] = {}
    with UNLABELLED.open(newline="") as stream:
        for line in csv.DictReader(stream):
            found.setdefault(f"{line['set']}/{line['image']}", []).append(
                [float(line[key]) for key in ("x", "y", "side")]
            )
    return {name: np.array(rows) for name, rows in found.items()}


def alone(sample: Sample, angle: float, others: np.ndarray, roll: float) -> Case:
    """A test picture rotated by degrees clockwise; `roll` is the roll of the head in the original picture."""
    image, matrix = turned(sample, angle)
    points = apply(matrix, sample.points[:, :2])
    scene = Scene(image, box_of(points)[None], convert(points, "68", "5")[None], np.array([roll + angle]))
    return scene, np.concatenate([apply(matrix, others[:, :2]), others[:, 2:]], 1)


def cases(root: Path, count: int, split: str) -> Iterator[tuple[str, list[Case]]]:
    """All pictures to measure detectors on, by name."""
    unlabelled = read_unlabelled()
    chosen: list[bool] = []
    for name in SETS:
        every = open_set(name, root, split)
        some = spread(every, count)
        others = [unlabelled.get(f"{name}/{sample.image.stem}", NOBODY) for sample in some]
        rolls = rolls_of(np.stack([sample.points[:, :2] for sample in some]))
        for angle in ANGLES:
            rows = zip(some, others, rolls, strict=True)
            yield f"{name} alone, {angle}", [alone(sample, angle, row, roll) for sample, row, roll in rows]
        free = {sample.image for sample, row in zip(some, others, strict=True) if not len(row)}
        chosen += [sample.image in free for sample in every]
    pool = load_faces([SetShare(name=name, split=split) for name in SETS], root, 160)
    pool = replace(pool, chance=pool.chance * chosen / (pool.chance * chosen).sum())
    backdrops = make_backdrops(pool, 40, MOSAIC + 40, np.random.default_rng(1))
    maker = SceneMaker(pool, backdrops, Scenes(single=0, empty=0, smallest=20, largest=0.7), PLAIN)
    for angle in ANGLES:
        rng = np.random.default_rng(2)
        yield f"mosaics, {angle}", [(maker.scene(MOSAIC, rng, angle), NOBODY) for _ in range(count)]
    rng, none = np.random.default_rng(3), (np.zeros((0, 4)), np.zeros((0, 5, 2)), np.zeros(0))
    yield "no face", [(Scene(maker.empty(MOSAIC, rng), *none), NOBODY) for _ in range(count)]


def without(faces: Faces, unlabelled: np.ndarray) -> Faces:
    """Detections without those of unlabelled faces: centre within half a side, size within a factor of two."""
    middles, sides = (faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2, (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1)
    near = np.abs(middles[:, None] - unlabelled[None, :, :2]).max(2) < unlabelled[:, 2] / 2
    alike = np.abs(np.log(sides[:, None] / unlabelled[None, :, 2])) < np.log(2)
    return faces[~(near & alike).any(1)]


def timed(detectors: Mapping[str, FaceDetector], image: Image, turns: int = 7) -> dict[str, float]:
    """Milliseconds per picture of each detector: the fastest of several turns, the detectors taking turns."""
    spent: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(turns):
        for name, detector in detectors.items():
            start = time.perf_counter()
            detector.detect(image)
            spent[name].append(1000 * (time.perf_counter() - start))
    return {name: min(values) for name, values in spent.items()}


def row(found: Detections, threshold: float) -> str:
    return (
        f"{found.recall(threshold):.3f} | {found.precision(threshold):.3f} | {found.average_precision():.3f}"
        f" | {found.false_per_picture(threshold):.3f}"
    )


def beside(some: Sequence[Scene], found: Sequence[Faces], threshold: float) -> str:
    """Errors of true detections: mean of the five points in % of the longer box side, and median of the roll."""
    places, angles = [], []
    for scene, faces in zip(some, found, strict=True):
        for face, hit in zip(faces, matched(faces, scene.boxes), strict=True):
            if hit >= 0 and face.confidence >= threshold and faces.scheme == "5":
                side = (scene.boxes[hit, 2:] - scene.boxes[hit, :2]).max()
                places.append(np.linalg.norm(face.points - scene.points[hit], axis=1).mean() / side)
                angles.append(abs((face.pose[2] - scene.rolls[hit] + 180) % 360 - 180))
    return f"{100 * np.mean(places):.1f} | {np.median(angles):.1f}" if places else "- | -"


def draw_curves(curves: Mapping[str, Mapping[str, Detections]], thresholds: Mapping[str, float]) -> "Figure":
    """Precision over recall: a panel per kind of picture and angle, a curve per detector, a dot at its threshold."""
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(what.rsplit(", ", 1)[0] for what in curves))
    figure = Figure(figsize=(2.5 * len(ANGLES), 2.5 * len(kinds)), dpi=110, layout="constrained")
    grid = figure.subplots(len(kinds), len(ANGLES), squeeze=False, sharex=True, sharey=True)
    for line, kind in zip(grid, kinds, strict=True):
        for axes, angle in zip(line, ANGLES, strict=True):
            for (name, found), colour in zip(curves[f"{kind}, {angle}"].items(), COLOURS, strict=False):
                recall, precision = found.curve()
                axes.plot(recall, precision, color=colour, linewidth=1.6, label=name)
                at = thresholds[name]
                axes.plot(found.recall(at), found.precision(at), "o", color=colour, markersize=4)
            axes.set(xlim=(0, 1.01), ylim=(0, 1.02))
            axes.set_title(f"{kind}, {angle}\N{DEGREE SIGN}", fontsize="small", loc="left")
            axes.grid(color="#e4e7ec", linewidth=0.8)
            axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("recall", fontsize="small")
    figure.supylabel("precision", fontsize="small")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), frameon=False, ncols=4, loc="outside lower right")
    return figure


def false_ones(some: Sequence[Scene], found: Sequence[Faces], threshold: float) -> list[tuple[str, Image]]:
    """False detections: position and confidence as text, and a picture of each."""
    listed = []
    for number, (scene, faces) in enumerate(zip(some, found, strict=True)):
        for face, hit in zip(faces, matched(faces, scene.boxes), strict=True):
            if hit < 0 and face.confidence >= threshold:
                place = " ".join(f"{value:.0f}" for value in face.box)
                piece = warp(scene.image, crop_matrix(face.box, 96, 1.6), 96)
                listed.append((f"picture {number}, box {place}, confidence {face.confidence:.2f}", piece))
    return listed


def sweep(found: Mapping[str, Detections]) -> str:
    """Worst recall and precision over the angles, and false detections per picture without a face, by threshold."""
    lines = ["| threshold | recall upright | recall at any angle | precision | false per picture without a face |"]
    lines.append("|---|---|---|---|---|")
    faces = {what: one for what, one in found.items() if what != "no face"}
    for level in np.arange(0.4, 0.81, 0.04):
        upright = min(one.recall(level) for what, one in faces.items() if what.endswith(", 0"))
        recall, precision = (
            min(getattr(one, kind)(level) for one in faces.values()) for kind in ("recall", "precision")
        )
        nobody = found["no face"].false_per_picture(level)
        lines.append(f"| {level:.2f} | {upright:.3f} | {recall:.3f} | {precision:.3f} | {nobody:.3f} |")
    return "\n".join(lines)


def sheet(pieces: Sequence[Image], across: int = 16) -> Image:
    """Small pictures in rows of `across`."""
    blank = [np.full((96, 96, 3), 255, np.uint8)] * (-len(pieces) % across)
    rows = np.array([*pieces, *blank]).reshape(-1, across, 96, 96, 3)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(-1, across * 96, 3))


def fit_mtcnn(root: Path, count: int) -> None:
    """Print the map from the boxes of mtcnn-runtime to those of the landmarks, fitted on train pictures."""
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
    parser.add_argument("--count", type=int, default=1000, help="number of pictures of each kind and angle")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/detectors"), help="folder for curves and false detections"
    )
    parser.add_argument("--fit-mtcnn", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    root = Path(os.environ["CANTHUS_DATA"])
    if options.fit_mtcnn:
        fit_mtcnn(root, options.count)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.detectors.split(",")
    extra = {"own": {"bundle": options.detector_model}}
    sure = {name: Detector.open(name, **extra.get(name, {})) for name in names}
    thresholds = {name: float(detector.threshold) for name, detector in sure.items()}  # type: ignore[attr-defined]
    # the curve also needs detections below the threshold
    every = {name: Detector.open(name, **extra.get(name, {}), threshold=0.05) for name in names}
    print("| on | detector | recall | precision | average precision | false per picture | points, % | roll, degrees |")
    print("|---|---|---|---|---|---|---|---|")
    curves: dict[str, dict[str, Detections]] = {}
    for what, some in cases(root, options.count, options.split):
        for name in names:
            scenes = [scene for scene, _ in some]
            found = [without(every[name].detect(scene.image), others) for scene, others in some]
            result = match(found, [scene.boxes for scene in scenes])
            curves.setdefault(what, {})[name] = result
            cells = f"{row(result, thresholds[name])} | {beside(scenes, found, thresholds[name])}"
            print(f"| {what} | {name} | {cells} |", flush=True)
            listed = false_ones(scenes, found, thresholds[name])
            stem = f"{name}_{what}".replace(", ", "_").replace(" ", "_")
            (options.out / f"{stem}.txt").write_text("".join(f"{line}\n" for line, _ in listed))
            if listed:
                pieces = sheet([piece for _, piece in listed[:160]])
                cv2.imwrite(str(options.out / f"{stem}.png"), pieces[..., ::-1])
    for name in names:
        print(f"\n{name}\n{sweep({what: found[name] for what, found in curves.items()})}")
    del curves["no face"]
    draw_curves(curves, thresholds).savefig(options.out / "curves.png")
    print("\n| detector | " + " | ".join(f"ms at {side}" for side in SIDES) + " |\n|---|" + "---|" * len(SIDES))
    image = open_set("wild68", root, options.split)[0].picture()
    times = [timed(sure, cv2.resize(image, (side, side)).astype(np.uint8, copy=False)) for side in SIDES]
    for name in names:
        print(f"| {name} | " + " | ".join(f"{one[name]:.1f}" for one in times) + " |")


if __name__ == "__main__":
    main()
