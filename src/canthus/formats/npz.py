""".npz files: points (F, P, 2 or 3), and if known images, identities, scheme, boxes, scores, confidence, pose."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import Record, common_shape, is_given, record_at


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` names the errors."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays: dict[str, NDArray[Any]] = dict(archive)
    except (ValueError, BadZipFile, EOFError) as error:
        raise FormatError(f"{path}: not a .npz file of plain arrays: {error}") from error
    points = arrays.get("points")
    if points is None or points.ndim != 3:
        raise FormatError(f"{path}: needs an array 'points' of shape (F, P, 2), has {sorted(arrays) or 'nothing'}")
    parts = {"images": "image", "identities": "identity", "boxes": "box", "scores": "scores", "pose": "pose"}
    parts |= {"confidence": "confidence"}
    wrong = [name for name in parts if name in arrays and len(np.atleast_1d(arrays[name])) != len(points)]
    if wrong:
        raise FormatError(f"{path}: {wrong[0]!r} has {arrays[wrong[0]].shape}, 'points' has {len(points)} faces")
    scheme = str(arrays["scheme"]) if "scheme" in arrays else ""
    records = []
    for index, face in enumerate(points):
        values = {field_: arrays[name][index] for name, field_ in parts.items() if name in arrays}
        texts = {name: str(values.pop(name, "")) for name in ("image", "identity")}
        confidence = float(values.pop("confidence", np.nan))
        values = {name: None if np.isnan(value).all() else value for name, value in values.items()}
        place = f"{path}: face {index}"
        records.append(record_at(place, points=face, scheme=scheme, confidence=confidence, **texts, **values))
    return records


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    if any(record.empty for record in records):
        raise ShapeError("a .npz file holds faces alone, no image without one; write .json or .csv")
    schemes = {record.scheme for record in records}
    if len(schemes) > 1:
        raise ShapeError(f"all faces need one scheme, not {sorted(schemes)}; write .json")
    count, dims = common_shape(records)
    sizes = {
        "boxes": ("box", (4,)),
        "scores": ("scores", (count,)),
        "pose": ("pose", (3,)),
        "confidence": ("confidence", ()),
    }
    arrays: dict[str, Any] = {
        "points": np.array([record.points for record in records]).reshape(len(records), count, dims)
    }
    for name, (source, shape) in sizes.items():
        if any(is_given(record, source) for record in records):
            missing = np.full(shape, np.nan)
            values = [getattr(record, source) if is_given(record, source) else missing for record in records]
            arrays[name] = np.array(values, np.float32)
    for name, source in {"images": "image", "identities": "identity"}.items():
        if any(getattr(record, source) for record in records):
            arrays[name] = np.array([getattr(record, source) for record in records])
    if schemes - {""}:
        arrays["scheme"] = np.array(*schemes)
    np.savez_compressed(path, **arrays)
