""".npz files: an array `points` (F, P, 2 or 3) and, where known, the other arrays of `formats.arrays`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError
from canthus.formats.arrays import arrays_of, records_of
from canthus.formats.record import Record
from canthus.work import archive


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` documents the errors."""
    return records_of(read_arrays(path), path)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a file by name.

    Raises:
        FormatError: not an .npz file, or an array of Python objects.
    """
    try:
        return archive.read_arrays(path)
    except archive.DamagedError as error:
        raise FormatError(f"{path}: not a .npz file of plain arrays: {error}") from error


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    arrays: dict[str, Any] = arrays_of(records, ".npz")
    np.savez_compressed(path, **arrays)
