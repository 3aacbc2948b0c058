"""Records as named arrays, one row per face: the content of .npz and .mat files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import Record, common_shape, floats, is_given, record_at, shapes_of
from canthus.types import Floats

Arrays = Mapping[str, NDArray[Any]]

NUMBERS = {
    "boxes": "box",
    "scores": "scores",
    "pose": "pose",
    "confidence": "confidence",
    "occluded": "occluded",
    "raw": "raw",
    "view": "view",
    "plane": "plane",
}
"""Optional arrays of numbers, and the field of a record that each gives."""
TEXTS = {"images": "image", "identities": "identity"}
"""Optional arrays of text, and the field of a record that each gives."""


ROWS = 10_000
"""Number of faces that a file of any size may hold; a larger one holds at most one for each of its bytes."""


def checked(arrays: Arrays, path: Path) -> dict[str, NDArray[Any]]:
    """The known arrays of a file: numbers as float32, `visible` as bool, text as strings.

    Args:
        arrays: The arrays in the file by name.
        path: The file.

    Raises:
        FormatError: there are no points (F, P, 2 or 3), or an array has another shape or kind than they need.
    """
    points = arrays.get("points")
    if points is None or points.ndim != 3 or points.shape[2] not in (2, 3):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise FormatError(f"{path}: needs an array 'points' of shape (F, P, 2) or (F, P, 3), has {found}")
    count, per_face = points.shape[:2]
    if count > max(ROWS, path.stat().st_size):
        raise FormatError(f"{path}: {count:,} faces in {path.stat().st_size:,} bytes; the file is damaged")
    if count and not per_face and "boxes" not in arrays:
        raise FormatError(f"{path}: its {count} faces have neither points nor boxes; add one of them")
    shapes = {name: shapes_of(per_face)[field] for name, field in NUMBERS.items()} | {"visible": (per_face,)}
    known: dict[str, NDArray[Any]] = {"points": _numbers(points, "points", path)}
    for name, shape in shapes.items():
        if name in arrays:
            _check_shape(arrays[name], name, (count, *shape), path)
            known[name] = _numbers(arrays[name], name, path)
    if "visible" in known:
        known["visible"] = known["visible"] != 0
    for name, rows in dict.fromkeys(TEXTS, (count,)).items() | {("scheme", ())}:
        if name in arrays:
            _check_shape(arrays[name], name, rows, path)
            known[name] = _texts(arrays[name], name, path)
    return known


def _check_shape(array: NDArray[Any], name: str, shape: tuple[int, ...], path: Path) -> None:
    if array.shape != shape:
        raise FormatError(f"{path}: the array {name!r} is {array.shape}, but the points need {shape}")


def _numbers(array: NDArray[Any], name: str, path: Path) -> Floats:
    if array.dtype.kind not in "fiub":
        raise FormatError(f"{path}: {name!r} holds {array.dtype}, not numbers")
    values = floats(array)
    if np.isinf(values).any():
        raise FormatError(f"{path}: {name!r} holds a value that is infinite; what is missing is NaN")
    return values


def _texts(array: NDArray[Any], name: str, path: Path) -> NDArray[np.str_]:
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind != "U":
        raise FormatError(f"{path}: {name!r} holds {array.dtype}, not text")
    return array


def records_of(arrays: Arrays, path: Path) -> list[Record]:
    """The faces in the arrays of a file.

    Raises:
        FormatError: the arrays do not fit together.
    """
    known = checked(arrays, path)
    records = []
    for index, face in enumerate(known["points"]):
        values: dict[str, Any] = {field: known[name][index] for name, field in NUMBERS.items() if name in known}
        values = {name: value for name, value in values.items() if not np.ndim(value) or not np.isnan(value).all()}
        texts = {field: str(known[name][index]) for name, field in TEXTS.items() if name in known}
        scheme = str(known["scheme"]) if "scheme" in known else ""
        records.append(
            record_at(f"{path}: face {index}", **{"image": "", **texts}, points=face, scheme=scheme, **values)
        )
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
