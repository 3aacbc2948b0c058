"""Predictions to score: those of a model on the faces of a set, and points of other systems that come with a set."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, SchemeError
from canthus.evaluate.table import Table
from canthus.types import FaceAligner, Faces, Floats
from canthus.work.arrays import load_arrays

BATCH = 16
"""Number of pictures in memory at a time."""


def predict(aligner: FaceAligner, truth: Table, boxes: Floats, done: Callable[[int], None] = lambda _: None) -> Table:
    """Landmarks of the faces of a set: one pass, each face in its given box.

    Args:
        aligner: The model.
        truth: F faces with pictures.
        boxes: Box of each face that the model gets. Shape (F, 4), pixels.
        done: Called with the number of faces finished since the last call.

    Raises:
        SchemeError: the points of the model are of another scheme than those of the set.
        DataError: the set has no pictures.
        ReadError: a picture cannot be read.
    """
    if truth.picture is None:
        raise DataError("there are no pictures to run a model on; give predicted points with --predictions")
    parts: list[Faces] = []
    for start in range(0, len(truth), BATCH):
        part = range(start, min(start + BATCH, len(truth)))
        found = aligner.align_many([truth.picture(index) for index in part], [boxes[index][None] for index in part])
        if found[0].scheme != truth.scheme:
            raise SchemeError(
                f"the model gives points of scheme {found[0].scheme}, the set has scheme {truth.scheme}; "
                "choose another model, or convert its points and give them with --predictions"
            )
        parts += found
        done(len(part))
    faces = Faces.concat(parts)
    scores = None if np.isnan(faces.scores).any() else faces.scores
    return Table(faces.points, faces.scheme, truth.images, truth.identities, scores)


@dataclass(frozen=True, eq=False)
class Peers:
    """Points of other systems on the faces of a set.

    Attributes:
        points: Points by boxes ("tight", "jitter") and name of the system, each (F, P, 2), pixels. Under
            "tight_mapped" they have gone through a linear map that removes the difference in annotation bias.
        consensus: Points on which several networks agree, less noisy than the labels; None = the set has none.
            Shape (F, P, 2), pixels.
    """

    points: Mapping[str, Mapping[str, Floats]]
    consensus: Floats | None


def load_peers(path: Path, truth: Table) -> Peers:
    """Read the points of S other systems, an .npz file of arrays (S, F, P, 2) and `names` (S,).

    Raises:
        InputError: the file is missing or damaged, or is of other faces.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: no points of other systems come with this set; leave out --peers")
    arrays: dict[str, NDArray[Any]] = load_arrays(path, "not a file of points of other systems", "leave out --peers")
    names, consensus = [str(name) for name in arrays.pop("names", np.zeros(0)).ravel()], arrays.pop("consensus", None)
    if wrong := [name for name, array in arrays.items() if array.dtype.kind != "f"]:
        raise DataError(f"{path}: {wrong[0]!r} holds {arrays[wrong[0]].dtype}, not coordinates; leave out --peers")
    if consensus is not None and consensus.dtype.kind != "f":
        raise DataError(f"{path}: 'consensus' holds {consensus.dtype}, not coordinates; leave out --peers")
    shape = (len(names), *truth.points.shape[:2], 2)
    wrong = [name for name, array in arrays.items() if array.shape != shape]
    if wrong or (consensus is not None and consensus.shape != shape[1:]):
        raise DataError(
            f"{path}: {(wrong or ['consensus'])[0]} does not have the shape {shape} that {len(truth)} faces need"
        )
    return Peers({source: dict(zip(names, array, strict=True)) for source, array in arrays.items()}, consensus)
