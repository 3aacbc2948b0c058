"""Augmentation: one warp and a few cheap changes of the picture (.3 ms for a crop of 96 px)."""

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import warp
from canthus.geometry.transform import Matrix, compose
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

Random = np.random.Generator

SPARE = 64
"""Number of rows and columns by which the field that noise is cut from is larger than a crop."""


def jitter_matrices(
    frames: Matrix, size: int, margin: float, settings: Augment, rng: Random
) -> tuple[Matrix, NDArray[np.float64]]:
    """Random maps from images to crops around faces.

    Args:
        frames: Maps from the images to frames in which the box of each face has its centre at the origin and a longer
            side of 1. Shape (N, 2, 3).
        size: Side of the crops in pixels.
        margin: Crop margin: side of the crop over the longer side of the box.
        settings: Ranges of the jitter.
        rng: Randomness.

    Returns:
        The maps (N, 2, 3), and the angles by which they rotate the faces (clockwise on the screen, degrees; (N,)).
    """
    count = len(frames)
    uniform = settings.rotation_law == "uniform"
    angles = settings.rotation * (rng.uniform(-1, 1, count) if uniform else np.clip(rng.normal(size=count), -3, 3))
    least, largest = -np.log(settings.scale_down or settings.scale), np.log(settings.scale)
    scale = size / (margin * np.exp(rng.uniform(least, largest, count)))
    shift = -settings.shift * np.clip(rng.normal(size=(2, count)), -3, 3)
    stretch = np.exp(rng.uniform(-1, 1, count) * np.log(settings.stretch))
    middle, zero = np.full(count, (size - 1) / 2), np.zeros(count)
    cosine, sine = scale * np.cos(np.deg2rad(angles)), scale * np.sin(np.deg2rad(angles))
    turn = np.moveaxis(np.array([[cosine, -sine, middle], [sine, cosine, middle]]), -1, 0)
    stretched = np.moveaxis(
        np.array([[stretch, zero, stretch * shift[0]], [zero, 1 / stretch, shift[1] / stretch]]), -1, 0
    )
    return compose(turn, compose(stretched, frames)), angles + np.rad2deg(np.arctan2(frames[:, 1, 0], frames[:, 0, 0]))


def vary(crop: Image, settings: Augment, rng: Random, other: Image) -> Image:
    """Change how a crop looks; nothing in it moves.

    Args:
        crop: Shape (S, S, 3).
        settings: Probabilities and strengths of the changes.
        rng: Randomness.
        other: Picture that occluding patches may be cut from. Shape (H, W, 3).

    Returns:
        Shape (S, S, 3).
    """
    chance = rng.random(7)
    if chance[0] < settings.occlude:
        crop = occlude(crop, rng, other)
    if settings.light > 0:
        crop = relight(crop, settings.light, rng)
    if chance[1] < settings.grey:
        crop = np.repeat(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[..., None], 3, -1)
    if chance[2] < settings.shrink:
        crop = shrink(crop, rng)
    if chance[3] < settings.blur:
        crop = blur(crop, rng)
    if chance[4] < settings.noise:
        crop = noisy(crop, float(rng.uniform(2, 14)), rng)
    if chance[5] < settings.jpeg:
        quality = int(rng.integers(8, 50))
        packed = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        crop = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return crop


def relight(crop: Image, strength: float, rng: Random) -> Image:
    """Brightness, contrast, gamma, white balance and saturation. (S, S, 3) -> (S, S, 3)."""
    ramp = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(strength * 0.7 * rng.uniform(-1, 1))
    gain = np.exp(strength * (0.5 * rng.uniform(-1, 1) + 0.25 * rng.uniform(-1, 1, 3)))
    offset = strength * 0.3 * rng.uniform(-1, 1)
    table = np.clip(255 * (ramp**gamma * gain + offset), 0, 255).astype(np.uint8)  # (256, 3)
    crop = cv2.LUT(crop, table[None]).astype(np.uint8, copy=False)
    mix = strength * rng.uniform(-1, 0.8)
    colour = np.eye(3) * (1 - mix) + mix * np.array([[0.299, 0.587, 0.114]])
    return cv2.transform(crop, colour).astype(np.uint8, copy=False)


def shrink(crop: Image, rng: Random) -> Image:
    """Reduce to a fraction of the size and enlarge again, as a small face. (S, S, 3) -> (S, S, 3)."""
    size = crop.shape[0]
    small = int(size * rng.uniform(0.25, 0.7))
    little = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(little, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def blur(crop: Image, rng: Random, size: int | None = None) -> Image:
    """Gaussian blur, or motion blur along a random line.

    Args:
        crop: Shape (H, W, 3).
        rng: Randomness.
        size: Side that decides how strong the blur is, in pixels; None = that of a square crop.

    Returns:
        Shape (H, W, 3).
    """
    size = size or crop.shape[0]
    if rng.random() < 0.5:
        return cv2.GaussianBlur(crop, (0, 0), float(rng.uniform(0.5, 0.025 * size))).astype(np.uint8, copy=False)
    return streak(crop, int(rng.integers(1, max(2, size // 24))), float(rng.uniform(0, 180)))


def streak(crop: Image, reach: int, angle: float) -> Image:
    """Mean over a line of 2 `reach` + 1 pixels at an angle in degrees: motion blur. (H, W, 3) -> (H, W, 3)."""
    height, width = crop.shape[:2]
    way = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    line = reach + np.outer(np.arange(-reach, reach + 1), way).round().astype(int)
    wide = cv2.copyMakeBorder(crop, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
    total = np.zeros(crop.shape, np.float32)
    for x, y in line.tolist():
        cv2.accumulate(wide[y : y + height, x : x + width], total)
    return cv2.convertScaleAbs(total, alpha=1 / len(line)).astype(np.uint8, copy=False)


def noisy(crop: Image, deviation: float, rng: Random) -> Image:
    """Add normal noise: a random window of a fixed field of it, of random sign. (S, S, 3) -> (S, S, 3)."""
    field = _grain(crop.shape[0])
    x, y = rng.integers(0, SPARE + 1, 2).tolist()
    window = field[y : y + crop.shape[0], x : x + crop.shape[1]]
    sign = 1 if rng.random() < 0.5 else -1
    return cv2.addWeighted(crop, 1, window, sign * deviation, 0, dtype=cv2.CV_8U).astype(np.uint8, copy=False)


@cache
def _grain(size: int) -> Floats:
    """Normal noise of deviation 1, from which noise for crops of one size is cut. (size + 64, size + 64, 3)."""
    return np.random.default_rng(size).standard_normal((size + SPARE, size + SPARE, 3), np.float32)


def occlude(crop: Image, rng: Random, other: Image) -> Image:
    """Cover a rectangle or ellipse by a flat colour, noise, or a piece of another picture. (S, S, 3) -> (S, S, 3)."""
    size = crop.shape[0]
    wide, high = (int(size * rng.uniform(0.12, 0.5)) for _ in range(2))
    x, y = (int(value) for value in rng.integers(-size // 8, size - size // 8, 2))
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, size), min(y + high, size)
    if x1 <= x0 or y1 <= y0:
        return crop
    kind = rng.random()
    if kind < 0.3:
        patch = np.broadcast_to(rng.integers(0, 256, 3, np.uint8), (y1 - y0, x1 - x0, 3))
    elif kind < 0.4:
        patch = rng.integers(0, 256, (y1 - y0, x1 - x0, 3), np.uint8)
    else:
        left = int(rng.integers(0, max(1, other.shape[1] - wide)))
        top = int(rng.integers(0, max(1, other.shape[0] - high)))
        patch = cv2.resize(other[top : top + high, left : left + wide], (x1 - x0, y1 - y0)).astype(np.uint8, copy=False)
    crop = crop.copy()
    if rng.random() < 0.5:
        crop[y0:y1, x0:x1] = patch
    else:
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.ellipse(mask, (((x1 - x0) / 2, (y1 - y0) / 2), (x1 - x0, y1 - y0), 0.0), 1, -1)
        inside = mask.astype(bool)
        crop[y0:y1, x0:x1][inside] = patch[inside]
    return crop


def cut(image: Image, matrix: Matrix, size: int, points: NDArray[Any]) -> tuple[Image, Floats]:
    """Crop of a picture by a map, and the points (P, 2) in the crop. Shapes (S, S, 3) and (P, 2)."""
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    return warp(image, matrix, size), moved.astype(np.float32)
