"""Which images of a run are done, in a file that outlives a kill: a line of JSON for each, the last one counts."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from canthus.errors import OutputError
from canthus.types import Faces
from canthus.work.files import replace_whole


@dataclass(frozen=True)
class Entry:
    """One image that is done.

    Attributes:
        image: Its name.
        stamp: Size in bytes and time of change in ns of its file.
        settings: What the results depend on beside the image.
        files: What was written for it, as paths from the folder of the results.
        size: Width and height in pixels.
        scheme: Of the points.
        arrays: The other fields of its `Faces`: shape and float32 in base64.
    """

    image: str
    stamp: tuple[int, int]
    settings: str
    files: tuple[str, ...]
    size: tuple[int, int]
    scheme: str
    arrays: Mapping[str, tuple[tuple[int, ...], str]]

    @property
    def faces(self) -> Faces:
        """What was found, bit for bit."""
        arrays: dict[str, Any] = {
            name: np.frombuffer(b64decode(data), "<f4").reshape(shape) for name, (shape, data) in self.arrays.items()
        }
        return Faces(**arrays, scheme=self.scheme)


def packed(faces: Faces) -> dict[str, tuple[tuple[int, ...], str]]:
    """The arrays of faces as an `Entry` holds them."""
    arrays = {item.name: getattr(faces, item.name) for item in fields(faces) if item.name != "scheme"}
    return {name: (array.shape, b64encode(array.astype("<f4").tobytes()).decode()) for name, array in arrays.items()}


class Journal:
    """The journal of a folder; a context manager that reads it on the way in and then appends to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        """Read what is there, drop a line that was cut short, and open the file for more.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            self.entries = {entry.image: entry for entry in self._read()}
            with replace_whole(self.path) as part, part.open("w", encoding="utf-8") as stream:
                stream.writelines(_line(entry) for entry in self.entries.values())
            self._stream = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be opened: {error.strerror or error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def add(self, entry: Entry) -> None:
        """Note that an image is done.

        Raises:
            OutputError: the line cannot be written.
        """
        assert self._stream is not None, "the journal is a context manager"
        try:
            self._stream.write(_line(entry))
            self._stream.flush()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self.entries[entry.image] = entry

    def _read(self) -> Iterator[Entry]:
        if not self.path.exists():
            return
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                values = json.loads(line)
                yield Entry(**{**values, **{name: tuple(values[name]) for name in ("stamp", "files", "size")}})
            except (ValueError, TypeError, KeyError):  # cut short or of another version: the image is done again
                continue


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"
