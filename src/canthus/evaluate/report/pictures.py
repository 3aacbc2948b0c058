"""Small pictures of faces with true and predicted points: a WebP and the data of SVG paths over it."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError
from canthus.evaluate.report.study import Study, percent
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply

SIDE = 400
"""Side of a picture in pixels: fine enough to be enlarged, while a report of 24 faces stays below 1 MB."""
MARGIN = 1.35
"""Crop margin: side of the picture over the longer side of the face box."""
QUALITY = 72
"""Quality of the WebP, 1..100."""


@dataclass(frozen=True, slots=True)
class FacePicture:
    """One face with its points.

    Attributes:
        face: Index of the face.
        name: Name of its image.
        error: Its error, with unit; or that it was not found.
        photograph: The crop as a data URI; empty = there are no pictures.
        off: Lines from the true points to the predicted ones, the data of an SVG path.
        true: True points, the data of an SVG path whose round line ends are the points.
        found: Predicted points, likewise.
        true_curves: Curves through the true points, to draw in place of a photograph.
        found_curves: Curves through the predicted points, likewise.
        side: Side of the picture in pixels.
    """

    face: int
    name: str
    error: str
    photograph: str
    off: str
    true: str
    found: str
    true_curves: str
    found_curves: str
    side: int = SIDE

    @property
    def stem(self) -> str:
        """Name of the image without its folder and its extension."""
        return PurePath(self.name).stem


def face_picture(study: Study, face: int) -> FacePicture:
    """One face with its points, on its photograph where there is one.

    Args:
        study: The study.
        face: Index of the face.

    Raises:
        ReadError: the picture cannot be read.
    """
    true = study.truth.points[face, :, :2].astype(np.float64)
    found = study.predictions.points[face, :, :2].astype(np.float64)
    matrix = crop_matrix(box_of(true), SIDE, MARGIN)
    true, found = apply(matrix, true), apply(matrix, found)
    photograph = _photograph(study, face, matrix)
    error = study.result.errors[face]
    return FacePicture(
        face,
        study.truth.images[face] if study.truth.images else f"face {face}",
        f"{percent(error)} %" if np.isfinite(error) else "not found",
        photograph,
        "".join(map(_line, np.stack([true, found], 1))),
        _points(true),
        _points(found),
        "" if photograph else _curves(study, true),
        "" if photograph else _curves(study, found),
    )


def _photograph(study: Study, face: int, matrix: NDArray[Any]) -> str:
    """The crop as a data URI; empty where the study has no pictures."""
    if study.truth.picture is None:
        return ""
    crop = warp(study.truth.picture(face), matrix, SIDE)
    done, data = cv2.imencode(".webp", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    if not done:
        raise InputError(f"face {face}: OpenCV cannot encode its picture as WebP")
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def _points(points: NDArray[Any]) -> str:
    """Lines without length at the points, which round line ends turn into dots."""
    return "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points if np.isfinite((x, y)).all())


def _curves(study: Study, points: NDArray[Any]) -> str:
    return "".join(_line(points[list(curve)]) for curve in study.scheme.curves)


def _line(points: Iterable[NDArray[Any]]) -> str:
    """A polyline through (n, 2) points; empty where one of them is missing."""
    line = np.asarray(points)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) if np.isfinite(line).all() else ""
