"""One face as files of landmarks hold it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from canthus.errors import FormatError, ShapeError
from canthus.types import Floats

BOX, POSE = ("bx0", "by0", "bx1", "by1"), ("yaw", "pitch", "roll")


def nothing() -> Floats:
    """No points at all. Shape (0, 2)."""
    return np.zeros((0, 2), np.float32)


def floats(values: Any) -> Floats:
    """As float32; None becomes NaN, what is too large infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Record:
    """One face in a file. One without points and box says: this image holds no face.

    Attributes:
        image: Name of the image, as the file gives it; of a .pts file its own name without the extension.
        points: Landmarks in pixels, NaN = missing. Shape (P, 2) or (P, 3).
        scheme: Name of the landmark scheme; empty = the file does not say.
        identity: Person or source picture; empty = not known.
        box: x0 y0 x1 y1. Shape (4,).
        scores: Reliability of each point. Shape (P,).
        confidence: How sure it is that this is a face; NaN = not known.
        pose: Yaw, pitch, roll in degrees. Shape (3,).
        size: Width and height of the image.
    """

    image: str
    points: Floats = field(default_factory=nothing)
    scheme: str = ""
    identity: str = ""
    box: Floats | None = None
    scores: Floats | None = None
    confidence: float = float("nan")
    pose: Floats | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        points = floats(self.points)
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise ShapeError(f"points are (P, 2) or (P, 3), not {points.shape}")
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "confidence", float(floats(self.confidence)))
        for name, shape in {"box": (4,), "scores": (len(points),), "pose": (3,)}.items():
            if (value := getattr(self, name)) is not None:
                array = floats(value)
                if array.shape != shape:
                    raise ShapeError(f"the {name} of {len(points)} points is {shape}, not {array.shape}")
                object.__setattr__(self, name, array)
        if any(
            value is not None and np.isinf(value).any()
            for value in (points, self.box, self.scores, self.pose, self.confidence)
        ):
            raise ShapeError("a value is infinite; what is missing is NaN")

    @property
    def empty(self) -> bool:
        """True where the image holds no face."""
        return len(self.points) == 0 and self.box is None


def record_at(place: str, **values: Any) -> Record:
    """A record read at `place`, which the error names.

    Raises:
        FormatError: the values do not fit together.
    """
    try:
        return Record(**values)
    except ShapeError as error:
        raise FormatError(f"{place}: {error}") from error


def number_at(text: str, place: str) -> float:
    """A number read at `place`, which the error names.

    Raises:
        FormatError: the text is no number.
    """
    try:
        return float(text)
    except ValueError as error:
        raise FormatError(f"{place}: {text.strip()!r} is not a number") from error


def common_shape(records: Sequence[Record]) -> tuple[int, int]:
    """Number of points and of coordinates that all faces share.

    Raises:
        ShapeError: they differ.
    """
    shapes = {record.points.shape for record in records} or {(0, 2)}
    if len(shapes) > 1:
        raise ShapeError(f"all faces need the same number of points, not {sorted(shapes)}; write .json")
    return shapes.pop()


def is_given(record: Record, name: str) -> bool:
    """True where a field of a record holds a value that is not NaN."""
    value = getattr(record, name)
    return value is not None and not np.isnan(value).all()
