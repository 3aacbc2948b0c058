"""Reads synthetic data: runs of `canthus synth profile` and `occlude`, and tables of `canthus synth fit`."""

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
"""Groups of samples, and their range of azimuth in degrees."""
LABELS = {"2d": "points_", "3d": "points_", "outline": "outline_", "wide": "outline_"}
"""Kinds of labels, and the prefix of their arrays."""


def read_views(folder: Path, split: str, scheme: str = "68", labels: str = "2d") -> list[Sample]:
    """Read one run.

    Args:
        folder: The folder of the set.
        split: Name of the folder of the run in it, as "train".
        scheme: A landmark scheme of the index, as "68", "84", "39_left".
        labels: "2d" = x and y, jaw points on the 3D jaw line; "3d" = the same with depth in pixels; "outline" = jaw
            points on the visible outline, as in 2D annotation, for faces of up to 60 degrees of azimuth; "wide" = the
            same up to 60 degrees, and "2d" beyond.

    Returns:
        One sample per picture with visibility (that of the points on the 3D jaw line) and pose; groups "front", "half",
        "profile" by azimuth, "profile_left" and "profile_right" by the visible half of the face, and the kind of
        occluder. The identity is that of the photograph.

    Raises:
        DataError: there is no such run, scheme or labels, the index is damaged, or a picture is missing.
    """
    path = expect(folder / split / "index.npz", folder, TREE)
    index = _read(path, ("azimuth", "kind"))
    prefix = choose(LABELS, labels, "views", "labels")
    return _samples(path, index, path.parent, scheme, prefix, labels == "3d", filled=labels == "wide")


def read_fits(folder: Path, split: str, scheme: str = "68", labels: str = "3d") -> list[Sample]:
    """Read a table of fits of the 3D face model: photographs with the points of all schemes.

    Args:
        folder: The folder of the table.
        split: Name of the table, as "train" for train.npz.
        scheme: A landmark scheme of the table, as "68", "84", "39_left".
        labels: "3d" = with depth in pixels, jaw points on the 3D jaw line; "2d" = the same without depth.

    Returns:
        Samples as of `read_views`, without occluders.

    Raises:
        DataError: there is no such table, scheme or labels, the table is damaged, or a picture is missing.
    """
    path = expect(folder / f"{split}.npz", folder, FITS)
    index = _read(path, ("rotation", "folder"))
    index["azimuth"] = azimuth(index["rotation"])
    index["kind"] = np.full(len(index["azimuth"]), "")
    prefix = choose({"2d": "points_", "3d": "points_"}, labels, "fits", "labels")
    return _samples(path, index, folder / str(index["folder"]), scheme, prefix, labels == "3d")


def _read(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of an index or of a table."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            index = dict(archive)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: is damaged: {error}; make it again") from error
    if missing := {"images", "identities", "pose", *needed} - set(index):
        raise DataError(f"{path}: lacks {', '.join(sorted(missing))}; make it again with this version")
    return index


def _samples(
    path: Path,
    index: dict[str, Any],
    pictures: Path,
    scheme: str,
    prefix: str,
    depth: bool,
    filled: bool = False,
) -> list[Sample]:
    """The faces of an index that have labels.

    Args:
        path: The index, for errors.
        index: Its arrays.
        pictures: Folder of the pictures.
        scheme: Scheme of the points.
        prefix: Prefix of the arrays of the labels.
        depth: Whether samples have depth.
        filled: Whether faces without such labels have those on the 3D jaw line.
    """
    known = {name.removeprefix(prefix): name for name in index if name.startswith(prefix)}
    points = index[choose(known, scheme, str(path), "scheme")]
    if filled:
        points = np.where(np.isfinite(points).all((1, 2), keepdims=True), points, index[f"points_{scheme}"])
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
