"""Reads runs of `canthus synth video`, one folder per sequence, for the readers of the sets with the same points."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import choose, expect
from canthus.data.sample import Lazy, Sample
from canthus.data.views import LABELS
from canthus.errors import DataError
from canthus.formats.record import floats
from canthus.reader.video import VideoFrame
from canthus.schemes.scheme import Scheme
from canthus.work.archive import open_arrays

TREE = """\
{folder}/
  001/vid.avi              a run of canthus synth video -o {folder}
  001/annot3d.npz          labels of all schemes
  002/..."""

SYNTH = "synth"
"""Name of the split of 300-VW and Menpo-3D that stands for such a run."""
VIDEO, TRUTH = "vid.avi", "annot3d.npz"

Key = tuple[Path, int, str, str]


def read_scenes(folder: Path, scheme: str, labels: str) -> Lazy[Key]:
    """The frames of the sequences of a run, in order.

    Args:
        folder: The folder of the run.
        scheme: A landmark scheme of the run, as "68", "84", "39_left".
        labels: "2d" = x and y, jaw points on the 3D jaw line; "3d" = the same with depth in pixels; "outline" = jaw
            points on the visible outline, as in 2D annotation.

    Returns:
        Samples with `frame`, visibility (that of the points on the 3D jaw line) and pose. The identity is the sequence.

    Raises:
        DataError: there is no such run, scheme or labels, or a file is missing or damaged.
    """
    prefix = choose(LABELS, labels, "a run of canthus synth video", "labels")
    visible = (path for path in expect(folder, folder, TREE).iterdir() if not path.name.startswith("."))
    scenes = sorted(path for path in visible if path.is_dir())
    if not scenes:
        raise DataError(f"{folder} holds no sequence; expected\n{TREE.format(folder=folder)}")
    keys: list[Key] = []
    for path in scenes:
        expect(path / VIDEO, folder, TREE)
        with open_truth(path) as truth:
            if truth["pose"].ndim != 2:
                raise ValueError(f"the poses are {truth['pose'].shape}, not (frames, 3)")
            known = {name.removeprefix(prefix): None for name in truth if name.startswith(prefix)}
            choose(known, scheme, f"{path} ({labels})", "scheme")
            keys += [(path, index, scheme, labels) for index in range(len(truth["pose"]))]
    return Lazy(keys, _sample)


@contextmanager
def open_truth(scene: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a sequence by name, each read on access.

    Raises:
        DataError: the file is missing or damaged, or has no such array.
    """
    path = scene / TRUTH
    try:
        with open_arrays(path) as arrays:
            yield arrays
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: is missing or damaged: {error}; remove {scene} and make the run again") from error


def _sample(key: Key) -> Sample:
    scene, index, scheme, labels = key
    points, visible, pose = _labels(scene, scheme, LABELS[labels])
    return Sample(
        image=scene / VIDEO / f"{index + 1:06d}",
        points=points[index] if labels == "3d" else points[index, :, :2],
        scheme=scheme,
        identity=f"{scene.parent.name}/{scene.name}",
        visible=visible[index],
        pose=pose[index],
        frame=index,
        pixels=VideoFrame(scene / VIDEO, index),
    )


@lru_cache(4)
def _labels(scene: Path, scheme: str, prefix: str) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Points, visibility and pose of all frames."""
    with open_truth(scene) as truth:
        points, visible, pose = truth[f"{prefix}{scheme}"], truth[f"visible_{scheme}"], truth["pose"]
        count, per_face = pose.shape[0], Scheme.open(scheme).count
        if (points.shape, visible.shape, pose.shape) != ((count, per_face, 3), (count, per_face), (count, 3)):
            raise ValueError(f"{count} poses, points {points.shape} and visibility {visible.shape} do not fit")
        return floats(points), visible.astype(np.bool_), floats(pose)
