"""The labelled faces that are fitted or relabelled, from a data set or from a file of landmarks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import DataError, ReadError
from canthus.face3d.table import Faces2D
from canthus.formats.table import load
from canthus.reader.parse import upright_size
from canthus.schemes.scheme import Scheme


def open_faces(name: str, root: Path, split: str) -> Faces2D:
    """The faces of a data set, with the sizes of the pictures that are files.

    Args:
        name: Name in the catalogue, as "wild68".
        root: Folder of the data sets.
        split: Split of the set.

    Raises:
        DataError: there is no such set, it is incomplete, or its faces are of several schemes.
        ReadError: a picture is damaged.
    """
    samples = open_set(name, root, split)
    folder = root / (name.partition(":")[2] or name)
    return Faces2D(
        images=tuple(_name(sample.image, folder) for sample in samples),
        identities=tuple(sample.identity for sample in samples),
        points=_points([sample.points for sample in samples], f"{name} {split}"),
        sizes=np.array([_size(sample) for sample in samples]).reshape(-1, 2),
        scheme=_one_scheme([sample.scheme for sample in samples], f"{name} {split}"),
    )


def read_faces(path: Path, scheme: str | None = None) -> Faces2D:
    """The faces in a file of landmarks.

    Args:
        path: A file that `formats.load` reads.
        scheme: Scheme of the points, a name or a file; None = as the file says, or by the number of points.

    Raises:
        InputError: the file cannot be read, or there is no such scheme.
        DataError: it holds no face, or faces of several schemes.
    """
    records = [record for record in load(path) if len(record.points)]
    given = Scheme.open(scheme).name if scheme else ""
    named = [given or record.scheme or str(len(record.points)) for record in records]
    unknown = (np.nan, np.nan)
    return Faces2D(
        images=tuple(record.image for record in records),
        identities=tuple(record.identity for record in records),
        points=_points([record.points for record in records], str(path)),
        sizes=np.array([record.size or unknown for record in records], np.float64).reshape(-1, 2),
        scheme=_one_scheme(named, str(path)),
    )


def _points(points: Sequence[np.ndarray], source: str) -> np.ndarray:
    counts = sorted({len(some) for some in points})
    if len(counts) != 1:
        raise DataError(f"{source}: the faces must be of one scheme, but have {counts or 'no'} points")
    return np.stack([some[:, :2] for some in points]).astype(np.float64)


def _one_scheme(schemes: Sequence[str], source: str) -> str:
    names = sorted(set(schemes))
    if len(names) != 1:
        raise DataError(f"{source}: the faces must be of one scheme, but are of {', '.join(names) or 'none'}")
    return names[0]


def _name(image: Path, folder: Path) -> str:
    return (image.relative_to(folder) if image.is_relative_to(folder) else image).as_posix()


def _size(sample: Sample) -> tuple[float, float]:
    """Width and height of the upright picture; NaN where it is not a file of its own."""
    if sample.pixels is not None:
        return np.nan, np.nan
    try:
        return upright_size(sample.image.read_bytes())
    except (OSError, ReadError) as error:
        raise ReadError(f"{sample.image}: {error}") from error
