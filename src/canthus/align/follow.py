"""A face followed through a video: each frame starts from the points of the frame before.

[Xiong, Li and Sun, "Combining Local and Global Features for 3D Face Tracking", 2017], section 3.4.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.geometry.crop import box_of
from canthus.types import Faces, Floats, Image


def follow(
    system: System, frames: Iterable[Image], first: NDArray[Any], starter: System | None = None
) -> Iterator[Faces]:
    """The landmarks of one face in every frame.

    A face that is lost - its points have no box, or one that is off the picture or more than twice its size - is looked
    for where it was last seen.

    Args:
        system: Finds landmarks, given those of the frame before.
        frames: In order, each (H, W, 3).
        first: Box of the face in the first frame, x0 y0 x1 y1, shape (4,); or its points, shape (P, 2), which a system
            whose crops are aligned to a mean shape needs.
        starter: Finds the landmarks of the first frame, so that `first` is for it; None = the same system.

    Yields:
        One face a frame. Its box is that of its points, its pose that of the upright picture.
    """
    given = np.asarray(first, np.float32)[None]
    box, before = (given, None) if given.ndim == 2 else (box_of(given), Estimate.of_points(given))
    current = starter or system
    for image in frames:
        found = current.run(View.of_boxes([image], box), before)
        boxes = box_of(found.points)
        yield found.faces(boxes, system.scheme)
        if _is_seen(boxes[0], image):
            current, box, before = system, boxes, found


def _is_seen(box: Floats, image: Image) -> bool:
    x0, y0, x1, y1 = (float(side) for side in box)
    height, width = image.shape[:2]
    size = max(x1 - x0, y1 - y0)
    return 0 < size < 2 * max(height, width) and x0 < width and y0 < height and x1 > 0 and y1 > 0
