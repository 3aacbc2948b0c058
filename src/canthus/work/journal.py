"""Journal of a run: which images are finished, in a file that survives a kill; one line of JSON per image.

Of several lines for one image, or for one name of results, the last is valid. A line is written after the results that
it lists have reached the disk.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import SEEK_END, FileIO
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydantic import TypeAdapter

from canthus.errors import OutputError
from canthus.types import Faces, Floats
from canthus.work.files import replace_whole, sync_all
from canthus.work.names import alike

JOURNAL = ".canthus.jsonl"
"""Name of the journal in the folder of the results."""
BATCH, PERIOD = 64, 0.5
"""Lines are written when so many images are finished, or so many seconds after the last lines: forcing the results of
many images to the disk takes little more time than those of one."""
LARGEST = 2**24
"""Largest number of values in an array of an entry; an entry that claims more is damaged."""


@dataclass(frozen=True)
class Entry:
    """One finished image.

    Attributes:
        image: Name of the image, as `text_of` writes it.
        stamp: Size in bytes and modification time in ns of its file.
        settings: Settings that the results depend on besides the image.
        name: Name of its results without their endings, as `text_of` writes it.
        files: Files written for it: their endings, as ".json", with size in bytes and checksum (CRC-32).
        size: Width and height in pixels.
        scheme: Name of the landmark scheme.
        arrays: The arrays of its `Faces` by name: shape, and float32 in base64; no bytes = NaN throughout.
    """

    image: str
    stamp: tuple[int, int]
    settings: str
    name: str
    files: Mapping[str, tuple[int, int]]
    size: tuple[int, int]
    scheme: str
    arrays: Mapping[str, tuple[tuple[int, ...], str]]

    @property
    def faces(self) -> Faces:
        """The faces found in the image, bit for bit.

        Raises:
            ValueError: the entry is damaged.
        """
        arrays: dict[str, Any] = {name: _array(shape, data) for name, (shape, data) in self.arrays.items()}
        return Faces(**arrays, scheme=self.scheme)

    @property
    def whole(self) -> bool:
        """Whether its faces can be read."""
        try:
            return set(self.arrays) == set(Faces.arrays()) and isinstance(self.faces, Faces)
        except (ValueError, MemoryError):
            return False


_ENTRY = TypeAdapter(Entry)


def packed(faces: Faces) -> dict[str, tuple[tuple[int, ...], str]]:
    """The arrays of faces as an `Entry` holds them."""
    arrays = {name: getattr(faces, name) for name in Faces.arrays()}
    return {name: (array.shape, _text(array)) for name, array in arrays.items()}


def _text(array: Floats) -> str:
    return "" if np.isnan(array).all() else b64encode(array.astype("<f4").tobytes()).decode()


def _array(shape: tuple[int, ...], data: str) -> Floats:
    if math.prod(shape) > LARGEST:
        raise ValueError(f"an array of {shape} values")
    array = np.frombuffer(b64decode(data), "<f4").reshape(shape) if data else np.full(shape, np.nan, np.float32)
    if np.isinf(array).any():
        raise ValueError("an infinite value")
    return array


class Journal:
    """The journal of a folder: a context manager that reads it on entry and then appends to it.

    Attributes:
        path: The file.
        entries: Entries by the name of the image; those added last may not have been written yet. Of the others only
            the places in the file are in memory, so that a run may have millions of images.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = _Entries(path)
        self._owners: dict[str, str] = {}
        self._stream: FileIO | None = None
        self._written = monotonic()

    def __enter__(self) -> Self:
        """Read the existing entries, drop damaged lines, and open the file for appending.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            kept = self._read()
            with replace_whole(self.path) as part, part.open("wb") as stream:
                for image, line in kept:
                    self.entries.written(image, stream.tell(), len(line))
                    stream.write(line)
            self._stream = FileIO(self.path, "ab")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be opened: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the last lines and close the file.

        Raises:
            OutputError: the last lines cannot be written; not where the run has failed already.
        """
        try:
            self.flush()
        except OutputError:
            if not isinstance(error, OutputError):
                raise
        finally:
            if self._stream is not None:
                self._stream.close()

    def owner(self, name: str) -> Entry | None:
        """The entry whose results have a name; None = there is none."""
        return self.entries.get(self._owners.get(alike(name), ""))

    def add(self, entry: Entry, files: Sequence[Path]) -> None:
        """Record that an image is finished; its line is written later, by `flush` at the latest.

        Args:
            entry: The image.
            files: The files of its results.

        Raises:
            OutputError: a file cannot be forced to the disk, or the lines cannot be written.
        """
        self._take(entry.image, entry.name)
        self.entries.waiting[entry.image] = entry, files
        if len(self.entries.waiting) >= BATCH or monotonic() > self._written + PERIOD:
            self.flush()

    def flush(self) -> None:
        """Force the results of the images to the disk whose lines are missing, then write the lines.

        Raises:
            OutputError: one of both cannot be done.
        """
        assert self._stream is not None, "the journal is a context manager"
        waiting, self.entries.waiting, self._written = self.entries.waiting, {}, monotonic()
        if not waiting:
            return
        try:
            sync_all(file for _, files in waiting.values() for file in files)
            lines = {image: _line(entry) for image, (entry, _) in waiting.items()}
            start, left = self._stream.seek(0, SEEK_END), memoryview(b"".join(lines.values()))
            while left:  # a disk that is nearly full takes a part
                left = left[self._stream.write(left) :]
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}; free some space") from error
        for image, line in lines.items():
            self.entries.written(image, start, len(line))
            start += len(line)

    def _take(self, image: str, name: str) -> None:
        """Remember whose results have a name; another image whose results had it has lost them."""
        for lost in (self.owner(name), self.entries.get(image)):
            if lost is not None:
                self.entries.drop(lost.image)
                self._owners.pop(alike(lost.name), None)
        self._owners[alike(name)] = image

    def _read(self) -> Iterator[tuple[str, bytes]]:
        """The names of images and their lines; the entries are those of the file as it is until then.

        A line that is cut short, damaged or of another version is dropped: its image is done again.
        """
        if not self.path.is_file():
            return
        with self.path.open("rb") as stream:
            while line := stream.readline():
                try:
                    entry = _ENTRY.validate_json(line)
                except ValueError:
                    continue
                if entry.whole:
                    self._take(entry.image, entry.name)
                    self.entries.written(entry.image, stream.tell() - len(line), len(line))
            for image, (start, length) in self.entries.renewed().items():
                stream.seek(start)
                yield image, stream.read(length).rstrip(b"\n") + b"\n"


class _Entries(Mapping[str, Entry]):
    """Entries of a journal by the name of the image, in the order in which they were added.

    Attributes:
        path: The file.
        waiting: Entries that have no line yet, with the files of their results.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting: dict[str, tuple[Entry, Sequence[Path]]] = {}
        self._places: dict[str, tuple[int, int]] = {}

    def written(self, image: str, start: int, length: int) -> None:
        """Remember where in the file the line of an image is, in bytes."""
        self._places[image] = start, length

    def renewed(self) -> dict[str, tuple[int, int]]:
        """The places of all lines, which are forgotten, since another file is written."""
        places, self._places = self._places, {}
        return places

    def drop(self, image: str) -> None:
        """Forget an entry."""
        self.waiting.pop(image, None)
        self._places.pop(image, None)

    def __getitem__(self, image: str) -> Entry:
        if image in self.waiting:
            return self.waiting[image][0]
        start, length = self._places[image]
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                return _ENTRY.validate_json(stream.read(length))
        except (OSError, ValueError) as error:  # somebody has changed or removed the file meanwhile
            raise KeyError(image) from error

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from (image for image in self.waiting if image not in self._places)

    def __len__(self) -> int:
        return len(self._places.keys() | self.waiting.keys())


def _line(entry: Entry) -> bytes:
    return _ENTRY.dump_json(entry) + b"\n"
