"""The two tables that a batch writes: a row for each face, and a row for each picture, with the reason where it failed.

A missing value is null; inside the lists of `box`, `pose`, `points` and `scores` it is NaN.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.formats.arrow import arrow
from canthus.pipeline import Result
from canthus.types import Floats
from canthus.work.names import printable, text_of

HELD = 512
"""Number of pictures whose rows are written at once."""


def face_schema() -> Any:
    """Columns of the table of faces."""
    pyarrow, _ = arrow()
    number, real, text = pyarrow.int64(), pyarrow.float32(), pyarrow.string()
    return pyarrow.schema(
        {
            "picture": number,
            "source": text,
            "index": number,
            "time": pyarrow.float64(),
            "face": pyarrow.int32(),
            "box": pyarrow.list_(real, 4),
            "confidence": real,
            "pose": pyarrow.list_(real, 3),
            "points": pyarrow.list_(pyarrow.list_(real)),
            "scores": pyarrow.list_(real),
            "scheme": text,
            "model": text,
        }.items()
    )


def picture_schema() -> Any:
    """Columns of the table of pictures."""
    pyarrow, _ = arrow()
    number, small, text = pyarrow.int64(), pyarrow.int32(), pyarrow.string()
    kinds = {"picture": number, "source": text, "index": number, "time": pyarrow.float64()}
    return pyarrow.schema([*kinds.items(), ("width", small), ("height", small), ("faces", small), ("error", text)])


class Row:
    """The results of one picture, without its pixels.

    Attributes:
        head: Number of the picture in the run, name and index of its source, and time (None = not a video).
        size: Width and height; None where it could not be read.
        faces: Its faces.
        error: Reason why it failed; None where it did not.
    """

    def __init__(self, picture: int, result: Result) -> None:
        """Take what the tables need of a result."""
        frame, image = result.frame, result.frame.image
        self.head = picture, text_of(frame.source), frame.index, frame.time
        self.size = None if image is None else (image.shape[1], image.shape[0])
        self.faces = result.faces
        self.error = None if result.error is None else printable(str(result.error))


class Tables:
    """Writes both tables; a context manager, at whose end the files are complete."""

    def __init__(self, faces: Path, pictures: Path, model: str) -> None:
        """Choose the files.

        Args:
            faces: File of the table of faces.
            pictures: File of the table of pictures.
            model: Hash of the model.
        """
        _, parquet = arrow()
        self._faces: Any = parquet.ParquetWriter(faces, face_schema())
        self._pictures: Any = parquet.ParquetWriter(pictures, picture_schema())
        self._model = model
        self._rows: list[Row] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
        self._faces.close()
        self._pictures.close()

    def add(self, picture: int, result: Result) -> None:
        """Add a picture by its number in the run."""
        self._rows.append(Row(picture, result))
        if len(self._rows) >= HELD:
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        self._faces.write_table(faces_table(rows, self._model))
        self._pictures.write_table(pictures_table(rows))


def pictures_table(rows: Sequence[Row]) -> Any:
    """The pictures as a table of pyarrow."""
    pyarrow, _ = arrow()
    heads = [[row.head[at] for row in rows] for at in range(4)]
    sizes = [[None if row.size is None else row.size[at] for row in rows] for at in range(2)]
    counts, errors = [len(row.faces) for row in rows], [row.error for row in rows]
    return pyarrow.table([*heads, *sizes, counts, errors], schema=picture_schema())


def faces_table(rows: Sequence[Row], model: str) -> Any:
    """The faces of all pictures as a table of pyarrow."""
    pyarrow, _ = arrow()
    counts = [len(row.faces) for row in rows]
    heads = [[row.head[at] for row, count in zip(rows, counts, strict=True) for _ in range(count)] for at in range(4)]
    numbers = [face for count in counts for face in range(count)]
    some = [row.faces for row in rows if len(row.faces)]
    columns = [
        _lists([faces.boxes for faces in some], 4),
        _reals([faces.confidence for faces in some]),
        _lists([faces.pose for faces in some], 3),
        _points([face.points for faces in some for face in faces]),
        pyarrow.array([face.scores for faces in some for face in faces], pyarrow.list_(pyarrow.float32())),
        [faces.scheme for faces in some for _ in range(len(faces))],
        [model] * len(numbers),
    ]
    return pyarrow.table([*heads, numbers, *columns], schema=face_schema())


def _flat(parts: Sequence[NDArray[Any]]) -> Floats:
    """All values of the arrays. Shape (N,)."""
    return np.concatenate([np.ravel(part) for part in parts] or [np.zeros(0)]).astype(np.float32)


def _reals(parts: Sequence[Floats]) -> Any:
    pyarrow, _ = arrow()
    return pyarrow.array(_flat(parts), from_pandas=True)


def _lists(parts: Sequence[Floats], size: int) -> Any:
    pyarrow, _ = arrow()
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(_flat(parts)), size)


def _points(faces: Sequence[Floats]) -> Any:
    """Points (P, 2) or (P, 3) of each face as lists of lists."""
    pyarrow, _ = arrow()
    dims = [points.shape[1] for points in faces for _ in points]
    inner = pyarrow.ListArray.from_arrays(_starts(dims), pyarrow.array(_flat(faces)))
    return pyarrow.ListArray.from_arrays(_starts([len(points) for points in faces]), inner)


def _starts(lengths: Sequence[int]) -> Any:
    """Where lists of these lengths begin in the array of their values, and where the last one ends."""
    pyarrow, _ = arrow()
    return pyarrow.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
