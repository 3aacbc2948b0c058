"""Pictures of the heatmaps and score maps of faces, for systems that have such maps."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.align.stage import System
from canthus.align.view import View
from canthus.types import Faces, Image

MAPS = ("heatmaps", "scoremaps")
"""Outputs of a network, and extras of an estimate, that are drawn. Each (N, P, H, W)."""
SIDE = 256
"""Least side of each picture of a sheet in pixels; crops are enlarged by a whole number."""
STRENGTH = 0.65
"""Opacity of a map at its highest value, 0..1."""


def sheet_of(system: System, image: Image, faces: Faces) -> Image:
    """Draw the maps of the faces of an image.

    Args:
        system: A system whose first stage gives `MAPS` as extras.
        image: Shape (H, W, 3).
        faces: Its faces; each is shown turned upright by its pose, as far as its roll is known.

    Returns:
        One row for each face: its crop, the crop under its heatmaps, and under its score maps; a black pixel where
        there is no face. Shape (F * side, 3 * side, 3).
    """
    if not len(faces):
        return np.zeros((1, 1, 3), np.uint8)
    view = View.of_boxes([image] * len(faces), faces.boxes, faces.pose[:, 2])
    first = system.prefix(1)
    crops = view.cut(first.stages[0].crop)
    rows = []
    for start in range(0, len(view), system.batch):
        some = slice(start, start + system.batch)
        extras = first.run(view[some]).extras
        for crop, *maps in zip(crops[some], *(extras[name] for name in MAPS), strict=True):
            rows.append(np.concatenate([_large(crop), *(under(crop, some) for some in maps)], 1))
    return np.concatenate(rows)


def under(crop: Image, maps: NDArray[Any]) -> Image:
    """A crop (S, S, 3) under the highest of its maps (P, H, W), each stretched to 0..1, enlarged."""
    low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
    highest = ((maps - low) / np.maximum(high - low, 1e-6)).max(0)
    large = _large(crop)
    heat = cv2.resize((255 * highest).astype(np.uint8), large.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = STRENGTH * (heat / 255)[..., None]
    mixed: Image = np.round(large * (1 - share) + colours * share).astype(np.uint8)
    return mixed


def _large(crop: Image) -> Image:
    zoom = -(-SIDE // crop.shape[0])
    large: Image = np.repeat(np.repeat(crop, zoom, 0), zoom, 1)
    return large
