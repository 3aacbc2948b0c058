"""One face as landmark files store it, and checks that the formats share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError, ShapeError
from canthus.types import SLOTS, Floats

BOX, POSE = ("bx0", "by0", "bx1", "by1"), ("yaw", "pitch", "roll")


def nothing() -> Floats:
    """No points. Shape (0, 2)."""
    return np.zeros((0, 2), np.float32)


def floats(values: Any) -> Floats:
    """Convert to float32; None becomes NaN, and values beyond the range of float32 become infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Record:
    """One face in a file. A record without points and box stands for an image without a face.

    Attributes:
        image: Name of the image in the file; of a format without names, that of the file without its extension.
        points: Landmarks in pixels, NaN = missing. Shape (P, 2) or (P, 3).
        scheme: Name of the landmark scheme; empty = not given.
        identity: Person or source image; empty = not known.
        box: Bounding box, x0 y0 x1 y1. Shape (4,).
        scores: Reliability of each point. Shape (P,).
        confidence: Confidence that this is a face; NaN = not known.
        pose: Yaw, pitch, roll in degrees. Shape (3,).
        size: Width and height of the image in pixels.
        occluded: Probability that each point is hidden, 0..1. Shape (P,).
        raw: Points before reconstruction by a shape model, pixels. Shape (P, 2).
        view: Index of the view: 0 frontal, 1 left profile, 2 right profile; NaN = not known.
        plane: Points of the view in the slots of the union of views, pixels. Shape (68, 2).
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
    occluded: Floats | None = None
    raw: Floats | None = None
    view: float = float("nan")
    plane: Floats | None = None

    def __post_init__(self) -> None:
        points = floats(self.points)
        if points.ndim != 2 or points.shape[1] not in (2, 3):
            raise ShapeError(f"points are (P, 2) or (P, 3), not {points.shape}")
        object.__setattr__(self, "points", points)
        for name, shape in shapes_of(len(points)).items():
            if (value := getattr(self, name)) is not None:
                array = floats(value)
                if array.shape != shape:
                    raise ShapeError(f"the {name} of {len(points)} points is {shape}, not {array.shape}")
                object.__setattr__(self, name, array if shape else float(array))
        values = [points, *(getattr(self, name) for name in shapes_of(len(points)))]
        if any(value is not None and np.isinf(value).any() for value in values):
            raise ShapeError("a value is infinite; what is missing is NaN")

    @property
    def empty(self) -> bool:
        """True where the image holds no face."""
        return len(self.points) == 0 and self.box is None


def shapes_of(count: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the optional numbers of a record with so many points, by field, in the order of files."""
    return {
        "box": (4,),
        "confidence": (),
        "pose": (3,),
        "scores": (count,),
        "occluded": (count,),
        "raw": (count, 2),
        "view": (),
        "plane": (SLOTS, 2),
    }


def visible_of(occluded: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    """Points that are probably visible, from the probabilities that they are hidden (..., P); None = not known."""
    return None if occluded is None or np.isnan(occluded).any() else occluded < 0.5


def record_at(place: str, **values: Any) -> Record:
    """A record that was read at `place`, which errors name.

    Raises:
        FormatError: the values do not fit together.
    """
    try:
        return Record(**values)
    except ShapeError as error:
        raise FormatError(f"{place}: {error}") from error


def number_at(text: str, place: str) -> float:
    """A number that was read at `place`, which errors name.

    Raises:
        FormatError: the text is not a number.
    """
    try:
        return float(text)
    except ValueError as error:
        raise FormatError(f"{place}: {text.strip()!r} is not a number") from error


def common_shape(records: Sequence[Record]) -> tuple[int, int]:
    """Number of points and number of coordinates that all faces share.

    Raises:
        ShapeError: they differ.
    """
    shapes = {record.points.shape for record in records} or {(0, 2)}
    if len(shapes) > 1:
        raise ShapeError(f"all faces need the same number of points, not {sorted(shapes)}; write .json")
    return shapes.pop()


def is_given(record: Record, name: str) -> bool:
    """True where a field of a record has a value that is not NaN."""
    value = getattr(record, name)
    return value is not None and not np.isnan(value).all()
