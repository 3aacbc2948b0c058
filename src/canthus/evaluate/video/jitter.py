"""Jitter of landmarks: how much they shake from frame to frame beyond smooth motion.

The measure is the second difference over time, x(t + 1) - 2 x(t) + x(t - 1), which vanishes in uniform motion. Noise of
standard deviation s that is independent from frame to frame has a second difference of s sqrt(6), so the root mean
square is divided by sqrt(6) and reads as the distance by which points shake.

Laws (tested): uniform motion adds nothing; noise of a known size is measured as this size; the measure does not change
when points and sizes are scaled together.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

STILL = 0.005
"""Speed below which a face stands still, in sizes of the face a frame: an eighth of its size a second at 25 frames."""
WINDOW = 4
"""Frames before and after a frame over which its speed is measured."""


def jitter(points: NDArray[Any], sizes: NDArray[Any] | float, frames: Mask | None = None) -> float:
    """Root mean square of the second difference over sqrt(6), over the size of the face.

    Args:
        points: Points of a face in each frame; NaN = not found. With known truth, their offsets from it: then the
            acceleration of the face itself does not count. Shape (N, P, D).
        sizes: Size of the face, in the unit of the points. Shape (N,), or one for all frames.
        frames: The frames that are measured, each with the one before and the one after; None = all. Shape (N,).

    Returns:
        A fraction of the size; NaN where no three frames in a row have points.
    """
    track = np.asarray(points, np.float64)
    scale = np.broadcast_to(np.asarray(sizes, np.float64), len(track))
    shaken = ((track[2:] - 2 * track[1:-1] + track[:-2]) ** 2).sum(-1) / scale[1:-1, None] ** 2  # (N - 2, P)
    if frames is not None:
        shaken = shaken[frames[1:-1]]
    known = np.isfinite(shaken)
    return float(np.sqrt(shaken[known].mean() / 6)) if known.any() else float("nan")


def speeds(points: NDArray[Any], sizes: NDArray[Any] | float) -> Array:
    """Speed of the middle of a face: the slope of a straight line through 2 WINDOW + 1 frames, so jitter hardly counts.

    Args:
        points: Points of a face in each frame; NaN = not found. Shape (N, P, D).
        sizes: Size of the face, in the unit of the points. Shape (N,), or one for all frames.

    Returns:
        Sizes of the face a frame; NaN near the ends and near frames without points. Shape (N,).
    """
    middle = np.asarray(points, np.float64).mean(1)
    speed, reach = np.full(len(middle), np.nan), np.arange(-WINDOW, WINDOW + 1)
    if len(middle) > 2 * WINDOW:
        around = np.lib.stride_tricks.sliding_window_view(middle, 2 * WINDOW + 1, 0)  # (N - 2 WINDOW, D, 2 WINDOW + 1)
        speed[WINDOW:-WINDOW] = np.linalg.norm(around @ reach / (reach**2).sum(), axis=-1)
    return speed / np.asarray(sizes, np.float64)


def still_and_moving(points: NDArray[Any], sizes: NDArray[Any] | float) -> tuple[Mask, Mask]:
    """The frames in which a face stands still, and those in which it moves; some are neither, as at the ends. (N,)."""
    speed = speeds(points, sizes)
    return speed < STILL, speed >= STILL
