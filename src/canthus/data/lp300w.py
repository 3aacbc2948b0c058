"""Reads 300W-LP, pictures of 300-W rotated to large poses by a 3D model, and AFLW2000-3D [Zhu et al., 2016].

Coordinates count from 1 in MATLAB; the reader subtracts 1. Poses: a positive yaw faces the left of the picture, a
positive pitch is up, a positive roll is clockwise in the picture.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import checked, choose, expect, read_mat, understood
from canthus.data.sample import Lazy, Sample
from canthus.errors import DataError
from canthus.formats.record import floats
from canthus.types import Floats
from canthus.work.archive import read_array

TREE = """\
{folder}/
  AFW/, HELEN/, IBUG/, LFPW/                     AFW_134212_1_0.jpg, AFW_134212_1_0.mat, ...: pt2d, Pose_Para
  AFW_Flip/, HELEN_Flip/, IBUG_Flip/, LFPW_Flip/ the same, mirrored
  landmarks/AFW/, ...                            AFW_134212_1_0_pts.mat, ...: pts_2d, pts_3d"""

TREE_2000 = """\
{folder}/
  image00002.jpg, image00002.mat, ...            pt3d_68, Pose_Para
  AFLW2000-3D-Reannotated.pts68.npy              these three from test.configs of github.com/cleardusk/3DDFA,
  AFLW2000-3D.pose.npy                           needed for labels="reannotated", yaw="fitted"
  AFLW2000-3D-new.pose.npy                       and yaw="aflw\""""

PARTS = ("AFW", "HELEN", "IBUG", "LFPW")
FLIPPED = tuple(f"{part}_Flip" for part in PARTS)
SPLITS = {"train": PARTS, "flipped": FLIPPED, "all": PARTS + FLIPPED, **{part.lower(): (part,) for part in PARTS}}
LABELS = {"3d": "pts_3d", "2d": "pts_2d", "original": "pt2d"}
YAWS = {"pose_para": "", "fitted": "AFLW2000-3D.pose.npy", "aflw": "AFLW2000-3D-new.pose.npy"}


def read_300w_lp(folder: Path, split: str, labels: str = "3d") -> Lazy[tuple[Path, Path]]:
    """300W-LP.

    Args:
        folder: The folder of the set.
        split: "train" (61,225 faces), "flipped" (its mirror images), "all", "afw", "helen", "ibug" or "lfpw".
        labels: "3d" = `pts_3d`, jaw points on the 3D jaw line; "2d" = `pts_2d`, jaw points on the visible outline;
            "original" = `pt2d` of the file beside the picture.

    Returns:
        Samples of 68 points (68, 2) with pose; groups "afw", ..., and "flipped". The identity is the picture of 300-W.

    Raises:
        DataError: the split or labels are not known, or files are missing or damaged.
        ExtraMissingError: SciPy is not installed.
    """
    name = choose(LABELS, labels, "300W-LP", "labels")
    keys = []
    for part in choose(SPLITS, split, "300W-LP"):
        for pose, picture in _annotated(expect(folder / part, folder, TREE), folder, TREE):
            keys.append((pose, picture))
    return Lazy(keys, partial(_sample, folder, name))


def read_aflw2000(folder: Path, split: str, labels: str = "original", yaw: str = "pose_para") -> Lazy[int]:
    """AFLW2000-3D, with one of its two annotations and one of its three yaw angles.

    Args:
        folder: The folder of the set.
        split: "test" (2000 faces).
        labels: "original" = `pt3d_68`, fitted by a 3D model; "reannotated" = by [Bulat and
            Tzimiropoulos, 2017], without depth.
        yaw: "pose_para"; "fitted" = `AFLW2000-3D.pose.npy` (1312, 383 and 305 faces in the bins); "aflw" =
            `AFLW2000-3D-new.pose.npy`, the unsigned labels of AFLW (1306, 462 and 232, as in the papers).

    Returns:
        Samples of 68 points, (68, 3), or (68, 2) for "reannotated"; groups "yaw-0-30", "yaw-30-60", "yaw-60-90" by the
        chosen yaw, which is also that of `pose`; pitch and roll are NaN unless they are from `Pose_Para`.

    Raises:
        DataError: the split, labels or yaw is not known, or files are missing or damaged.
        ExtraMissingError: SciPy is not installed.
    """
    choose({"test": None}, split, "AFLW2000-3D")
    choose({"original": None, "reannotated": None}, labels, "AFLW2000-3D", "labels")
    stored = choose(YAWS, yaw, "AFLW2000-3D", "yaw")
    keys = _annotated(expect(folder, folder, TREE_2000), folder, TREE_2000)
    yaws = _array(folder, stored, (len(keys),)) if stored else None
    points = None
    if labels == "reannotated":
        points = _array(folder, "AFLW2000-3D-Reannotated.pts68.npy", (len(keys), None, 68))
    return Lazy(range(len(keys)), partial(_sample2000, keys, points, yaws))


def _sample(folder: Path, name: str, key: tuple[Path, Path]) -> Sample:
    labels, picture = key
    pose = _pose(labels)
    if name != "pt2d":
        labels = expect(folder / "landmarks" / labels.parent.name / f"{labels.stem}_pts.mat", folder, TREE)
    with understood(labels):
        found = floats(read_mat(labels, [name])[name])
        points = checked(found.T if name == "pt2d" else found, labels, 68) - 1
    part, _, flipped = picture.parent.name.lower().partition("_")
    groups = frozenset({part, "flipped"} if flipped else {part})
    return Sample(picture, points, "68", f"300w-lp:{picture.stem.rpartition('_')[0]}", pose=pose, groups=groups)


def _sample2000(
    keys: list[tuple[Path, Path]], reannotated: NDArray[Any] | None, yaws: NDArray[Any] | None, index: int
) -> Sample:
    labels, picture = keys[index]
    if reannotated is None:
        with understood(labels):
            found = floats(read_mat(labels, ["pt3d_68"])["pt3d_68"])
            points = checked(found.T, labels, 68) - np.array([1, 1, 0], np.float32)
    else:
        points = checked(reannotated[index, :2].T, f"AFLW2000-3D-Reannotated.pts68.npy, row {index}", 68) - 1
    pose = _pose(labels) if yaws is None else np.array([yaws[index], np.nan, np.nan], np.float32)
    turn = abs(float(pose[0]))
    group = "yaw-0-30" if turn <= 30 else "yaw-30-60" if turn <= 60 else "yaw-60-90"
    return Sample(picture, points, "68", picture.stem, pose=pose, groups=frozenset({group}))


def _annotated(part: Path, folder: Path, tree: str) -> list[tuple[Path, Path]]:
    """The .mat and the .jpg file of each picture of a part of the set."""
    pictures = sorted(part.glob("*.jpg"))
    if not pictures:
        raise DataError(f"{part} holds no .jpg; expected\n{tree.format(folder=folder)}")
    return [(expect(path.with_suffix(".mat"), folder, tree), path) for path in pictures]


def _pose(labels: Path) -> Floats:
    """Yaw, pitch, roll in degrees from `Pose_Para`: pitch, yaw, roll in radians, translation, scale."""
    with understood(labels):
        found = np.asarray(read_mat(labels, ["Pose_Para"])["Pose_Para"], np.float64).ravel()
    if len(found) < 3 or not np.isfinite(found[:3]).all():
        raise DataError(f"{labels}: Pose_Para is {found.tolist()}; restore the file")
    return np.degrees(found[[1, 0, 2]]).astype(np.float32)


def _array(folder: Path, name: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """A .npy file with one row per picture, in the order of their names; None in `shape` = any size."""
    path = expect(folder / name, folder, TREE_2000)
    try:
        array = read_array(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not an .npy file of numbers ({error}); restore the file") from error
    if array.dtype.kind not in "fiu":
        raise DataError(f"{path}: holds {array.dtype}, not numbers; restore the file")
    if array.ndim != len(shape) or any(
        wanted not in (None, got) for wanted, got in zip(shape, array.shape, strict=True)
    ):
        wanted = str(shape).replace("None", "2 or 3")
        raise DataError(f"{path}: shape {array.shape}, but {shape[0]} pictures need {wanted}; restore set or file")
    return array
