"""The results of a run over a video, made from its parts: tables, .pts files, the overlay video and the log.

Each file is complete or does not exist.
"""

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from canthus.errors import OutputError
from canthus.formats.arrow import arrow
from canthus.formats.tracks import points
from canthus.formats.tracks.moment import Layout, Moment
from canthus.formats.tracks.table import FORMATS, NAME, dump_stream
from canthus.reader.ahead import in_background
from canthus.reader.stream import open_stream
from canthus.track.smooth import Smoothing
from canthus.track.state import State
from canthus.track.step import Step, smooth_steps
from canthus.video.parts import Parts
from canthus.video.picture import drawn
from canthus.work.files import clear_parts, replace_whole
from canthus.writer import film
from canthus.writer.film import Film, Part, Sound, join, suffix_of

KINDS = ("csv", "jsonl", "parquet", "pts")
"""Formats that tracks can be written in."""
OVERLAY, LOG, POINTS = "overlay", f"{NAME}.log", "points"
"""Names of the overlay video without its extension, of the log, and of the folder of .pts files."""
VIDEOS = (".mp4", ".mkv")
"""Extensions that an overlay video may have."""
POINT_FILE = re.compile(r"\d{6,}_\d+\.pts")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to write.

    Attributes:
        kinds: Formats, some of `KINDS`.
        overlay: Whether to write a video with the faces drawn on it.
        log: Whether to write the changes of the states of faces.
    """

    kinds: tuple[str, ...] = ("csv",)
    overlay: bool = False
    log: bool = False

    def check(self) -> None:
        """Refuse what cannot be written.

        Raises:
            OutputError: a format is not known.
            ExtraMissingError: a package that is needed is not installed.
        """
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise OutputError(f"tracks are written as {', '.join(KINDS)}, not as {', '.join(unknown)}")
        if "parquet" in self.kinds:
            arrow()
        if self.overlay:
            film.check_installed()


def results_in(folder: Path) -> list[Path]:
    """The files in a folder that have the names of results."""
    names = [*(NAME + ending for ending in FORMATS), *(OVERLAY + ending for ending in VIDEOS), LOG]
    found = [folder / name for name in names if os.path.lexists(folder / name)]
    if (folder / POINTS).is_dir():
        found += sorted(path for path in (folder / POINTS).iterdir() if POINT_FILE.fullmatch(path.name))
    return found


def spare(folder: Path, source: Path, ours: bool) -> None:
    """Refuse a folder in which results would replace the source or files of others; remove what earlier runs left.

    Args:
        folder: Folder of the results.
        source: The source of frames.
        ours: Whether an earlier run has used the folder.

    Raises:
        OutputError: such a file exists, or cannot be removed.
    """
    for path in results_in(folder):
        if os.path.realpath(path) == os.path.realpath(source):
            raise OutputError(f"{path}: is the source, and the results would replace it; write to another folder")
        if not ours:
            raise OutputError(f"{path}: exists, and canthus did not write it; choose another folder, or remove it")
    try:
        for path in results_in(folder):
            path.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror or error}") from error


def clear_half_written(folder: Path) -> None:
    """Remove what killed runs left half-written.

    Raises:
        OutputError: it cannot be removed.
    """
    try:
        for place in (folder, folder / POINTS):
            clear_parts(place)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written to: {error.strerror or error}") from error


def write(parts: Parts, folder: Path, wanted: Wanted, smooth: Sequence[Moment] | None = None) -> None:
    """Write the tables, .pts files and the log that all parts together give.

    Args:
        parts: The parts.
        folder: Folder of the results.
        wanted: What to write.
        smooth: The frames with smoothed points; None = as they are in the parts.

    Raises:
        OutputError: a file cannot be written.
    """
    layout = parts.layout or Layout("", 0, 2)
    for kind in wanted.kinds:
        moments = parts.moments() if smooth is None else smooth
        if kind == "pts":
            points.dump(folder / POINTS, moments)
        else:
            dump_stream(folder / f"{NAME}.{kind}", layout, moments)
    if wanted.log:
        with replace_whole(folder / LOG) as part, part.open("w", encoding="utf-8") as stream:
            stream.writelines(parts.events())


def smoothed(parts: Parts, smoothing: Smoothing) -> list[Moment]:
    """The frames of all parts, smoothed both ways; all of them are in memory."""
    moments = list(parts.moments())
    steps = smooth_steps([step_of(one) for one in moments], smoothing)
    return [replace(one, faces=step.faces) for one, step in zip(moments, steps, strict=True)]


def write_overlay(parts: Parts, pictures: list[Part], folder: Path, source: Path) -> None:
    """Join the pictures and the sound of the source, if it is a file that has some.

    Raises:
        OutputError: the video cannot be written.
    """
    start = parts.last.start
    sound = None if start is None or not source.is_file() else Sound(source, start)
    if pictures:
        join(folder / (OVERLAY + suffix_of(sound)), pictures, sound)


def redrawn(parts: Parts, source: str, moments: Iterable[Moment]) -> list[Part]:
    """The pictures of a whole video, which is read once more.

    Args:
        parts: The parts of the run; the pictures are written beside them.
        source: The video, or the images.
        moments: The frames of the run, in order.

    Raises:
        ReadError: the source cannot be read again.
        OutputError: the pictures cannot be written.
    """
    path, stream = parts.path(".mp4", 0), open_stream(source)
    found: list[Part] = []
    known = {one.frame: one for one in moments}
    with closing(stream), ExitStack() as stack:
        film: Film | None = None
        for frame in in_background(stream):
            if frame.image is None or frame.index not in known:
                continue
            one = known[frame.index]
            if film is None:
                film = stack.enter_context(Film(path, (frame.image.shape[1], frame.image.shape[0]), stream.rate))
                found = [Part(path, one.time)]
            film.add(drawn(frame.image, step_of(one)), one.time)
    return found


def step_of(moment: Moment) -> Step:
    """What a tracker had said of a frame of a table."""
    return Step(moment.faces, tuple(map(State, moment.states)), (), moment.time)
