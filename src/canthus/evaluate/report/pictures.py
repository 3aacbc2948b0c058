"""Small pictures of faces with true and predicted points, each an SVG with its own JPEG inside."""

import base64
from html import escape
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import InputError
from canthus.evaluate.report.plots import svg
from canthus.evaluate.report.study import Study
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply

SIDE = 240
"""Side of a picture in pixels."""
MARGIN = 1.35
"""Crop margin: side of the picture over the longer side of the face box."""


def face_picture(study: Study, face: int) -> str:
    """One face with its points, on its photograph where there is one.

    Args:
        study: The study.
        face: Index of the face.
    """
    true = study.truth.points[face, :, :2].astype(np.float64)
    found = study.predictions.points[face, :, :2].astype(np.float64)
    matrix = crop_matrix(box_of(true), SIDE, MARGIN)
    true, found = apply(matrix, true), apply(matrix, found)
    photograph = _photograph(study, face, matrix)
    name = study.truth.images[face] if study.truth.images else f"face {face}"
    body = photograph or _curves(study, true, "true") + _curves(study, found, "found")
    return svg(SIDE, SIDE, name, body + _points(true, found))


def _photograph(study: Study, face: int, matrix: NDArray[Any]) -> str:
    """The crop as an image element; empty where the study has no pictures."""
    if study.truth.picture is None:
        return ""
    crop = warp(study.truth.picture(face), matrix, SIDE)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not done:
        raise InputError(f"face {face}: OpenCV cannot encode its picture as JPEG")
    text = base64.b64encode(data.tobytes()).decode()
    return f'<image href="data:image/jpeg;base64,{text}" width="{SIDE}" height="{SIDE}"/>'


def _points(true: NDArray[Any], found: NDArray[Any]) -> str:
    """A line from each true point to the predicted one, then the points."""
    parts = []
    for (x, y), (u, v) in zip(true, found, strict=True):
        if np.isfinite((x, y, u, v)).all():
            parts.append(f'<line class="off" x1="{x:.1f}" y1="{y:.1f}" x2="{u:.1f}" y2="{v:.1f}"/>')
    for points, kind in ((true, "true"), (found, "found")):
        parts += [
            f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="1.8"/>'
            for x, y in points
            if np.isfinite((x, y)).all()
        ]
    return "".join(parts)


def _curves(study: Study, points: NDArray[Any], kind: str) -> str:
    lines = [points[list(curve)] for curve in study.scheme.curves]
    return "".join(
        f'<polyline class="{escape(kind)}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in line)}"/>'
        for line in lines
        if np.isfinite(line).all()
    )
