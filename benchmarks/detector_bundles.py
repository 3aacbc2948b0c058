"""Compares bundles of the default detector on the pictures of `detectors.py` and on sets that they were not trained on.

    CANTHUS_DATA=... python benchmarks/detector_bundles.py OLD.canthus NEW.canthus [--split val] [--thresholds .6,.55]

Figures by threshold: recall and precision, the worst over kinds of pictures and angles (`detectors.cases`); the share
of photographs without a face in which anything is found (`backdrops` test; with `--split val` the part of train that
training leaves out); the share of faces that are found among the profiles of `portraits5` and in `fairface`, in the
parts by hash that training leaves out, and among small faces of 3 to 5 % of the longer side in pictures of 1280x720. A
portrait is found if the centre of a detection lies within half a side of that of the five points; a face of fairface if
a detection overlaps with its median box by .4. `--precision int8` takes the int8 variants. Times are the fastest of
several runs on one thread, the bundles taking turns. `--out` is the folder for sheets of false detections and misses.

Each bundle is also compared with the first one on the same faces and pictures: once at the default threshold, and once
at the thresholds at which each finds EQUAL of the faces at all angles. Intervals (95 %) draw whole pictures.
`--json FILE` writes all tables.
"""

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.data.catalogue import open_set
from canthus.detect.detector import Detector
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.detection import Detections, match, matched
from canthus.geometry.box import overlaps
from canthus.geometry.crop import crop_matrix, warp
from canthus.train.detection.backdrops import load_faceless
from canthus.train.detection.pool import load_faces
from canthus.train.detection.recipe import Scenes
from canthus.train.detection.scenes import SceneMaker
from canthus.train.recipe import SetShare
from canthus.types import FaceDetector, Faces, Image
from detectors import PLAIN, beside, cases, sheet, timed, without

LEVELS = np.arange(0.3, 0.81, 0.04)
SCREENS = ((320, 320), (640, 640), (1280, 720), (1920, 1080))
LEAST = 0.05
"""Threshold of the detections that are kept for all levels."""
DEFAULT, EQUAL = 0.5, 0.97
"""Default threshold of the detector; share of the faces at which bundles are compared."""
Rows = dict[str, np.ndarray]


def best_score(faces: Faces, right: np.ndarray) -> float:
    """Confidence of the most confident detection that is right; 0 = there is none."""
    return float(faces.confidence[right].max(initial=0))


def portraits(detector: FaceDetector, root: Path) -> tuple[np.ndarray, list[Image]]:
    """Confidence in each profile of the part that training leaves out, and the pictures."""
    scores, pictures = [], []
    for sample in open_set("portraits5", root, "train/profile/part-80-100"):
        faces, middle = detector.detect(sample.picture()), sample.points.mean(0)
        side = (faces.boxes[:, 2:] - faces.boxes[:, :2]).max(1, initial=0)
        far = np.linalg.norm((faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 - middle, axis=1)
        scores.append(best_score(faces, far < side / 2))
        pictures.append(sample.picture())
    return np.array(scores), pictures


def filling(detector: FaceDetector, root: Path, count: int) -> tuple[np.ndarray, list[Image]]:
    """The same for faces of fairface, which fill their pictures."""
    scores, pictures = [], []
    for sample in open_set("fairface", root, "list/part-80-100")[:count]:
        assert sample.box is not None
        faces = detector.detect(sample.picture())
        scores.append(best_score(faces, overlaps(faces.boxes, sample.box[None])[:, 0] >= 0.4))
        pictures.append(sample.picture())
    return np.array(scores), pictures


def little(root: Path, count: int, split: str) -> list[tuple[Image, np.ndarray]]:
    """Pictures of 1280x720 with faces of 3 to 5 % of the longer side on photographs without a face, and their boxes."""
    pool = load_faces([SetShare(name=name, split=split) for name in ("wild68", "ytf68")], root, 160)
    faceless = load_faceless([SetShare(name="backdrops", split="test")], root)
    settings = Scenes(single=0, empty=0, smallest=38.4, largest=0.05 / 0.6, photographs=1)
    maker = SceneMaker(pool, faceless, settings, PLAIN, faceless)
    rng, made = np.random.default_rng(5), []
    for _ in range(count):
        scene = maker.scene(1280, rng, 0.0)
        inside = (scene.boxes[:, 1] > 280) & (scene.boxes[:, 3] < 1000)
        made.append((np.ascontiguousarray(scene.image[280:1000]), scene.boxes[inside] - [0, 280, 0, 280]))
    return made


def table(name: str, found: Mapping[str, Detections], rest: Rows, levels: Sequence[float]) -> list[dict[str, float]]:
    """Print and return the figures of a bundle by threshold."""
    faces, rows = {what: one for what, one in found.items() if what not in ("no face", "small")}, []
    for level in levels:
        row = {
            "threshold": level,
            "recall upright": min(one.recall(level) for w, one in faces.items() if w.endswith(", 0")),
        }
        row["recall at any angle"] = min(one.recall(level) for one in faces.values())
        row["precision"] = min(one.precision(level) for one in faces.values())
        row["made backdrops firing"] = found["no face"].false_per_picture(level)
        row |= {what: float((rest[what] >= level).mean()) for what in ("firing", "profiles", "filling")}
        rows.append({what: round(value, 3) for what, value in (row | {"small": found["small"].recall(level)}).items()})
    print(f"\n{name}\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:.3f}" for value in row.values()) + " |")
    return rows


def paired(old: Rows, new: Rows) -> dict[str, dict[str, Any]]:
    """What a bundle has above another one in each share, with its interval, at two pairs of thresholds.

    The rows are confidences in each face or picture, and the number of the picture of each of `faces`.
    """
    equal = [float(np.quantile(rows["faces"], 1 - EQUAL)) for rows in (old, new)]
    found: dict[str, dict[str, Any]] = {}
    for name, (before, after) in {"default threshold": (DEFAULT, DEFAULT), "equal recall": equal}.items():
        found[name] = {"thresholds": [round(before, 3), round(after, 3)]}
        for what in ("faces", "firing", "profiles", "filling"):
            gap = (new[what] >= after).astype(float) - (old[what] >= before)
            low, high = bootstrap_interval(gap[:, None], new["pictures"] if what == "faces" else None)
            shares = [float((rows[what] >= level).mean()) for rows, level in ((old, before), (new, after))]
            found[name][what] = [round(value, 4) for value in (*shares, gap.mean(), low[0], high[0])]
    return found


def largest_of(pictures: Sequence[Image], found: Sequence[Faces]) -> list[tuple[float, Image]]:
    """Confidence and surroundings of the most confident detection in each picture that has one."""
    best = [(faces[0], picture) for faces, picture in zip(found, pictures, strict=True) if len(faces)]
    return [(float(face.confidence), warp(picture, crop_matrix(face.box, 96, 1.6), 96)) for face, picture in best]


def save_sheet(path: Path, rows: Sequence[tuple[float, Image]], most: int = 48) -> None:
    """The pictures with the highest scores, 96 pixels each, with their scores."""
    pieces = []
    for score, piece in sorted(rows, key=lambda row: -row[0])[:most]:
        small = cv2.resize(piece, (96, 96), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        cv2.putText(small, f"{score:.2f}", (2, 92), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 0), 1, cv2.LINE_AA)
        pieces.append(small)
    if pieces:
        cv2.imwrite(str(path), sheet(pieces, 12)[..., ::-1])


def measure(name: str, detector: FaceDetector, options: Any, root: Path, every: Mapping[str, Any]) -> tuple[Any, Rows]:
    """Print the figures of one bundle and save its sheets; its table, and its confidences by face and picture."""
    found, places, scores, pictures = {}, [], [], []
    for what, some in every["cases"].items():
        seen = [without(detector.detect(scene.image), others) for scene, others in some]
        found[what] = match(seen, [scene.boxes for scene, _ in some])
        for faces, (scene, _) in zip(seen, some, strict=True):
            taken = matched(faces, scene.boxes)
            each = [best_score(faces, taken == index) for index in range(len(scene.boxes))]
            scores += each
            pictures += [pictures[-1] + 1 if pictures else 0] * len(each)
        if what.startswith(("wild68", "ytf68")):
            places.append(f"{what}: {beside([scene for scene, _ in some], seen, 0.5)}")
    found["small"] = match([detector.detect(image) for image, _ in every["small"]], [b for _, b in every["small"]])
    faceless = [detector.detect(picture) for picture in every["faceless"]]
    profiles, sideways = portraits(detector, root)
    filled, close = filling(detector, root, options.count * 8)
    rest = {
        "profiles": profiles,
        "filling": filled,
        "firing": np.array([best_score(f, f.confidence > 0) for f in faceless]),
    }
    rows = table(name, found, rest, options.thresholds or list(LEVELS))
    print("points, % of the side | roll, degrees: " + "; ".join(places))
    save_sheet(options.out / f"{name}_false.png", largest_of(every["faceless"], faceless))
    missed = [(1 - score, picture) for score, picture in zip([*profiles, *filled], [*sideways, *close], strict=True)]
    save_sheet(options.out / f"{name}_missed.png", missed, 24)
    return {"by threshold": rows, "places": places}, rest | {"faces": np.array(scores), "pictures": np.array(pictures)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--count", type=int, default=70, help="number of pictures of each kind and angle")
    parser.add_argument("--thresholds", type=lambda text: [float(value) for value in text.split(",")])
    parser.add_argument("--out", type=Path, default=Path("runs/detector_bundles"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    root = Path(os.environ["CANTHUS_DATA"])
    share = SetShare(name="backdrops", split="test/empty" if options.split == "test" else "train/empty/part-85-100")
    every = {
        "cases": dict(cases(root, options.count, options.split)),
        "small": little(root, options.count // 2, options.split),
        "faceless": [sample.picture() for sample in open_set(share.name, root, share.split)],
    }
    opened, tables, rows = {path.stem: path for path in options.bundles}, {}, {}
    for name, path in opened.items():
        detector = Detector.open("own", bundle=path, threshold=LEAST, precision=options.precision)
        tables[name], rows[name] = measure(name, detector, options, root, every)
    first, *others = opened
    for name in others:
        tables[name]["beside the first"] = paired(rows[first], rows[name])
        print(f"\n{name} beside {first}: share before, share now, difference, interval")
        for what, figures in tables[name]["beside the first"].items():
            print(f"  {what}: {json.dumps(figures)}")
    ready = {name: Detector.open("own", bundle=path, precision=options.precision) for name, path in opened.items()}
    ready |= {
        f"{name}, faces from 20 px": Detector.open("own", bundle=path, min_face=20) for name, path in opened.items()
    }
    image = open_set("wild68", root, options.split)[0].picture()
    times = [timed(ready, cv2.resize(image, size).astype(np.uint8, copy=False)) for size in SCREENS]
    print("\n| detector | " + " | ".join(f"ms at {w}x{h}" for w, h in SCREENS) + " |\n|---|" + "---|" * len(SCREENS))
    for name in ready:
        print(f"| {name} | " + " | ".join(f"{one[name]:.1f}" for one in times) + " |")
    if options.json:
        found = {"split": options.split, "count": options.count, "bundles": tables}
        found["ms"] = {
            name: {f"{w}x{h}": round(one[name], 1) for (w, h), one in zip(SCREENS, times, strict=True)}
            for name in ready
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
