"""Tiny sets in the formats in which their owners distribute them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 60, 40


@pytest.fixture
def face(rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Points inside a picture of 60 x 40, first pixel at 0, with two decimals."""
    return lambda count: np.round(rng.uniform((1, 1), (WIDTH - 2, HEIGHT - 2), (count, 2)), 2).astype(np.float32)


@pytest.fixture
def picture(rng: np.random.Generator) -> Callable[[Path], np.ndarray]:
    """Writes a picture and returns its pixels (of PNG exact)."""

    def write(path: Path) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        assert cv2.imwrite(str(path), pixels[..., ::-1])
        return pixels

    return write


@pytest.fixture
def pts() -> Callable[[Path, np.ndarray], None]:
    """Writes points (first pixel at 0) as iBUG does: first pixel at 1, odd spaces."""

    def write(path: Path, points: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = "\n".join(f"{x + 1:.2f} {y + 1:.2f}" for x, y in points)
        path.write_text(f"version: 1\nn_points:  {len(points)}\n{{\n{rows}\n}}\n")

    return write


@pytest.fixture
def labelled_face(face, picture, pts) -> Callable[..., np.ndarray]:
    """Writes a picture with a .pts file beside it; returns the points."""

    def write(path: Path, count: int = 68) -> np.ndarray:
        points = face(count)
        picture(path)
        pts(path.with_suffix(".pts"), points)
        return points

    return write
