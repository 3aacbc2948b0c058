""".csv files: one row per face, with the columns image, face, x0, y0, ...; an empty cell is NaN.

Optional columns: identity, scheme, z0 ..., bx0 by0 bx1 by1 (box), confidence, yaw pitch roll, s0 ... (scores),
o0 ... (occluded), rx0 ry0 ... (raw points), view.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import FormatError
from canthus.formats.record import BOX, POSE, Record, common_shape, is_given, number_at, record_at, shapes_of
from canthus.types import SLOTS
from canthus.work.documents import read_rows


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` documents the errors."""
    rows = read_rows(path, FormatError, "correct the file")
    header = [name.strip() for name in next(rows, (1, []))[1]]
    columns = _columns(header, path)
    records = []
    for line, row in rows:
        place = f"{path}:{line}"
        if len(row) != len(header):
            raise FormatError(f"{place}: {len(row)} cells, but the header has {len(header)}")
        records.append(_csv_record(row, columns, place))
    return records


def _names(count: int) -> dict[str, list[str]]:
    """Columns of the optional numbers of faces with so many points, by field, in the order of the file."""
    return {
        "box": [*BOX],
        "confidence": ["confidence"],
        "pose": [*POSE],
        "scores": [f"s{index}" for index in range(count)],
        "occluded": [f"o{index}" for index in range(count)],
        "raw": [f"r{axis}{index}" for index in range(count) for axis in "xy"],
        "view": ["view"],
        "plane": [f"p{axis}{index}" for index in range(SLOTS) for axis in "xy"],
    }


def _columns(header: Sequence[str], path: Path) -> dict[str, list[int]]:
    """Column numbers of each field of a record; a field that the file lacks is omitted."""
    at = {name: index for index, name in enumerate(header)}
    if len(at) != len(header):
        raise FormatError(f"{path}:1: a column name stands twice")
    if "image" not in at:
        raise FormatError(f"{path}:1: there is no column 'image'; the header is image,face,x0,y0,x1,y1,...")
    count = sum(name[:1] == "x" and name[1:].isdigit() for name in header)
    axes = "xyz" if "z0" in at else "xy"
    parts: dict[str, list[str]] = {name: [name] for name in ("image", "face", "identity", "scheme") if name in at}
    parts["points"] = [f"{axis}{index}" for index in range(count) for axis in axes]
    for part, names in _names(count).items():
        first = set(names) if part in ("box", "pose") else set(names[:1])
        if first & at.keys():
            parts[part] = names
    missing = [name for names in parts.values() for name in names if name not in at]
    if missing:
        raise FormatError(f"{path}:1: the column {missing[0]!r} is missing")
    return {part: [at[name] for name in names] for part, names in parts.items()} | {"axes": [len(axes)]}


def _csv_record(row: Sequence[str], columns: Mapping[str, Sequence[int]], place: str) -> Record:
    values: dict[str, Any] = {
        part: row[columns[part][0]].strip() for part in ("image", "identity", "scheme") if part in columns
    }
    if "face" in columns and not row[columns["face"][0]].strip():
        return record_at(place, **values)
    points = _numbers(row, columns["points"], place).reshape(-1, columns["axes"][0])
    for part, shape in shapes_of(len(points)).items():
        if part in columns:
            numbers = _numbers(row, columns[part], place)
            if not np.isnan(numbers).all():
                values[part] = numbers.reshape(shape)
    return record_at(place, points=points, **values)


def _numbers(row: Sequence[str], columns: Sequence[int], place: str) -> Any:
    """Cells of a row as numbers (N,); an empty one is NaN."""
    return np.array([number_at(row[index].strip() or "nan", place) for index in columns], np.float64)


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows_of(records))


def rows_of(records: Sequence[Record]) -> Iterator[list[str]]:
    """The cells of the header and of each record.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    faces = [record for record in records if not record.empty]
    count, dims = common_shape(faces)
    labels = [name for name in ("identity", "scheme") if any(getattr(record, name) for record in records)]
    known = {part: names for part, names in _names(count).items() if any(is_given(record, part) for record in faces)}
    header = ["image", "face", *labels, *(f"{axis}{index}" for index in range(count) for axis in "xyz"[:dims])]
    header += [column for names in known.values() for column in names]
    yield header
    face, image = 0, None
    for record in records:
        face = face + 1 if record.image == image else 0
        image = record.image
        row = [image, "" if record.empty else str(face), *(getattr(record, name) for name in labels)]
        if not record.empty:
            row += cells(record.points)
            for part, names in known.items():
                row += cells(getattr(record, part)) if is_given(record, part) else [""] * len(names)
        yield row + [""] * (len(header) - len(row))


def cells(values: Any) -> list[str]:
    """Shortest text that gives back the same float32; empty for NaN."""
    return ["" if np.isnan(value) else str(value) for value in np.asarray(values, np.float32).ravel()]
