"""Facial landmarks: five published systems, one library, one command line, one fast runtime.

>>> import canthus
>>> faces = canthus.Pipeline.open()("portrait.jpg")
>>> faces.points  # (F, 68, 2)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from canthus.version import __version__

if TYPE_CHECKING:
    from canthus.align.aligner import Aligner
    from canthus.detect.detector import Detector
    from canthus.drawing import draw
    from canthus.errors import CanthusError
    from canthus.pipeline import Pipeline
    from canthus.reader.image import read
    from canthus.schemes.scheme import Scheme
    from canthus.track.tracker import Tracker
    from canthus.types import Face, Faces

_HOMES = {
    "Aligner": "align.aligner",
    "CanthusError": "errors",
    "Detector": "detect.detector",
    "Face": "types",
    "Faces": "types",
    "Pipeline": "pipeline",
    "Scheme": "schemes.scheme",
    "Tracker": "track.tracker",
    "draw": "drawing",
    "read": "reader.image",
}

__all__ = [
    "Aligner",
    "CanthusError",
    "Detector",
    "Face",
    "Faces",
    "Pipeline",
    "Scheme",
    "Tracker",
    "__version__",
    "draw",
    "read",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562), so that importing canthus stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module 'canthus' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"canthus.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
