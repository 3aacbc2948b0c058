"""Landmarks of many image files in one folder of results: what `canthus detect` runs, for Python users too.

>>> files = image_files(["photos"], Path("out"))
>>> with ResultFolder(Path("out"), files, root_of(["photos"]), ["json", "csv"]) as folder:
...     summary = process_files(Pipeline.open(), files, folder)

`canthus.batch.shared` does the same with several processes.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import perf_counter

from canthus.detect.given import BoxFile
from canthus.errors import InputError, ReadError
from canthus.pipeline import Pipeline
from canthus.reader.files import find
from canthus.runtime.bundle import Bundle
from canthus.types import Faces
from canthus.version import __version__
from canthus.writer.images import ResultFolder

NO_MEMORY = "there is not enough memory to write its results; shrink the image"
"""Reason why an image failed."""


@dataclass
class Summary:
    """Counts of a run over image files.

    Attributes:
        images: Number of images whose results were written.
        faces: Number of faces in them.
        faceless: Number of images without a face.
        skipped: Number of images whose results an earlier run had written.
        seconds: Duration of the run so far.
        failures: Error message of each image that failed.
    """

    images: int = 0
    faces: int = 0
    faceless: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def add(self, faces: Faces) -> None:
        """Count an image whose results were written."""
        self.images += 1
        self.faces += len(faces)
        self.faceless += len(faces) == 0

    @property
    def rate(self) -> str:
        """Images and faces per second, in words."""
        spent = max(self.seconds, 1e-6)
        return f"{self.images / spent:.1f} images/s, {self.faces / spent:.1f} faces/s"


def image_files(paths: Sequence[str], out: Path) -> list[Path]:
    """List the image files to process, without earlier results where the output folder lies in a folder of images.

    Args:
        paths: Files, folders and patterns, as for `canthus.reader.files.find`.
        out: Folder of the results.

    Returns:
        The files, sorted. Names that lead to no file are among them if others lead to one.

    Raises:
        ReadError: a folder or a pattern leads to no image, or no name leads to a file.
    """
    results = _real(out)
    folders = [_real(Path(path)) for path in paths]
    below = any(results.is_relative_to(folder) and results != folder for folder in folders)
    files = [file for file in find(paths) if not (below and _real(file).is_relative_to(results))]
    if files and not any(map(os.path.exists, files)):
        raise ReadError(f"{files[0]}: no such file or folder")
    return files


def _real(path: Path) -> Path:
    """A path without symbolic links; one that leads in a circle stays as it is."""
    return Path(os.path.realpath(path))


def fingerprint(model: Path | None, files: Sequence[Path | None], options: Sequence[object]) -> str:
    """Hash of all that results depend on besides the images: a resumed run redoes results with another fingerprint.

    Args:
        model: Landmark bundle; None = the one in the package.
        files: Other files that were given, as boxes or the detector's bundle; None = not given.
        options: Other settings.

    Raises:
        CanthusError: the model cannot be used.
    """
    text = [__version__, Bundle.open(model).card.model_dump_json(), *map(str, options)]
    contents = [b"" if file is None or not file.is_file() else file.read_bytes() for file in files]
    return sha256(b"\n".join([os.fsencode("\n".join(text)), *contents])).hexdigest()[:16]


def process_files(
    pipeline: Pipeline,
    files: Sequence[Path],
    folder: ResultFolder,
    boxes: BoxFile | None = None,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Find the landmarks in image files and write the results; an image that fails does not end the run.

    Args:
        pipeline: Detector and aligner.
        files: Image files, those of `folder`. Those with results of an earlier run are skipped if `folder` resumes.
        folder: Open folder of the results.
        boxes: File of face boxes; None = the detector finds the faces.
        progress: Called after each image with the counts so far.

    Raises:
        OutputError: a result cannot be written.
    """
    todo = [file for file in files if not folder.done(file)]
    summary, start = Summary(skipped=len(files) - len(todo)), perf_counter()
    for result in pipeline.files(todo, boxes):
        try:
            if result.error is not None or result.image is None:
                summary.failures.append(str(result.error))
            else:
                folder.write(result.path, result.image, result.faces)
                summary.add(result.faces)
        except InputError as error:
            summary.failures.append(str(error))
        except MemoryError:
            summary.failures.append(f"{result.path}: {NO_MEMORY}")
        summary.seconds = perf_counter() - start
        progress(summary)
    return summary
