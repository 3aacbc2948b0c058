"""Zip files and arrays of any origin: read without pickle, and within the memory that the size of the file allows."""

import math
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

Source = Path | IO[bytes]
"""A file by its path, or an open one."""
FLOOR, RATIO = 64 << 20, 64
"""A file may unpack to `FLOOR` bytes, or to `RATIO` times its own size where that is more."""
EMPTY = 1 << 20
"""Largest product of the axes of an array whose values take no room in its file, as of shape (F, 0, 2)."""
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class DamagedError(ValueError):
    """A file is damaged, or unpacks to more than its size allows; the reader names the file and the remedy."""


def unpacked_limit(size: int) -> int:
    """Number of bytes to which a file of a size may unpack."""
    return max(FLOOR, RATIO * size)


def check_unpacked(source: Source) -> None:
    """Refuse a file that is no zip file, or unpacks to more than its size allows; errors as of `open_arrays`."""
    with _opened(source) as archive:
        _members(archive)


def read_member(source: Source, name: str, limit: int | None = None) -> bytes:
    """One file in a zip file.

    Args:
        source: The zip file.
        name: Name of the file in it.
        limit: Largest size of the file, in bytes; None = what the size of the zip file allows.

    Raises:
        KeyError: there is no such file.
        DamagedError: the zip file is damaged, or the file in it is too large.
        OSError: the zip file cannot be read.
    """
    with _opened(source) as archive:
        info = _members(archive).get(name)
        if info is None:
            raise KeyError(name)
        if limit is not None and info.file_size > limit:
            raise DamagedError(f"{name} unpacks to {info.file_size:,} bytes, more than {limit:,}")
        with _errors():
            return archive.read(info)


class Arrays(Mapping[str, NDArray[Any]]):
    """The arrays of an open .npz file by name; each access reads the array."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {name.removesuffix(".npy"): info for name, info in _members(archive).items()}

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read an array.

        Raises:
            KeyError: there is no such array.
            DamagedError: it is damaged, or holds Python objects.
        """
        info = self._infos[name]
        with _errors(), self._archive.open(info) as stream:
            return _array(stream, info.file_size)

    def __iter__(self) -> Iterator[str]:
        return iter(self._infos)

    def __len__(self) -> int:
        return len(self._infos)


@contextmanager
def open_arrays(source: Source) -> Iterator[Arrays]:
    """The arrays of an .npz file, each read when it is accessed.

    Raises:
        DamagedError: not a zip file, or one that unpacks to more than its size allows.
        OSError: the file cannot be read.
    """
    with _opened(source) as archive:
        yield Arrays(archive)


def read_arrays(source: Source) -> dict[str, NDArray[Any]]:
    """All arrays of an .npz file by name; errors as of `open_arrays`."""
    with open_arrays(source) as arrays:
        return dict(arrays)


def read_array(path: Path) -> NDArray[Any]:
    """The array of an .npy file; errors as of `open_arrays`."""
    with path.open("rb") as stream, _errors():
        return _array(stream, path.stat().st_size)


@contextmanager
def _errors() -> Iterator[None]:
    """Whatever zipfile and NumPy raise on damaged bytes becomes a `DamagedError`; an `OSError` stays."""
    try:
        yield
    except (OSError, DamagedError):
        raise
    except Exception as error:
        raise DamagedError(str(error) or type(error).__name__) from error


@contextmanager
def _opened(source: Source) -> Iterator[zipfile.ZipFile]:
    with _errors():
        archive = zipfile.ZipFile(source)
    with archive:
        yield archive


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip file by name, if all of them together are not too large."""
    stream = archive.fp
    assert stream is not None
    size, total = stream.seek(0, os.SEEK_END), sum(info.file_size for info in archive.infolist())
    if total > unpacked_limit(size):
        raise DamagedError(f"its {size:,} bytes unpack to {total:,}, more than a file of this size may")
    return {info.filename: info for info in archive.infolist()}


def _array(stream: IO[bytes], size: int) -> NDArray[Any]:
    """An array in the form of .npy, whose header is checked against the size of the file before memory is taken."""
    read_header = _HEADERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        raise DamagedError("an array in an unknown version of the .npy format")
    shape, _, kind = read_header(stream)
    if kind.hasobject:
        raise DamagedError("an array of Python objects, which canthus does not read")
    if min(shape, default=0) < 0:
        raise DamagedError(f"an array of shape {shape}")
    if math.prod(max(axis, 1) for axis in shape) * max(kind.itemsize, 1) > max(size, EMPTY):
        raise DamagedError(f"an array of shape {shape} does not fit into {size:,} bytes")
    stream.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    if stream.read(1):  # at its end a zip file compares checksums
        raise DamagedError("an array is followed by further bytes")
    if kind.kind == "U" and array.size and kind.itemsize:
        letters = np.ascontiguousarray(array.reshape(-1).astype(kind.newbyteorder("="))).view(np.uint32)
        if letters.max() > sys.maxunicode:
            raise DamagedError("an array of text with characters that do not exist")
    return array
