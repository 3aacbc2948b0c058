"""Writes the parts of a run in a thread of its own, while the tracker works on the next frames."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from canthus.errors import OutputError
from canthus.formats.tracks.moment import Layout, Moment
from canthus.reader.frame import Frame
from canthus.track.step import Step
from canthus.types import Image
from canthus.video.parts import Note, Parts
from canthus.video.picture import drawn
from canthus.writer.film import Film

AHEAD = 4
"""Number of frames that wait to be drawn and encoded, at most."""


class Sink:
    """Takes what happened in each frame; a context manager, at whose end all is written."""

    def __init__(self, parts: Parts, *, overlay: bool, rate: float | None = None) -> None:
        """Choose where to write.

        Args:
            parts: The parts of the run.
            overlay: Whether to draw the faces and encode the pictures.
            rate: Frames per second, on average; None = not known.
        """
        self._parts, self._overlay, self._rate = parts, overlay, rate
        self._moments: list[Moment] = []
        self._events: list[str] = []
        self._faults: list[str] = []
        self._film: Film | None = None
        self._drawn: float | None = None
        self._next = parts.last.frames
        self._size, self._start = parts.last.size, parts.last.start
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="canthus-write")
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the thread; where a file could not be written, what fails after it is not raised."""
        try:
            try:
                self._wait(0)
            finally:
                self._pool.shutdown(cancel_futures=True)
                if self._film is not None:
                    self._film.close()
        except OutputError:
            if not isinstance(error, OutputError):
                raise

    def add(self, frame: Frame, step: Step, picture: Image | None = None) -> None:
        """Take a frame.

        Args:
            frame: The frame.
            step: What happened in it.
            picture: The frame with its faces drawn on it; None = it is drawn here, if at all.

        Raises:
            OutputError: an earlier frame could not be written.
        """
        self._submit(self._add, frame, step, picture)

    def end_part(self, memory: Any, start: float | None) -> None:
        """Finish a part.

        Args:
            memory: The memory of the tracker as plain values; None = the run was interrupted.
            start: Time in the file at which the first frame is shown; None = not known.

        Raises:
            OutputError: it cannot be written.
        """
        self._submit(self._end_part, memory, start)
        self._wait(0)

    def _submit(self, work: Callable[..., None], *values: Any) -> None:
        self._waiting.append(self._pool.submit(work, *values))
        self._wait(AHEAD)

    def _wait(self, most: int) -> None:
        """Wait until at most so many frames wait."""
        while len(self._waiting) > most:
            self._waiting.popleft().result()

    def _add(self, frame: Frame, step: Step, picture: Image | None) -> None:
        self._next = frame.index + 1
        self._events += [str(event) for event in step.events]
        if frame.error is not None:
            self._faults.append(str(frame.error))
        if frame.time is None and frame.image is None:
            return  # not a frame of its own: a damaged part, or the end of a video that was cut short
        self._moments.append(Moment(frame.index, step.time, step.faces, tuple(map(str, step.states))))
        if not self._overlay or frame.image is None:
            return
        if self._film is None:
            self._size = self._size or (frame.image.shape[1], frame.image.shape[0])
            self._film, self._drawn = Film(self._parts.path(".mp4"), self._size, self._rate), step.time
        self._film.add(drawn(frame.image, step) if picture is None else picture, step.time)

    def _end_part(self, memory: Any, start: float | None) -> None:
        film, self._film = self._film, None
        if film is not None:
            film.close()
        before, layout = self._parts.last, None
        known = self._parts.layout or next((Layout.of([one]) for one in self._moments if len(one.faces)), None)
        if known is not None:
            layout = (known.scheme, known.points, known.dims)
        note = Note(
            frames=self._next,
            tracked=before.tracked + len(self._moments),
            seconds=self._moments[-1].time if self._moments else before.seconds,
            layout=layout,
            drawn=self._drawn,
            size=self._size,
            start=before.start if start is None else start,
            faults=tuple(self._faults),
            memory=memory,
        )
        self._parts.add(self._moments, self._events, note)
        self._moments, self._events, self._faults, self._drawn = [], [], [], None
