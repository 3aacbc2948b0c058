"""MATLAB files as SciPy and h5py read them, within the memory that the size of the file allows.

Versions 4 to 7 are read by SciPy, version 7.3, which is HDF5, by h5py; both are in the extra `report`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import need
from canthus.formats.mat5 import check_file
from canthus.work.archive import DamagedError, unpacked_limit


def check_installed() -> None:
    """Fail early where files cannot be read or written.

    Raises:
        ExtraMissingError: SciPy or h5py is not installed.
    """
    try:
        import h5py  # noqa: F401
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise need("report") from error


def is_hdf5(path: Path) -> bool:
    """Whether a file is of version 7.3.

    Raises:
        OSError: the file cannot be read.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    check_installed()
    import h5py

    with path.open("rb"):  # h5py says of a missing file that it is of another version
        return bool(h5py.is_hdf5(path))


def read_variables(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The variables of a file of version 4 to 7 by name.

    Args:
        path: The file.
        names: Variables to read; None = all.

    Raises:
        DamagedError: not such a file, damaged, or unpacked larger than its size allows.
        OSError: the file cannot be read.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    check_installed()
    from scipy.io import loadmat

    check_file(path)
    with path.open("rb") as stream, _errors():
        found: dict[str, Any] = loadmat(stream, variable_names=None if names is None else list(names))
        return {name: value for name, value in found.items() if not name.startswith("__")}


class HdfFile:
    """An open file of version 7.3; the total size of what is read from it is limited.

    Other files that it names (external links, external and virtual data sets) are not read.
    """

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._left = file, unpacked_limit(size)

    def names(self) -> list[str]:
        """Names of the variables that are arrays, texts or cells."""
        import h5py

        with _errors():
            own = [name for name in self._file if isinstance(self._file.get(name, getlink=True), h5py.HardLink)]
            return [name for name in own if isinstance(self._file.get(name), h5py.Dataset)]

    def read(self, name: str) -> NDArray[Any]:
        """A variable: numbers with axes as in MATLAB, text () and the texts of a cell (F,) as strings.

        Raises:
            DamagedError: the variable is damaged or too large.
        """
        with _errors():
            item = self._file[name]
            if item.attrs.get("MATLAB_class", b"") == b"cell":
                return np.array([self._text(self._file[reference]) for reference in self._values(item).ravel()], str)
            return np.array(self._text(item)) if _is_text(item) else self._values(item).T

    def cell(self, name: str, place: tuple[int, ...]) -> NDArray[Any]:
        """The numbers in one place of a cell; errors as of `read`."""
        with _errors():
            return self._values(self._file[self._file[name][place]]).T

    def size(self, name: str) -> int:
        """Number of values of a variable; errors as of `read`."""
        with _errors():
            return int(self._file[name].size)

    def _values(self, item: Any) -> NDArray[Any]:
        if item.external or item.is_virtual:
            raise DamagedError(f"{item.name} lies in another file; store it in the file itself")
        self._take(item.size * max(item.dtype.itemsize, 1))
        return np.asarray(item)

    def _text(self, item: Any) -> str:
        letters = self._values(item).ravel() if _is_text(item) else np.zeros(0, np.uint16)
        return letters.astype("<u2").tobytes().decode("utf-16-le", "replace")

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise DamagedError("it unpacks to more than a file of this size may")


@contextmanager
def open_hdf5(path: Path) -> Iterator[HdfFile]:
    """Open a file of version 7.3.

    Raises:
        DamagedError: not such a file, or damaged.
        OSError: the file cannot be read.
        ExtraMissingError: SciPy or h5py is not installed.
    """
    check_installed()
    import h5py

    with path.open("rb"):  # a missing file is reported as such
        pass
    with _errors():
        file = h5py.File(path, "r")
    with file:
        yield HdfFile(file, path.stat().st_size)


def _is_text(item: Any) -> bool:
    return bool(item.attrs.get("MATLAB_class", b"") == b"char")


@contextmanager
def _errors() -> Iterator[None]:
    """SciPy and h5py raise errors of any type on damaged bytes."""
    try:
        yield
    except DamagedError:
        raise
    except Exception as error:
        raise DamagedError(str(error) or type(error).__name__) from error
