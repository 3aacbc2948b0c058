"""Openings of eyes and mouth over time: what smoothing must not delay or flatten."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.evaluate.cut import mouth_opening
from canthus.schemes.scheme import Scheme

Array = NDArray[np.float64]

LIDS = tuple(
    (f"eye_{side}_top_{part}", f"eye_{side}_bottom_{part}") for side in ("right", "left") for part in ("outer", "inner")
)
CORNERS = ("eye_right_outer", "eye_left_outer")


def eye_opening(points: NDArray[Any], scheme: Scheme) -> Array | None:
    """Mean gap between the lids of both eyes, as a fraction of the distance between the outer eye corners.

    Args:
        points: Points of each frame. Shape (N, P, 2 or 3), pixels.
        scheme: Scheme of the points.

    Returns:
        Shape (N,); None when the scheme lacks these points.
    """
    at = {name: index for index, name in enumerate(scheme.names)}
    if not {*CORNERS, *(name for pair in LIDS for name in pair)} <= at.keys():
        return None
    plane = np.asarray(points, np.float64)[..., :2]
    gaps = [np.linalg.norm(plane[:, at[upper]] - plane[:, at[lower]], axis=-1) for upper, lower in LIDS]
    opening: Array = np.mean(gaps, 0) / np.linalg.norm(plane[:, at[CORNERS[0]]] - plane[:, at[CORNERS[1]]], axis=-1)
    return opening


def openings(points: NDArray[Any], scheme: Scheme) -> dict[str, Array]:
    """The openings of "eyes" and "mouth" that the scheme allows, each (N,). Points (N, P, 2 or 3), pixels."""
    found = {"eyes": eye_opening(points, scheme), "mouth": mouth_opening(points, scheme)}
    return {name: values for name, values in found.items() if values is not None}
