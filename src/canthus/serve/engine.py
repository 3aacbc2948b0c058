"""The models of a server process, and what they do: pictures in, faces out. One thread runs them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cv2

from canthus.align.aligner import Aligner
from canthus.detect.detector import Detector
from canthus.detect.score import FaceScorer
from canthus.errors import CanthusError, InputError
from canthus.pipeline import Pipeline
from canthus.reader.image import decode
from canthus.serve.settings import Settings
from canthus.track.fitter import Fitter
from canthus.track.step import Step
from canthus.track.tracker import Tracker
from canthus.types import Faces, Image

PICTURE = "the picture"
"""How errors call a picture that has no name."""


class Found(NamedTuple):
    """The faces of one picture.

    Attributes:
        size: Width and height of the picture in pixels, upright.
        faces: Its faces.
    """

    size: tuple[int, int]
    faces: Faces


class Engine:
    """The models of a server process.

    Law (tested): what is found in a picture does not depend on the pictures that it is joined with, also where one of
    them cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        """Load the models.

        Raises:
            CanthusError: a model or the device cannot be used.
        """
        engine: dict[str, Any] = {"device": settings.device, "threads": settings.threads}
        self._settings = settings
        self.aligner = Aligner.open(settings.model, precision=settings.precision, **engine)
        self._detector = Detector.open(max_faces=settings.max_faces, **engine)
        self._fitter = Fitter(self.aligner.system, FaceScorer.open(**engine))
        self._pipeline = Pipeline(self._detector, self.aligner)

    def tracker(self) -> Tracker:
        """A tracker for one stream, over the models of all."""
        return Tracker(self._detector, self._fitter, max_faces=self._settings.max_faces)

    def follow(self, tracker: Tracker, frame: bytes, time: float) -> tuple[tuple[int, int], Step]:
        """Follow the faces of a stream into its next frame.

        Args:
            tracker: The tracker of the stream.
            frame: The frame as the content of an image file.
            time: Time of the frame in seconds.

        Returns:
            Width and height of the frame in pixels, and what the tracker says of it.

        Raises:
            CanthusError: the frame cannot be read; the tracker has not seen it.
        """
        image = self._decoded(frame)
        try:
            return (image.shape[1], image.shape[0]), tracker.step(image, time)
        except MemoryError as error:
            raise _no_memory() from error

    def find(self, pictures: Sequence[bytes]) -> list[Found | Exception]:
        """The faces of several pictures.

        Args:
            pictures: Contents of image files.

        Returns:
            For each picture its faces, or the error that it causes alone.
        """
        try:
            return self._together(pictures)
        except Exception as error:
            if len(pictures) > 1:
                return [self.find([picture])[0] for picture in pictures]
            if isinstance(error, MemoryError) or (isinstance(error, cv2.error) and error.code == cv2.Error.StsNoMem):
                return [_no_memory()]
            return [error]

    def _together(self, pictures: Sequence[bytes]) -> list[Found | Exception]:
        """As `find`; a picture that cannot be read does not disturb the others, any other error is raised."""
        results: list[Found | Exception] = []
        sizes: dict[int, tuple[int, int]] = {}

        def images() -> Iterator[Image]:
            for at, picture in enumerate(pictures):
                try:
                    image = self._decoded(picture)
                except CanthusError as error:
                    results.append(error)
                    continue
                sizes[at] = image.shape[1], image.shape[0]
                results.append(Found(sizes[at], Faces.empty()))
                yield image

        found = list(self._pipeline.run(images()))
        for (at, size), faces in zip(sizes.items(), found, strict=True):
            results[at] = Found(size, faces)
        return results

    def _decoded(self, picture: bytes) -> Image:
        return decode(picture, PICTURE, self._settings.max_pixels)


def _no_memory() -> InputError:
    return InputError(f"{PICTURE}: there is not enough memory to find its faces; shrink it first")
