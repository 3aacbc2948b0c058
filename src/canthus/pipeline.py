"""Read -> detect -> align as one chain of generators: images are read ahead, faces go through the network in batches.

Law (tested): whatever the size of the batches, the faces of an image are the same, and results come in the order of
the images.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from canthus.align.aligner import Aligner
from canthus.detect.detector import Detector
from canthus.detect.given import BoxFile, inside
from canthus.errors import CanthusError, InputError, ReadError, ShapeError
from canthus.geometry.crop import box_of
from canthus.reader.frame import Frame
from canthus.reader.image import read
from canthus.runtime.bundle import Precision
from canthus.runtime.session import Device
from canthus.types import FaceDetector, Faces, Floats, Image, as_image

READERS = 2
"""Threads that read images."""
AHEAD = 4
"""Images that are read before they are needed."""
HELD_PIXELS = 100_000_000
"""Images wait for a full batch until they have that many pixels together."""


class BatchAligner(Protocol):
    """Finds the landmarks in several images at once: an `Aligner`."""

    def align_many(
        self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
    ) -> list[Faces]:
        """The faces of each image (H, W, 3), in the order of its boxes (F, 4); heads turned by `rolls` (F,)."""
        ...


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """What became of one image file.

    Attributes:
        path: The file.
        image: Shape (H, W, 3); None where it could not be read.
        faces: What was found; empty where `error` is set.
        error: Why nothing could be found.
    """

    path: Path
    image: Image | None
    faces: Faces
    error: CanthusError | None = None


class Pipeline:
    """From pictures to landmarks.

    >>> pipeline = canthus.Pipeline.open()
    >>> pipeline(canthus.read("portrait.jpg")).points  # (F, 68, 2)
    """

    def __init__(self, detector: FaceDetector, aligner: BatchAligner, batch: int = 32, passes: int = 2) -> None:
        """Join a detector and an aligner.

        Args:
            detector: Finds the faces.
            aligner: Finds their landmarks.
            batch: Faces to wait for before they are aligned; 1 = no image waits for another.
            passes: Times that a face found by the detector is aligned, from the second on from the box of its points.
        """
        self.detector, self.aligner, self.batch, self.passes = detector, aligner, batch, passes

    @classmethod
    def open(
        cls,
        model: str | Path | None = None,
        detector: str | FaceDetector | None = None,
        *,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "fp32",
        depth: int | None = None,
        batch: int = 32,
        passes: int = 2,
        **options: Any,
    ) -> "Pipeline":
        """Load a model and a detector.

        Args:
            model: A bundle; None = the one in the package.
            detector: A detector, or the name of one; None = the default.
            device: "cpu", "cuda" or "openvino".
            threads: Threads of the engine on the CPU; 0 = all cores.
            precision: "fp32", or "int8": faster and slightly less accurate.
            depth: Stages of a cascade after which to stop; None = all.
            batch: Faces that go through the network at once.
            passes: Times that a face found by the detector is aligned; a second pass makes up for a loose box.
            **options: Of the detector that is named.

        Raises:
            CanthusError: the model, the detector or the device cannot be used.
        """
        if options and not (detector is None or isinstance(detector, str)):
            raise InputError(f"{', '.join(options)}: options are for a detector that is named; set them on yours")
        aligner = Aligner.open(model, device=device, threads=threads, precision=precision, batch=batch, depth=depth)
        if detector is None or isinstance(detector, str):
            detector = Detector.open(detector, **options)
        return cls(detector, aligner, batch, passes)

    def __call__(self, image: Image) -> Faces:
        """The faces of one image (H, W, 3), with landmarks; an empty `Faces` where there is none.

        Raises:
            ShapeError: no image.
        """
        return next(self.run([image]))

    def run(self, frames: Iterable[Image]) -> Iterator[Faces]:
        """The faces of images, in their order.

        Args:
            frames: Images (H, W, 3). Up to a batch of faces is taken before the first result comes.

        Raises:
            ShapeError: no image.
        """
        located = (Result(Path(), image, self.detector.detect(as_image(image))) for image in frames)
        return (result.faces for result in self._align(located, self.passes))

    def files(self, paths: Iterable[Path], boxes: BoxFile | None = None) -> Iterator[Result]:
        """The faces of image files, in their order; a file that fails does not end the run.

        Args:
            paths: Image files.
            boxes: Where the faces are; None = the detector finds them.
        """
        return self._align(self._locate(read_ahead(paths), boxes), self.passes if boxes is None else 1)

    def _locate(self, frames: Iterable[Frame | tuple[Path, ReadError]], boxes: BoxFile | None) -> Iterator[Result]:
        """Boxes for each image."""
        for frame in frames:
            if not isinstance(frame, Frame):
                yield Result(frame[0], None, Faces.empty(), frame[1])
                continue
            try:
                faces = self.detector.detect(frame.image) if boxes is None else boxes.of(frame.path)
                inside(faces.boxes, frame.image)
            except ShapeError as error:
                yield Result(frame.path, frame.image, Faces.empty(), InputError(f"{frame.path}: {error}"))
            except CanthusError as error:
                yield Result(frame.path, frame.image, Faces.empty(), error)
            else:
                yield Result(frame.path, frame.image, faces)

    def _align(self, located: Iterable[Result], passes: int) -> Iterator[Result]:
        """Landmarks for the boxes of each image, in batches across images."""
        waiting: list[Result] = []
        faces = pixels = 0
        for result in located:
            waiting.append(result)
            faces += len(result.faces)
            pixels += 0 if result.image is None else result.image.size // 3
            if faces >= self.batch or pixels >= HELD_PIXELS or len(waiting) >= 2 * self.batch:
                yield from self._aligned(waiting, passes)
                waiting, faces, pixels = [], 0, 0
        yield from self._aligned(waiting, passes)

    def _aligned(self, waiting: Sequence[Result], passes: int) -> Iterator[Result]:
        """Their landmarks; the confidence of a face is the detector's, or the aligner's where the box was given."""
        images = [result.image for result in waiting if result.image is not None]
        given = [result.faces for result in waiting if result.image is not None]
        rolls = [faces.pose[:, 2] for faces in given]
        found = self.aligner.align_many(images, [faces.boxes for faces in given], rolls)
        for _ in range(passes - 1):
            found = self.aligner.align_many(images, [_tight(faces) for faces in found], rolls)
        aligned = iter(found)
        for result in waiting:
            if result.image is None:
                yield result
                continue
            faces = next(aligned)
            certain = result.faces.confidence
            confidence = np.where(np.isnan(certain), faces.confidence, certain)
            yield replace(result, faces=replace(faces, confidence=confidence))


def _tight(faces: Faces) -> Floats:
    """The boxes of the points (F, 4); of a face whose points lie on a line, the box it has."""
    if len(faces) == 0:
        return faces.boxes
    boxes = box_of(faces.points)
    flat = ~(boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes[flat] = faces.boxes[flat]
    return boxes


def read_ahead(paths: Iterable[Path]) -> Iterator[Frame | tuple[Path, ReadError]]:
    """Read image files in the background, a few ahead of what is asked for.

    Returns:
        In the order of the paths: the frame, or the path and why it cannot be read.
    """
    queue = iter(paths)
    with ThreadPoolExecutor(READERS, thread_name_prefix="canthus-read") as pool:
        pending: deque[tuple[Path, Future[Image]]] = deque()
        try:
            while True:
                for path in islice(queue, AHEAD - len(pending)):
                    pending.append((path, pool.submit(read, path)))
                if not pending:
                    return
                path, future = pending.popleft()
                try:
                    yield Frame(path, future.result())
                except ReadError as error:
                    yield path, error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
