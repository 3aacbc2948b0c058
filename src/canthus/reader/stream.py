"""Streams of frames by what the user names: a video file, a camera, a sequence of images, or standard input (`-`)."""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from canthus.errors import ReadError
from canthus.reader.ahead import read_ahead
from canthus.reader.camera import Camera
from canthus.reader.decode import VideoStream
from canthus.reader.files import SUFFIXES, find
from canthus.reader.frame import Frame

MOVING = frozenset({".gif", ".apng", ".webp"})
"""Extensions of images that may be animations; a file of one of them is read as a video."""
STDIN = "-"
RATE = 25.0
"""Frames per second of a sequence of images, unless another is given."""


class Stream(Protocol):
    """A source of frames, which can be iterated over once.

    Attributes:
        source: What the frames come from; the file, or a name as "camera 0".
        count: Number of frames that are expected, for a display of progress; None = not known.
        rate: Frames per second, on average; None = not known.
        start: Time in the file at which the first frame is shown, seconds, once it was read; None = not known.
        live: Whether frames come when they happen, as those of a camera.
    """

    source: Path
    count: int | None
    rate: float | None
    start: float | None
    live: bool

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; what goes wrong on the way is a frame with an error in place of its image."""
        ...

    def close(self) -> None:
        """Give the file or the camera back."""
        ...


class ImageSequence:
    """Image files as the frames of a video."""

    live = False
    start: float | None = None

    def __init__(self, source: Path, files: Sequence[Path], rate: float = RATE, skip: int = 0) -> None:
        """Take the files in the order of the frames.

        Args:
            source: What they are called together: their folder or pattern.
            files: The image files.
            rate: Frames per second, > 0.
            skip: Number of files at the beginning that are passed over.
        """
        self.source, self._files, self._step, self._skip = source, files, 1 / rate, skip
        self.count: int | None = len(files)
        self.rate: float | None = rate

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; a file that cannot be read has an error in place of its image."""
        for frame in read_ahead(self._files[self._skip :]):
            index = frame.index + self._skip
            yield Frame(frame.source, index, index * self._step, frame.image, frame.error)

    def close(self) -> None:
        """Nothing stays open."""


def comes_once(source: str | Path) -> bool:
    """Whether the frames of a source come once and never again: those of a camera, and of standard input."""
    name = str(source)
    return name == STDIN or _is_camera(name)


def _is_camera(name: str) -> bool:
    return name.isdecimal() or name.startswith("/dev/video")


def open_stream(source: str | Path, rate: float | None = None, skip: int = 0) -> Stream:
    """Open a source of frames.

    Args:
        source: A video file; a folder or a quoted pattern of images, whose numbers are in order of size; the number of
            a camera, as "0", or its device, as "/dev/video0"; or "-" for a video on standard input.
        rate: Frames per second of a sequence of images; None = `RATE`.
        skip: Number of frames at the beginning that are passed over; a camera has none to pass over.

    Raises:
        ReadError: no such file, folder or camera, or not a video.
        ExtraMissingError: a video, and PyAV is not installed.
    """
    name = str(source)
    if name == STDIN:
        return VideoStream(sys.stdin.buffer, Path("standard input"), skip)
    if _is_camera(name):
        return Camera(name)
    path = Path(name)
    if path.is_file():
        if path.suffix.lower() in SUFFIXES - MOVING:
            raise ReadError(f"{path}: an image, not a video; canthus detect finds its faces")
        return VideoStream(path, path, skip)
    if not path.is_dir() and not set(name) & set("*?["):
        raise ReadError(f"{path}: no such file, folder or camera")
    return ImageSequence(path, sorted(find([name]), key=_natural), rate or RATE, skip)


def _natural(path: Path) -> list[tuple[int, str]]:
    """Key that sorts the numbers in names by size, so that 2.png comes before 10.png."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]
