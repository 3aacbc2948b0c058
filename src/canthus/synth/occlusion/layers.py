"""The face that is occluded, its axes, and the means to draw occluders: outlines, opacity and surfaces."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.pixels import nearest
from canthus.schemes.scheme import Scheme
from canthus.types import Floats, Image

Doubles = NDArray[np.float64]
BITS = 4
"""Number of fractional bits of the coordinates that OpenCV draws."""
UPPER_LEFT = (0.6, 0.8)
"""Direction in which shadows fall when the light comes from the upper left."""


@dataclass(frozen=True)
class Frame:
    """Axes of a face: the eyes lie at y = 0, the mouth at y = 1.

    Attributes:
        origin: Middle between the eyes, or the only eye that is known. Shape (2,), pixels.
        right: Unit vector from the subject's right to the left, across `down`. Shape (2,).
        down: Unit vector from the eyes to the mouth. Shape (2,).
        unit: Distance from eyes to mouth, about 7 cm, pixels.
    """

    origin: Doubles
    right: Doubles
    down: Doubles
    unit: float

    def place(self, xy: Any) -> Doubles:
        """Points (..., 2) of the frame in pixels."""
        xy = np.asarray(xy, np.float64)
        placed: Doubles = self.origin + self.unit * (xy[..., :1] * self.right + xy[..., 1:] * self.down)
        return placed

    def find(self, points: Doubles) -> Doubles:
        """Points (..., 2) in pixels in the frame."""
        return (points - self.origin) @ np.stack([self.right, self.down], -1) / self.unit


@dataclass(frozen=True, eq=False)
class CoveredFace:
    """The face that is to be occluded.

    Attributes:
        image: The picture. Shape (H, W, 3).
        points: Landmarks. Shape (P, 2), pixels.
        scheme: Scheme of the points.
        frame: Axes of the face.
        others: Pictures of other people.
        rng: Random numbers.
    """

    image: Image
    points: Doubles
    scheme: str
    frame: Frame
    others: tuple[Image, ...]
    rng: np.random.Generator

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]

    def group(self, name: str) -> Doubles:
        """The points of a group that are known. Shape (N, 2)."""
        return _group(self.points, self.scheme, name)

    @property
    def known(self) -> Doubles:
        """The points that are known. Shape (N, 2)."""
        return _known(self.points)


@dataclass(frozen=True, eq=False)
class Layer:
    """An occluder.

    Attributes:
        colour: Colour, 0..255. Shape (H, W, 3).
        alpha: Opacity, 0..1. Shape (H, W).
        shadow: Darkness of its shadow, 0..1.
        light: Direction in which its shadow falls.
    """

    colour: Floats
    alpha: Floats
    shadow: float = 0.0
    light: tuple[float, float] = UPPER_LEFT


def frame_of(points: Doubles, scheme: str) -> Frame:
    """The axes of a face.

    Args:
        points: Landmarks; NaN = missing. Shape (P, 2), pixels.
        scheme: Scheme of the points.

    Raises:
        ShapeError: no point of the eyes or of the mouth is known, or they coincide.
    """
    parts = {name: _group(points, scheme, name) for name in ("eye_right", "eye_left", "mouth")}
    centres = {name: known.mean(0) for name, known in parts.items() if len(known)}
    eyes = [centre for name, centre in centres.items() if name != "mouth"]
    if not eyes or "mouth" not in centres:
        raise ShapeError(f"an occluder is placed by eyes and mouth; these points of scheme {scheme} lack one of them")
    origin = np.mean(eyes, axis=0)
    down = centres["mouth"] - origin
    unit = float(np.linalg.norm(down))
    if unit < 1:
        raise ShapeError(f"eyes and mouth lie {unit:.2g} pixels apart: an occluder cannot be placed")
    down = down / unit
    return Frame(origin, np.array([down[1], -down[0]]), down, unit)


def somewhere(face: CoveredFace) -> Doubles:
    """A random position near one of the points, in the axes of the face."""
    known = face.known
    return face.frame.find(known[face.rng.integers(len(known))]) + face.rng.normal(0, 0.15, 2)


def random_shape(face: CoveredFace) -> Doubles:
    """The outline (N, 2) in pixels of a blob, an ellipse, a rectangle or a polygon on the face."""
    rng = face.rng
    kind = rng.integers(4)
    if kind == 0:
        around = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        waves = sum(rng.normal(0, 0.35 / k) * np.cos(k * around + rng.uniform(0, 6.3)) for k in range(2, 7))
        outline = rays(around) * np.maximum(1 + waves, 0.2)[:, None]
    elif kind == 1:
        outline = superellipse(2.0)
    elif kind == 2:
        outline = superellipse(40.0)
    else:
        turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 9)))
        outline = rays(turns) * rng.uniform(0.6, 1.2, (len(turns), 1))
    outline = rotated(outline * rng.uniform(0.25, 0.85, 2), rng.uniform(0, np.pi)) + somewhere(face)
    return face.frame.place(outline)


def rays(angles: Doubles) -> Doubles:
    """Unit vectors (N, 2) at angles (N,) in radians."""
    return np.stack([np.cos(angles), np.sin(angles)], -1)


def superellipse(power: float) -> Doubles:
    """|x|^n + |y|^n = 1: an ellipse for 2, nearly a square for much more. Shape (60, 2)."""
    ray = rays(np.linspace(0, 2 * np.pi, 60, endpoint=False))
    outline: Doubles = ray / (np.abs(ray) ** power).sum(1, keepdims=True) ** (1 / power)
    return outline


def stretched(discs: list[tuple[Any, float]]) -> Doubles:
    """The convex outline around discs (centre, radius). Shape (N, 2)."""
    circle = rays(np.linspace(0, 2 * np.pi, 24, endpoint=False))
    return hull(np.concatenate([np.asarray(centre) + radius * circle for centre, radius in discs]))


def hull(points: Doubles) -> Doubles:
    """The corners (M, 2) of the convex hull of points (N, 2)."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def rotated(outline: Doubles, angle: float) -> Doubles:
    """An outline (N, 2) rotated by an angle in radians, clockwise on the screen."""
    cosine, sine = np.cos(angle), np.sin(angle)
    moved: Doubles = outline @ np.array([[cosine, sine], [-sine, cosine]])
    return moved


def fixed(points: Doubles) -> NDArray[np.int32]:
    """Coordinates with `BITS` fractional bits."""
    fixed: NDArray[np.int32] = np.round(np.clip(points, -1e4, 1e4) * 2**BITS).astype(np.int32)
    return fixed


def fill(face: CoveredFace, outline: Doubles) -> Floats:
    """Opacity 1 inside an outline (N, 2) in pixels. Shape (H, W)."""
    canvas = np.zeros(face.size, np.uint8)
    cv2.fillPoly(canvas, [fixed(outline)], 255, cv2.LINE_AA, BITS)
    return opacity_of(canvas)


def opacity_of(canvas: NDArray[np.uint8]) -> Floats:
    """A canvas of 0..255 as 0..1. Shape (H, W)."""
    opacity: Floats = np.divide(canvas, 255, dtype=np.float32)
    return opacity


def strokes(face: CoveredFace, lines: list[Doubles], wide: int) -> Floats:
    """Opacity 1 on lines, each (N, 2) in pixels; OpenCV adds a soft pixel to either side. Shape (H, W)."""
    canvas = np.zeros(face.size, np.uint8)
    cv2.polylines(canvas, [fixed(line) for line in lines], False, 255, wide, cv2.LINE_AA, BITS)
    return opacity_of(canvas)


def soft(alpha: Floats, face: CoveredFace) -> Floats:
    """The opacity with edges about as sharp as those of the picture."""
    sigma = max(0.4, 0.012 * face.frame.unit * face.rng.uniform(0.3, 1.5))
    return cv2.GaussianBlur(alpha, (0, 0), sigma).astype(np.float32, copy=False)


def lit(colour: Floats, alpha: Floats, strength: float) -> Floats:
    """Shaded as a body that is round at the edges of its opacity, lit from the upper left."""
    far = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    peak = max(float(far.max()), 1.0)
    height = cv2.GaussianBlur(np.sqrt(1 - (1 - far / peak) ** 2) * peak, (0, 0), max(peak / 12, 0.7))
    slope_x, slope_y = (
        cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8),
        cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8),
    )
    facing = (1 + UPPER_LEFT[0] * slope_x + UPPER_LEFT[1] * slope_y) / np.sqrt(2 * (1 + slope_x**2 + slope_y**2))
    lit: Floats = (colour * (1 - strength + strength * 1.35 * facing[..., None])).clip(0, 255).astype(np.float32)
    return lit


def piece(face: CoveredFace) -> Floats:
    """Another picture, rotated, scaled and mirrored at its borders so that it fills this one. Shape (H, W, 3)."""
    rng, (height, width) = face.rng, face.size
    other = face.others[rng.integers(len(face.others))]
    turn = cv2.getRotationMatrix2D(
        (0, 0), rng.uniform(0, 360), max(height, width) / max(other.shape) * rng.uniform(0.6, 2)
    )
    turn[:, 2] = np.array([width, height]) / 2 - turn[:, :2] @ (rng.uniform(0.2, 0.8, 2) * other.shape[1::-1])
    piece = cv2.warpAffine(other, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return piece.astype(np.float32)


def random_colour(rng: np.random.Generator) -> Doubles:
    """A random colour, seldom saturated. Shape (3,)."""
    grey = rng.uniform(30, 235)
    colour: Doubles = (grey + rng.normal(0, 28, 3)).clip(5, 250)
    return colour


def skin_of(face: CoveredFace) -> Doubles:
    """The median colour along nose and cheeks, where no brow or lip is. Shape (3,)."""
    place = face.frame.place(np.stack(np.meshgrid(np.linspace(-0.35, 0.35, 9), np.linspace(0.3, 0.7, 9)), -1))
    median: Doubles = np.median(face.image[nearest(place.reshape(-1, 2), face.size)].astype(np.float64), axis=0)
    return median


def cloth(face: CoveredFace, colour: Doubles) -> Floats:
    """One colour with the unevenness of real surfaces. Shape (H, W, 3)."""
    rng, (height, width) = face.rng, face.size
    coarse = rng.normal(1, 0.06, (6, 6, 1)) * rng.normal(1, 0.015, (6, 6, 3))
    uneven = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 4, (height, width, 1)).astype(np.float32)
    cloth: Floats = (uneven * colour.astype(np.float32) + cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None]).clip(0, 255)
    return cloth


def pattern(face: CoveredFace) -> Floats:
    """Stripes, checks, dots or speckles of two colours, or one colour. Shape (H, W, 3)."""
    rng, (height, width) = face.rng, face.size
    y, x = np.indices((height, width)).astype(np.float32)
    angle, period = rng.uniform(0, np.pi), face.frame.unit * rng.uniform(0.08, 0.5)
    along = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period
    across = (y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period
    speckle = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), max(period / 8, 0.5))
    waves = (np.sin(along), np.sin(along) * np.sin(across), np.sin(along) + np.sin(across) - 0.8, speckle, np.ones(1))
    share = (0.5 + 4 * np.broadcast_to(waves[rng.integers(5)], (height, width))).clip(0, 1)[..., None]
    one, other = cloth(face, random_colour(rng)), cloth(face, random_colour(rng))
    return (share * one + (1 - share) * other).astype(np.float32)


def _group(points: Doubles, scheme: str, name: str) -> Doubles:
    """The points (N, 2) of a group that are known."""
    return _known(points[list(Scheme.open(scheme).groups.get(name, ()))])


def _known(points: Doubles) -> Doubles:
    """Those that are not NaN. Shape (N, 2)."""
    return points[np.isfinite(points).all(1)]
