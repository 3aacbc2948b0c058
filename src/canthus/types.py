"""Shared types: images, the faces of an image as arrays, and the protocols of detectors, aligners and engines.

Conventions of the whole package:
    * Points are (P, 2) or (P, 3) float32, (x, y[, z]), in pixels; pixel centres at integers, x to the right, y down.
    * Boxes are (4,) float32, x0 y0 x1 y1, in the same coordinates; the box of a face is the box of its landmarks.
    * Left and right are the subject's. Angles are in degrees.
    * F faces, P points of a scheme, H and W of an image. NaN = missing.
    * Images are (H, W, 3) uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import import_module  # of what lies above this module, when a method is called
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from canthus.errors import ShapeError

if TYPE_CHECKING:
    from pandas import DataFrame

Image = NDArray[np.uint8]
"""An image. Shape (H, W, 3), RGB."""
Floats = NDArray[np.float32]
"""Any float32 array; its shape is documented where it is used."""
SLOTS = 68
"""Number of slots of the union of views, in which the points of a frontal face and of profiles have their places."""


def as_image(array: NDArray[Any]) -> Image:
    """Check that an array is an image in the form that canthus uses.

    Args:
        array: Shape (H, W, 3), uint8, RGB.

    Returns:
        The same array.

    Raises:
        ShapeError: another type or shape, or no pixels.
    """
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise ShapeError(f"an image is uint8 (H, W, 3) RGB, not {got}; canthus.read opens files in that form")
    if 0 in array.shape:
        raise ShapeError(f"the image is empty: {array.shape}")
    return array


def as_boxes(boxes: ArrayLike) -> Floats:
    """Check boxes and convert them to float32.

    Args:
        boxes: Shape (F, 4) or (4,): x0 y0 x1 y1 in pixels.

    Returns:
        Shape (F, 4).

    Raises:
        ShapeError: wrong shape, a value that is not finite, or a box without area.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ShapeError(f"boxes are (F, 4) numbers x0 y0 x1 y1: {error}") from error
    if array.size == 0:
        return np.zeros((0, 4), np.float32)
    if array.shape == (4,):
        array = array[None]
    if array.ndim != 2 or array.shape[1] != 4:
        raise ShapeError(f"boxes are (F, 4): x0 y0 x1 y1, not {array.shape}")
    if not np.isfinite(array).all():
        raise ShapeError(f"box {int(np.argmin(np.isfinite(array).all(1)))} has a value that is not a finite number")
    flat = (array[:, 2] <= array[:, 0]) | (array[:, 3] <= array[:, 1])
    if flat.any():
        worst = int(np.argmax(flat))
        raise ShapeError(f"box {worst} has no area: {array[worst].tolist()}; the order is x0 y0 x1 y1")
    return array


@dataclass(frozen=True, slots=True)
class Face:
    """One face of `Faces`.

    Attributes:
        points: Landmarks in pixels. Shape (P, 2) or (P, 3).
        box: Bounding box, x0 y0 x1 y1. Shape (4,).
        scores: Reliability of each point, 0..1. Shape (P,).
        confidence: Confidence that this is a face, 0..1; NaN = not known.
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (3,).
        scheme: Name of the landmark scheme; empty = no points.
        occluded: Probability that each point is hidden, 0..1; NaN = not known. Shape (P,).
        raw: Points before reconstruction by a shape model, pixels; NaN = not given. Shape (P, 2).
        view: Index of the view: 0 frontal, 1 left profile, 2 right profile; NaN = not known.
        identity: Number of the face in its video, the same in every frame; NaN = not tracked.
        plane: Points of the view in the image plane, in the slots of the union of views (`schemes.transfer`), pixels;
            NaN = the view has none. Shape (68, 2).
    """

    points: Floats
    box: Floats
    scores: Floats
    confidence: float
    pose: Floats
    scheme: str
    occluded: Floats
    raw: Floats
    view: float
    identity: float
    plane: Floats


@dataclass(frozen=True, eq=False, repr=False)
class Faces:
    """The faces of one image as arrays with one row per face; an image without a face has an empty `Faces`.

    Attributes:
        points: Landmarks in pixels; P = 0 before alignment. Shape (F, P, 2) or (F, P, 3).
        boxes: Bounding boxes, x0 y0 x1 y1, pixels. Shape (F, 4).
        scores: Reliability of each point: probability that it lies near its true position, 0..1. Shape (F, P).
        confidence: Confidence that this is a face, 0..1; NaN = not known. Shape (F,).
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (F, 3).
        scheme: Name of the landmark scheme; empty = no points.
        occluded: Probability that each point is hidden, 0..1; NaN = not known. Shape (F, P).
        raw: Points before reconstruction by a shape model, pixels; NaN = not given. Shape (F, P, 2).
        view: Index of the view: 0 frontal, 1 left profile, 2 right profile; NaN = not known. Shape (F,).
        identity: Number of the face in its video, the same in every frame; NaN = not tracked. Shape (F,).
        plane: Points of the view in the image plane, in the slots of the union of views (`schemes.transfer`), pixels;
            NaN = the view has none, or they are not given. Shape (F, 68, 2).
    """

    points: Floats
    boxes: Floats
    scores: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    confidence: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    pose: Floats = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    scheme: str = ""
    occluded: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    raw: Floats = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))
    view: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    identity: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    plane: Floats = field(default_factory=lambda: np.zeros((0, 0, 2), np.float32))

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
            "occluded": (self.occluded, (count, per_face)),
            "raw": (self.raw, (count, per_face, 2)),
            "view": (self.view, (count,)),
            "identity": (self.identity, (count,)),
            "plane": (self.plane, (count, SLOTS, 2)),
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
            raise ShapeError(f"{per_face} points per face, but no scheme that names them")

    @staticmethod
    def arrays() -> list[str]:
        """Names of the fields that are arrays with one row per face."""
        return [item.name for item in fields(Faces) if item.name != "scheme"]

    @classmethod
    def empty(cls, scheme: str = "", points: int = 0, dims: int = 2) -> Self:
        """No face, in the shapes that a result of this scheme has."""
        return cls(np.zeros((0, points, dims), np.float32), np.zeros((0, 4), np.float32), scheme=scheme)

    @classmethod
    def of_boxes(cls, boxes: ArrayLike, confidence: ArrayLike = ()) -> Self:
        """Faces of which only the boxes are known.

        Args:
            boxes: Bounding boxes, x0 y0 x1 y1, pixels. Shape (F, 4).
            confidence: Confidence of each box; empty = not known. Shape (F,).
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
        arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in cls.arrays()}
        return cls(**arrays, scheme=parts[0].scheme)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        count, points, dims = self.points.shape
        what = f"{points} points of scheme {self.scheme}, {dims}D" if points else "boxes alone"
        return f"<{count} face{'' if count == 1 else 's'}: {what}>"

    def draw(self, image: Image, **options: Any) -> Image:
        """The faces drawn onto a copy of an image, with the options of `canthus.draw`.

        Args:
            image: Shape (H, W, 3).
            **options: As of `canthus.draw`, such as `boxes=True`.
        """
        drawn: Image = import_module("canthus.drawing").draw(image, self, **options)
        return drawn

    def save(self, path: str | Path, image: str = "") -> None:
        """Write the faces to a file.

        Args:
            path: The file; its extension names the format: .json, .csv, .npz, .mat, .pts (one face) or .ljson.
            image: Name of the image in the file; empty = the name of the file without its extension.

        Raises:
            OutputError: no such format, it cannot hold these faces, or the file cannot be written.
        """
        import_module("canthus.formats.faces").save(self, path, image)

    def in_scheme(self, scheme: str) -> Faces:
        """The faces in another landmark scheme.

        Points of a profile scheme are those that were found for it where a face was seen from that side (`plane`); all
        others follow by index from `points`, exactly or from points nearby (`schemes.faces.conversion` tells the
        error); those that follow from none are NaN.

        Args:
            scheme: Name of the scheme, as "68".

        Raises:
            SchemeError: there is no such scheme, or no point of it follows from those of the faces.
        """
        converted: Faces = import_module("canthus.schemes.faces").in_scheme(self, scheme)
        return converted

    def to_frame(self) -> DataFrame:
        """A table of pandas with one row per face, and the columns of the CSV files of canthus: x0, y0, ..., s0, ...

        Raises:
            ExtraMissingError: pandas is not installed.
        """
        table: DataFrame = import_module("canthus.formats.faces").frame_of(self)
        return table

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> Faces: ...
    def __getitem__(self, index: int | slice | NDArray[Any]) -> Face | Faces:
        """One face by its index, or several by a slice, a mask or an array of indices."""
        if isinstance(index, int | np.integer):
            return Face(
                self.points[index],
                self.boxes[index],
                self.scores[index],
                float(self.confidence[index]),
                self.pose[index],
                self.scheme,
                self.occluded[index],
                self.raw[index],
                float(self.view[index]),
                float(self.identity[index]),
                self.plane[index],
            )
        return replace(self, **{name: getattr(self, name)[index] for name in self.arrays()})

    def __iter__(self) -> Iterator[Face]:
        return (self[index] for index in range(len(self)))


class FaceDetector(Protocol):
    """Finds faces in images. A class that inherits from this protocol needs `detect` alone."""

    def detect(self, image: Image) -> Faces:
        """Boxes (F, 4) and confidence (F,) of the faces in an image (H, W, 3); its own points or none (F, 0, 2).

        The roll in `pose`, where it is not NaN, is the rotation of the head in the image plane.
        """
        ...

    def detect_many(self, images: Sequence[Image]) -> list[Faces]:
        """The faces of each of several images; the same as those that `detect` finds in each image alone."""
        return [self.detect(image) for image in images]


class FaceAligner(Protocol):
    """Finds the landmarks of faces whose boxes are known."""

    def align_many(
        self, images: Sequence[Image], boxes: Sequence[ArrayLike], rolls: Sequence[ArrayLike] | None = None
    ) -> list[Faces]:
        """Landmarks of the faces of several images.

        Args:
            images: I images, each (H, W, 3).
            boxes: Boxes of the faces of each image, each (F, 4).
            rolls: Rotation of the heads in each image, degrees clockwise on the screen; NaN = not known. Each (F,).

        Returns:
            The faces of each image, in the order of its boxes.
        """
        ...


class Backend(Protocol):
    """An engine that runs one network: ONNX Runtime in the product, a torch module during training."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """Outputs by name, for a batch of inputs in the network's order, (N, ...) each; every output has N rows."""
        ...
