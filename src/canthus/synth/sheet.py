"""A contact sheet: many pictures of a run with their points, ordered by azimuth, to be checked by eye."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import OutputError
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply
from canthus.reader.image import read
from canthus.types import Image
from canthus.work.arrays import Arrays
from canthus.work.files import replace_whole

SIDE = 128
"""Side of a tile, pixels."""
COLUMNS = 20
LIMIT = 200
"""Largest number of pictures."""
SEEN, HIDDEN = (60, 230, 90), (240, 60, 60)
"""Colours of visible and of hidden points."""


def write_sheet(path: Path, folder: Path, columns: Arrays, scheme: str = "68", margin: float | None = None) -> None:
    """Draw up to 200 pictures, evenly spread over the run, in the order of their azimuth, which is written on them.

    Visible points are green, hidden ones red.

    Args:
        path: The .png file to write.
        folder: Folder that the names of the pictures start from.
        columns: Columns of the index: images, azimuth, kind, points and visibility.
        scheme: Scheme of the points that are drawn.
        margin: Side of the crop over that of the box of the points; None = the whole pictures.

    Raises:
        OutputError: the file cannot be written.
        ReadError: a picture cannot be read.
    """
    count = len(columns["images"])
    chosen = np.linspace(0, count - 1, min(count, LIMIT)).round().astype(int)
    chosen = chosen[np.argsort(columns["azimuth"][chosen], kind="stable")]
    tiles = []
    for row in chosen:
        image, points = read(folder / str(columns["images"][row])), columns[f"points_{scheme}"][row]
        if margin is not None:
            matrix = crop_matrix(box_of(points), 2 * SIDE, margin)
            image, points = warp(image, matrix, 2 * SIDE), apply(matrix, points)
        caption = f"{columns['azimuth'][row]:.0f} {columns['kind'][row]}".strip()
        tiles.append(tile(image, points, columns[f"visible_{scheme}"][row], caption))
    save(path, mosaic(tiles))


def save(path: Path, sheet: Image) -> None:
    """Write a sheet to a .png file.

    Raises:
        OutputError: the file cannot be written.
    """
    good, data = cv2.imencode(".png", sheet[..., ::-1])
    if not good:
        raise OutputError(f"{path}: OpenCV cannot write this picture")
    with replace_whole(path) as part:
        part.write_bytes(data.tobytes())


def tile(image: Image, points: NDArray[Any], visible: NDArray[np.bool_], caption: str) -> Image:
    """One picture of the sheet.

    Args:
        image: The picture. Shape (H, W, 3).
        points: Points. Shape (P, 2 or 3), pixels.
        visible: Which of them are seen. Shape (P,).
        caption: Text in the lower left corner.

    Returns:
        Shape (128, 128, 3).
    """
    height, width = image.shape[:2]
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    placed = (points[:, :2].astype(np.float64) + 0.5) * (SIDE / width, SIDE / height) - 0.5
    for (x, y), seen in zip(placed, visible, strict=True):
        if np.isfinite((x, y)).all() and max(abs(x), abs(y)) < 10 * SIDE:
            cv2.circle(small, (round(x * 16), round(y * 16)), 16, SEEN if seen else HIDDEN, -1, cv2.LINE_AA, 4)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(small, caption, (3, SIDE - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.35, colour, thick, cv2.LINE_AA)
    return small.astype(np.uint8, copy=False)


def mosaic(tiles: list[Image], columns: int = COLUMNS) -> Image:
    """Tiles in rows of `columns`, the last row filled with black. Shape (128 R, 128 C, 3)."""
    across = min(columns, len(tiles))
    rows = -(-len(tiles) // across)
    filled = tiles + [np.zeros_like(tiles[0])] * (rows * across - len(tiles))
    return np.concatenate([np.concatenate(filled[at : at + across], 1) for at in range(0, len(filled), across)])
