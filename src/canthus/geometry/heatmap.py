"""Heatmaps: encodes each point as a Gaussian, and decodes it in four ways.

Coordinates are pixels of the heatmap. Laws (tested), for a point a pixel or more inside the map:
`taylor(encode(p)) == p`; `argmax` is within .5 and `quarter` within .25 of p on each axis; `soft_argmax(log(encode(p)))
== p` where the map contains the whole Gaussian. NaN is encoded as an empty map, and a map without a peak is decoded as
NaN.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.types import Floats


def encode(points: NDArray[Any], size: tuple[int, int], sigma: float) -> Floats:
    """Encode points as Gaussians of height 1.

    Args:
        points: Points. Shape (..., P, 2), pixels of the map.
        size: Height and width of the map in pixels.
        sigma: Standard deviation in pixels of the map.

    Returns:
        Heatmaps; all 0 for a point that is NaN. Shape (..., P, H, W).
    """
    points = np.asarray(points, np.float64)
    columns, rows = (
        np.exp(-((np.arange(length) - points[..., axis, None]) ** 2) / (2 * sigma**2))
        for axis, length in ((0, size[1]), (1, size[0]))
    )
    maps = rows[..., :, None] * columns[..., None, :]
    known: Floats = np.where(np.isnan(maps), 0.0, maps).astype(np.float32)
    return known


def peak(maps: NDArray[Any]) -> Floats:
    """Highest value of each map. Shape (..., H, W) -> (...)."""
    highest: Floats = np.asarray(maps, np.float32).max((-2, -1))
    return highest


def argmax(maps: NDArray[Any]) -> Floats:
    """Highest pixel of each map; NaN where all pixels are equal. Shape (..., H, W) -> (..., 2)."""
    flat, index = _flat(maps)
    points = np.stack([index % maps.shape[-1], index // maps.shape[-1]], -1).astype(np.float32)
    points[flat.max(-1) == flat.min(-1)] = np.nan
    return points.reshape(*maps.shape[:-2], 2)


def quarter(maps: NDArray[Any]) -> Floats:
    """`argmax` moved by a quarter pixel towards the higher neighbour on each axis [Newell et al., 2016].

    Shape (..., H, W) -> (..., 2).
    """
    around = _around(maps)
    higher = np.stack([around[:, 1, 2] - around[:, 1, 0], around[:, 2, 1] - around[:, 0, 1]], -1)
    points: Floats = argmax(maps) + (0.25 * np.sign(higher)).astype(np.float32).reshape(*maps.shape[:-2], 2)
    return points


def taylor(maps: NDArray[Any]) -> Floats:
    """`argmax` moved to the maximum of the parabola through the logarithm of the map: DARK, eq. 9.

    Source: Zhang et al., Distribution-aware coordinate representation for human pose estimation, 2020.
    Exact for a Gaussian; a predicted map may need smoothing first, as in that paper. The move is at most one pixel, and
    zero where the neighbours form no maximum.

    Args:
        maps: Heatmaps, >= 0. Shape (..., H, W).

    Returns:
        Shape (..., 2).
    """
    logs = np.log(np.maximum(_around(maps).astype(np.float64), 1e-30))
    gradient = np.stack([logs[:, 1, 2] - logs[:, 1, 0], logs[:, 2, 1] - logs[:, 0, 1]], -1) / 2
    xx = logs[:, 1, 2] - 2 * logs[:, 1, 1] + logs[:, 1, 0]
    yy = logs[:, 2, 1] - 2 * logs[:, 1, 1] + logs[:, 0, 1]
    xy = (logs[:, 2, 2] - logs[:, 2, 0] - logs[:, 0, 2] + logs[:, 0, 0]) / 4
    determinant = xx * yy - xy**2
    top = (determinant > 1e-12) & (xx < 0)
    safe = np.where(top, determinant, 1.0)
    move = -np.stack([yy * gradient[:, 0] - xy * gradient[:, 1], xx * gradient[:, 1] - xy * gradient[:, 0]], -1)
    move = np.where(top[:, None], np.clip(move / safe[:, None], -1, 1), 0.0)
    return argmax(maps) + move.astype(np.float32).reshape(*maps.shape[:-2], 2)


def soft_argmax(logits: NDArray[Any]) -> Floats:
    """Expected position under the softmax of each map [Sun et al., Integral human pose regression, 2018].

    Shape (..., H, W) -> (..., 2).
    """
    logits = np.asarray(logits, np.float64)
    share = np.exp(logits - logits.max((-2, -1), keepdims=True))
    share /= share.sum((-2, -1), keepdims=True)
    height, width = logits.shape[-2:]
    return np.stack([share.sum(-2) @ np.arange(width), share.sum(-1) @ np.arange(height)], -1).astype(np.float32)


DECODERS: dict[str, Callable[[NDArray[Any]], Floats]] = {
    "argmax": argmax,
    "quarter": quarter,
    "taylor": taylor,
    "soft_argmax": soft_argmax,
}
"""Decoders from maps (..., H, W) to points (..., 2) by name; `soft_argmax` takes logits, the others heights."""


def window_score(maps: NDArray[Any], points: NDArray[Any], radius: int) -> Floats:
    """Weight of each point: the mean of its score map in a window of (2 r + 1)^2 pixels, eq. 1 of score_guided.

    Args:
        maps: Score maps. Shape (..., P, H, W).
        points: Centres of the windows; pixels outside the map count as 0, and a NaN gives 0. Shape (..., P, 2), pixels
            of the map.
        radius: Radius r in pixels of the map.

    Returns:
        Shape (..., P).
    """
    maps, points = np.asarray(maps, np.float64), np.asarray(points, np.float64)
    inside = []
    for axis, length in ((0, maps.shape[-1]), (1, maps.shape[-2])):
        middle = np.rint(points[..., axis, None])
        inside.append(np.abs(np.arange(length) - middle) <= radius)  # NaN is never inside
    columns, rows = (mask.astype(np.float64) for mask in inside)
    total = (rows[..., None, :] @ maps @ columns[..., :, None])[..., 0, 0]
    score: Floats = (total / (2 * radius + 1) ** 2).astype(np.float32)
    return score


def _flat(maps: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    flat = maps.reshape(-1, maps.shape[-2] * maps.shape[-1])
    return flat, flat.argmax(-1)


def _around(maps: NDArray[Any]) -> NDArray[Any]:
    """The 3x3 pixels around the highest pixel of each map; border pixels are repeated outward. Shape (N, 3, 3)."""
    _, index = _flat(maps)
    height, width = maps.shape[-2:]
    step = np.arange(-1, 2)
    rows = np.clip(index[:, None] // width + step, 0, height - 1)
    columns = np.clip(index[:, None] % width + step, 0, width - 1)
    grids = maps.reshape(-1, height, width)
    around: NDArray[Any] = grids[np.arange(len(grids))[:, None, None], rows[:, :, None], columns[:, None, :]]
    return around
