"""A table of tracks against the labels of the frames of its video."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError
from canthus.evaluate.measure import Changes, labelled_files
from canthus.evaluate.protocol import Protocol
from canthus.evaluate.table import Table
from canthus.evaluate.video.score import PROTOCOL, Track, VideoScore, score_tracks
from canthus.evaluate.video.sparse import interpolated
from canthus.formats.tracks import table as tracks
from canthus.types import Faces

BEYOND = 10
"""A label whose frame is later than this many times the length of the table is not of this video."""


def score_files(path: Path, truth: Path, protocol: str | None = None, changes: Changes | None = None) -> VideoScore:
    """Score the faces that `canthus track` reported in a video.

    Args:
        path: A table of tracks, or the folder of a run.
        truth: Labels of one face: a folder of .pts files, one a frame, as 000001.pts for the first; or a file whose
            images are named so, or that has a row for each frame. Labels of some frames alone are interpolated.
        protocol: Name of the rules of the errors; None = those of Menpo-3D.
        changes: Fields of the protocol to change.

    Raises:
        CanthusError: a file cannot be read, or the two are not of the same points.
        DataError: two labels are of the same frame, one is of a frame far beyond the end of the table, or there is no
            face in the table.
    """
    moments = tracks.load(path)
    scheme = next((moment.faces.scheme for moment in moments if len(moment.faces)), "")
    if not scheme:
        raise DataError(f"{path}: no face was tracked in any frame: there is nothing to score")
    labelled = labelled_files(truth, protocol or PROTOCOL, {**(changes or {}), "scheme": scheme})
    frames, end = frames_of(labelled.truth, truth), moments[-1].frame + 1
    if labelled.truth.images and frames.max() >= BEYOND * end:
        raise DataError(
            f"{truth}: {labelled.truth.images[frames.argmax()]!r} is the label of frame {frames.max() + 1}, but "
            f"{path} ends at frame {end}; rename the label, or take it out of the folder"
        )
    count = max(int(frames.max()) + 1, end)
    points = np.full((count, *labelled.truth.points.shape[1:]), np.nan)
    points[frames] = labelled.truth.points
    dims = min(points.shape[2], moments[0].faces.points.shape[2])
    faces: list[Faces] = [moments[0].faces[:0]] * count
    for moment in moments:
        faces[moment.frame] = moment.faces
    known = [moment.frame for moment in moments]
    times = np.interp(np.arange(count), known, [moment.time for moment in moments])
    track = Track.of(path.stem, faces, interpolated(points)[..., :dims], times)
    rules: Protocol = labelled.protocol
    return score_tracks([track], rules, scheme)


def frames_of(labels: Table, path: Path) -> NDArray[np.intp]:
    """The number of the frame of each label, from 0: by the number in the name of its image, or by its position.

    Raises:
        DataError: a name does not end in the number of a frame, from 1, or two are of the same frame.
    """
    if not labels.images:
        return np.arange(len(labels))
    numbers = []
    for name in labels.images:
        digits = re.search(r"\d+$", Path(name).stem)
        if not digits or int(digits[0]) < 1:
            raise DataError(f"{path}: {name!r} does not end in the number of a frame, from 1; rename it")
        numbers.append(int(digits[0]) - 1)
    if len(set(numbers)) < len(numbers):
        raise DataError(f"{path}: two labels are of the same frame; only videos of one face can be scored")
    return np.array(numbers)
