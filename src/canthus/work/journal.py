"""Journal of a run: which images are finished, in a file that survives a kill; one line of JSON per image.

Of several lines for one image, or for one name of results, the last is valid. A line is written after the results that
it lists have reached the disk.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
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
        entries: Entries by the name of the image; those added last may not have been written yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._stream: FileIO | None = None
        self._waiting: list[tuple[Entry, Sequence[Path]]] = []
        self._written = monotonic()

    def __enter__(self) -> Self:
        """Read the existing entries, drop damaged lines, and open the file for appending.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            for entry in self._read():
                self._take(entry)
            with replace_whole(self.path) as part, part.open("wb") as stream:
                stream.writelines(map(_line, self.entries.values()))
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
        self._take(entry)
        self._waiting.append((entry, files))
        if len(self._waiting) >= BATCH or monotonic() > self._written + PERIOD:
            self.flush()

    def flush(self) -> None:
        """Force the results of the images to the disk whose lines are missing, then write the lines.

        Raises:
            OutputError: one of both cannot be done.
        """
        assert self._stream is not None, "the journal is a context manager"
        waiting, self._waiting, self._written = self._waiting, [], monotonic()
        if not waiting:
            return
        try:
            sync_all(file for _, files in waiting for file in files)
            lines = memoryview(b"".join(_line(entry) for entry, _ in waiting))
            while lines:  # a disk that is nearly full takes a part
                lines = lines[self._stream.write(lines) :]
        except OSError as error:
            for entry, _ in waiting:
                self.entries.pop(entry.image, None)
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}; free some space") from error

    def _take(self, entry: Entry) -> None:
        """Remember an entry; another image whose results had its name has lost them."""
        for lost in (self.owner(entry.name), self.entries.get(entry.image)):
            if lost is not None:
                self.entries.pop(lost.image, None)
                self._owners.pop(alike(lost.name), None)
        self.entries[entry.image] = entry
        self._owners[alike(entry.name)] = entry.image

    def _read(self) -> Iterator[Entry]:
        """The entries; a line that is cut short, damaged or of another version is dropped: its image is done again."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as stream:
            for line in stream:
                try:
                    entry = _ENTRY.validate_json(line)
                except ValueError:
                    continue
                if entry.whole:
                    yield entry


def _line(entry: Entry) -> bytes:
    return _ENTRY.dump_json(entry) + b"\n"
