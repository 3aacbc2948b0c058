"""Labels of some frames of a video, interpolated linearly for the frames between them.

[Xiong, Li and Sun, "Combining Local and Global Features for 3D Face Tracking", 2017], section 4.2.

Laws (tested): labelled frames stay as they are; points that move uniformly are found exactly.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def interpolated(points: NDArray[Any], times: NDArray[Any] | None = None) -> Array:
    """Points of every frame from the first labelled frame to the last; each point for itself.

    Args:
        points: Points of each frame; NaN = not labelled. Shape (N, P, D).
        times: Time of each frame, rising; None = frames are equally far apart. Shape (N,).

    Returns:
        Shape (N, P, D); NaN before the first label of a point and after its last.
    """
    labels = np.asarray(points, np.float64)
    at = np.arange(len(labels), dtype=np.float64) if times is None else np.asarray(times, np.float64)
    full = labels.copy()
    for point in range(labels.shape[1]):
        known = np.isfinite(labels[:, point]).all(-1)
        if known.any():
            for axis in range(labels.shape[2]):
                values = labels[known, point, axis]
                full[:, point, axis] = np.interp(at, at[known], values, left=np.nan, right=np.nan)
    return full
