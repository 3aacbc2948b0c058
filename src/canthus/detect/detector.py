"""Face detectors by name."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from canthus.detect.given import GivenBoxes
from canthus.detect.mtcnn import MtcnnDetector
from canthus.detect.opencv import OpenCVDetector
from canthus.detect.own import OwnDetector, open_own
from canthus.detect.whole import WholePicture
from canthus.errors import InputError
from canthus.types import FaceDetector

DETECTORS: dict[str, Callable[..., FaceDetector]] = {
    "given": GivenBoxes,
    "mtcnn": MtcnnDetector,
    "none": WholePicture,
    "opencv": OpenCVDetector,
    "own": open_own,
}
"""Detectors by name; each is called with its options."""
DEFAULT = "own"
"""Name of the default detector."""


class Detector:
    """Finds the faces in an image.

    >>> canthus.Detector.open().detect(image).boxes  # (F, 4)
    """

    @staticmethod
    def open(name: str | None = None, **options: Any) -> FaceDetector:
        """Make a detector.

        Args:
            name: Name of the detector, a key of `DETECTORS`; None = `DEFAULT`.
            **options: Options of that detector: see `open_own`, `OwnDetector`, `OpenCVDetector`, `MtcnnDetector` and
                `GivenBoxes`.

        Raises:
            InputError: no detector has this name, it has no such option, or a file that it needs is missing.
            ShapeError: an option is out of its range.
        """
        known = options_of(name)
        chosen = DEFAULT if name is None else name
        if unknown := [option for option in options if option not in known]:
            there = ", ".join(known) or "no options"
            raise InputError(f"the detector {chosen} has no {', '.join(unknown)}; it has {there}")
        return DETECTORS[chosen](**options)


def options_of(name: str | None) -> list[str]:
    """Names of the options of a detector; None = those of `DEFAULT`.

    Raises:
        InputError: no detector has this name.
    """
    chosen = DEFAULT if name is None else name
    if chosen not in DETECTORS:
        raise InputError(f"no detector is called {chosen!r}; there are {', '.join(DETECTORS)}")
    makers: list[Any] = [DETECTORS[chosen], OwnDetector] if chosen == "own" else [DETECTORS[chosen]]
    return [
        option.name
        for maker in makers
        for option in signature(maker).parameters.values()
        if option.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) and option.name != "network"
    ]
