"""The values that travel through canthus: faces as aligned arrays, and what a detector, an aligner and an engine are.

Conventions, written once:
    * Points are (P, 2) or (P, 3) float32, (x, y[, z]), in pixels; pixel centres at integers, x to the right, y down.
    * Boxes are (4,) float32, x0 y0 x1 y1, in the same coordinates; the box of a face is the box of its landmarks.
    * Left and right are the subject's. Angles are in degrees.
    * F faces, P points of a scheme, H and W of an image. NaN = missing.
    * Images are (H, W, 3) uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canthus.errors import ShapeError

Image = NDArray[np.uint8]
"""A picture. Shape (H, W, 3), RGB."""
Floats = NDArray[np.float32]
"""Any float32 array; its shape is told where it is used."""


def as_image(array: NDArray[Any]) -> Image:
    """Check that an array is a picture as canthus takes it.

    Args:
        array: Shape (H, W, 3), uint8, RGB.

    Returns:
        The same array.

    Raises:
        ShapeError: it is anything else.
    """
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ShapeError(f"an image is uint8 (H, W, 3) RGB, not {got}; canthus.read opens files in that form")
    if 0 in array.shape:
        raise ShapeError(f"the image is empty: {array.shape}")
    return array


def as_boxes(boxes: ArrayLike) -> Floats:
    """Check boxes and make them float32.

    Args:
        boxes: Shape (F, 4) or (4,): x0 y0 x1 y1 in pixels.

    Returns:
        Shape (F, 4).

    Raises:
        ShapeError: wrong shape, a value that is not finite, or a box without area.
    """
    array = np.asarray(boxes, dtype=np.float32)
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.shape == (4,):
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise ShapeError(f"boxes are (F, 4): x0 y0 x1 y1, not {array.shape}")
    if not np.isfinite(array).all():
        raise ShapeError(f"box {int(np.argmin(np.isfinite(array).all(1)))} holds a value that is not a finite number")
    flat = (array[:, 2] <= array[:, 0]) | (array[:, 3] <= array[:, 1])
    if flat.any():
        worst = int(np.argmax(flat))
        raise ShapeError(f"box {worst} has no area: {array[worst].tolist()}; the order is x0 y0 x1 y1")
    return array


@dataclass(frozen=True, slots=True)
class Face:
    """One face of `Faces`.

    Attributes:
        points: Shape (P, 2) or (P, 3), pixels.
        box: Shape (4,), x0 y0 x1 y1.
        scores: Reliability of each point, 0..1. Shape (P,).
        confidence: How sure it is that this is a face, 0..1; NaN = not known.
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (3,).
        scheme: Name of the landmark scheme; empty = no points.
    """

    points: Floats
    box: Floats
    scores: Floats
    confidence: float
    pose: Floats
    scheme: str


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one image as arrays aligned by face; no face is an empty `Faces`.

    Attributes:
        points: Shape (F, P, 2) or (F, P, 3), pixels; P = 0 before alignment.
        boxes: Shape (F, 4), x0 y0 x1 y1, pixels.
        scores: Reliability of each point: probability that it lies near its truth, 0..1. Shape (F, P).
        confidence: How sure it is that this is a face, 0..1; NaN = not known. Shape (F,).
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (F, 3).
        scheme: Name of the landmark scheme; empty = no points.
    """

    points: Floats
    boxes: Floats
    scores: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    confidence: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    pose: Floats = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    scheme: str = ""

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float32)
        if points.ndim != 3 or points.shape[2] not in (2, 3):
            raise ShapeError(f"points are (F, P, 2) or (F, P, 3), not {points.shape}")
        count, per_face = points.shape[:2]
        given = {
            "boxes": (self.boxes, (count, 4)),
            "scores": (self.scores, (count, per_face)),
            "confidence": (self.confidence, (count,)),
            "pose": (self.pose, (count, 3)),
        }
        object.__setattr__(self, "points", points)
        for name, (value, shape) in given.items():
            array = np.asarray(value, np.float32)
            if array.shape != shape and array.size == 0 and name != "boxes":
                array = np.full(shape, np.nan, np.float32)
            if array.shape != shape:
                raise ShapeError(f"{name} of {count} faces with {per_face} points are {shape}, not {array.shape}")
            object.__setattr__(self, name, array)
        if per_face and not self.scheme:
            raise ShapeError(f"{per_face} points a face, but no scheme says what they mean")

    @classmethod
    def empty(cls, scheme: str = "", points: int = 0, dims: int = 2) -> Self:
        """No face at all, in the shape that a result of this scheme has."""
        return cls(np.zeros((0, points, dims), np.float32), np.zeros((0, 4), np.float32), scheme=scheme)

    @classmethod
    def of_boxes(cls, boxes: ArrayLike, confidence: ArrayLike = ()) -> Self:
        """Faces of which only the boxes are known.

        Args:
            boxes: Shape (F, 4), x0 y0 x1 y1, pixels.
            confidence: Shape (F,), or nothing for "not known".
        """
        checked = as_boxes(boxes)
        return cls(
            np.zeros((len(checked), 0, 2), np.float32),
            checked,
            confidence=np.asarray(confidence, np.float32).reshape(-1),
        )

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Join the faces of several results of one scheme, in order."""
        if not parts:
            return cls.empty()
        if len({(part.scheme, part.points.shape[1:]) for part in parts}) > 1:
            raise ShapeError(f"cannot join faces of different schemes: {sorted({part.scheme for part in parts})}")
        arrays = {
            item.name: np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(cls)
            if item.name != "scheme"
        }
        return cls(**arrays, scheme=parts[0].scheme)

    def __len__(self) -> int:
        return len(self.points)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Faces: ...
    def __getitem__(self, index: int | slice | NDArray[Any]) -> Face | Faces:
        """One face by number, or some of them by slice, mask or array of numbers."""
        if isinstance(index, int | np.integer):
            return Face(
                self.points[index],
                self.boxes[index],
                self.scores[index],
                float(self.confidence[index]),
                self.pose[index],
                self.scheme,
            )
        chosen = {item.name: getattr(self, item.name)[index] for item in fields(self) if item.name != "scheme"}
        return replace(self, **chosen)

    def __iter__(self) -> Iterator[Face]:
        return (self[index] for index in range(len(self)))


class FaceDetector(Protocol):
    """Finds faces in a picture."""

    def detect(self, image: Image) -> Faces:
        """Boxes (F, 4) and confidence (F,) of the faces in an image (H, W, 3); its own points or none (F, 0, 2).

        The roll in `pose`, where it is not NaN, is how far the head is turned in the plane.
        """
        ...


class FaceAligner(Protocol):
    """Finds the landmarks of given faces."""

    def align(self, image: Image, boxes: ArrayLike) -> Faces:
        """Landmarks of the faces in `boxes` (F, 4) of an image (H, W, 3), in the same order."""
        ...


class Backend(Protocol):
    """An engine that runs one network: ONNX Runtime in the product, a torch module while training."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """Outputs by name, for a batch of inputs in the network's order, (N, ...) each; every output has N rows."""
        ...
