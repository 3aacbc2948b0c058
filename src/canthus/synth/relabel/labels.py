"""A data set with new labels on disk, in the CSV form; its pictures stay where they are.

FOLDER/
train.csv     image,identity,x0,y0,...; `image` is the path of the old picture from FOLDER/images
train.npz     distance that each point moved, points that stayed, refused faces with reasons
train.json    settings: weights, largest move, digests of table and network
train.png     contact sheet: old points red, new ones green, the mean distance moved below
"""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, OutputError
from canthus.face3d.table import Faces2D
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.reader.image import read
from canthus.synth.relabel.denoise import Cleaned
from canthus.synth.sheet import mosaic, save
from canthus.types import Image
from canthus.work.arrays import save_arrays
from canthus.work.files import replace_whole

SHOWN = 100
"""Number of faces on the contact sheet."""
SIDE = 192
"""Side of a tile of the contact sheet, pixels."""
EXTENT = 1.3
OLD, NEW = (240, 60, 60), (60, 230, 90)


def write_labels(
    out: Path, split: str, faces: Faces2D, pictures: Path, cleaned: Cleaned, settings: Mapping[str, Any]
) -> None:
    """Write one split; the CSV is written last, so that a split that has one is whole.

    Args:
        out: Folder of the new set; its other splits stay as they are.
        split: Name of the split.
        faces: The old labels.
        pictures: Folder that the names of their pictures start from.
        cleaned: The new labels.
        settings: What the new labels depend on, for JSON.

    Raises:
        OutputError: the folder holds this split, or cannot be written.
        DataError: every face is refused.
    """
    table = out / f"{split}.csv"
    if table.exists():
        raise OutputError(f"{table} exists; choose another folder with --out, or delete it")
    used = [face for face, problem in enumerate(cleaned.problems) if not problem]
    if not used:
        raise DataError(f"{out}: all {len(faces.images)} faces are refused; the first: {cleaned.problems[0]}")
    names = [_path_from(out / "images", pictures / name) for name in faces.images]
    with replace_whole(out / f"{split}.json") as part:
        counts = {"faces": len(used), "refused": len(names) - len(used), "points_kept": int(cleaned.kept[used].sum())}
        part.write_text(json.dumps({**settings, **counts}, indent=1) + "\n", encoding="utf-8")
    arrays = {
        "images": np.array(faces.images),
        "identities": np.array(faces.identities),
        "labels": faces.points.astype(np.float32),
        "points": cleaned.points.astype(np.float32),
        "moved": cleaned.moved.astype(np.float32),
        "kept": cleaned.kept,
        "problems": np.array(cleaned.problems, str),
    }
    save_arrays(out / f"{split}.npz", arrays)
    _write_sheet(out / f"{split}.png", faces, pictures, cleaned, used)
    with replace_whole(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        axes = [f"{axis}{index}" for index in range(faces.points.shape[1]) for axis in "xy"]
        rows.writerow(["image", "identity", *axes])
        for face in used:
            cells = ["" if np.isnan(value) else f"{value:.3f}" for value in cleaned.points[face].ravel().tolist()]
            rows.writerow([names[face], faces.identities[face], *cells])


def _path_from(folder: Path, picture: Path) -> str:
    """The relative path from a folder to a picture; the absolute one where there is none, as between drives."""
    try:
        return Path(os.path.relpath(picture.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return picture.resolve().as_posix()


def _write_sheet(path: Path, faces: Faces2D, pictures: Path, cleaned: Cleaned, used: list[int]) -> None:
    """Draw a hundred faces, in the order of the distance that their points moved."""
    moved = np.nanmean(cleaned.moved[used], 1)
    rank = np.array(used)[np.argsort(moved, kind="stable")]
    chosen = rank[np.linspace(0, len(rank) - 1, min(len(rank), SHOWN)).round().astype(int)]
    tiles = [
        _tile(
            read(pictures / faces.images[face]),
            faces.points[face],
            cleaned.points[face],
            f"{np.nanmean(cleaned.moved[face]):.1%}",
        )
        for face in chosen
    ]
    save(path, mosaic(tiles))


def _tile(image: Image, old: NDArray[Any], new: NDArray[Any], caption: str) -> Image:
    matrix = crop_matrix(box_of(old), SIDE, EXTENT)
    tile = warp(image, matrix, SIDE)
    for points, colour in ((apply(matrix, old), OLD), (apply(matrix, new), NEW)):
        for x, y in points[np.isfinite(points).all(-1)].tolist():
            cv2.circle(tile, (round(x * 16), round(y * 16)), 20, colour, -1, cv2.LINE_AA, 4)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(tile, caption, (3, SIDE - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thick, cv2.LINE_AA)
    return tile
