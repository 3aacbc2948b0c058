"""Reads what `canthus synth profile` and `canthus synth occlude` write: one folder a run, one run a split."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from canthus.data.files import choose, expect
from canthus.data.sample import Sample
from canthus.errors import DataError

TREE = """\
{folder}/
  train/index.npz           labels of all schemes, by canthus synth profile or occlude -o views/train
  train/images/...          the pictures
  val/..."""

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
    try:
        with np.load(path, allow_pickle=False) as archive:
            index = dict(archive)
        prefix = choose(LABELS, labels, "views", "labels")
        known = {name.removeprefix(prefix): name for name in index if name.startswith(prefix)}
        points = index[choose(known, scheme, f"{path} ({labels})", "scheme")]
        visible = index[f"visible_{scheme}"]
        names, people, pose, azimuth, kinds = (
            index[name] for name in ("images", "identities", "pose", "azimuth", "kind")
        )
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: is damaged: {error}; make the run again") from error
    samples = []
    for row in np.flatnonzero(np.isfinite(points).all((1, 2))):
        image = folder / split / str(names[row])
        if not image.is_file():
            raise DataError(f"{path}: {image} does not exist; expected\n{TREE.format(folder=folder)}")
        samples.append(
            Sample(
                image=image,
                points=points[row] if labels == "3d" else points[row, :, :2],
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
