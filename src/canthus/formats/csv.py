""".csv files: one row a face: image, face, x0, y0, ...; an empty cell is NaN."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import FormatError
from canthus.formats.record import BOX, POSE, Record, common_shape, is_given, number_at, record_at


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` names the errors."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream)
        header = [name.strip() for name in next(rows, [])]
        columns = _columns(header, path)
        records = []
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if not row:
                continue
            if len(row) != len(header):
                raise FormatError(f"{place}: {len(row)} cells, but the header has {len(header)}")
            records.append(_csv_record(row, columns, place))
    return records


def _columns(header: Sequence[str], path: Path) -> dict[str, list[int]]:
    """Where each part of a record stands in a row; a part that the file lacks is left out."""
    at = {name: index for index, name in enumerate(header)}
    if len(at) != len(header):
        raise FormatError(f"{path}:1: a column name stands twice")
    if "image" not in at:
        raise FormatError(f"{path}:1: there is no column 'image'; the header is image,face,x0,y0,x1,y1,...")
    count = sum(name[:1] == "x" and name[1:].isdigit() for name in header)
    axes = "xyz" if "z0" in at else "xy"
    single = ("image", "face", "identity", "scheme", "confidence")
    parts: dict[str, list[str]] = {name: [name] for name in single if name in at}
    parts["points"] = [f"{axis}{index}" for index in range(count) for axis in axes]
    parts |= {name: list(names) for name, names in {"box": BOX, "pose": POSE}.items() if set(names) & at.keys()}
    if "s0" in at:
        parts["scores"] = [f"s{index}" for index in range(count)]
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
    for part in ("points", "box", "pose", "scores"):
        if part in columns:
            cells = (row[index].strip() for index in columns[part])
            values[part] = np.array([number_at(cell or "nan", place) for cell in cells], np.float64)
    values["points"] = values["points"].reshape(-1, columns["axes"][0])
    values |= {part: None for part in ("box", "pose", "scores") if part in values and np.isnan(values[part]).all()}
    if "confidence" in columns:
        values["confidence"] = number_at(row[columns["confidence"][0]].strip() or "nan", place)
    return record_at(place, **values)


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    faces = [record for record in records if not record.empty]
    count, dims = common_shape(faces)
    optional: dict[str, tuple[str, ...]] = {
        "box": BOX,
        "confidence": ("confidence",),
        "pose": POSE,
        "scores": tuple(f"s{index}" for index in range(count)),
    }
    labels = [name for name in ("identity", "scheme") if any(getattr(record, name) for record in records)]
    known = [name for name in optional if any(is_given(record, name) for record in faces)]
    header = ["image", "face", *labels, *(f"{axis}{index}" for index in range(count) for axis in "xyz"[:dims])]
    header += [column for name in known for column in optional[name]]
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(header)
        face, image = 0, None
        for record in records:
            face = face + 1 if record.image == image else 0
            image = record.image
            cells = [image, "" if record.empty else str(face), *(getattr(record, name) for name in labels)]
            if not record.empty:
                cells += _cells(record.points)
                for name in known:
                    cells += _cells(getattr(record, name)) if is_given(record, name) else [""] * len(optional[name])
            table.writerow(cells + [""] * (len(header) - len(cells)))


def _cells(values: Any) -> list[str]:
    """Shortest text that gives back the same float32; nothing for NaN."""
    return ["" if np.isnan(value) else str(value) for value in np.asarray(values, np.float32).ravel()]
