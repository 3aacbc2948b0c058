"""Helpers of the readers of data sets: they find files, check labels, and raise errors that name the remedy."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from canthus.errors import DataError, ExtraMissingError, InputError
from canthus.formats.matlab import read_variables
from canthus.formats.record import floats
from canthus.formats.table import load
from canthus.reader.files import SUFFIXES
from canthus.types import Floats
from canthus.work.archive import DamagedError


def expect(path: Path, folder: Path, tree: str) -> Path:
    """The path, if it exists.

    Args:
        path: File or folder that the reader needs.
        folder: The folder of the set.
        tree: Expected contents of the folder; "{folder}" stands for its path.

    Raises:
        DataError: the path does not exist; the message shows the expected contents.
    """
    if not exists(path):
        raise DataError(f"{path} does not exist; expected\n{tree.format(folder=folder)}")
    return path


def exists(path: Path) -> bool:
    """Whether there is a file or folder of this name, which may be one that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, or with a character that file names cannot have
        return False


@contextmanager
def understood(path: Path | str) -> Iterator[None]:
    """Whatever goes wrong in taking apart the content of a damaged file becomes an error that names the file.

    Args:
        path: The file.

    Raises:
        DataError: the content has another layout than the set.
    """
    try:
        yield
    except (InputError, ExtraMissingError):
        raise
    except Exception as error:
        raise DataError(f"{path}: not the content of this set ({type(error).__name__}: {error}); restore it") from error


def choose(known: Mapping[str, Any], wanted: str, name: str, kind: str = "split") -> Any:
    """The entry of `known` with the name `wanted`.

    Raises:
        DataError: there is no such entry; the message lists the known names.
    """
    if wanted not in known:
        raise DataError(f"{name} has no {kind} {wanted!r}; it has {', '.join(known)}")
    return known[wanted]


def labelled(folder: Path, complete: bool = True, deep: bool = False) -> list[tuple[Path, Path]]:
    """The .pts files of a folder, each with the picture beside it, sorted.

    Where a picture may lack labels, it may also have several: name_0.pts, name_1.pts, ... are faces of name.jpg.

    Args:
        folder: The folder to search.
        complete: Whether every picture must have labels.
        deep: Whether to search the folders below as well.

    Raises:
        DataError: there is no .pts file, or a .pts file or a picture lacks the other one.
    """
    files = sorted(path for path in folder.glob("**/*" if deep else "*") if not hidden(path, folder))
    pictures = {path.with_suffix(""): path for path in files if path.suffix.lower() in SUFFIXES}
    labels = {path.with_suffix(""): path for path in files if path.suffix.lower() == ".pts"}
    if not complete:
        whole = {stem: stem.with_name(re.sub(r"_\d+$", "", stem.name)) for stem in labels if stem not in pictures}
        pictures |= {stem: pictures[base] for stem, base in whole.items() if base in pictures}
    if not labels:
        raise DataError(f"{folder} holds no .pts file; unpack the archive of the set there, labels beside the pictures")
    for stem, path in labels.items():
        if stem not in pictures:
            raise DataError(
                f"{path} has no picture beside it; copy {stem.name}.jpg or .png from the archive of the set"
            )
    for stem, path in pictures.items():
        if complete and stem not in labels:
            raise DataError(f"{path} has no labels beside it; copy {stem.name}.pts from the archive of the set")
    return [(path, pictures[stem]) for stem, path in labels.items()]


def hidden(path: Path, folder: Path) -> bool:
    """True for a hidden file, or a file in a hidden folder, below the folder: the remains of a killed run."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def read_points(path: Path, *counts: int) -> Floats:
    """The points of a .pts or .ljson file.

    Args:
        path: The file.
        counts: Possible numbers of points.

    Raises:
        DataError: another number of points, or a point that is not finite.
        FormatError: the file is not in the format of its extension.
    """
    return checked(load(path)[0].points, path, *counts)


def checked(points: ArrayLike, source: Path | str, *counts: int) -> Floats:
    """Check the points of a set in which every point is annotated.

    Args:
        points: Points of a face. Shape (P, 2) or (P, 3).
        source: File or position that errors name.
        counts: Possible numbers of points.

    Raises:
        DataError: another number of points, or a point that is not finite.
    """
    array = floats(points)
    if array.ndim != 2 or array.shape[1] not in (2, 3) or len(array) not in counts:
        wanted = " or ".join(map(str, counts))
        raise DataError(f"{source}: the points are {array.shape}, but this set has {wanted} points; restore the file")
    broken = np.flatnonzero(~np.isfinite(array).all(1))
    if len(broken):
        raise DataError(f"{source}: point {broken[0]} is not a finite number; restore the file")
    return array


def read_mat(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Variables of a MATLAB file up to version 7.

    Args:
        path: The file.
        names: Variables that it must have.

    Raises:
        DataError: no such file, not a MATLAB file, or a variable is missing.
        ExtraMissingError: SciPy is not installed.
    """
    wanted = list(names)
    try:
        found = read_variables(path, wanted)
    except (OSError, DamagedError) as error:
        raise DataError(f"{path}: not a MATLAB file of version 4 to 7 ({error}); restore the file") from error
    for name in wanted:
        if name not in found:
            raise DataError(f"{path}: there is no variable {name!r}; restore the file")
    return found


def from_corner(box: ArrayLike, origin: float = 0) -> Floats:
    """Convert a box x, y, width, height to x0 y0 x1 y1.

    Args:
        box: The box. Shape (4,).
        origin: Coordinates of the first pixel in the set: 1 in MATLAB, else 0.
    """
    x, y, width, height = np.asarray(box, np.float64).ravel()
    return np.array([x - origin, y - origin, x - origin + width, y - origin + height], np.float32)
