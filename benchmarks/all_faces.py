"""Two models on faces of every pose, age and roll, with true boxes, one pass: errors, paired intervals, calibration.

    CANTHUS_DATA=... python benchmarks/all_faces.py OLD.canthus NEW.canthus [--split val] [--json F]

CANTHUS_DATA also holds what docs/data-factory.md makes: views_wild68, views_ytf68, occluded_wild68. Each row is a group
of faces. Views are scored on the points that can be seen, with contours on the 3D jaw line, and on all points, with
contours on the outline up to 60 degrees; other faces on the points that are labelled. Errors are in percent of
sqrt(w h) of the box of the face, or of the inter-ocular distance, as the row says; intervals of the difference (95 %)
draw whole identities. Calibration: the mean score, the share of points within 2.5 % of the longer side of the box, and
the expected calibration error [Naeini et al., 2015] of each model. The second table has wild68 val with pictures and
boxes rotated to both sides, and the error over that of the upright faces.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.evaluate.bootstrap import bootstrap_interval
from canthus.evaluate.metrics import distances, normalisers
from canthus.evaluate.reliability import Tally, calibration_error, reliability_curve, tally
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.schemes.scheme import Scheme
from canthus.synth.sheet import mosaic, save
from canthus.types import Floats
from turned import turned

SCHEME = Scheme.open("68")
NEAR = 0.025
"""Distance at which a point counts as near its truth, over the longer side of the box, as in `nets/decode.py`."""
ROLLS = (0, 15, 30, 45, 60, 75, 90)
CHUNK = 64
SIDE = 200
TRUE, FOUND = (60, 230, 90), (255, 160, 0)


@dataclass(frozen=True)
class Group:
    """Faces of one row.

    Attributes:
        title: Head of the row.
        samples: The faces.
        normaliser: Distance that errors are divided by.
        seen: Whether hidden points are left out.
    """

    title: str
    samples: Sequence[Sample]
    normaliser: str = "box"
    seen: bool = False


def groups_of(root: Path, split: str) -> list[Group]:
    """The rows, of validation or test faces; aflw68 and infant68 have no test faces."""
    rows = []
    for name in ("wild68", "ytf68"):
        faces = open_set(name, root, split)
        rows.append(Group(name, faces, "inter-ocular"))
        if split == "test":
            rows.append(Group(f"{name}, jittered boxes", [face.boxed("jitter") for face in faces], "inter-ocular"))
    for name in ("wild68", "ytf68") if split == "test" else ("wild68",):
        for band in ("front", "half", "profile"):
            faces = open_set(f"views:views_{name}", root, f"{split}/{band}", labels="2d")
            rows.append(Group(f"views of {name}, {band}, seen points", faces, seen=True))
            wide = open_set(f"views:views_{name}", root, f"{split}/{band}", labels="wide")
            rows.append(Group(f"views of {name}, {band}, all points", wide))
    occluded = open_set("views:occluded_wild68", root, split, labels="outline")
    rows.append(Group("occluded wild68, all points", occluded, "inter-ocular"))
    rows.append(Group("occluded wild68, visible points", occluded, "inter-ocular", seen=True))
    rows += [Group(f"{name} val", open_set(name, root, "val")) for name in ("aflw68", "infant68", "fgnet68", "scut86")]
    return rows


def found_by(model: Aligner, samples: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Points (F, 68, 2) and scores (F, 68)."""
    faces = []
    for start in range(0, len(samples), CHUNK):
        some = samples[start : start + CHUNK]
        faces += model.align_many([sample.picture() for sample in some], [_box(sample)[None] for sample in some])
    return np.concatenate([one.points for one in faces]), np.concatenate([one.scores for one in faces])


def _box(sample: Sample) -> Floats:
    return box_of(sample.points) if sample.box is None else sample.box


def row_of(group: Group, models: Sequence[Aligner]) -> dict[str, Any]:
    """Figures of one group."""
    truth = np.stack([sample.points for sample in group.samples])
    boxes = np.stack([_box(sample) for sample in group.samples])
    if group.seen:
        visible = np.stack([sample.visible for sample in group.samples])  # type: ignore[misc]
        truth = np.where(visible[..., None], truth, np.nan)
    scale = normalisers(truth, group.normaliser, SCHEME, boxes)  # type: ignore[arg-type]
    if group.normaliser == "inter-ocular":
        scale = normalisers(np.stack([s.points for s in group.samples]), "inter-ocular", SCHEME)
    near = NEAR * (boxes[:, 2:] - boxes[:, :2]).max(1)
    errors: list[Any] = []
    tallies: list[Tally] = []
    for model in models:
        points, scores = found_by(model, group.samples)
        away = distances(points, truth)
        errors.append(np.nanmean(away, 1) / scale * 100)
        known = np.isfinite(away)
        tallies.append(tally((away < near[:, None])[known], scores[known]))
    usable = np.isfinite(errors[0])
    gap = (errors[1] - errors[0])[usable]
    people = np.unique([s.identity for s, use in zip(group.samples, usable, strict=True) if use], return_inverse=True)
    low, high = bootstrap_interval(gap[:, None], people[1])
    return {
        "group": group.title,
        "faces": int(usable.sum()),
        "normaliser": group.normaliser,
        "error": [float(error[usable].mean()) for error in errors],
        "difference": [float(gap.mean()), float(low[0]), float(high[0])],
        "worst tenth": [float(np.quantile(error[usable], 0.9)) for error in errors],
        "mean score": [float(one.claimed.sum() / one.counts.sum()) for one in tallies],
        "near": [float(one.good.sum() / one.counts.sum()) for one in tallies],
        "calibration error": [calibration_error(reliability_curve(one)) for one in tallies],
    }


def write_sheet(path: Path, group: Group, model: Aligner, count: int = 20) -> None:
    """Picture of the worst faces of a group: labels green, the model orange."""
    points, _ = found_by(model, group.samples)
    truth = np.stack([sample.points for sample in group.samples])
    boxes = np.stack([_box(sample) for sample in group.samples])
    errors = np.nanmean(distances(points, truth), 1) / normalisers(truth, "box", SCHEME, boxes) * 100
    tiles = []
    for face in np.argsort(-errors)[:count]:
        matrix = crop_matrix(boxes[face], SIDE, 1.4)
        picture = warp(group.samples[face].picture(), matrix, SIDE)
        for colour, some, radius in ((TRUE, truth[face], 24), (FOUND, points[face], 14)):
            for x, y in apply(matrix, some[np.isfinite(some).all(1)]):
                cv2.circle(picture, (round(float(x) * 16), round(float(y) * 16)), radius, colour, -1, cv2.LINE_AA, 4)
        text = f"{group.samples[face].image.stem[-16:]} {errors[face]:.1f}"
        cv2.putText(picture, text, (3, SIDE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, mosaic(tiles, 5))


def rolled(samples: Sequence[Sample], models: Sequence[Aligner]) -> list[dict[str, Any]]:
    """Figures of faces rotated to both sides by each angle."""
    rows: list[dict[str, Any]] = []
    for angle in ROLLS:
        both = [_rotated(sample, sign * angle) for sample in samples for sign in ((1, -1) if angle else (1,))]
        row = row_of(Group(f"{angle}", both, "inter-ocular"), models)
        upright = rows[0]["error"] if rows else row["error"]
        rows.append(row | {"over upright": [a / b for a, b in zip(row["error"], upright, strict=True)]})
    return rows


def _rotated(sample: Sample, angle: float) -> Sample:
    picture, points = turned(sample.picture(), sample.points, angle)
    return replace(sample, points=points, box=None, pixels=lambda: picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs=2, metavar="MODEL", help="bundle, or default")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--root", type=Path, default=os.environ.get("CANTHUS_DATA"))
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--sheets", type=Path, help="folder for pictures of the 20 worst faces of each row")
    parser.add_argument("--json", type=Path, help="file for the tables")
    options = parser.parse_args()
    models = [
        Aligner.open(None if model == "default" else model, precision=options.precision) for model in options.models
    ]
    groups = groups_of(options.root, options.split)
    rows = [row_of(group, models) for group in groups]
    for group in groups if options.sheets else ():
        write_sheet(options.sheets / f"{group.title.replace(',', '').replace(' ', '_')}.png", group, models[1])
    print(f"A = {options.models[0]}, B = {options.models[1]}, {options.split}\n")
    print("| faces | number | error A | error B | B - A, interval | worst tenth A, B | calibration error A, B |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        (a, b), (gap, low, high) = row["error"], row["difference"]
        worst = ", ".join(f"{x:.1f}" for x in row["worst tenth"])
        calibration = ", ".join(f"{x:.3f}" for x in row["calibration error"])
        cells = f"{a:.2f} | {b:.2f} | {gap:+.2f}, {low:+.2f} .. {high:+.2f} | {worst} | {calibration}"
        print(f"| {row['group']} | {row['faces']} | {cells} |")
    turns = rolled(open_set("wild68", options.root, "val"), models)
    print("\n| wild68 val rotated by | error A | error B | over upright A, B |\n|---|---|---|---|")
    for row in turns:
        a, b = row["error"]
        print(f"| {row['group']} | {a:.2f} | {b:.2f} | {', '.join(f'{x:.2f}' for x in row['over upright'])} |")
    if options.json:
        command = f"scripts/bench all_faces {' '.join(map(str, options.models))} --split {options.split}"
        tree = {"command": command, "models": options.models, "rows": rows, "rolls": turns}
        options.json.write_text(json.dumps(tree, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
