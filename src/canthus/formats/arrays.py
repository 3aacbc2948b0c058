"""Records as named arrays, one row per face: the content of .npz and .mat files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import Record, common_shape, is_given, record_at, shapes_of

Arrays = Mapping[str, NDArray[Any]]

NUMBERS = {
    "boxes": "box",
    "scores": "scores",
    "pose": "pose",
    "confidence": "confidence",
    "occluded": "occluded",
    "raw": "raw",
    "view": "view",
}
"""Optional arrays of numbers, and the field of a record that each gives."""
TEXTS = {"images": "image", "identities": "identity"}
"""Optional arrays of text, and the field of a record that each gives."""


def checked(arrays: Arrays, path: Path) -> NDArray[Any]:
    """The points (F, P, 2 or 3) among the arrays of a file, whose other arrays are of as many faces.

    Raises:
        FormatError: there are no such points, or an array has another number of rows.
    """
    points = arrays.get("points")
    if points is None or points.ndim != 3 or points.shape[2] not in (2, 3):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise FormatError(f"{path}: needs an array 'points' of shape (F, P, 2) or (F, P, 3), has {found}")
    if points.dtype.kind not in "fiu":
        raise FormatError(f"{path}: 'points' holds {points.dtype}, not numbers")
    for name in (*TEXTS, *NUMBERS, "visible"):
        if name in arrays and arrays[name].shape[:1] != points.shape[:1]:
            raise FormatError(f"{path}: {name!r} is {arrays[name].shape}, 'points' has {len(points)} faces")
    return points


def records_of(arrays: Arrays, path: Path) -> list[Record]:
    """The faces in the arrays of a file.

    Raises:
        FormatError: the arrays do not fit together.
    """
    points = checked(arrays, path)
    scheme = str(arrays["scheme"]) if "scheme" in arrays else ""
    records = []
    for index, face in enumerate(points):
        values: dict[str, Any] = {field: arrays[name][index] for name, field in NUMBERS.items() if name in arrays}
        shapes = shapes_of(len(face))
        values = {name: value for name, value in values.items() if shapes[name] == () or not np.isnan(value).all()}
        texts = {field: str(arrays[name][index]) if name in arrays else "" for name, field in TEXTS.items()}
        records.append(record_at(f"{path}: face {index}", points=face, scheme=scheme, **texts, **values))
    return records


def arrays_of(records: Sequence[Record], extension: str) -> dict[str, NDArray[Any]]:
    """Faces of one scheme as arrays; what no record has is omitted.

    Args:
        records: The faces.
        extension: That of the file, which errors name.

    Raises:
        ShapeError: an image without a face, or faces of several schemes.
    """
    if any(record.empty for record in records):
        raise ShapeError(f"a {extension} file holds faces only, no image without a face; write .json or .csv")
    schemes = {record.scheme for record in records}
    if len(schemes) > 1:
        raise ShapeError(f"all faces need one scheme, not {sorted(schemes)}; write .json")
    count, dims = common_shape(records)
    shapes = shapes_of(count)
    arrays: dict[str, NDArray[Any]] = {
        "points": np.array([record.points for record in records]).reshape(len(records), count, dims)
    }
    for name, field in NUMBERS.items():
        if any(is_given(record, field) for record in records):
            missing = np.full(shapes[field], np.nan)
            values = [getattr(record, field) if is_given(record, field) else missing for record in records]
            arrays[name] = np.array(values, np.float32)
    for name, field in TEXTS.items():
        if any(getattr(record, field) for record in records):
            arrays[name] = np.array([getattr(record, field) for record in records])
    if schemes - {""}:
        arrays["scheme"] = np.array(*schemes)
    return arrays
