"""Views whose crops are their whole pictures."""

import numpy as np
from numpy.typing import NDArray

from canthus.align.view import View
from canthus.geometry.crop import Crop


def whole_view(crops: NDArray[np.uint8], margin: float = 1.3) -> tuple[View, Crop]:
    """Pictures (N, S, S, 3) with the frames in which a crop of their size shows each of them unchanged."""
    size = crops.shape[1]
    half = size / margin / 2
    middle = (size - 1) / 2
    box = np.array([middle - half, middle - half, middle + half, middle + half])
    return View.of_boxes(list(crops), np.tile(box, (len(crops), 1))), Crop(size, margin)
