"""The faces of an image as records of files, as a file, and as a table of pandas."""

import csv as text
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from canthus.errors import need
from canthus.formats.csv import rows_of
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.types import Faces, Floats

if TYPE_CHECKING:
    from pandas import DataFrame


def faces_in(image: str, size: tuple[int, int] | None, faces: Faces) -> list[Record]:
    """One record per face; an empty one for an image without a face.

    Args:
        image: Name of the image.
        size: Its width and height in pixels; None = not known.
        faces: Its faces.
    """
    records = [
        Record(
            image,
            face.points,
            face.scheme,
            box=face.box,
            scores=face.scores,
            confidence=face.confidence,
            pose=_known(face.pose),
            size=size,
            occluded=_known(face.occluded),
            raw=_known(face.raw),
            view=face.view,
            plane=_known(face.plane),
        )
        for face in faces
    ]
    return records or [Record(image, scheme=faces.scheme, size=size)]


def save(faces: Faces, path: str | Path, image: str = "") -> None:
    """Write faces to a file; see `Faces.save`."""
    dump(Path(path), faces_in(image or Path(path).stem, None, faces))


def frame_of(faces: Faces) -> "DataFrame":
    """Faces as a table of pandas; see `Faces.to_frame`."""
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise need("pandas") from error
    stream = StringIO()
    text.writer(stream).writerows(rows_of(faces_in("", None, faces)))
    stream.seek(0)
    table = pandas.read_csv(stream, dtype={"scheme": str}).drop(columns="image")
    return table.iloc[: len(faces)].astype({"face": int})


def _known(values: Floats) -> Floats | None:
    """The values; None where all are NaN."""
    return None if np.isnan(values).all() else values
