"""Reads synthetic data: runs of `canthus synth profile` and `occlude`, and tables of `canthus synth fit`."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import choose, exists, expect, understood
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.formats.record import floats
from canthus.geometry.pose import azimuth
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS
from canthus.types import Floats
from canthus.work.archive import read_arrays

TREE = """\
{folder}/
  train/index.npz           labels of all schemes, by canthus synth profile or occlude -o views/train
  train/images/...          the pictures
  val/..."""

FITS = """\
{folder}/
  train.npz                 photographs with points of all schemes, by canthus synth fit -o fits/train.npz
  val.npz"""

REMEDY = "make it again with this version of canthus"
BANDS = {"front": (0, 30), "half": (30, 60), "profile": (60, 181)}
"""Groups of samples, and their range of azimuth in degrees."""
VIEW = "view"
"""Scheme that stands for that of the view of each face: 68 up to 60 degrees of azimuth, 39_left or 39_right beyond."""
FITTED = {"2d": "points_", "3d": "points_", "outline": "outline_"}
"""Kinds of labels of tables of fits, and the prefix of their arrays."""
INNER = "81"
"""Scheme of whose inner points those of coarse_to_fine are."""
MIXED: dict[str, tuple[str, ...]] = {"79": ("68",), "103": VIEWS}
"""Schemes of coarse_to_fine, and the schemes whose contours they have beside the inner points of 81."""
LABELS = {"2d": "points_", "3d": "points_", "outline": "outline_", "wide": "outline_"}
"""Kinds of labels, and the prefix of their arrays."""


def read_views(folder: Path, split: str, scheme: str = "68", labels: str = "2d", without: str = "") -> list[Sample]:
    """Read one run.

    Args:
        folder: The folder of the set.
        split: Name of the folder of the run in it, as "train".
        scheme: A landmark scheme of the index, as "68", "84", "39_left"; or "view": that of the view of each face, 68
            points on the outline up to 60 degrees of azimuth, 39_left or 39_right beyond, whatever the labels; or with
            the labels "outline" a scheme of coarse_to_fine: "79", and "103", whose faces have the contour of their view
            as of "view", and NaN for those of other views.
        labels: "2d" = x and y, jaw points on the 3D jaw line; "3d" = the same with depth in pixels; "outline" = jaw
            points on the visible outline, as in 2D annotation, for faces of up to 60 degrees of azimuth (of all with
            the scheme "103"); "wide" = the same up to 60 degrees, and "2d" beyond.
        without: Kind of occluder whose pictures are left out, as "hand"; empty = none.

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
    if scheme == VIEW:
        samples = _of_views(path, index, path.parent)
    else:
        if scheme in MIXED and labels == "outline":
            index = _mixed(path, index, _points(index, "outline_68", path), scheme)
        samples = _samples(path, index, path.parent, scheme, prefix, labels == "3d", filled=labels == "wide")
    if without:
        choose(dict.fromkeys(np.unique(index["kind"]).astype(str)), without, str(path), "kind of occluder")
    return [sample for sample in samples if not without or without not in sample.groups]


def read_fits(folder: Path, split: str, scheme: str = "68", labels: str = "3d") -> list[Sample]:
    """Read a table of fits of the 3D face model: photographs with the points of all schemes.

    Args:
        folder: The folder of the table.
        split: Name of the table, as "train" for train.npz.
        scheme: A landmark scheme of the table, as "68", "84", "39_left"; or "view", as of `read_views`, where the 68
            points are those of the photograph's own annotation.
        labels: "3d" = with depth in pixels, jaw points on the 3D jaw line; "2d" = the same without depth; "outline" =
            without depth, contour points as the photograph is annotated: for the schemes 68 (with all its own points),
            79 and 103, whose inner points are those of 81 and of the fit. From 60 degrees of azimuth on, 103 has the
            contour of 39_left or 39_right, of the fit; the points of other views are NaN.

    Returns:
        Samples as of `read_views`, without occluders.

    Raises:
        DataError: there is no such table, scheme or labels, the table is damaged, or a picture is missing.
    """
    path = expect(folder / f"{split}.npz", folder, FITS)
    index = _read(path, ("rotation", "folder"))
    with understood(path):
        index["azimuth"] = azimuth(index["rotation"])
        index["kind"] = np.full(len(index["azimuth"]), "")
    prefix, pictures = choose(FITTED, labels, "fits", "labels"), folder / str(index["folder"])
    if scheme != VIEW and labels != "outline":
        return _samples(path, index, pictures, scheme, prefix, labels == "3d")
    if "labels" not in index or index["labels"].shape != (len(index["images"]), 68, 2):
        raise DataError(f"{path}: lacks the labels (F, 68, 2) of the photographs; {REMEDY}")
    outline = np.pad(index["labels"], [(0, 0), (0, 0), (0, 1)])
    if scheme == VIEW:
        frontal = np.abs(index["azimuth"]) < BANDS["profile"][0]
        return _of_views(path, index | {"outline_68": np.where(frontal[:, None, None], outline, np.nan)}, pictures)
    index = _mixed(path, index, outline, scheme) if scheme in MIXED else index | {"outline_68": outline}
    return _samples(path, index, pictures, scheme, prefix, False)


def _mixed(path: Path, index: dict[str, Any], outline: Floats, scheme: str) -> dict[str, Any]:
    """An index with the points and visibility of a scheme of coarse_to_fine.

    Args:
        path: The index, for errors.
        index: Its arrays.
        outline: Points of 68 whose contour is on the visible outline; NaN = not known. Shape (F, 68, 3).
        scheme: One of `MIXED`; faces that lack a point of their view are NaN, and so are points of other views.
    """
    arrays, names = index | {"points_68": outline}, Scheme.open(scheme).names
    views = _views_of(index["azimuth"]) if len(MIXED[scheme]) > 1 else np.full(len(outline), MIXED[scheme][0])
    points = np.full((len(outline), len(names), 3), np.nan, np.float32)
    visible, wanted = np.zeros((2, *points.shape[:2]), bool)
    for source in (INNER, *MIXED[scheme]):
        known, own = _points(arrays, f"points_{source}", path), Scheme.open(source)
        taken = np.array(own.groups["inner"] if source == INNER else own.contour)
        rows, places = np.flatnonzero((views == source) | (source == INNER)), [own.names[point] for point in taken]
        here, there = np.ix_(rows, np.array([names.index(name) for name in places])), np.ix_(rows, taken)
        points[here], visible[here], wanted[here] = known[there], index[f"visible_{source}"][there], True
    points[(wanted & np.isnan(points).any(-1)).any(1)] = np.nan
    return index | {f"outline_{scheme}": points, f"visible_{scheme}": visible}


def _views_of(azimuth: Floats) -> NDArray[np.str_]:
    """Scheme of the view of each face, from its azimuth in degrees. (F,) -> (F,)."""
    frontal = np.abs(azimuth) < BANDS["profile"][0]
    return np.where(frontal, "68", np.where(azimuth > 0, "39_right", "39_left"))


def _read(path: Path, needed: tuple[str, ...]) -> dict[str, Any]:
    """The arrays of an index or of a table."""
    try:
        index = read_arrays(path)
    except (OSError, ValueError) as error:
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
    chosen = choose(known, scheme, str(path), "scheme")
    points = _points(index, chosen, path)
    if filled:
        jaw = _points(index, f"points_{scheme}", path)
        points = np.where(np.isfinite(points).all((1, 2), keepdims=True), points, jaw)
    visible = index[f"visible_{scheme}"]
    names, people, pose, azimuth, kinds = (index[name] for name in ("images", "identities", "pose", "azimuth", "kind"))
    samples, finite = [], np.asarray(np.isfinite(points).all(-1))
    for row in np.flatnonzero(finite.any(1) if scheme in MIXED else finite.all(1)):
        image = pictures / str(names[row])
        if not exists(image) or not image.is_file():
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


def _of_views(path: Path, index: dict[str, Any], pictures: Path) -> list[Sample]:
    """The faces of an index, each with the points of its view; arguments as of `_samples`."""
    found = _samples(path, index, pictures, "68", "outline_", False)
    for side in ("left", "right"):
        turned = _samples(path, index, pictures, f"39_{side}", "points_", False)
        found += [sample for sample in turned if f"profile_{side}" in sample.groups]
    return found


def _points(index: dict[str, Any], name: str, path: Path) -> Floats:
    """Points (F, P, 3) of an index, if its other arrays are of as many faces.

    Raises:
        DataError: an array is missing or has another shape or kind.
    """
    points = index.get(name)
    if points is None or points.ndim != 3 or points.shape[2] != 3:
        raise DataError(f"{path}: {name!r} is {'missing' if points is None else points.shape}, not (F, P, 3); {REMEDY}")
    count, per_face = points.shape[:2]
    seen = name.replace(name.partition("_")[0], "visible", 1)
    shapes: dict[str, tuple[int, ...]] = {"images": (), "identities": (), "pose": (3,), "azimuth": (), "kind": ()}
    for other, shape in (shapes | {seen: (per_face,)}).items():
        if other not in index or index[other].shape != (count, *shape):
            found = index[other].shape if other in index else "missing"
            raise DataError(f"{path}: {other!r} is {found}, not {(count, *shape)}; {REMEDY}")
    numbers = [name, "pose", "azimuth"]
    if wrong := [other for other in numbers if index[other].dtype.kind not in "fiu"]:
        raise DataError(f"{path}: {wrong[0]!r} holds no numbers; {REMEDY}")
    if not (np.abs(index["azimuth"]) <= 180).all():
        raise DataError(f"{path}: an azimuth is not a number of degrees up to 180; {REMEDY}")
    return floats(points)


def _groups(azimuth: float, kind: str) -> frozenset[str]:
    band = next(name for name, (low, high) in BANDS.items() if low <= abs(azimuth) < high)
    side = {"profile_right" if azimuth > 0 else "profile_left"} if band == "profile" else set()
    return frozenset({band} | side | ({kind} if kind else set()))
