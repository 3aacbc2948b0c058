"""Landmarks drawn onto a picture: curves, points coloured by reliability, boxes, and the axes of the head.

Sizes follow the face, so that a portrait and a crowd both read well.
"""

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
Place = tuple[int, int]
"""On the canvas, in 1 / 2**FINE pixels."""

CURVE: Colour = (255, 255, 255)
POINT: Colour = (70, 225, 165)
BOX: Colour = (255, 255, 255)
SHADE: Colour = (20, 24, 32)
GREY: Colour = (190, 190, 190)
AXES: tuple[Colour, ...] = ((240, 80, 80), (90, 210, 90), (70, 140, 255))
"""Of the head: to its left, down, and out of the face."""
RAMP = np.array([[232, 48, 60], [255, 176, 32], [70, 225, 165]], np.float64)
"""Colours of the reliabilities 0, 1/2 and 1."""

OPAQUE = 0.75
"""How far lines cover the picture."""
FINE = 4
"""Binary digits of a pixel in OpenCV's fixed-point coordinates."""


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
        faces: What was found in it. Points and poses that are NaN are left out.
        curves: Join the points along the curves of their scheme.
        points: Draw the points.
        boxes: Draw the corners of the boxes; those of faces without points are always drawn.
        pose: Draw the axes of the head: to its left red, down green, out of the face blue.
        scores: Colour the points by reliability, red over amber to green; otherwise all green.
        zoom: Enlarge the picture so many times first.

    Returns:
        Shape (zoom H, zoom W, 3).

    Raises:
        ShapeError: no image, or a zoom below 1.
    """
    if zoom < 1:
        raise ShapeError(f"a zoom is a whole number from 1, not {zoom}")
    canvas = as_image(image).copy()
    if zoom > 1:
        canvas = cv2.resize(canvas, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)
    scheme = Scheme.open(faces.scheme) if faces.scheme else None
    pens = [Pen(face, zoom) for face in faces]
    lines = canvas.copy()
    for pen in pens:
        if boxes or scheme is None:
            pen.box(lines)
        if pose:
            pen.pose(lines, scheme)
        if curves and scheme is not None:
            pen.curves(lines, scheme)
    canvas = cv2.addWeighted(lines, OPAQUE, canvas, 1 - OPAQUE, 0).astype(np.uint8, copy=False)
    if points:
        for pen in pens:
            pen.points(canvas, scores)
    return canvas


@dataclass(frozen=True, eq=False)
class Pen:
    """Draws one face, with strokes that fit its size.

    Attributes:
        face: The face, in pixels of the image.
        zoom: Pixels of the canvas over pixels of the image.
    """

    face: Face
    zoom: int = 1

    @property
    def unit(self) -> float:
        """A hundredth of the longer side of the face, in pixels of the canvas."""
        x0, y0, x1, y1 = self.face.box
        return float(max(x1 - x0, y1 - y0)) * self.zoom / 100

    def curves(self, canvas: Image, scheme: Scheme) -> None:
        """Each curve of the scheme; it breaks where a point is missing."""
        known = set(np.flatnonzero(np.isfinite(self.face.points).all(1)).tolist())
        places = self._on_canvas(self.face.points[:, :2])
        edges = [(places[a], places[b]) for a, b in scheme.edges if a in known and b in known]
        for width, colour in ((self._width(0.4) + 2, SHADE), (self._width(0.4), CURVE)):
            for start, end in edges:
                _line(canvas, start, end, colour, width)

    def points(self, canvas: Image, scores: bool) -> None:
        """A dot for each point, in a dark rim."""
        radius, rim = max(0.9 * self.unit, 1.5), max(0.3 * self.unit, 0.6)
        known = np.isfinite(self.face.points).all(1)
        places = self._on_canvas(self.face.points[known, :2])
        colours = colours_of(self.face.scores[known]) if scores else [POINT] * len(places)
        for place, colour in zip(places, colours, strict=True):
            _dot(canvas, place, radius + rim, SHADE)
            _dot(canvas, place, radius, colour)

    def box(self, canvas: Image) -> None:
        """The four corners of the box."""
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
        """The axes of the head, the farthest away first, from the middle of the inner points, or of the box."""
        if not np.isfinite(self.face.pose).all():
            return
        inner = self.face.points[list(scheme.groups["inner"]), :2] if scheme else np.zeros((0, 2), np.float32)
        known = inner[np.isfinite(inner).all(1)]
        middle = (known if len(known) else self.face.box.reshape(2, 2)).mean(0)
        axes = rotation(self.face.pose) @ np.diag([1, 1, -1])  # columns; the nose points to -z
        ends = middle + 34 * self.unit / self.zoom * axes[:2].T
        start, *tips = self._on_canvas(np.vstack([middle, ends]))
        for number in np.argsort(-axes[2]).tolist():
            _line(canvas, start, tips[number], SHADE, self._width(1.1) + 2)
            _line(canvas, start, tips[number], AXES[number], self._width(1.1))

    def _on_canvas(self, points: NDArray[Any]) -> list[Place]:
        """Pixels of the image (N, 2) -> places on the canvas, kept where they cannot overflow.

        Pixel i becomes the pixels from zoom i to zoom (i + 1) - 1.
        """
        scaled = (points * self.zoom + (self.zoom - 1) / 2) * 2**FINE
        rounded = np.clip(np.round(np.nan_to_num(scaled)), -(2**30), 2**30).astype(int)
        return [(x, y) for x, y in rounded.tolist()]

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit))


def colours_of(scores: NDArray[Any]) -> list[Colour]:
    """Colours of reliabilities (P,); grey where one is not known."""
    channels = [np.interp(scores, np.linspace(0, 1, len(RAMP)), RAMP[:, channel]) for channel in range(3)]
    colours = np.where(np.isnan(scores)[:, None], GREY, np.round(np.stack(channels, -1)))
    return [(red, green, blue) for red, green, blue in colours.astype(int).tolist()]


def _line(canvas: Image, start: Place, end: Place, colour: Colour, width: int) -> None:
    cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, FINE)


def _dot(canvas: Image, place: Place, radius: float, colour: Colour) -> None:
    cv2.circle(canvas, place, round(radius * 2**FINE), colour, cv2.FILLED, cv2.LINE_AA, FINE)
