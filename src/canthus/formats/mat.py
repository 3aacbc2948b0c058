"""MATLAB .mat files, versions 5 to 7 and 7.3, with the arrays of `formats.arrays`; needs the extra `report`.

Coordinates are stored and read unchanged: the centre of the first pixel is (0, 0) in files of canthus, while files made
in MATLAB often count from 1 (`canthus evaluate --origin 1`).
"""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError
from canthus.formats.arrays import TEXTS, Arrays, arrays_of, records_of
from canthus.formats.hdf5 import read_hdf5
from canthus.formats.matlab import check_installed, is_hdf5, read_variables
from canthus.formats.record import Record
from canthus.types import Floats
from canthus.work.archive import DamagedError


def load(path: Path) -> list[Record]:
    """The faces in a file that has `points` (F, P, 2 or 3); `table.load` documents the errors."""
    return records_of(read_arrays(path), path)


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file of version 5.

    Raises:
        ShapeError: the format cannot hold these records.
        ExtraMissingError: SciPy is not installed.
    """
    check_installed()
    from scipy.io import savemat

    arrays = arrays_of(records, ".mat")
    cells = {name: arrays[name].astype(object) for name in TEXTS if name in arrays}
    text = {"scheme": str(arrays["scheme"])} if "scheme" in arrays else {}
    with path.open("wb") as stream:
        savemat(stream, {**arrays, **cells, **text}, do_compression=True, oned_as="column")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays in a file by name: numbers as stored, those of one value per face (F,), texts (F,) or ().

    Raises:
        FormatError: not a .mat file.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    try:
        if is_hdf5(path):
            found = read_hdf5(path)
        else:
            found = {name: np.asarray(value) for name, value in read_variables(path).items()}
    except DamagedError as error:
        raise FormatError(f"{path}: not a .mat file, or a damaged one: {error}; save it again") from error
    return {name: _plain(name, array) for name, array in found.items()}


def points_of(arrays: Arrays, count: int, path: Path) -> Floats:
    """The points in a file from elsewhere: `points`, or the only array whose axes are faces, points and coordinates.

    Args:
        arrays: The arrays in the file by name; the axes of the points may be in any order.
        count: P, the number of points of a face, by which the axes are told apart.
        path: The file, which errors name.

    Returns:
        Shape (F, P, 2) or (F, P, 3).

    Raises:
        FormatError: no array fits, or several do.
    """
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu" and array.ndim in (2, 3)}
    chosen = {"points": numbers["points"]} if "points" in numbers else numbers
    found = {name: points for name, array in chosen.items() if (points := _as_points(array, count)) is not None}
    if len(found) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in numbers.items()) or "no numbers"
        raise FormatError(f"{path}: needs one array 'points' of shape (F, {count}, 2), has {shapes}")
    return next(iter(found.values()))


def _as_points(array: NDArray[Any], count: int) -> Floats | None:
    """The array with its axes in the order (F, P, 2 or 3); None where they do not fit, or fit with and without depth.

    The stored order has precedence over others.
    """
    array = array[None] if array.ndim == 2 else array
    if array.shape[1] == count and array.shape[2] in (2, 3):
        return np.ascontiguousarray(array, np.float32)
    fitting: dict[int, tuple[int, ...]] = {}
    for order in permutations(range(3)):
        _, points, dims = (array.shape[axis] for axis in order)
        if points == count and dims in (2, 3):
            fitting.setdefault(dims, order)
    if len(fitting) != 1:
        return None
    return np.ascontiguousarray(array.transpose(*fitting.values()), np.float32)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """An array of `formats.arrays` without what MATLAB adds: axes of length 1, and a cell around each text."""
    if name in TEXTS:
        return np.array([str(np.squeeze(cell)) if np.size(cell) else "" for cell in array.ravel()], str)
    if name == "scheme":
        return np.array(str(array.ravel()[0]) if array.size else "")
    if name in ("confidence", "view"):
        return array.ravel()
    return array
