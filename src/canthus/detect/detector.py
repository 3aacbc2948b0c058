"""Face detectors by name."""

from collections.abc import Callable
from typing import Any

from canthus.detect.given import GivenBoxes
from canthus.detect.opencv import OpenCVDetector
from canthus.errors import InputError
from canthus.types import FaceDetector

DETECTORS: dict[str, Callable[..., FaceDetector]] = {"given": GivenBoxes, "opencv": OpenCVDetector}
"""Detector by name; called with its options."""
DEFAULT = "opencv"


class Detector:
    """Finds the faces in a picture.

    >>> canthus.Detector.open().detect(image).boxes  # (F, 4)
    """

    @staticmethod
    def open(name: str | None = None, **options: Any) -> FaceDetector:
        """Make a detector.

        Args:
            name: A key of `DETECTORS`; None = `DEFAULT`.
            **options: Of the detector: `OpenCVDetector`, `GivenBoxes`.

        Raises:
            InputError: there is no detector of this name, or what it needs is missing.
            ShapeError: an option is out of its range.
        """
        chosen = DEFAULT if name is None else name
        if chosen not in DETECTORS:
            raise InputError(f"no detector is called {chosen!r}; there are {', '.join(DETECTORS)}")
        return DETECTORS[chosen](**options)
