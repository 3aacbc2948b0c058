"""Pictures as training keeps them in memory: reduced to the size that crops need, with their points."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.data.sample import Sample
from canthus.geometry.crop import box_of
from canthus.types import Floats, Image


def reduced(sample: Sample, side: int) -> tuple[Image, Floats]:
    """The picture of a face, reduced where its box is larger than needed.

    Args:
        sample: A labelled face.
        side: Longer side of its box in the reduced picture at most, in pixels.

    Returns:
        The picture (H, W, 3), and the factors by which x and y were scaled (2,).
    """
    image = sample.picture()
    box = box_of(sample.points) if sample.box is None else sample.box
    factor = side / float(max(box[2:] - box[:2]))
    if factor >= 1 or not math.isfinite(factor):
        return image, np.ones(2, np.float32)
    height, width = (max(1, round(length * factor)) for length in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return small, np.array([width / image.shape[1], height / image.shape[0]], np.float32)


def scaled(points: NDArray[Any], scale: Floats) -> Floats:
    """The x and y of points (..., P, 2 or 3) in a picture that was scaled by (..., 2). Shape (..., P, 2)."""
    return ((points[..., :2] + 0.5) * scale[..., None, :] - 0.5).astype(np.float32)
