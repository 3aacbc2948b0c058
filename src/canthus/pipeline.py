"""Read -> detect -> align as one chain of generators.

Image files are read ahead, and images go through the detector and faces through the aligner in batches.

Law (tested): the faces of an image do not depend on the size of the batches, and results come in the order of the
images.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from canthus.align.aligner import Aligner
from canthus.detect.detector import Detector, options_of
from canthus.detect.given import BoxFile, inside
from canthus.errors import CanthusError, InputError, ShapeError
from canthus.geometry.crop import box_of
from canthus.reader.ahead import read_ahead
from canthus.reader.frame import Frame
from canthus.reader.picture import Picture, as_pixels
from canthus.runtime.bundle import Precision
from canthus.runtime.session import Device
from canthus.schemes.faces import conversion
from canthus.types import FaceAligner, FaceDetector, Faces, Floats, Image

DETECTED_PIXELS = 4_000_000
"""Images go through the detector together until they have this many pixels."""
HELD_PIXELS = 100_000_000
"""Images wait for a full batch of faces until they have this many pixels together."""


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """One image of a run and its faces.

    Attributes:
        frame: The image and its source.
        faces: Faces found in the image; empty where `error` is set.
        error: Reason why the image could not be read or processed; None where it could.
    """

    frame: Frame
    faces: Faces
    error: CanthusError | None = None

    @property
    def path(self) -> Path:
        """The image file."""
        return self.frame.source

    @property
    def image(self) -> Image | None:
        """Pixels of the image, shape (H, W, 3); None where it could not be read."""
        return self.frame.image


class Pipeline:
    """From images to landmarks.

    >>> pipeline = canthus.Pipeline.open()
    >>> pipeline("portrait.jpg").points  # (F, 68, 2)
    """

    def __init__(
        self,
        detector: FaceDetector,
        aligner: FaceAligner,
        batch: int = 32,
        passes: int = 2,
        scheme: str | None = None,
    ) -> None:
        """Join a detector and an aligner.

        Args:
            detector: Finds the faces.
            aligner: Finds their landmarks.
            batch: Number of faces to wait for before they are aligned, and largest number of images to wait for before
                faces are detected in them; 1 = no image waits for another.
            passes: Alignment passes per detected face; from the second on, the box of the points found before is used.
            scheme: Landmark scheme of the results (`Faces.in_scheme`); None = that of the aligner.

        Raises:
            ShapeError: the batch or the number of passes is below 1.
        """
        if batch < 1 or passes < 1:
            raise ShapeError(f"a pipeline needs batch >= 1 and passes >= 1, not {batch} and {passes}")
        self.detector, self.aligner, self.batch, self.passes = detector, aligner, batch, passes
        self.scheme = scheme

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
            model: Model bundle; None = the default model of the package.
            detector: A detector, or the name of one; None = the default detector.
            device: "cpu", "cuda" or "openvino", for the model and for a detector that takes this option.
            threads: Number of CPU threads of each network; 0 = all cores.
            precision: "fp32", or "int8", which is faster and slightly less accurate.
            depth: Number of stages of a cascade to run; None = all.
            batch: Number of faces that go through the network at once.
            passes: Alignment passes per detected face; a second pass corrects for a loose box.
            **options: Options of a detector that is given by name.

        Raises:
            CanthusError: the model, the detector or the device cannot be used, or a number is out of its range.
        """
        named = detector is None or isinstance(detector, str)
        if options and not named:
            raise InputError(f"{', '.join(options)}: options are for a detector given by name; set them on yours")
        aligner = Aligner.open(model, device=device, threads=threads, precision=precision, batch=batch, depth=depth)
        if detector is None or isinstance(detector, str):
            engine = {"device": device, "threads": threads}
            known = options_of(detector)
            taken = {name: value for name, value in engine.items() if name in known}
            detector = Detector.open(detector, **taken, **options)
        return cls(detector, aligner, batch, passes)

    def in_scheme(self, scheme: str) -> "Pipeline":
        """The pipeline with results in another landmark scheme (`Faces.in_scheme`).

        Args:
            scheme: Name of the scheme, as "68".

        Raises:
            SchemeError: there is no such scheme, or no point of it follows from those of the model.
        """
        if isinstance(self.aligner, Aligner):
            conversion(self.aligner.scheme.name, scheme)
        return Pipeline(self.detector, self.aligner, self.batch, self.passes, scheme)

    def __call__(self, image: Picture) -> Faces:
        """The faces of one image with landmarks; an empty `Faces` where there is none.

        Args:
            image: Shape (H, W, 3); or an image file, or a Pillow image, which are read as `canthus.read` does.

        Raises:
            ReadError: the file cannot be read.
            ShapeError: `image` is not an image.
        """
        return next(self.run([image]))

    def run(self, frames: Iterable[Picture], batch: int | None = None) -> Iterator[Faces]:
        """The faces of images, in their order.

        Args:
            frames: Images as `__call__` takes them. At most a batch of them is taken before the first result comes.
            batch: Number of images, and of faces, that go through the networks together; None = that of the pipeline;
                1 = each result comes before the next image is taken, as a camera needs it.

        Raises:
            ReadError: a file cannot be read.
            ShapeError: the batch is below 1, or a frame is not an image.
        """
        size = self.batch if batch is None else batch
        if size < 1:
            raise ShapeError(f"a batch holds at least one image, not {size}")
        checked = (Frame(Path(), index, image=as_pixels(image)) for index, image in enumerate(frames))
        located = (result for some in self._chunks(checked, size) for result in self._detect(some))
        batches = (self._aligned(waiting, self.passes) for waiting in self._waiting(located, size))
        return (result.faces for results in batches for result in results)

    def files(self, paths: Iterable[Path], boxes: BoxFile | None = None) -> Iterator[Result]:
        """The faces of image files, in their order; a file that fails does not end the run.

        Args:
            paths: Image files.
            boxes: Boxes of the faces; None = the detector finds them.
        """
        return self.frames(read_ahead(paths), boxes)

    def frames(self, frames: Iterable[Frame], boxes: BoxFile | None = None) -> Iterator[Result]:
        """The faces of frames of any source, as `files`; a frame with an error gives a result with this error."""
        passes = self.passes if boxes is None else 1
        if boxes is not None:
            located = (_given(frame, boxes) for frame in frames)
        else:
            found = (self._detect_or_fail(some) for some in self._chunks(frames, self.batch))
            located = (result for some in found for result in some)
        batches = self._waiting(map(_checked, located), self.batch)
        return (result for waiting in batches for result in self._aligned_or_fail(waiting, passes))

    def _chunks(self, frames: Iterable[Frame], batch: int) -> Iterator[list[Frame]]:
        """Frames that go through the detector together."""
        chunk: list[Frame] = []
        pixels = 0
        for frame in frames:
            chunk.append(frame)
            pixels += _pixels(frame)
            if len(chunk) >= batch or pixels >= DETECTED_PIXELS:
                yield chunk
                chunk, pixels = [], 0
        if chunk:
            yield chunk

    def _detect(self, frames: Sequence[Frame]) -> list[Result]:
        """Detected faces of each frame; of one that could not be read, its error."""
        found = iter(self.detector.detect_many([frame.image for frame in frames if frame.image is not None]))
        return [Result(frame, Faces.empty() if frame.image is None else next(found), frame.error) for frame in frames]

    def _detect_or_fail(self, frames: Sequence[Frame]) -> list[Result]:
        """As `_detect`; an error of the detector becomes that of the frame which caused it."""
        try:
            return self._detect(frames)
        except (CanthusError, MemoryError, cv2.error) as error:
            if len(frames) > 1:
                return [result for frame in frames for result in self._detect_or_fail([frame])]
            return [_failed(frames[0], _known(error, frames[0]))]

    def _waiting(self, located: Iterable[Result], batch: int) -> Iterator[list[Result]]:
        """Images whose faces are aligned together."""
        waiting: list[Result] = []
        faces = pixels = 0
        for result in located:
            waiting.append(result)
            faces += len(result.faces)
            pixels += _pixels(result.frame)
            if faces >= batch or pixels >= HELD_PIXELS or len(waiting) >= batch:
                yield waiting
                waiting, faces, pixels = [], 0, 0
        if waiting:
            yield waiting

    def _aligned_or_fail(self, waiting: Sequence[Result], passes: int) -> list[Result]:
        """As `_aligned`; where memory does not suffice, image by image, and those that fail alone have an error."""
        try:
            return list(self._aligned(waiting, passes))
        except (MemoryError, cv2.error) as error:
            known = _known(error, waiting[0].frame)
            if len(waiting) > 1:
                return [result for one in waiting for result in self._aligned_or_fail([one], passes)]
            return [_failed(waiting[0].frame, known)]

    def _aligned(self, waiting: Sequence[Result], passes: int) -> Iterator[Result]:
        """Results with landmarks; the confidence of a face is the detector's, or the aligner's for given boxes."""
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
            detected = result.faces.confidence
            confidence = np.where(np.isnan(detected), faces.confidence, detected)
            known = replace(faces, confidence=confidence)
            yield replace(result, faces=known if self.scheme is None else known.in_scheme(self.scheme))


def _given(frame: Frame, boxes: BoxFile) -> Result:
    """A frame with the boxes that a file gives for it."""
    if frame.image is None:
        return Result(frame, Faces.empty(), frame.error)
    try:
        return Result(frame, boxes.of(frame.source))
    except CanthusError as error:
        return _failed(frame, error)


def _checked(result: Result) -> Result:
    """The result, or an error where a box lies outside its image."""
    if result.image is None or result.error is not None:
        return result
    try:
        inside(result.faces.boxes, result.image)
    except ShapeError as error:
        return _failed(result.frame, error)
    return result


def _known(error: CanthusError | MemoryError | cv2.error, frame: Frame) -> CanthusError:
    """The error of canthus for one that an image may cause; any other error of OpenCV is raised."""
    if isinstance(error, CanthusError):
        return error
    if isinstance(error, cv2.error) and error.code != cv2.Error.StsNoMem:
        raise error
    return InputError(f"{frame.source}: there is not enough memory to find its faces; shrink the image first")


def _failed(frame: Frame, error: CanthusError) -> Result:
    """A frame without faces, and an error that names its file."""
    named = InputError(f"{frame.source}: {error}") if isinstance(error, ShapeError) else error
    return Result(frame, Faces.empty(), named)


def _pixels(frame: Frame) -> int:
    return 0 if frame.image is None else frame.image.size // 3


def _tight(faces: Faces) -> Floats:
    """The boxes of the points (F, 4); where the points of a face lie on a line, the box it has."""
    if len(faces) == 0:
        return faces.boxes
    boxes = box_of(faces.points)
    flat = ~(boxes[:, 2:] > boxes[:, :2]).all(1)
    boxes[flat] = faces.boxes[flat]
    return boxes
