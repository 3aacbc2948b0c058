"""Points from .mat files of any version."""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError, need
from canthus.types import Floats


def load_mat(path: Path, count: int) -> Floats:
    """The points in a .mat file: the array `points`, or the only one whose axes are faces, points and coordinates.

    Coordinates are taken as they stand; MATLAB counts pixels from 1, canthus from 0 (`canthus evaluate --origin 1`).

    Args:
        path: Version 5 or 7.3; axes in any order.
        count: P, the points of a face, by which the axes are told apart.

    Returns:
        Shape (F, P, 2).

    Raises:
        FormatError: not a .mat file, or no array or several fit.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    arrays = _arrays(path)
    numbers = {name: array for name, array in arrays.items() if array.dtype.kind in "fiu" and array.ndim in (2, 3)}
    chosen = {"points": numbers["points"]} if "points" in numbers else numbers
    found = {name: points for name, array in chosen.items() if (points := _as_points(array, count)) is not None}
    if len(found) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in numbers.items()) or "no numbers"
        raise FormatError(f"{path}: needs one array 'points' of shape (F, {count}, 2), has {shapes}")
    return next(iter(found.values()))


def _as_points(array: NDArray[Any], count: int) -> Floats | None:
    """The array with its axes ordered as (F, P, 2); None when they do not fit. As it stands goes before turned."""
    array = array[None] if array.ndim == 2 else array
    for order in permutations(range(3)):
        if tuple(array.shape[axis] for axis in order[1:]) == (count, 2):
            return np.ascontiguousarray(array.transpose(order), np.float32)
    return None


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        import h5py
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise need("report") from error
    try:
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                return {name: np.asarray(item).T for name, item in file.items() if isinstance(item, h5py.Dataset)}
        return {name: np.asarray(value) for name, value in loadmat(path).items() if not name.startswith("__")}
    except (ValueError, NotImplementedError, MatReadError, OSError) as error:
        raise FormatError(f"{path}: not a .mat file: {error}") from error
