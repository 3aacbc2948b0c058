"""How far labels contradict each other, without any truth: left and right of a face, and frames of one clip.

Both measure only noise that differs from point to point or from frame to frame; errors that are always the same agree.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import Matrix, apply, scale_of
from canthus.schemes.scheme import Scheme
from canthus.types import Image

Doubles = NDArray[np.float64]

SIDE = 160
"""Side of the crops in which the picture is followed, pixels."""
EXTENT = 1.5
DOUBT = 1.0
"""Flow is not used where flow there and back misses by more, pixels of the crop."""


def skew(points: NDArray[Any], unit: Doubles, scheme: Scheme) -> Doubles:
    """How far the lines between mirror partners are from parallel, as they are on a symmetric face seen from afar.

    Args:
        points: Points. Shape (F, P, 2), pixels.
        unit: Inter-ocular distance. Shape (F,), pixels.
        scheme: Scheme of the points.

    Returns:
        Mean distance of the inner points across the common direction of all pairs, over the unit. Shape (F,).

    Raises:
        ShapeError: a scheme of half a face.
    """
    if scheme.mirror_scheme != scheme.name:
        raise ShapeError(f"scheme {scheme.name} is half a face: it has no left and right to compare")
    pairs = [(index, int(scheme.mirror[index])) for index in scheme.groups["inner"] if index < scheme.mirror[index]]
    across = np.asarray([np.asarray(points, np.float64)[:, a] - points[:, b] for a, b in pairs]).swapaxes(0, 1)
    least = np.linalg.svd(across, full_matrices=False)[2][:, 1]  # (F, 2)
    off: Doubles = np.abs(np.einsum("fnd,fd->fn", across, least)).mean(1) / 2 / unit
    return off


@dataclass(frozen=True, eq=False)
class Followed:
    """The positions of points of one frame in another, by the pictures alone.

    Attributes:
        first: Matrix from the first frame to its crop. Shape (2, 3).
        second: Matrix from the second frame to its crop. Shape (2, 3).
        there: Flow from the first crop to the second. Shape (S, S, 2), pixels.
        back: Flow from the second crop to the first. Shape (S, S, 2), pixels.
    """

    first: Matrix
    second: Matrix
    there: NDArray[np.float32]
    back: NDArray[np.float32]

    def miss(self, labels: NDArray[Any], other: NDArray[Any]) -> Doubles:
        """Distance of the labels of the second frame from those of the first, moved with the picture.

        Args:
            labels: Labels of the first frame. Shape (P, 2), pixels.
            other: Labels of the second frame. Shape (P, 2), pixels.

        Returns:
            Pixels of the second frame; NaN where the flow is not used. Shape (P,).
        """
        start = apply(self.first, np.asarray(labels, np.float64))
        end = start + _at(self.there, start)
        home = end + _at(self.back, end)
        off = np.linalg.norm(end - apply(self.second, np.asarray(other, np.float64)), axis=-1)
        return np.where(np.linalg.norm(home - start, axis=-1) < DOUBT, off / scale_of(self.second), np.nan)


def follow(first: Image, second: Image, labels: NDArray[Any], other: NDArray[Any]) -> Followed:
    """Follow the picture from one frame of a clip to another by dense optical flow [Kroeger et al., 2016].

    Args:
        first: The first frame. Shape (H, W, 3).
        second: The second frame. Shape (H, W, 3).
        labels: Any labels of the first frame, for the position of the face. Shape (P, 2), pixels.
        other: Any labels of the second frame. Shape (P, 2), pixels.
    """
    one, two = (crop_matrix(box_of(points), SIDE, EXTENT) for points in (labels, other))
    crops = [
        cv2.cvtColor(warp(image, matrix, SIDE), cv2.COLOR_RGB2GRAY) for image, matrix in ((first, one), (second, two))
    ]
    engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    start = np.zeros((SIDE, SIDE, 2), np.float32)
    there, back = engine.calc(crops[0], crops[1], start.copy()), engine.calc(crops[1], crops[0], start)
    return Followed(one, two, there.astype(np.float32, copy=False), back.astype(np.float32, copy=False))


def _at(flow: NDArray[Any], points: Doubles) -> Doubles:
    """Flow at points (P, 2)."""
    places = points[None].astype(np.float32)
    values = cv2.remap(flow, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values[0], np.float64)
