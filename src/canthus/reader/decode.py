"""Frames of videos, decoded in order by PyAV (FFmpeg).

No position is ever sought. Edit lists are applied; the rotation and mirroring that a file asks for are, too. Times are
those of the file from its first frame on, so that a variable frame rate is kept. 10 and 12 bits become 8.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import CanthusError, ReadError, need
from canthus.reader.frame import Frame
from canthus.reader.parse import MAX_PIXELS
from canthus.types import Image

REMEDY = "copy it again, or convert it to an H.264 .mp4"
SLACK = 0.25
"""A video that ends by more than this before the end that its header states is cut short, seconds."""


class VideoStream:
    """A video from a file or a pipe.

    Attributes:
        source: Name of the file.
        count: Number of frames by the header of the file, which may be wrong; None = it does not say.
        rate: Frames per second, on average; None = not known.
        size: Width and height of the pictures in pixels, upright.
        start: Time in the file at which the first frame is shown, seconds; None = not known, or not decoded so far.
        live: False.
    """

    live = False

    def __init__(self, content: Path | IO[bytes], source: Path, skip: int = 0) -> None:
        """Open a video.

        Args:
            content: The file, or an open pipe.
            source: Name of the video in frames and errors.
            skip: Number of frames at the beginning that are passed over.

        Raises:
            ReadError: not a video, or one without pictures.
            ExtraMissingError: PyAV is not installed.
        """
        try:
            import av
            from av.sidedata.sidedata import SideDataContainer
            from av.video.reformatter import VideoReformatter
        except ModuleNotFoundError as error:
            raise need("video") from error
        self.source, self._skip, self._errors = source, skip, (av.FFmpegError, OSError, EOFError, ValueError)
        try:
            opened = str(content) if isinstance(content, Path) else content
            self._container: Any = av.open(opened, metadata_errors="ignore")
        except self._errors as error:
            raise ReadError(f"{source}: not a video, or damaged at its beginning: {_text(error)}; {REMEDY}") from error
        if not self._container.streams.video:
            self._container.close()
            raise ReadError(f"{source}: holds no pictures")
        self._video: Any = self._container.streams.video[0]
        self._video.thread_type = "AUTO"
        # One converter for all frames, since each has threads of its own; and not frame.side_data, which refers to the
        # frame and so keeps its memory until Python searches for circles.
        self._converter: Any = VideoReformatter()
        self._side_data: Any = SideDataContainer
        rate = self._video.average_rate
        self.rate = float(rate) if rate else None
        self.start: float | None = None
        self._first: Any = None
        self._length = self._stated_length()
        self.count = self._stated_count()

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order.

        A part that cannot be decoded is one frame with an error in place of its image. So is, at the end, what is
        missing of a video that was cut short, or that has no frame at all.
        """
        index, time, pictures = 0, -1.0, 0
        for item in self._decoded():
            if not isinstance(item, ReadError):
                time = self._time_of(item, time, index)
                pictures += 1
            if index >= self._skip:
                yield self._frame(item, index, time)
            index += 1
        if index < self._skip:
            return
        if not pictures:
            yield Frame(self.source, index, error=ReadError(f"{self.source}: no frame can be decoded; {REMEDY}"))
        elif (length := self._length_from_start()) is not None and time + self._step < length - SLACK:
            text = f"ends after {time + self._step:.1f} of {length:.1f} seconds: it was cut short; {REMEDY}"
            yield Frame(self.source, index, error=ReadError(f"{self.source}: {text}"))

    def _frame(self, item: Any, index: int, time: float) -> Frame:
        """A frame, from one of PyAV or an error."""
        if isinstance(item, ReadError):
            return Frame(self.source, index, error=ReadError(f"{self.source}: after frame {index}: {item}"))
        try:
            return Frame(self.source, index, time, self._pixels(item))
        except CanthusError as error:
            return Frame(self.source, index, time, error=ReadError(f"{self.source}: frame {index + 1}: {error}"))

    def _pixels(self, frame: Any) -> Image:
        """The pixels of a frame of PyAV, upright. Shape (H, W, 3)."""
        if frame.width * frame.height > MAX_PIXELS:
            raise ReadError(f"{frame.width} x {frame.height} pixels are more than {MAX_PIXELS:,}")
        pixels: Image = self._converter.reformat(frame, format="rgb24").to_ndarray()
        return upright(pixels, self._display_matrix(frame))

    def _display_matrix(self, frame: Any) -> NDArray[np.int32] | None:
        """The display matrix of a frame, shape (3, 3), 16.16 fixed point; None = it is shown as it is stored."""
        for data in self._side_data(frame):
            if data.type.name == "DISPLAYMATRIX":
                return np.frombuffer(bytes(data), np.int32)[:9].reshape(3, 3)
        return None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _decoded(self) -> Iterator[Any]:
        """Frames of PyAV, and errors where a packet cannot be read or decoded."""
        packets = self._container.demux(self._video)
        while True:
            try:
                packet = next(packets, None)
            except self._errors as error:
                yield ReadError(f"the rest cannot be read: {_text(error)}; {REMEDY}")
                return
            if packet is None:
                return
            try:
                yield from packet.decode()
            except EOFError:
                return
            except self._errors as error:
                yield ReadError(f"a part is damaged: {_text(error)}")

    @property
    def _step(self) -> float:
        """Usual duration of a frame in seconds."""
        return 1 / self.rate if self.rate else 0.0

    def _time_of(self, frame: Any, before: float, index: int) -> float:
        """Seconds from the first frame by the file, or by the rate where the file has no time or one that goes back."""
        if frame.pts is None or frame.time_base is None:
            return before + self._step if index else 0.0
        if self._first is None:
            self._first = frame.pts * frame.time_base
            self.start = float(self._first)
        time = float(frame.pts * frame.time_base - self._first)
        return time if time > before else before + self._step

    def _stated_length(self) -> float | None:
        """Duration of the pictures in seconds by the header of the file; None = it does not say."""
        if self._video.duration and self._video.time_base:
            return float(self._video.duration * self._video.time_base)
        stated = self._video.metadata.get("DURATION", "")  # Matroska
        try:
            hours, minutes, seconds = stated.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except ValueError:
            return None

    def _length_from_start(self) -> float | None:
        """Duration from the first frame on; Matroska states the time of the end, whenever the first frame is shown."""
        if self._length is None or "matroska" not in self._container.format.name:
            return self._length
        return self._length - (self.start or 0.0)

    def _stated_count(self) -> int | None:
        if self._length is not None and self.rate:
            return max(1, round(self._length * self.rate))
        return self._video.frames or None


def upright(image: Image, matrix: NDArray[np.int32] | None) -> Image:
    """A picture as a display matrix of MP4 shows it: rotated by quarter turns, and mirrored.

    Args:
        image: As it is stored. Shape (H, W, 3).
        matrix: Rows (a, b, u), (c, d, v), (x, y, w): stored (p, q) is shown at (a p + c q, b p + d q).
            None = as stored.

    Raises:
        ReadError: the matrix is no multiple of a quarter turn.
    """
    if matrix is None:
        return image
    (a, b), (c, d) = np.sign(matrix[:2, :2]).tolist()
    if abs(a * d - b * c) != 1 or abs(a) + abs(b) != 1:
        raise ReadError("the file asks for a rotation that is no quarter turn; convert it to an H.264 .mp4")
    shown = image.transpose(1, 0, 2) if a == 0 else image
    across, down = (c, b) if a == 0 else (a, d)
    return np.ascontiguousarray(shown[:: int(down), :: int(across)])


def _text(error: BaseException) -> str:
    """What a library says about an error, in one line."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0].lower()
