"""Draws landmarks onto an image: curves, points coloured by reliability, boxes, and the axes of the head.

The strokes scale with the face, so that large and small faces are equally legible.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.pose import rotation
from canthus.schemes.scheme import Scheme
from canthus.types import Face, Faces, Image, as_image

Colour = tuple[int, int, int]
Position = tuple[int, int]
"""A position on the canvas, in 1 / 2**FINE pixels."""

CURVE: Colour = (255, 255, 255)
POINT: Colour = (70, 225, 165)
BOX: Colour = (255, 255, 255)
SHADE: Colour = (20, 24, 32)
GREY: Colour = (190, 190, 190)
AXES: tuple[Colour, ...] = ((240, 80, 80), (90, 210, 90), (70, 140, 255))
"""Colours of the axes of the head: to its left, down, and out of the face."""
RAMP = np.array([[232, 48, 60], [255, 176, 32], [70, 225, 165]], np.float64)
"""Colours of the reliabilities 0, 1/2 and 1."""

OPAQUE = 0.75
"""Opacity of lines, 0..1."""
FINE = 4
"""Fractional bits of OpenCV's fixed-point coordinates."""
THICKEST = 1000.0
"""Largest unit of strokes in pixels of the canvas; OpenCV draws no strokes of over 32,767 pixels."""
AXIS, REACH = 34, 40
"""Length of the axes of the head, and farthest that a line reaches from the box and the points, in units of `Pen`."""
HIDDEN = 0.5
"""Probability from which an occluded point is drawn hollow."""


def draw(
    image: Image,
    faces: Faces,
    *,
    curves: bool = True,
    points: bool = True,
    boxes: bool = False,
    pose: bool = True,
    scores: bool = True,
    zoom: int = 1,
) -> Image:
    """Draw faces onto a copy of an image.

    Args:
        image: Shape (H, W, 3).
        faces: Faces in the image. Points, poses and boxes that are NaN are not drawn; a face whose box is NaN is drawn
            by its points alone.
        curves: Whether to join the points along the curves of their scheme.
        points: Whether to draw the points; those that are probably hidden are rings.
        boxes: Whether to draw the corners of the boxes; those of faces without points are always drawn.
        pose: Whether to draw the axes of the head: to its left red, down green, out of the face blue.
        scores: Whether to colour the points by reliability, from red over amber to green; otherwise all are green.
        zoom: Factor by which the image is enlarged first.

    Returns:
        Shape (zoom H, zoom W, 3).

    Raises:
        ShapeError: `image` is not an image, or the zoom is below 1.
    """
    if zoom < 1:
        raise ShapeError(f"zoom must be a whole number of at least 1, not {zoom}")
    canvas = as_image(image).copy()
    if zoom > 1:
        canvas = cv2.resize(canvas, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    scheme = Scheme.open(faces.scheme) if faces.scheme else None
    pens = [pen for face in faces if np.isfinite((pen := Pen(face, zoom)).place).all()]
    region = _region(pens, canvas)
    before = canvas[region].copy()
    for pen in pens:
        if boxes or scheme is None:
            pen.box(canvas)
        if pose:
            pen.pose(canvas, scheme)
        if curves and scheme is not None:
            pen.curves(canvas, scheme)
    if before.size:
        canvas[region] = cv2.addWeighted(canvas[region], OPAQUE, before, 1 - OPAQUE, 0)
    if points:
        for pen in pens:
            pen.points(canvas, scores)
    return canvas


@dataclass(frozen=True, eq=False)
class Pen:
    """Draws one face with strokes that scale with its size.

    Attributes:
        face: The face, in pixels of the image.
        zoom: Pixels of the canvas per pixel of the image.
    """

    face: Face
    zoom: int = 1

    @property
    def place(self) -> NDArray[Any]:
        """The box of the face, or of its points where it is not known; not finite = neither is known. Shape (4,)."""
        plane = self.face.points[:, :2]
        known = plane[np.isfinite(plane).all(1)]
        if np.isfinite(self.face.box).all() or not len(known):
            return self.face.box
        return np.concatenate([known.min(0), known.max(0)])

    @property
    def unit(self) -> float:
        """A hundredth of the longer side of the face, in pixels of the canvas; at most `THICKEST`."""
        x0, y0, x1, y1 = self.place
        return min(float(max(x1 - x0, y1 - y0)) * self.zoom / 100, THICKEST)

    @property
    def reach(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Corners of a region of the canvas that holds all lines of the face: left top, right bottom."""
        plane = self.face.points[:, :2]
        corners = np.concatenate([self.place.reshape(2, 2), plane[np.isfinite(plane).all(1)]]) * float(self.zoom)
        margin = REACH * self.unit + 8
        return np.nan_to_num(corners.min(0) - margin), np.nan_to_num(corners.max(0) + margin + 1)

    def curves(self, canvas: Image, scheme: Scheme) -> None:
        """The curves of the scheme, interrupted where a point is missing."""
        plane = self.face.points[:, :2]
        known = set(np.flatnonzero(np.isfinite(plane).all(1)).tolist())
        positions = self._on_canvas(plane)
        edges = [(positions[a], positions[b]) for a, b in scheme.edges if a in known and b in known]
        for width, colour in ((self._width(0.4) + 2, SHADE), (self._width(0.4), CURVE)):
            for start, end in edges:
                _line(canvas, start, end, colour, width)

    def points(self, canvas: Image, scores: bool) -> None:
        """A dot with a dark rim for each point; a ring for one that is probably hidden."""
        radius, rim, wide = max(0.9 * self.unit, 1.5), max(0.3 * self.unit, 0.6), max(1.3 * self.unit, 2.25)
        plane = self.face.points[:, :2]
        known = np.isfinite(plane).all(1)
        positions = self._on_canvas(plane[known])
        colours = colours_of(self.face.scores[known]) if scores else [POINT] * len(positions)
        hidden = (self.face.occluded[known] >= HIDDEN).tolist()
        for position, colour, hollow in zip(positions, colours, hidden, strict=True):
            if hollow:
                _ring(canvas, position, wide, SHADE, self._width(0.5) + 1)
                _ring(canvas, position, wide, colour, self._width(0.5))
            else:
                _dot(canvas, position, radius + rim, SHADE)
                _dot(canvas, position, radius, colour)

    def box(self, canvas: Image) -> None:
        """The four corners of the box, where it is known."""
        if not np.isfinite(self.face.box).all():
            return
        (x0, y0), (x1, y1) = self._on_canvas(self.face.box.reshape(2, 2))
        reach = round(14 * self.unit * 2**FINE)
        for width, colour in ((self._width(0.7) + 2, SHADE), (self._width(0.7), BOX)):
            for x, y, dx, dy in (
                (x0, y0, reach, reach),
                (x1, y0, -reach, reach),
                (x0, y1, reach, -reach),
                (x1, y1, -reach, -reach),
            ):
                _line(canvas, (x, y), (x + dx, y), colour, width)
                _line(canvas, (x, y), (x, y + dy), colour, width)

    def pose(self, canvas: Image, scheme: Scheme | None) -> None:
        """The axes of the head from the centre of the inner points or of the box, the farthest axis first."""
        if not np.isfinite(self.face.pose).all():
            return
        inner = self.face.points[list(scheme.groups["inner"]), :2] if scheme else np.zeros((0, 2), np.float32)
        known = inner[np.isfinite(inner).all(1)]
        middle = (known if len(known) else self.place.reshape(2, 2)).mean(0)
        axes = rotation(self.face.pose) @ np.diag([1, 1, -1])  # columns; the nose points to -z
        ends = middle + AXIS * self.unit / self.zoom * axes[:2].T
        start, *tips = self._on_canvas(np.vstack([middle, ends]))
        for number in np.argsort(-axes[2]).tolist():
            _line(canvas, start, tips[number], SHADE, self._width(1.1) + 2)
            _line(canvas, start, tips[number], AXES[number], self._width(1.1))

    def _on_canvas(self, points: NDArray[Any]) -> list[Position]:
        """Pixels of the image (N, 2) -> positions on the canvas, clipped so that they cannot overflow.

        Pixel i becomes the pixels from zoom i to zoom (i + 1) - 1.
        """
        scaled = (points * self.zoom + (self.zoom - 1) / 2) * 2**FINE
        rounded = np.clip(np.round(np.nan_to_num(scaled)), -(2**30), 2**30).astype(int)
        return [(x, y) for x, y in rounded.tolist()]

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit))


def colours_of(scores: NDArray[Any]) -> list[Colour]:
    """Colours of reliabilities (P,); grey where a reliability is not known."""
    channels = [np.interp(scores, np.linspace(0, 1, len(RAMP)), RAMP[:, channel]) for channel in range(3)]
    colours = np.where(np.isnan(scores)[:, None], GREY, np.round(np.stack(channels, -1)))
    return [(red, green, blue) for red, green, blue in colours.astype(int).tolist()]


def _region(pens: Sequence[Pen], canvas: Image) -> tuple[slice, slice]:
    """Rows and columns of the canvas that hold the lines of all faces; nothing else needs blending."""
    reach = [pen.reach for pen in pens]
    if not reach:
        return slice(0), slice(0)
    low, high = np.min([one[0] for one in reach], 0), np.max([one[1] for one in reach], 0)
    (left, top), (right, bottom) = (
        np.clip(corner, 0, canvas.shape[1::-1]).astype(int).tolist() for corner in (low, high)
    )
    return slice(top, bottom), slice(left, right)


def _line(canvas: Image, start: Position, end: Position, colour: Colour, width: int) -> None:
    cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, FINE)


def _dot(canvas: Image, centre: Position, radius: float, colour: Colour) -> None:
    cv2.circle(canvas, centre, round(radius * 2**FINE), colour, cv2.FILLED, cv2.LINE_AA, FINE)


def _ring(canvas: Image, centre: Position, radius: float, colour: Colour, width: int) -> None:
    cv2.circle(canvas, centre, round(radius * 2**FINE), colour, width, cv2.LINE_AA, FINE)
