"""Videos: pictures encoded as H.264, and parts of one video joined with the sound of another.

A video is made of parts, so that a run can be stopped and resumed: each begins with a key frame and has times of its
own, from 0 on. `join` copies their packets, and those of the sound, without decoding. Frames keep their times, so that
a variable frame rate stays one. B-frames are not used: frames are stored in the order in which they are shown, which
makes parts independent of each other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

from canthus.errors import OutputError, need
from canthus.types import Image
from canthus.work.files import replace_whole

CODEC = {"preset": "superfast", "crf": "20", "bf": "0"}
"""Encoder settings: fast, at a quality from which the drawing cannot be told."""
TICKS = Fraction(1, 90_000)
"""Unit of times: a divisor of the durations of all usual frame rates."""
RATE = 25
"""Frame rate that the encoder assumes where none is known; times do not depend on it."""
SMPTE170M = 6
"""Number of the colours of standard definition (BT.601) in H.264, which OpenCV converts to."""
IN_MP4 = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
"""Kinds of sound that an .mp4 file holds; with another kind the file is an .mkv."""

LEAD = 1
"""Packets of sound from before the first picture in an .mp4 file: they are not heard, but decoders start with them."""


def check_installed() -> None:
    """Refuse to go on without PyAV.

    Raises:
        ExtraMissingError: it is not installed.
    """
    _av()


def _av() -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        raise need("video") from error
    return av


class Film:
    """Encodes pictures as one part of a video; a context manager, at whose end the file is complete."""

    def __init__(self, path: Path, size: tuple[int, int], rate: float | None = None) -> None:
        """Open the file.

        Args:
            path: An .mp4 file; it is replaced.
            size: Width and height of the pictures. H.264 needs even numbers: an odd side becomes one pixel longer, and
                shows its last row or column twice. Pictures of another size are fitted into it.
            rate: Frames per second, on average; None = not known.

        Raises:
            OutputError: the file cannot be written.
            ExtraMissingError: PyAV is not installed.
        """
        av = _av()
        self.path, self.size, self._av = path, size, av
        even = [side + side % 2 for side in size]
        with _writing(path):
            self._file = path.open("wb")
            self._container: Any = av.open(self._file, "w", format="mp4")
            stream = self._container.add_stream("libx264", rate=round(rate or RATE) or 1, options=CODEC)
        stream.width, stream.height = even
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.time_base, codec.thread_count = TICKS, 1
        codec.colorspace = codec.color_primaries = codec.color_trc = SMPTE170M
        codec.color_range = 1
        self._stream, self._start, self._last = stream, 0.0, -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except OutputError:
            if error is None:
                raise

    def add(self, image: Image, time: float) -> None:
        """Encode a picture.

        Args:
            image: Shape (H, W, 3).
            time: Its time in seconds; the first picture is the beginning of the file.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._last < 0:
            self._start = time
        pixels = cv2.cvtColor(_even(fitted(image, self.size)), cv2.COLOR_RGB2YUV_I420)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="yuv420p")
        self._last = max(self._last + 1, round((time - self._start) / TICKS))
        frame.pts, frame.time_base = self._last, TICKS
        with _writing(self.path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Complete the file.

        Raises:
            OutputError: the file cannot be written.
        """
        if self._file.closed:
            return
        try:
            with _writing(self.path):
                self._container.mux(self._stream.encode())
                self._container.close()
        finally:
            with _writing(self.path):
                self._file.close()


class Part(NamedTuple):
    """A part of a video.

    Attributes:
        path: The file.
        start: Time of its first picture in the whole video, seconds.
    """

    path: Path
    start: float


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a video.

    Attributes:
        path: The file.
        start: Time in the file at which the first picture is shown, seconds.
    """

    path: Path
    start: float

    @property
    def kind(self) -> str | None:
        """Name of its codec; None = the video has no sound."""
        with _av().open(str(self.path), metadata_errors="ignore") as container:
            streams = container.streams.audio
            return str(streams[0].codec_context.name) if streams else None


def suffix_of(sound: Sound | None) -> str:
    """The extension of a video with this sound: .mp4, or .mkv for sound that .mp4 does not hold."""
    kind = None if sound is None else sound.kind
    return ".mp4" if kind is None or kind in IN_MP4 else ".mkv"


def join(path: Path, parts: Sequence[Part], sound: Sound | None = None) -> None:
    """Write one video from its parts, whole or not at all.

    Args:
        path: The file, with the extension of `suffix_of`.
        parts: The parts in their order, at least one.
        sound: Sound to copy, up to the last picture; None, or of a video without sound = the video is silent.

    Raises:
        OutputError: the file cannot be written.
    """
    av = _av()
    with replace_whole(path) as part, _writing(path), part.open("wb") as file:
        options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
        kind = "mp4" if path.suffix == ".mp4" else "matroska"
        with av.open(file, "w", format=kind, options=options) as target, av.open(str(parts[0].path)) as first:
            pictures = target.add_stream_from_template(first.streams.video[0])
            streams, end = [_pictures(av, parts, pictures)], _end_of(av, parts[-1])
            if sound is not None and sound.kind is not None:
                with av.open(str(sound.path), metadata_errors="ignore") as source:
                    voice = target.add_stream_from_template(source.streams.audio[0])
                    lead = LEAD if path.suffix == ".mp4" else 0
                    streams.append(_sound(_moved(source, source.streams.audio[0], -sound.start, voice), lead, end))
                    _mux(target, streams)
            else:
                _mux(target, streams)


def _mux(target: Any, streams: Sequence[Iterator[Any]]) -> None:
    """Write the packets of all streams in the order of their times."""
    for packet in merge(*streams, key=lambda packet: packet.dts * packet.time_base):
        target.mux(packet)


def _pictures(av: Any, parts: Sequence[Part], stream: Any) -> Iterator[Any]:
    """The packets of the parts, with the times of the whole, which rise, also where those of two parts are the same."""
    last: float = -1.0
    for path, start in parts:
        with av.open(str(path)) as container:
            for packet in _moved(container, container.streams.video[0], start, stream):
                packet.dts = packet.pts = max(packet.dts, round(last / packet.time_base) + 1)
                last = packet.dts * packet.time_base
                yield packet


def _sound(packets: Iterator[Any], lead: int, end: float) -> Iterator[Any]:
    """The packets of the sound until a time, seconds; of those before the first picture so many."""
    for packet in packets:
        if packet.pts * packet.time_base >= end:
            return
        if packet.pts >= -lead * (packet.duration or 0):
            yield packet


def _moved(container: Any, stream: Any, shift: float, target: Any) -> Iterator[Any]:
    """The packets of a stream, moved by some seconds, for a stream of another file."""
    ticks = round(shift / stream.time_base)
    for packet in container.demux(stream):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts += ticks
        packet.dts += ticks
        packet.stream = target
        yield packet


def _end_of(av: Any, part: Part) -> float:
    """Time at which the last picture of a part ends, seconds."""
    with av.open(str(part.path)) as container:
        return part.start + float(container.duration or 0) / float(av.time_base)


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """An image (H, W, 3) in another size (width, height): as large as it fits, in the middle of black."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    factor = min(size[0] / width, size[1] / height)
    inner = [max(1, round(width * factor)), max(1, round(height * factor))]
    small = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = small
    return canvas


def _even(image: Image) -> Image:
    height, width = image.shape[:2]
    if height % 2 == width % 2 == 0:
        return image
    return cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Makes errors of PyAV and of the system errors of canthus that name the file."""
    try:
        yield
    except (_av().FFmpegError, OSError) as error:
        first: BaseException = error  # closing a file that could not be written fails again, with less to say
        while isinstance(first.__context__, _av().FFmpegError | OSError):
            first = first.__context__
        reason = (getattr(first, "strerror", None) or str(first) or type(first).__name__).splitlines()[0]
        raise OutputError(f"{path}: cannot be written: {reason}; free some space, or choose another folder") from error
