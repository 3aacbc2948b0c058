"""The finished parts of a run over a video, in a hidden folder: a run that was killed goes on after the last of them.

A part holds the faces of `FRAMES` frames (.jsonl), the changes of their states (.log), their pictures (.mp4) and a note
(.json), which is written last, when the others are on the disk, and keeps the memory of the tracker. The last part of a
run that was interrupted is shorter and has no memory: its frames are tracked again, so that the results do not depend
on where a run was interrupted.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from canthus.errors import OutputError
from canthus.formats.tracks import jsonl
from canthus.formats.tracks.moment import Layout, Moment
from canthus.formats.tracks.table import dump_stream
from canthus.track.memory import Memory, from_plain
from canthus.work.files import replace_whole
from canthus.work.folder import claim
from canthus.writer.film import Part

HIDDEN = ".canthus-track"
"""Name of the folder, in that of the results."""
FRAMES = 500
"""Number of frames of a part."""
DONE = "done.json"
"""Name of the note of a run whose results are written."""
PART_FILE = re.compile(r"\d{6,}\.(json|jsonl|log|mp4)")
"""Names of the files of parts; nothing else is removed."""
REMEDY = "run again without --resume"


@dataclass(frozen=True)
class Note:
    """What is known of the frames up to the end of a part.

    Attributes:
        frames: Number of the frame that comes next.
        tracked: Number of frames that are in the results.
        seconds: Time of the last of them.
        layout: Scheme, number of points and of coordinates; None = there was no face.
        drawn: Time of the first picture of this part; None = it has no pictures.
        size: Width and height of the pictures; None = there was none.
        start: Time in the file at which the first frame is shown; None = not known.
        faults: What went wrong in this part.
        memory: The memory of the tracker; None = the run was interrupted in this part.
    """

    frames: int
    tracked: int
    seconds: float
    layout: tuple[str, int, int] | None
    drawn: float | None
    size: tuple[int, int] | None
    start: float | None
    faults: tuple[str, ...]
    memory: Any


_NOTE: TypeAdapter[Note] = TypeAdapter(Note)
NONE = Note(0, 0, 0.0, None, None, None, None, (), None)
"""What is known before the first part."""


class Parts:
    """The parts of a run.

    Attributes:
        folder: The hidden folder.
        notes: The notes of the finished parts, in order.
        done: What is known of the whole video, where its results are written; None = they are not.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], resume: bool) -> None:
        """Take the folder of the results for a run.

        Args:
            folder: Folder of the results; it is created.
            settings: All that the results depend on, as JSON can hold it.
            resume: Whether to go on with an earlier run; otherwise what is left of it is removed.

        Raises:
            OutputError: the folder cannot be written, or an earlier run had other settings, or is damaged.
        """
        self.folder = folder / HIDDEN
        try:
            if not resume and self.folder.is_dir():
                shutil.rmtree(self.folder)
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be removed: {error.strerror or error}") from error
        claim(self.folder, settings)
        self.done = _read(self.folder / DONE) if (self.folder / DONE).is_file() else None
        self.notes: list[Note] = []
        while (path := self.path(".json", len(self.notes))).is_file():
            self.notes.append(_read(path))

    @property
    def last(self) -> Note:
        """What is known after the last part."""
        return self.notes[-1] if self.notes else NONE

    @property
    def faults(self) -> tuple[str, ...]:
        """What went wrong in all parts."""
        return tuple(fault for note in self.notes for fault in note.faults)

    @property
    def layout(self) -> Layout | None:
        """The layout of the faces; None = there was none."""
        found = next((note.layout for note in self.notes if note.layout is not None), None)
        return None if found is None else Layout(*found)

    def path(self, suffix: str, number: int | None = None) -> Path:
        """A file of a part; by default of the one that comes next."""
        return self.folder / f"{len(self.notes) if number is None else number:06d}{suffix}"

    def take_up(self) -> Memory:
        """Forget the part in which a run was interrupted, and give back the memory of the tracker before it.

        Raises:
            OutputError: it is damaged, or a file cannot be removed.
        """
        if self.notes and self.notes[-1].memory is None:
            self.notes.pop()
            try:
                self.path(".json").unlink()
            except OSError as error:
                raise OutputError(f"{self.path('.json')}: cannot be removed: {error.strerror or error}") from error
        if not self.notes:
            return Memory()
        try:
            return from_plain(self.last.memory)
        except ValueError as error:
            raise OutputError(f"{self.path('.json', len(self.notes) - 1)}: is damaged: {error}; {REMEDY}") from error

    def add(self, moments: Sequence[Moment], events: Iterable[str], note: Note) -> None:
        """Finish a part whose pictures are complete.

        Raises:
            OutputError: a file cannot be written.
        """
        layout = Layout(*note.layout) if note.layout else Layout.of(moments)
        dump_stream(self.path(".jsonl"), layout, moments)
        with replace_whole(self.path(".log")) as part:
            part.write_text("".join(f"{line}\n" for line in events), encoding="utf-8")
        with replace_whole(self.path(".json")) as part:
            part.write_bytes(_NOTE.dump_json(note))
        self.notes.append(note)

    def moments(self) -> Iterator[Moment]:
        """The frames of all parts."""
        for number in range(len(self.notes)):
            yield from jsonl.load(self.path(".jsonl", number))

    def events(self) -> Iterator[str]:
        """The changes of states of all parts, as lines with their end."""
        for number in range(len(self.notes)):
            with self.path(".log", number).open(encoding="utf-8") as stream:
                yield from stream

    def pictures(self) -> list[Part]:
        """The pictures of all parts."""
        return [
            Part(self.path(".mp4", number), note.drawn)
            for number, note in enumerate(self.notes)
            if note.drawn is not None
        ]

    def clear(self) -> None:
        """Note that the results are written, and remove the parts.

        Raises:
            OutputError: a file cannot be removed or written.
        """
        summary = replace(self.last, faults=self.faults, memory=None)
        with replace_whole(self.folder / DONE) as part:
            part.write_bytes(_NOTE.dump_json(summary))
        try:
            for path in self.folder.iterdir():
                if PART_FILE.fullmatch(path.name):
                    path.unlink()
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be cleared: {error.strerror or error}") from error
        self.done, self.notes = summary, []


def _read(path: Path) -> Note:
    try:
        return _NOTE.validate_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise OutputError(f"{path}: is damaged: {str(error).splitlines()[0]}; {REMEDY}") from error
