"""Landmarks of many image files by several processes with one thread each; results and order of files as of `folder`.

The processes find the faces and draw the pictures; this process alone writes into the folder of the results.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Self

from canthus.batch.folder import NO_MEMORY, Summary
from canthus.batch.setup import Setup, opened
from canthus.detect.given import BoxFile
from canthus.errors import InputError
from canthus.pipeline import Result
from canthus.types import Faces, Image
from canthus.work.crew import ENDED, KilledError, Report, cores, spread
from canthus.writer.images import ResultFolder, pictures_of

MANY = 400
"""Number of image files from which on several processes are faster than the threads of one, in spite of their start."""
TOGETHER = 16
"""Number of image files of a job."""


@dataclass(frozen=True)
class Task:
    """What the processes need to know besides the image files.

    Attributes:
        setup: Model, detector and options.
        boxes: File of face boxes; None = the detector finds the faces.
        columns: Prefix of the columns of this file.
        overlay: Whether the faces are drawn onto the images.
        maps: Whether their maps are drawn.
    """

    setup: Setup
    boxes: Path | None = None
    columns: str = ""
    overlay: bool = False
    maps: bool = False


class Found(NamedTuple):
    """The results of an image file, without its pixels.

    Attributes:
        path: The file.
        size: Its width and height in pixels.
        faces: Its faces.
        pictures: Content of its pictures by their endings.
        error: Reason why it failed; empty = it did not.
    """

    path: Path
    size: tuple[int, int]
    faces: Faces
    pictures: dict[str, bytes]
    error: str

    @classmethod
    def failed(cls, path: Path, reason: str) -> Self:
        """An image file that failed, with the reason."""
        return cls(path, (0, 0), Faces.empty(), {}, reason)


def processes_for(setup: Setup, files: Sequence[Path], folder: ResultFolder) -> int:
    """Number of processes that share the work best: as many as threads were asked for, or none for a few image files.

    Args:
        setup: Device, and number of threads; 0 = all cores.
        files: Image files.
        folder: Open folder of the results, which knows what an earlier run has finished.
    """
    workers = setup.threads or cores()
    if setup.device != "cpu" or workers < 2 or sum(not folder.done(file) for file in files) < MANY:
        return 0
    return workers


def process_shared(
    task: Task,
    files: Sequence[Path],
    folder: ResultFolder,
    workers: int,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Find the landmarks in image files and write the results; an image that fails does not end the run.

    Where a process ends, its image files are tried one by one; one whose process ends again fails alone.

    Args:
        task: Model, detector and options.
        files: Image files, those of `folder`. Those with results of an earlier run are skipped if `folder` resumes.
        folder: Open folder of the results.
        workers: Number of processes.
        progress: Called after each image with the counts so far.

    Raises:
        OutputError: a result cannot be written.
        CanthusError: the model cannot be used.
    """
    todo = [file for file in files if not folder.done(file)]
    summary, start = Summary(skipped=len(files) - len(todo)), perf_counter()
    for found in _found_by_all(task, todo, workers):
        try:
            if found.error:
                summary.failures.append(found.error)
            else:
                folder.keep(found.path, found.size, found.faces, found.pictures)
                summary.add(found.faces)
        except InputError as error:
            summary.failures.append(str(error))
        summary.seconds = perf_counter() - start
        progress(summary)
    return summary


def _found_by_all(task: Task, files: Sequence[Path], workers: int) -> Iterator[Found]:
    """The results of image files as they come."""
    jobs = [files[at : at + TOGETHER] for at in range(0, len(files), TOGETHER)]
    for last in (False, True):
        lost: list[Path] = []
        with closing(spread((partial(find, task, some) for some in jobs), workers)) as ended:
            for place, answer in ended:
                if isinstance(answer, KilledError):
                    lost += jobs[place]
                elif isinstance(answer, Exception):
                    raise answer
                else:
                    yield from answer
        if last:
            yield from (Found.failed(file, f"{file}: {ENDED}") for file in lost)
        jobs = [[file] for file in lost]


@lru_cache(1)
def _tools(task: Task) -> tuple[BoxFile | None, Callable[[Image, Faces], Image] | None]:
    """The boxes, and what draws maps; this process keeps them for its next job."""
    boxes = None if task.boxes is None else BoxFile.open(task.boxes, task.columns)
    return boxes, task.setup.sheet() if task.maps else None


def find(task: Task, files: Sequence[Path], report: Report) -> list[Found]:
    """The results of some image files: the job of a process.

    Args:
        task: Model, detector and options.
        files: The image files.
        report: Not called.

    Raises:
        CanthusError: the model cannot be used.
    """
    pipeline = opened(task.setup)
    boxes, maps = _tools(task)
    return [_drawn(result, task.overlay, maps) for result in pipeline.files(files, boxes)]


def _drawn(result: Result, overlay: bool, maps: Callable[[Image, Faces], Image] | None) -> Found:
    """A result with its pictures in place of its pixels."""
    path, image = result.path, result.image
    if result.error is not None or image is None:
        return Found.failed(path, str(result.error))
    try:
        pictures = pictures_of(path, image, result.faces, overlay, maps)
    except InputError as error:
        return Found.failed(path, str(error))
    except MemoryError:
        return Found.failed(path, f"{path}: {NO_MEMORY}")
    return Found(path, (image.shape[1], image.shape[0]), result.faces, pictures, "")
