"""A sheet with the points of every scheme on faces at a few azimuths, large enough to check each point by eye."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.drawing import draw
from canthus.geometry.transform import apply
from canthus.synth.faces import LabelledFaces
from canthus.types import Faces, Image

FACE = 320
"""Height of the face in a tile, pixels."""
SIDE = 480
REACH = 10.0
"""Largest difference between the azimuth of a picture and that of its column, degrees."""
NEAREST = 12
"""Number of pictures nearest to an azimuth, of which the best fitted one is shown."""


def gallery(faces: LabelledFaces, schemes: Sequence[str], azimuths: Sequence[float]) -> tuple[Image, list[str]]:
    """Draw a row for each scheme and a column for each azimuth.

    Visible points are green, hidden ones red; grey ones are means of a visible and a hidden point. A scheme of one half
    of the face is shown on faces that show this half, whichever side the head is turned to. A scheme that the faces
    lack is converted by `schemes.transfer` from the one that has most of its points.

    Args:
        faces: A table of fits or a run.
        schemes: Schemes of the rows.
        azimuths: Azimuths of the columns, degrees, 0 or more.

    Returns:
        Shape (480 R, 480 C, 3), and what each tile shows; a tile is black where no picture is near the azimuth.

    Raises:
        SchemeError: there is no such scheme.
        InputError: a picture cannot be read.
    """
    rows, notes = [], []
    for scheme in schemes:
        row = []
        for azimuth in azimuths:
            face = choose(faces, scheme, azimuth)
            text = f"{scheme} at {azimuth:g}: " + ("no picture" if face is None else str(faces.columns["images"][face]))
            row.append(_caption(np.zeros((SIDE, SIDE, 3), np.uint8) if face is None
                                else _tile(faces, scheme, face), text))  # fmt: skip
            notes.append(text)
        rows.append(np.concatenate(row, 1))
    return np.concatenate(rows), notes


def choose(faces: LabelledFaces, scheme: str, azimuth: float) -> int | None:
    """Number of the best fitted picture at this azimuth to either side; None = there is none."""
    away = np.abs(np.abs(faces.azimuth) - azimuth)
    away[~faces.half_seen(scheme) | (away > REACH)] = np.inf
    near = np.argsort(away, kind="stable")[:NEAREST]
    near = near[np.isfinite(away[near])]
    return int(near[np.argmin(faces.columns["error"][near])]) if len(near) else None


def _tile(faces: LabelledFaces, scheme: str, face: int) -> Image:
    """A crop of the face with its points."""
    stored, way = faces.approximate(scheme)
    points = way.apply(faces.points(stored)[face][:, :2])
    visible = way.apply(faces.visible(stored)[face][:, None].astype(np.float64))[:, 0]
    frame = _frame(faces.points("68")[face][:, :2])
    cut = cv2.warpAffine(
        faces.picture(face), frame, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    placed = apply(frame, points)
    box = [(SIDE - FACE) / 2, (SIDE - FACE) / 2, (SIDE + FACE) / 2, (SIDE + FACE) / 2]
    shown = Faces(placed[None], np.array([box]), np.where((visible > 0) & (visible < 1), np.nan, visible)[None],
                  scheme=scheme)  # fmt: skip
    return draw(cut.astype(np.uint8, copy=False), shown, pose=False)


def _frame(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The transform (2, 3) that puts a face in the middle of a tile, `FACE` high."""
    low, high = points.min(0), points.max(0)
    scale = FACE / max(float((high - low).max()), 1e-6)
    shift = (SIDE - 1) / 2 - scale * (low + high) / 2
    return np.column_stack([scale * np.eye(2), shift])


def _caption(tile: Image, text: str) -> Image:
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(tile, text, (6, SIDE - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, thick, cv2.LINE_AA)
    return tile
