"""A batch: the faces of any number of pictures and videos as Parquet tables; what `canthus batch` runs.

>>> request = Request(("photos",), Path("out"), Setup())
>>> summary = run(request, Processes(workers=2))

The work is divided into parts (`plan`), each of which is written whole or not at all (`workshop`), so that a run which
was killed is resumed by the same call: nothing is lost, and nothing comes twice. A part whose process has ended is made
by another one; where this ends as well, its pictures are tried one by one, and one whose process ends each time fails
alone.
"""

import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Protocol

from canthus.batch.folder import fingerprint
from canthus.batch.inputs import entries
from canthus.batch.plan import Part, Plan
from canthus.batch.setup import Setup
from canthus.batch.workshop import FACES, HIDDEN, PICTURES, PIECES, Workshop
from canthus.formats.arrow import arrow
from canthus.version import __version__
from canthus.work.crew import ENDED, KilledError, Report
from canthus.work.files import replace_whole
from canthus.work.folder import claim

ATTEMPTS = 2
"""How often a picture is tried alone, after the part that it belongs to has been tried twice."""
IN_A_ROW = 8
"""Number of parts one after the other whose processes end, after which the run ends: it is not a picture's fault."""
SHOWN = 20
"""Number of failures whose reasons are kept in memory; all are in the table of pictures."""


@dataclass(frozen=True)
class Request:
    """What to do.

    Attributes:
        inputs: Pictures and videos, as `inputs.entries` takes them.
        folder: Folder of the results.
        setup: Model, detector and options.
        overlay: Whether pictures of the results are drawn.
        column: Column of Parquet tables that holds the pictures; None = the only one that may.
        files: Further files that the results depend on, as the detector's bundle.
    """

    inputs: tuple[str, ...]
    folder: Path
    setup: Setup = field(default_factory=Setup)
    overlay: bool = False
    column: str | None = None
    files: tuple[Path, ...] = ()


class Engine(Protocol):
    """Has parts made by processes or machines."""

    def make(
        self, workshop: Workshop, plan: Plan, parts: Sequence[Part], report: Report
    ) -> Generator[tuple[Part, bool], None, None]:
        """Make parts, in any order.

        Args:
            workshop: Makes a part.
            plan: Knows the pictures of each part.
            parts: The parts.
            report: Receives the number of pictures and frames that were done since the last call.

        Yields:
            Each part when it ends, and whether its tables are written; False where the process that made it ended.
        """
        ...


@dataclass
class Progress:
    """How far a run is.

    Attributes:
        total: Number of pictures and videos.
        resumed: How many of them earlier runs had finished.
        done: How many of them are finished.
        frames: Number of pictures and frames of videos that this run has done.
        seconds: Duration of the run so far.
    """

    total: int
    resumed: int
    done: int
    frames: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Pictures and frames per second."""
        return self.frames / max(self.seconds, 1e-6)

    @property
    def left(self) -> float | None:
        """Seconds until the run ends, as far as can be told; None = nothing is finished yet."""
        made = self.done - self.resumed
        return (self.total - self.done) * self.seconds / made if made else None


@dataclass
class Summary:
    """What is in the tables after a run.

    Attributes:
        progress: How far the run came, and how fast.
        pictures: Number of pictures and frames without an error.
        faces: Number of faces in them.
        faceless: Number of pictures without a face.
        failed: Number of pictures and frames that failed.
        failures: Reasons of the first of them.
    """

    progress: Progress
    pictures: int = 0
    faces: int = 0
    faceless: int = 0
    failed: int = 0
    failures: list[str] = field(default_factory=list)


def run(request: Request, engine: Engine, watch: Callable[[Progress], None] = lambda _: None) -> Summary:
    """Find the faces of all pictures and videos, and write the tables that are missing.

    Args:
        request: What to do.
        engine: What makes the parts.
        watch: Called when something was done.

    Raises:
        ReadError: an input does not exist, or leads to no picture.
        OutputError: the folder holds another run, or cannot be written.
        KilledError: processes end again and again.
        CanthusError: the model cannot be used.
    """
    arrow()
    for text in request.inputs:
        next(entries([text], request.folder, request.column))
    setup, folder = request.setup, request.folder
    workshop = Workshop(folder, setup, setup.model_hash, request.overlay, request.column)
    options = [setup.detector, setup.options, setup.device, setup.precision, setup.depth, setup.passes, setup.scheme]
    settings = {
        "canthus": __version__,
        "model": workshop.model,
        "settings": fingerprint(setup.model, request.files, options),
        "overlay": request.overlay,
        "column": request.column,
        "inputs": list(request.inputs),
    }
    claim(folder, settings)
    plan = Plan.make(folder / HIDDEN, entries(request.inputs, folder, request.column))
    todo = [part for part in plan.parts() if not workshop.finished(part)]
    finished = plan.total - sum(part.stop - part.start for part in todo)
    progress = Progress(plan.total, finished, finished)
    _Foreman(workshop, plan, engine, progress, watch).work(todo)
    summary = Summary(progress)
    for part in plan.parts():
        _count(workshop.path(part, PICTURES), summary)
    return summary


class _Foreman:
    """Has parts made, those whose process ended in pieces, and tells how far the run is."""

    def __init__(
        self,
        workshop: Workshop,
        plan: Plan,
        engine: Engine,
        progress: Progress,
        watch: Callable[[Progress], None],
    ) -> None:
        self._workshop, self._plan, self._engine = workshop, plan, engine
        self._progress, self._watch, self._start = progress, watch, perf_counter()

    def work(self, todo: Sequence[Part]) -> None:
        """Make all parts."""
        lost = self._make(self._make(todo))
        pieces = [piece for part in lost for piece in part.pieces if not self._workshop.finished(piece)]
        for _ in range(ATTEMPTS):
            pieces = self._make(pieces)
        for piece in pieces:
            self._workshop.lose(piece, self._plan.entries(piece)[0], ENDED)
        for part in lost:
            for table in (PICTURES, FACES):
                _join([self._workshop.path(piece, table) for piece in part.pieces], self._workshop.path(part, table))
        shutil.rmtree(self._workshop.folder / HIDDEN / PIECES, ignore_errors=True)
        self._tell(self._progress.total - self._progress.done)

    def _make(self, parts: Sequence[Part]) -> list[Part]:
        """Make parts; returns those whose process ended."""
        lost: list[Part] = []
        in_a_row = 0
        if not parts:
            return lost
        with closing(self._engine.make(self._workshop, self._plan, parts, self._count)) as ended:
            for part, made in ended:
                if made:
                    in_a_row = 0
                    self._tell(part.stop - part.start)
                    continue
                lost.append(part)
                in_a_row += 1
                if in_a_row == IN_A_ROW and not part.piece:
                    raise KilledError(
                        f"{in_a_row} processes were killed one after the other, perhaps because memory ran out; use "
                        "fewer --workers, and run the same command again to resume"
                    )
        return lost

    def _count(self, frames: int) -> None:
        self._progress.frames += frames
        self._tell(0)

    def _tell(self, done: int) -> None:
        self._progress.done += done
        self._progress.seconds = perf_counter() - self._start
        self._watch(self._progress)


def _join(pieces: Iterable[Path], path: Path) -> None:
    """Write tables one after the other as one."""
    pyarrow, parquet = arrow()
    with replace_whole(path) as part:
        parquet.write_table(pyarrow.concat_tables([parquet.read_table(piece) for piece in pieces]), part)


def _count(path: Path, summary: Summary) -> None:
    """Add the pictures of a table to the counts."""
    _, parquet = arrow()
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["faces", "error"]):
            counts, errors = batch.column(0).to_numpy(), batch.column(1)
            summary.failed += len(errors) - errors.null_count
            summary.pictures += errors.null_count
            summary.faces += int(counts.sum())
            summary.faceless += int((counts == 0).sum()) - (len(errors) - errors.null_count)
            if errors.null_count < len(errors) and len(summary.failures) < SHOWN:
                reasons = [text for text in errors.to_pylist() if text is not None]
                summary.failures += reasons[: SHOWN - len(summary.failures)]
