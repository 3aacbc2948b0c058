"""Reads AFLW: 21 points where they are visible [Koestinger et al., 2011], or all 19 points [Zhu et al., 2016]."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from canthus.data.files import checked, choose, expect, from_corner, read_mat, understood
from canthus.data.sample import Mask, Sample
from canthus.errors import DataError
from canthus.types import Floats

TREE = """\
{folder}/
  aflw.sqlite                    from aflw/data of the owners' archive
  flickr/0/, flickr/2/, flickr/3/    pictures"""

TREE_19 = """\
{folder}/
  AFLWinfo_release.mat           bbox, data, mask_new, nameList, ra
  flickr/0/, flickr/2/, flickr/3/    pictures of AFLW"""

FACES = """
SELECT Faces.face_id, FaceImages.filepath, yaw, pitch, roll, x, y, w, h
FROM Faces JOIN FaceImages ON Faces.file_id = FaceImages.file_id
LEFT JOIN FacePose ON FacePose.face_id = Faces.face_id LEFT JOIN FaceRect ON FaceRect.face_id = Faces.face_id
WHERE Faces.face_id IN (SELECT face_id FROM FeatureCoords) GROUP BY Faces.face_id ORDER BY Faces.face_id"""

TRAIN_19 = 20_000
"""Number of faces in the training split of AFLW-19."""


def read_aflw(folder: Path, split: str) -> list[Sample]:
    """AFLW with 21 points; hidden points are not annotated.

    Args:
        folder: The folder of the set.
        split: "all"; the set has no splits.

    Returns:
        Samples of 21 points, NaN where not annotated, with `visible`, pose (yaw, pitch, roll with the signs of AFLW)
        and the box of the set as "set". The identity is the picture. Faces without any point are omitted.

    Raises:
        DataError: no such split, a file is missing, or the database is not that of AFLW.
    """
    choose({"all": None}, split, "AFLW")
    path = expect(folder / "aflw.sqlite", folder, TREE)
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            faces = database.execute(FACES).fetchall()
            coordinates = database.execute("SELECT face_id, feature_id, x, y FROM FeatureCoords").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: not the database of AFLW ({error}); restore the file") from error
    with understood(path):
        points = _points(path, [face[0] for face in faces], coordinates)
        return [_sample(folder, row, points[row[0]]) for row in faces]


def _points(path: Path, faces: Sequence[int], coordinates: Sequence[tuple[Any, ...]]) -> dict[int, Floats]:
    """The points of each face, from the rows face, number of the point, x, y."""
    points = {face: np.full((21, 2), np.nan, np.float32) for face in faces}
    for face, feature, x, y in coordinates:
        if not 1 <= feature <= 21:
            raise DataError(
                f"{path}: face {face} has a point {feature}, but AFLW numbers them 1 to 21; restore the file"
            )
        if x is None or y is None:
            raise DataError(f"{path}: point {feature} of face {face} has no coordinates; restore the file")
        if face in points:
            points[face][feature - 1] = x, y
    return points


def read_aflw19(folder: Path, split: str) -> list[Sample]:
    """AFLW with 19 points, including hidden ones; the points of the ears are omitted.

    Args:
        folder: The folder of the set.
        split: "train" (20,000 faces), "full" (4386), or "frontal" (those of "full" with every point visible).

    Returns:
        Samples of 19 points with `visible` and the set's box as "set". The identity is the picture.

    Raises:
        DataError: no such split, or a file is missing or damaged.
        ExtraMissingError: SciPy is not installed.
    """
    choose({"train": None, "full": None, "frontal": None}, split, "AFLW-19")
    path = expect(folder / "AFLWinfo_release.mat", folder, TREE_19)
    found = read_mat(path, ["bbox", "data", "mask_new", "nameList", "ra"])
    count = len(found["nameList"])
    shapes = {"data": (count, 38), "mask_new": (count, 19), "bbox": (count, 4)}
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise DataError(f"{path}: {name} is {found[name].shape}, not {shape}; restore the file")
    with understood(path):
        order = found["ra"].ravel().astype(np.intp) - 1
    if sorted(order) != list(range(count)):
        raise DataError(f"{path}: ra is not a permutation of {count} faces; restore the file")
    chosen = order[:TRAIN_19] if split == "train" else order[TRAIN_19:]
    if split == "frontal":
        chosen = chosen[(found["mask_new"][chosen] == 1).all(1)]
    with understood(path):
        return [_sample19(folder, path, found, index) for index in chosen]


def _sample19(folder: Path, path: Path, found: Mapping[str, Any], index: int) -> Sample:
    name = str(found["nameList"][index, 0].item())
    picture = expect(folder / "flickr" / name, folder, TREE_19)
    points = checked(found["data"][index].reshape(2, 19).T, f"{path}, {name}", 19)
    left, right, top, bottom = found["bbox"][index].astype(np.float32)
    boxes = {"set": np.array([left, top, right, bottom], np.float32)}
    visible: Mask = found["mask_new"][index] == 1
    return Sample(picture, points, "19", name, visible=visible, boxes=boxes)


def _sample(folder: Path, row: tuple[Any, ...], points: Floats) -> Sample:
    _, name, yaw, pitch, roll, *rect = row
    picture = expect(folder / "flickr" / name, folder, TREE)
    pose = None if yaw is None else np.degrees([yaw, pitch, roll]).astype(np.float32)
    boxes = {} if rect[0] is None else {"set": from_corner(rect)}
    return Sample(picture, points, "21", name, visible=np.asarray(np.isfinite(points).all(1)), pose=pose, boxes=boxes)
