"""Journal of a run: which images are finished, in a file that survives a kill; one line of JSON per image.

Of several lines for one image the last is valid.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from canthus.errors import OutputError
from canthus.types import Faces, Floats
from canthus.work.files import replace_whole


@dataclass(frozen=True)
class Entry:
    """One finished image.

    Attributes:
        image: Name of the image.
        stamp: Size in bytes and modification time in ns of its file.
        settings: Settings that the results depend on besides the image.
        files: Files written for it, as paths relative to the folder of the results.
        size: Width and height in pixels.
        scheme: Name of the landmark scheme.
        arrays: The arrays of its `Faces` by name: shape, and float32 in base64; no bytes = NaN throughout.
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
        """The faces found in the image, bit for bit."""
        arrays: dict[str, Any] = {
            name: np.frombuffer(b64decode(data), "<f4").reshape(shape) if data else np.full(shape, np.nan, np.float32)
            for name, (shape, data) in self.arrays.items()
        }
        return Faces(**arrays, scheme=self.scheme)


def packed(faces: Faces) -> dict[str, tuple[tuple[int, ...], str]]:
    """The arrays of faces as an `Entry` holds them."""
    arrays = {name: getattr(faces, name) for name in Faces.arrays()}
    return {name: (array.shape, _text(array)) for name, array in arrays.items()}


def _text(array: Floats) -> str:
    return "" if np.isnan(array).all() else b64encode(array.astype("<f4").tobytes()).decode()


class Journal:
    """The journal of a folder: a context manager that reads it on entry and then appends to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        """Read the existing entries, drop damaged lines, and open the file for appending.

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
        """Record that an image is finished.

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
            try:  # a line that is cut short or of another version is dropped: its image is processed again
                values = json.loads(line)
                if set(values["arrays"]) == set(Faces.arrays()):
                    yield Entry(**{**values, **{name: tuple(values[name]) for name in ("stamp", "files", "size")}})
            except (ValueError, TypeError, KeyError):
                continue


def _line(entry: Entry) -> str:
    return json.dumps(asdict(entry)) + "\n"
