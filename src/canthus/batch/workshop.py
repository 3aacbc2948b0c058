"""One part of a batch from its pictures to its tables: what every engine has done, in whatever process it likes.

In the folder of the results, part 7 is `faces/part-000007.parquet` and `pictures/part-000007.parquet`, and with
overlays the folder `overlays/part-000007`. It is finished when its table of faces is there, which is written last.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from canthus.batch.frames import frames_of, frames_of_video
from canthus.batch.inputs import Entry
from canthus.batch.plan import Part, Plan
from canthus.batch.setup import Setup, opened
from canthus.batch.tables import Tables
from canthus.errors import InputError
from canthus.pipeline import Result
from canthus.reader.frame import Frame
from canthus.types import Faces
from canthus.work.crew import Report
from canthus.work.files import replace_whole
from canthus.writer.images import jpeg_of, overlay_of

FACES, PICTURES, OVERLAYS = "faces", "pictures", "overlays"
"""Folders of the results."""
HIDDEN, PIECES = ".canthus-batch", "pieces"
"""Folder of the plan, in that of the results, and in it the folder of the tables of single pictures."""
STEP = 8
"""Number of pictures after which progress is reported."""


@dataclass(frozen=True)
class Workshop:
    """What is needed to make parts; a value that can be sent to other processes and machines.

    Attributes:
        folder: Folder of the results.
        setup: Model, detector and options.
        model: Hash of the model.
        overlay: Whether pictures of the results are drawn.
        column: Column of Parquet tables that holds the pictures; None = the only one that may.
    """

    folder: Path
    setup: Setup
    model: str
    overlay: bool = False
    column: str | None = None

    def path(self, part: Part, table: str) -> Path:
        """The file of a table of a part; those of single pictures are hidden until they are joined."""
        folder = self.folder / HIDDEN / PIECES if part.piece else self.folder
        return folder / table / f"{part.name}.parquet"

    def elsewhere(self, folder: Path) -> "Workshop":
        """The same workshop with another folder for its results."""
        return replace(self, folder=folder)

    def finished(self, part: Part) -> bool:
        """Whether the tables of a part are written."""
        return self.path(part, FACES).is_file()

    def job(self, plan: Plan, part: Part) -> "partial[int]":
        """What a process is to do to make a part of a plan that it can read."""
        return partial(self._from_plan, plan, part)

    def _from_plan(self, plan: Plan, part: Part, report: Report) -> int:
        return self.make(part, plan.entries(part), report)

    def make(self, part: Part, entries: list[Entry], report: Report) -> int:
        """Find the faces of a part and write its tables, whole or not at all.

        Args:
            part: The part.
            entries: Its pictures, or its video.
            report: Receives the number of pictures and frames that were done since the last call.

        Returns:
            Number of its pictures and frames.

        Raises:
            CanthusError: the model cannot be used, or a file cannot be written.
        """
        pipeline = opened(self.setup, self.model)
        video = entries[0].video
        frames = frames_of_video(entries[0].path) if video else frames_of(entries, self.column)
        return self.write(part, self._drawn(part, pipeline.frames(frames), video), video, report)

    def lose(self, part: Part, entry: Entry, reason: str) -> None:
        """Write the tables of a picture or video whose process ended each time: it has no face, but a reason."""
        source = Path(entry.path)
        name = f"{source}: row {entry.row}" if entry.row >= 0 else str(source)
        failed = Result(Frame(source, max(entry.row, 0)), Faces.empty(), InputError(f"{name}: {reason}"))
        self.write(part, [failed], True, lambda count: None)

    def write(self, part: Part, results: Iterable[Result], video: bool, report: Report) -> int:
        """Write the tables of a part; returns the number of its pictures and frames.

        Raises:
            OutputError: a file cannot be written.
        """
        count = told = 0
        with (
            replace_whole(self.path(part, FACES)) as faces,
            replace_whole(self.path(part, PICTURES)) as pictures,
            Tables(faces, pictures, self.model) as tables,
        ):
            for count, result in enumerate(results, 1):
                tables.add(part.start if video else part.start + count - 1, result)
                if count - told == STEP:
                    report(STEP)
                    told = count
        report(count - told)
        return count

    def _drawn(self, part: Part, results: Iterable[Result], video: bool) -> Iterator[Result]:
        """The results, after their overlays were written where these are wanted."""
        folder = self.folder / OVERLAYS / f"part-{part.number:06d}"
        for at, result in enumerate(results):
            if not self.overlay or result.image is None or result.error is not None:
                yield result
                continue
            name = f"{part.start:09d}-{result.frame.index:06d}" if video else f"{part.start + at:09d}"
            try:
                data = jpeg_of(result.path, overlay_of(result.image, result.faces))
            except InputError as error:
                yield replace(result, faces=Faces.empty(), error=error)
                continue
            with replace_whole(folder / f"{name}.jpg", sync=False) as file:
                file.write_bytes(data)
            yield result
