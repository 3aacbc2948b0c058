"""A face followed through a video: each crop is where the points of the frame before were.

[Xiong, Li and Sun, "Combining Local and Global Features for 3D Face Tracking", 2017], section 3.4.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.align.cropped import Cropped, pose_in_image
from canthus.geometry.crop import box_of, crop_matrix
from canthus.types import Faces, Floats, Image


def follow(
    system: Cropped, frames: Iterable[Image], first: NDArray[Any], starter: Cropped | None = None
) -> Iterator[Faces]:
    """The landmarks of one face in every frame.

    A face that is lost - its points have no box, or one that is off the picture or more than twice its size - is looked
    for where it was last seen.

    Args:
        system: Finds landmarks in a crop.
        frames: In order, each (H, W, 3).
        first: Box of the face in the first frame, x0 y0 x1 y1, shape (4,); or its points, shape (P, 2), which a system
            whose crops are cut by a mean shape needs.
        starter: Finds the landmarks of the first frame, so that `first` is for it; None = the same system.

    Yields:
        One face a frame. Its box is that of its points, its pose that of the upright picture.
    """
    given = np.asarray(first, np.float32)
    current = starter or system
    matrix = crop_matrix(given, current.size, current.margin) if given.ndim == 1 else current.matrices(given[None])[0]
    for image in frames:
        found = current.solve_at([image], [matrix])
        boxes = box_of(found.points)
        yield Faces(
            points=found.points,
            boxes=boxes,
            scores=found.scores,
            confidence=found.scores.mean(1),
            pose=pose_in_image(found, [matrix]),
            scheme=system.scheme,
        )
        if _is_seen(boxes[0], image):
            current = system
            matrix = system.matrices(found.points)[0]


def _is_seen(box: Floats, image: Image) -> bool:
    x0, y0, x1, y1 = (float(side) for side in box)
    height, width = image.shape[:2]
    size = max(x1 - x0, y1 - y0)
    return 0 < size < 2 * max(height, width) and x0 < width and y0 < height and x1 > 0 and y1 > 0
