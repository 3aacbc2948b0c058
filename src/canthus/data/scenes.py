"""Reads what `canthus synth video` writes, for the readers of the sets whose points it has: one folder a sequence."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import choose, expect
from canthus.data.sample import Lazy, Sample
from canthus.data.views import LABELS
from canthus.errors import DataError
from canthus.reader.video import VideoFrame

TREE = """\
{folder}/
  001/vid.avi              a run of canthus synth video -o {folder}
  001/annot3d.npz          labels of all schemes
  002/..."""

SYNTH = "synth"
"""The split of 300-VW and Menpo-3D under which a run is read."""
VIDEO, TRUTH = "vid.avi", "annot3d.npz"

Key = tuple[Path, int, str, str]


def read_scenes(folder: Path, scheme: str, labels: str) -> Lazy[Key]:
    """The frames of the sequences of a run, in order.

    Args:
        folder: Of the run.
        scheme: One that the run has, as "68", "84", "39_left".
        labels: "2d" = on the true jaw, x and y; "3d" = the same with depth in pixels; "outline" = the contour where 2D
            annotation has it.

    Returns:
        Samples with `frame`, visibility (of the true jaw) and pose. The identity is the sequence.

    Raises:
        DataError: no run, scheme or labels, or a file of it is missing or damaged.
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
            known = {name.removeprefix(prefix): None for name in truth if name.startswith(prefix)}
            choose(known, scheme, f"{path} ({labels})", "scheme")
            keys += [(path, index, scheme, labels) for index in range(len(truth["pose"]))]
    return Lazy(keys, _sample)


@contextmanager
def open_truth(scene: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of a sequence, each read when it is asked for.

    Raises:
        DataError: the file is missing or damaged, or has no such array.
    """
    path = scene / TRUTH
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
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
        return truth[f"{prefix}{scheme}"], truth[f"visible_{scheme}"], truth["pose"]
