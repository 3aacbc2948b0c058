"""Reads what the data factory writes: runs of `canthus synth profile` and `occlude`, tables of `canthus synth fit`."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from canthus.data.files import choose, expect
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.geometry.pose import azimuth

TREE = """\
{folder}/
  train/index.npz           labels of all schemes, by canthus synth profile or occlude -o views/train
  train/images/...          the pictures
  val/..."""

FITS = """\
{folder}/
  train.npz                 photographs with points of all schemes, by canthus synth fit -o fits/train.npz
  val.npz"""

BANDS = {"front": (0, 30), "half": (30, 60), "profile": (60, 181)}
"""Groups by azimuth, degrees."""
LABELS = {"2d": "points_", "3d": "points_", "outline": "outline_"}


def read_views(folder: Path, split: str, scheme: str = "68", labels: str = "2d") -> list[Sample]:
    """Read one run.

    Args:
        folder: The folder of the set.
        split: Name of the run's folder in it, as "train".
        scheme: One of those in the index, as "68", "84", "39_left".
        labels: "2d" = on the true jaw, x and y; "3d" = the same with depth in pixels; "outline" = the contour where 2D
            annotation has it, for faces that have one: up to 60 degrees of azimuth.

    Returns:
        One sample a picture with visibility (of the true jaw) and pose; groups "front", "half", "profile" by azimuth,
        "profile_left" and "profile_right" by the half of the face that is seen, and the kind of occluder. The identity
        is that of the photograph.

    Raises:
        DataError: no such run, scheme or labels, the index is damaged, or a picture is missing.
    """
    path = expect(folder / split / "index.npz", folder, TREE)
    index = _read(path, ("azimuth", "kind"))
    return _samples(path, index, path.parent, scheme, choose(LABELS, labels, "views", "labels"), labels == "3d")


def read_fits(folder: Path, split: str, scheme: str = "68", labels: str = "3d") -> list[Sample]:
    """Read a table of fits: photographs with the points of every scheme.

    Args:
        folder: The folder of the table.
        split: Its name, as "train" for train.npz.
        scheme: One of those in the table, as "68", "84", "39_left".
        labels: "3d" = on the true jaw with depth in pixels; "2d" = the same without depth.

    Returns:
        As of `read_views`, without occluders.

    Raises:
        DataError: no such table, scheme or labels, the table is damaged, or a picture is missing.
    """
    path = expect(folder / f"{split}.npz", folder, FITS)
    index = _read(path, ("rotation", "folder"))
    index["azimuth"] = azimuth(index["rotation"])
    index["kind"] = np.full(len(index["azimuth"]), "")
    prefix = choose({"2d": "points_", "3d": "points_"}, labels, "fits", "labels")
    return _samples(path, index, folder / str(index["folder"]), scheme, prefix, labels == "3d")


def _read(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of an index or a table."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            index = dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: is damaged: {error}; make it again") from error
    if missing := {"images", "identities", "pose", *needed} - set(index):
        raise DataError(f"{path}: lacks {', '.join(sorted(missing))}; make it again with this version")
    return index


def _samples(path: Path, index: dict[str, Any], pictures: Path, scheme: str, prefix: str, depth: bool) -> list[Sample]:
    known = {name.removeprefix(prefix): name for name in index if name.startswith(prefix)}
    points = index[choose(known, scheme, str(path), "scheme")]
    visible = index[f"visible_{scheme}"]
    names, people, pose, azimuth, kinds = (index[name] for name in ("images", "identities", "pose", "azimuth", "kind"))
    samples = []
    for row in np.flatnonzero(np.isfinite(points).all((1, 2))):
        image = pictures / str(names[row])
        if not image.is_file():
            raise DataError(f"{path}: {image} does not exist; were pictures moved, or the index?")
        samples.append(
            Sample(
                image=image,
                points=points[row] if depth else points[row, :, :2],
                scheme=scheme,
                identity=str(people[row]),
                visible=visible[row],
                pose=pose[row],
                groups=_groups(float(azimuth[row]), str(kinds[row])),
            )
        )
    return samples


def _groups(azimuth: float, kind: str) -> frozenset[str]:
    band = next(name for name, (low, high) in BANDS.items() if low <= abs(azimuth) < high)
    side = {"profile_right" if azimuth > 0 else "profile_left"} if band == "profile" else set()
    return frozenset({band} | side | ({kind} if kind else set()))
