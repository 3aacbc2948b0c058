"""Named arrays in .npz files, without pickle: written whole or not at all, and checked when they are read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError
from canthus.work.archive import read_arrays
from canthus.work.files import replace_whole

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by name."""


def save_arrays(path: Path, arrays: Arrays, compress: bool = True) -> None:
    """Write arrays to an .npz file.

    Raises:
        OutputError: the file cannot be written.
    """
    write = np.savez_compressed if compress else np.savez
    with replace_whole(path) as part:
        write(part, **arrays)  # type: ignore[arg-type]


def load_arrays(path: Path, problem: str, remedy: str, needed: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Read an .npz file.

    Args:
        path: The file.
        problem: What the error says of a file that cannot be used, as "not a table of fits".
        remedy: What the error advises.
        needed: Names of arrays that the file must have.

    Raises:
        InputError: the file is missing or damaged, or lacks an array.
    """
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {problem}: {error}; {remedy}") from error
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise InputError(f"{path}: {problem}: the array {missing[0]!r} is missing; {remedy}")
    return arrays


def joined(parts: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """Tables with the same columns, one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
