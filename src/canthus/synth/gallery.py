"""The points of every scheme on pictures of a few azimuths, large enough to tell whether each lies where it should."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.drawing import draw
from canthus.geometry.transform import apply
from canthus.synth.labelled import Labelled
from canthus.types import Faces, Image

FACE = 320
"""Height of the face in a tile, pixels."""
SIDE = 480
REACH = 10.0
"""A picture stands for an azimuth that is at most so far from its own, degrees."""
NEAREST = 12
"""Of so many pictures near an azimuth the one that fits best is taken."""


def gallery(
    faces: Labelled, schemes: Sequence[str], azimuths: Sequence[float], folder: Path | None = None
) -> tuple[Image, list[str]]:
    """Rows of schemes, columns of azimuths.

    Points that are seen are green, hidden ones red, those known on one side only grey. A scheme of one half of the face
    is shown where that half is seen; the side that the head turns to is of no account. A scheme that the table does not
    have comes from the one that tells most of it, as `schemes.transfer` converts.

    Args:
        faces: Of a table or a run.
        schemes: One row each.
        azimuths: One column each, degrees, 0 or more.
        folder: Of the photographs of a table.

    Returns:
        Shape (480 R, 480 C, 3), and what each tile shows; a tile is black where no picture is near the azimuth.

    Raises:
        SchemeError: a scheme cannot be had.
        InputError: a picture cannot be read.
    """
    rows, notes = [], []
    for scheme in schemes:
        row = []
        for azimuth in azimuths:
            face = choose(faces, scheme, azimuth)
            text = f"{scheme} at {azimuth:g}: " + ("no picture" if face is None else str(faces.columns["images"][face]))
            row.append(_caption(np.zeros((SIDE, SIDE, 3), np.uint8) if face is None
                                else _tile(faces, scheme, face, folder), text))  # fmt: skip
            notes.append(text)
        rows.append(np.concatenate(row, 1))
    return np.concatenate(rows), notes


def choose(faces: Labelled, scheme: str, azimuth: float) -> int | None:
    """Of the pictures at this azimuth to either side the best fitted; None = there is none."""
    away = np.abs(np.abs(faces.azimuth) - azimuth)
    away[~faces.half_seen(scheme) | (away > REACH)] = np.inf
    near = np.argsort(away, kind="stable")[:NEAREST]
    near = near[np.isfinite(away[near])]
    return int(near[np.argmin(faces.columns["error"][near])]) if len(near) else None


def _tile(faces: Labelled, scheme: str, face: int, folder: Path | None) -> Image:
    """The face cut out, with its points."""
    stored, way = faces.approximate(scheme)
    points = way.apply(faces.points(stored)[face][:, :2])
    visible = way.apply(faces.visible(stored)[face][:, None].astype(np.float64))[:, 0]
    frame = _frame(faces.points("68")[face][:, :2])
    cut = cv2.warpAffine(
        faces.picture(face, folder), frame, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
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
