"""Predictions to score: our model on the faces of a set, and other systems' points that a set brings along."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, SchemeError
from canthus.evaluate.table import Table
from canthus.types import FaceAligner, Faces, Floats

BATCH = 16
"""Pictures in memory at a time."""


def predict(aligner: FaceAligner, truth: Table, boxes: Floats, done: Callable[[int], None] = lambda _: None) -> Table:
    """Landmarks of the faces of a set, one pass, each face in its box.

    Args:
        aligner: The model.
        truth: F faces with pictures.
        boxes: Box that the model is given for each face. Shape (F, 4).
        done: Called with the number of faces finished since the last call.

    Raises:
        SchemeError: the model finds points of another scheme.
        DataError: the set has no pictures.
        ReadError: a picture cannot be read.
    """
    if truth.picture is None:
        raise DataError("there are no pictures to run a model on; give its points with --predictions")
    parts: list[Faces] = []
    for start in range(0, len(truth), BATCH):
        part = range(start, min(start + BATCH, len(truth)))
        found = aligner.align_many([truth.picture(index) for index in part], [boxes[index][None] for index in part])
        if found[0].scheme != truth.scheme:
            raise SchemeError(f"the model finds scheme {found[0].scheme}, the set has {truth.scheme}")
        parts += found
        done(len(part))
    faces = Faces.concat(parts)
    scores = None if np.isnan(faces.scores).any() else faces.scores
    return Table(faces.points, faces.scheme, truth.images, truth.identities, scores)


@dataclass(frozen=True, eq=False)
class Peers:
    """Other systems' points on the faces of a set.

    Attributes:
        points: By source of the boxes, as "tight" or "jitter"; "tight_mapped" after a linear map to this annotation
            style. By name of the system. Each (F, P, 2).
        consensus: What nets agree on, less noisy than the labels. Shape (F, P, 2); None = the set has none.
    """

    points: Mapping[str, Mapping[str, Floats]]
    consensus: Floats | None


def load_peers(path: Path, truth: Table) -> Peers:
    """Read the other systems' points of a set, arrays (S, F, P, 2) with `names` (S,).

    Raises:
        DataError: the file is missing or is not of these faces.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: this set brings no other systems along; leave out --peers")
    with np.load(path, allow_pickle=False) as archive:
        arrays: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    names, consensus = [str(name) for name in arrays.pop("names", ())], arrays.pop("consensus", None)
    shape = (len(names), *truth.points.shape[:2], 2)
    wrong = [name for name, array in arrays.items() if array.shape != shape]
    if wrong or (consensus is not None and consensus.shape != shape[1:]):
        raise DataError(
            f"{path}: {(wrong or ['consensus'])[0]} is not {shape} as the {len(truth)} faces of the set ask for"
        )
    return Peers({source: dict(zip(names, array, strict=True)) for source, array in arrays.items()}, consensus)
