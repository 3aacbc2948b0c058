"""Predictions to score: our model on the faces of a set, and other systems' points that a set brings along."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError, SchemeError
from canthus.evaluate.table import Table
from canthus.schemes.scheme import Scheme
from canthus.types import Faces, Floats, Image

BATCH = 16
"""Pictures in memory at a time."""


class ManyAligner(Protocol):
    """What is measured: `canthus.Aligner`, or anything that aligns several images at once."""

    @property
    def scheme(self) -> Scheme:
        """What the points mean."""
        ...

    def align_many(self, images: Sequence[Image], boxes: Sequence[Any]) -> list[Faces]:
        """Landmarks of the faces in the boxes (F, 4) of each image."""
        ...


def predict(aligner: ManyAligner, truth: Table, boxes: Floats, done: Callable[[int], None] = lambda _: None) -> Table:
    """Landmarks of the faces of a set, one pass, each face in its box.

    Args:
        aligner: The model.
        truth: F faces with pictures.
        boxes: What the model is told of each face. Shape (F, 4).
        done: Told how many more faces are done.

    Raises:
        SchemeError: the model finds other points than the set has.
        DataError: the set has no pictures.
        ReadError: a picture cannot be read.
    """
    if aligner.scheme.name != truth.scheme:
        raise SchemeError(f"the model finds scheme {aligner.scheme.name}, the set has {truth.scheme}")
    if truth.picture is None:
        raise DataError("there are no pictures to run a model on; give its points with --predictions")
    points = np.empty((len(truth), aligner.scheme.count, 2), np.float32)
    scores = np.empty(points.shape[:2], np.float32)
    for start in range(0, len(truth), BATCH):
        part = range(start, min(start + BATCH, len(truth)))
        found = aligner.align_many([truth.picture(index) for index in part], [boxes[index][None] for index in part])
        points[part.start : part.stop] = np.concatenate([faces.points[..., :2] for faces in found])
        scores[part.start : part.stop] = np.concatenate([faces.scores for faces in found])
        done(len(part))
    known = not np.isnan(scores).any()
    return Table(points, aligner.scheme.name, truth.images, truth.identities, scores if known else None)


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
