"""Faces of a whole video in one folder of results: what `canthus track` runs, for Python users too.

>>> request = Request("talk.mp4", Path("out"), Wanted(("csv",), overlay=True))
>>> summary = follow(canthus.Tracker.open(), request)

Frames are decoded in one thread and drawn and encoded in another, while the tracker works on those between. A run can
be killed at any moment: with `resume` the next one goes on after the last part that was finished (`parts`), and its
results are the same, byte for byte. A run that is interrupted, or whose source fails, writes the results of the frames
that it has.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from canthus.errors import InputError, OutputError, ReadError
from canthus.reader.ahead import in_background
from canthus.reader.files import find
from canthus.reader.stream import comes_once, open_stream
from canthus.track.memory import to_plain
from canthus.track.tracker import Tracker
from canthus.types import Image
from canthus.version import __version__
from canthus.video import results
from canthus.video.parts import FRAMES, HIDDEN, Parts
from canthus.video.picture import drawn
from canthus.video.results import Wanted
from canthus.video.sink import Sink

AHEAD = 4
"""Number of frames that are decoded before they are needed; of a camera one."""


class Window(Protocol):
    """A window that shows pictures."""

    def show(self, image: Image) -> bool:
        """Show a picture (H, W, 3); False where the window was closed."""
        ...


@dataclass(frozen=True)
class Request:
    """What to track, and what to write.

    Attributes:
        source: A video, a folder or pattern of images, a camera, or "-", as `open_stream` takes them.
        folder: Folder of the results.
        wanted: What to write.
        rate: Frames per second of a sequence of images; None = 25.
        resume: Whether to go on with an earlier run in the same folder.
        settings: What the results depend on besides the source, as models and options; `resume` compares it.
    """

    source: str
    folder: Path
    wanted: Wanted = field(default_factory=Wanted)
    rate: float | None = None
    resume: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Summary:
    """Counts of a run.

    Attributes:
        frames: Number of frames in the results so far.
        resumed: How many of them earlier runs had tracked.
        total: Number of frames that are expected; None = not known.
        faces: Number of identities so far.
        length: Time of the last frame, seconds.
        seconds: Duration of the run so far.
        faults: What went wrong with single frames.
        events: Changes of states in the last frame, as lines.
    """

    frames: int = 0
    resumed: int = 0
    total: int | None = None
    faces: int = 0
    length: float = 0.0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Frames per second of this run."""
        return (self.frames - self.resumed) / max(self.seconds, 1e-6)


def follow(
    tracker: Tracker,
    request: Request,
    progress: Callable[[Summary], None] = lambda _: None,
    window: Window | None = None,
) -> Summary:
    """Track the faces of a source and write the results.

    With smoothing both ways ("offline") the points are smoothed, and the pictures drawn, when all frames are known.

    Args:
        tracker: The tracker; it forgets what it knows.
        request: What to track, and what to write.
        progress: Called after each frame with the counts so far.
        window: Shows the frames with their faces; when it is closed, the run ends.

    Raises:
        ReadError: the source cannot be opened, or has no frame.
        OutputError: a result cannot be written; `resume` goes on after the last finished part.
        InputError: an overlay of a source that comes once cannot be drawn after smoothing both ways.
    """
    parts = _parts_of(tracker, request)
    if parts.done is not None:
        return Summary(parts.done.tracked, parts.done.tracked, length=parts.done.seconds, faults=[*parts.done.faults])
    summary, start = Summary(), perf_counter()
    if not (comes_once(request.source) and parts.notes):
        try:
            _track(tracker, request, parts, summary, progress, window)
        except OutputError as error:
            raise OutputError(f"{error}; then go on with --resume" if parts.notes else str(error)) from error
        except BaseException:
            if parts.last.tracked:
                _write(tracker, request, parts, interrupted=True)
            raise
    if not parts.last.tracked:
        raise ReadError(next(reversed(parts.faults), f"{request.source}: has no frame"))
    _write(tracker, request, parts, interrupted=False)
    summary.frames, summary.length, summary.faults = parts.last.tracked, parts.last.seconds, [*parts.faults]
    parts.clear()
    summary.seconds = perf_counter() - start
    return summary


def _parts_of(tracker: Tracker, request: Request) -> Parts:
    """The parts of earlier runs where they are wanted, or none, in a folder where nothing of others is replaced."""
    request.wanted.check()
    folder, once = request.folder, comes_once(request.source)
    if once and tracker.smooth == "offline" and request.wanted.overlay:
        raise InputError(
            f"{request.source}: its frames come once, and an overlay of points that are smoothed offline is drawn"
            " when all are known; choose --smooth online, or leave --overlay out"
        )
    if not once:
        open_stream(request.source).close()  # so that no folder is made for what is no video
    ours = (folder / HIDDEN).is_dir()
    settings = {
        "canthus": __version__,
        "source": request.source,
        "content": None if once else _stamp(request.source),
        "rate": request.rate,
        "smooth": tracker.smooth,
        "formats": sorted(request.wanted.kinds),
        "overlay": request.wanted.overlay,
        "log": request.wanted.log,
        **request.settings,
    }
    results.clear_half_written(folder)
    if request.resume and ours:
        parts = Parts(folder, settings, resume=True)
        if parts.done is None or results.results_in(folder):
            return parts
    results.spare(folder, Path(request.source), ours)
    return Parts(folder, settings, resume=False)


def _stamp(source: str) -> str:
    """A short hash of the names, sizes and times of the files of a source."""
    path = Path(source)
    files = [path] if path.is_file() else find([source]) if path.is_dir() or set(source) & set("*?[") else []
    states = [(str(file), *_size_and_time(file)) for file in files]
    return sha256(os.fsencode(repr(states))).hexdigest()[:16]


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        state = file.stat()
    except OSError:
        return -1, -1
    return state.st_size, state.st_mtime_ns


def _track(
    tracker: Tracker,
    request: Request,
    parts: Parts,
    summary: Summary,
    progress: Callable[[Summary], None],
    window: Window | None,
) -> None:
    """Track the frames that are missing, part by part."""
    tracker.memory, begin = parts.take_up(), perf_counter()
    stream = open_stream(request.source, request.rate, parts.last.frames)
    summary.total = stream.count
    summary.frames = summary.resumed = parts.last.tracked
    frames = in_background(stream, 1 if stream.live else AHEAD)
    overlay = request.wanted.overlay and tracker.smooth != "offline"
    with closing(stream), closing(frames), Sink(parts, overlay=overlay, rate=stream.rate) as sink:
        try:
            for frame in frames:
                step = tracker.step(frame.image, frame.time)
                picture = drawn(frame.image, step) if window is not None and frame.image is not None else None
                sink.add(frame, step, picture)
                if frame.index + 1 >= parts.last.frames + FRAMES:
                    sink.end_part(to_plain(tracker.memory), stream.start)
                summary.frames, summary.faces = summary.frames + (frame.time is not None), tracker.memory.last
                summary.seconds, summary.length = perf_counter() - begin, step.time
                summary.events = [str(event) for event in step.events]
                progress(summary)
                if window is not None and picture is not None and not window.show(picture):
                    break
        except OutputError:
            raise
        except BaseException:
            sink.end_part(None, stream.start)
            raise
        sink.end_part(None, stream.start)


def _write(tracker: Tracker, request: Request, parts: Parts, interrupted: bool) -> None:
    """Write the results of all parts."""
    wanted, source = request.wanted, request.source
    smooth = results.smoothed(parts, tracker.smoothing) if tracker.smooth == "offline" else None
    results.write(parts, request.folder, wanted, smooth)
    if wanted.overlay and smooth is None:
        results.write_overlay(parts, parts.pictures(), request.folder, Path(source))
    elif wanted.overlay and smooth is not None and not interrupted:
        pictures = results.redrawn(parts, source, smooth)
        results.write_overlay(parts, pictures, request.folder, Path(source))
