"""Labels of the sets with unknown points or an order of their own, against the default model; maps learnt from it.

    CANTHUS_DATA=... python benchmarks/set_labels.py [--model BUNDLE] [--sheets runs/set_labels] [--write OUT] [SETS...]

Faces are measured on val, and all else is found on train; of a set without val, a fifth of train by identity is
measured. The model starts once from the face box of the labels (portraits5: that of a rigid 3D face fitted to its five
points) and is averaged over picture and mirror image. NME is percent of the inter-ocular distance (portraits5:
inter-pupil) over the known points; faces without both eyes known are counted, but not measured. Scale and shift
(percent of the longer side of the box) are those that bring the labels onto the model, with standard errors;
"registered" is the NME after them. Yaw is that of a rigid 3D face fitted to the labels.

The second table lists the points whose labels lie elsewhere than those of the model in the median, by 3 % or more.
The third one has distances from the points of the model: of the counterparts in the map file, of the same without the
median offset of each point, and of a linear map that is learnt from all labels of the set. The ridge is chosen on a
quarter of the faces that are learnt from. Each sheet shows 24 faces, evenly spread over yaw, and the 6 worst: labels
green, hidden by a thing red, the model orange.

With --write, train and val of the sets with an order of their own are written with all 68 points as CSV sets: train by
maps that are learnt without the face's fifth of the identities, val by the map of train. Points that would move by more
than 10 % of the inter-ocular distance stay where the map file has them; faces with a quarter of such points are left
out. The labels of helen68 are written with their common scale and shift undone, which are found on four fifths of it.
"""

import argparse
import os
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.data.sample import Sample, split_by_identity
from canthus.evaluate.metrics import along_contour, distances, nme, normalisers
from canthus.face3d.rigid import RigidFace
from canthus.face3d.table import Faces2D
from canthus.geometry.crop import crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import convert
from canthus.synth.relabel.denoise import bias_between, frames, in_pixels, limited
from canthus.synth.relabel.labels import write_labels
from canthus.synth.relabel.priors import Prior
from canthus.synth.relabel.registration import boxes_of, learn_map, map_held_out, net_points, register
from canthus.synth.sheet import mosaic, save
from canthus.types import Image

WITH_VAL = ("infant68", "aflw68", "fgnet68", "scut86")
SETS = ("infant68", "aflw68", "helen68", "fgnet68", "scut86", "london189", "portraits5")
REGISTERED = ("helen68",)
OWN = ("fgnet68", "scut86", "london189")
BANDS = (0, 15, 30, 60, 91)
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3)
FAR = 3.0
MOST = 0.1
SIDE = 240
SEEN, COVERED, NET = (60, 230, 90), (240, 60, 60), (255, 160, 0)
SCHEME = Scheme.open("68")


class Measured(NamedTuple):
    """Faces of a set with what the model finds on them."""

    samples: list[Sample]
    labels: np.ndarray
    net: np.ndarray
    boxes: np.ndarray
    errors: np.ndarray
    yaw: np.ndarray


def faces_of(name: str, root: Path, **options: str) -> tuple[list[Sample], list[Sample]]:
    """Faces to learn from, and faces to measure."""
    train = list(open_set(name, root, "train", **options))
    if name in WITH_VAL:
        return train, list(open_set(name, root, "val", **options))
    learn, held = split_by_identity(train, (0.8, 0.2))
    return learn, held


def measure(samples: list[Sample], prior: Prior, rigid: RigidFace) -> Measured:
    """Run the model on faces and compare."""
    labels = np.stack([sample.points[:, :2] for sample in samples]).astype(np.float64)
    scheme = samples[0].scheme
    boxes = rigid.boxes(labels, scheme) if scheme == "5" else boxes_of(samples)
    from_boxes = [Sample(s.image, s.points, s.scheme, s.identity, box=b) for s, b in zip(samples, boxes, strict=True)]
    net = net_points(prior, from_boxes)
    kind = "inter-pupil" if scheme == "5" else "inter-ocular"
    errors = 100 * nme(convert(net, "68", scheme), labels, normalisers(labels, kind, Scheme.open(scheme)))
    yaw = rigid.fit(labels, scheme).pose[:, 0] if scheme == "5" else rigid.poses(labels)[:, 0]
    return Measured(samples, labels, net, boxes, errors, yaw)


def row(name: str, train: Measured, found: Measured) -> str:
    """A line of the first table."""
    scheme = found.samples[0].scheme
    together = register(train.labels, convert(train.net, "68", scheme), train.boxes)
    moved = together.apply(found.labels, found.boxes)
    unit = normalisers(found.labels, "inter-pupil" if scheme == "5" else "inter-ocular", Scheme.open(scheme))
    after = 100 * nme(convert(found.net, "68", scheme), moved, unit * together.scale)
    x, y = 100 * together.shift
    sigma = 100 * together.error
    bands = []
    for low, high in pairwise(BANDS):
        inside = (np.abs(found.yaw) >= low) & (np.abs(found.yaw) < high)
        bands.append(f"{inside.sum()}: {mean(found.errors[inside])}" if inside.any() else "-")
    unknown = np.isnan(found.yaw).sum()
    points = np.isfinite(found.labels).all(-1).sum(1)
    cells = [
        name,
        f"{len(found.samples)} ({np.isfinite(found.errors).sum()})",
        f"{points.min()}-{points.max()}" if np.ptp(points) else f"{points[0]}",
        mean(found.errors),
        f"{np.nanmedian(found.errors):.2f}",
        f"{together.scale:.4f} +- {sigma[0] / 100:.4f}",
        f"{x:+.2f} +- {sigma[1]:.2f}, {y:+.2f} +- {sigma[2]:.2f}",
        mean(after),
        *bands,
        str(unknown),
    ]
    return f"| {' | '.join(cells)} |"


def mean(errors: np.ndarray) -> str:
    """Mean of the errors that are known."""
    return f"{np.nanmean(errors):.2f}" if np.isfinite(errors).any() else "-"


def worst(found: Measured, count: int) -> list[int]:
    """Faces with the largest errors, first the largest."""
    return np.argsort(-np.nan_to_num(found.errors))[:count].tolist()


def write_sheet(path: Path, found: Measured) -> None:
    """24 faces over yaw, and the 6 worst."""
    order = np.argsort(np.nan_to_num(found.yaw, nan=99))
    chosen = order[np.linspace(0, len(order) - 1, min(24, len(order))).round().astype(int)].tolist()
    tiles = [tile(found, face) for face in [*chosen, *worst(found, 6)]]
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, mosaic(tiles, 6))


def tile(found: Measured, face: int) -> Image:
    """One face with its labels and the points of the model."""
    sample = found.samples[face]
    matrix = crop_matrix(found.boxes[face], SIDE, 1.35)
    picture = warp(sample.picture(), matrix, SIDE)
    seen = np.ones(len(sample.points), bool) if sample.visible is None else sample.visible
    dots = [(point, NET, 14) for point in found.net[face]]
    dots += [(p, SEEN if s else COVERED, 24) for p, s in zip(found.labels[face], seen, strict=True)]
    for point, colour, radius in dots:
        if np.isfinite(point).all():
            x, y = apply(matrix, point[None])[0]
            cv2.circle(picture, (round(x * 16), round(y * 16)), radius, colour, -1, cv2.LINE_AA, 4)
    text = f"{sample.image.stem[:20]} {found.errors[face]:.1f} {found.yaw[face]:+.0f}"
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, (3, SIDE - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thick, cv2.LINE_AA)
    return picture


def offsets(measured: Measured) -> np.ndarray:
    """Median offset of each label from the model, in the axes of the face over the inter-ocular distance. (68, 2)."""
    unit = normalisers(measured.net, "inter-ocular", SCHEME)
    return -bias_between(measured.labels, measured.net, frames(measured.net, unit, SCHEME), SCHEME)


def elsewhere(train: Measured) -> str:
    """The points whose labels lie elsewhere, with their offsets; the right half stands for both."""
    found = 100 * offsets(train)
    far = [i for i in np.flatnonzero(np.linalg.norm(found, axis=1) >= FAR) if i <= SCHEME.mirror[i]]
    return "; ".join(f"{i} and {SCHEME.mirror[i]} {found[i, 0]:+.1f}, {found[i, 1]:+.1f}" for i in far) or "none"


def write(out: Path, split: str, faces: Measured, points: np.ndarray, **settings: float | str) -> None:
    """Write a split with labels changed by the points of the model, and a sheet of old and new ones."""
    folder = faces.samples[0].image.parent
    unit = normalisers(faces.net, "inter-ocular", SCHEME)
    cleaned = limited(faces.labels, points, unit, MOST)
    old = Faces2D(
        tuple(sample.image.name for sample in faces.samples),
        tuple(sample.identity for sample in faces.samples),
        faces.labels,
        np.full((len(points), 2), np.nan),
        SCHEME.name,
    )
    write_labels(out, split, old, folder, cleaned, settings | {"largest move": MOST})


def write_registered(out: Path, train: Measured, rest: Measured) -> None:
    """Write all faces of a set with the common scale and shift of the first ones undone."""
    found = register(train.labels, train.net, boxes_of(train.samples))
    every = Measured(*(_joined(a, b) for a, b in zip(train, rest, strict=True)))
    moved = found.apply(every.labels, boxes_of(every.samples))
    write(out, "train", every, moved, map="common scale and shift undone", scale=found.scale)


def _joined(first: Any, second: Any) -> Any:
    return np.concatenate([first, second]) if isinstance(first, np.ndarray) else [*first, *second]


def learnt(name: str, root: Path, train: Measured, test: Measured, out: Path | None = None) -> list[str]:
    """Lines of the third table; writes the labels of the learnt map to a folder, if there is one."""
    own, own_test = (
        np.stack([s.points for s in part]).astype(np.float64) for part in faces_of(name, root, points="own")
    )
    unit = normalisers(train.net, "inter-ocular", SCHEME)
    distance = np.nanmean(distances(train.net, train.labels), 1) / unit
    keys = [Sample(Path(str(i)), s.points, "68", s.identity) for i, s in enumerate(train.samples)]
    fit, check = ([int(key.image.name) for key in part] for part in split_by_identity(keys, (0.75, 0.25)))

    def missed(ridge: float) -> float:
        again = learn_map(own[fit], train.net[fit], distance[fit], ridge).apply(own[check])
        return float(np.median(nme(again, train.net[check], unit[check])))

    ridge = min(RIDGES, key=missed)
    found = learn_map(own, train.net, distance, ridge).apply(own_test)
    if out is not None:
        fifths = split_by_identity(keys, [0.2] * 5)
        fold = np.zeros(len(own), np.int64)
        for number, part in enumerate(fifths):
            fold[[int(key.image.name) for key in part]] = number
        settings = {"map": "learnt from the points of the default model", "ridge": ridge}
        write(out / name, "train", train, map_held_out(own, train.net, distance, fold, ridge), **settings)
        write(out / name, "val", test, found, **settings)
    axes = frames(test.net, normalisers(test.net, "inter-ocular", SCHEME), SCHEME)
    return [
        line(f"{name}, listed", len(own), test, test.labels),
        line(f"{name}, listed, without offsets", len(own), test, test.labels - in_pixels(offsets(train), axes)),
        line(f"{name}, learnt, ridge {ridge:g}", len(own), test, found),
    ]


def line(name: str, faces: int, test: Measured, points: np.ndarray) -> str:
    """Errors of points against the model, group by group."""
    unit = normalisers(test.net, "inter-ocular", SCHEME)
    far = 100 * distances(points, test.net) / unit[:, None]
    along, across = (100 * np.abs(part) / unit[:, None] for part in along_contour(points, test.net, SCHEME.contour))
    groups = {
        "brows": (*range(17, 27),),
        "nose": (*range(27, 36),),
        "eyes": (*range(36, 48),),
        "mouth": (*range(48, 68),),
    }
    cells = [mean(across), mean(along), *(mean(far[:, list(group)]) for group in groups.values())]
    count = int(np.isfinite(points).all(-1).any(0).sum())
    return f"| {name} | {faces}, {len(points)} | {count} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--model")
    parser.add_argument("--sheets", type=Path, default=Path("runs/set_labels"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    root = Path(os.environ["CANTHUS_DATA"])
    prior = Prior(Aligner.open(options.model))
    rigid = RigidFace.open(root / "ict_facekit" / "ict_facekit.npz")
    found = {}
    for name in options.sets:
        train, test = faces_of(name, root)
        found[name] = measure(train, prior, rigid), measure(test, prior, rigid)
    bands = [f"yaw {low}-{min(high, 90)}: NME" for low, high in pairwise(BANDS)]
    heads = [
        "set",
        "faces (measured)",
        "points",
        "NME",
        "median",
        "scale",
        "shift x, y",
        "registered",
        *bands,
        "no pose",
    ]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, (train, test) in found.items():
        print(row(name, train, test))
        write_sheet(options.sheets / f"{name}.png", test)
    print()
    for name, (_, test) in found.items():
        five = ", ".join(f"{test.samples[i].image.name} {test.errors[i]:.1f}" for i in worst(test, 5))
        print(f"{name}, worst: {five}")
    print("\n| set | points whose labels lie elsewhere: offset in x, y |\n|---|---|")
    for name in (name for name in found if name != "portraits5"):
        print(f"| {name} | {elsewhere(found[name][0])} |")
    print("\n| labels | faces learnt, measured | points | contour across | along | brows | nose | eyes | mouth |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in (name for name in OWN if name in found):
        print("\n".join(learnt(name, root, *found[name], options.write)))
    for name in (name for name in REGISTERED if name in found and options.write):
        write_registered(options.write / name, *found[name])


if __name__ == "__main__":
    main()
