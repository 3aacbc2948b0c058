""".pts files of iBUG: the points of one face; the centre of the first pixel is (1, 1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from canthus.errors import FormatError, ShapeError
from canthus.formats.record import Record, number_at, record_at


def load(path: Path) -> list[Record]:
    """The faces in a file; `table.load` documents the errors."""
    rows: list[list[float]] = []
    promised: float | None = None
    inside = closed = False
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        text = line.strip()
        if not inside:
            key, _, value = text.partition(":")
            if key.strip() == "n_points":
                promised = number_at(value, f"{path}:{number}")
            inside = text == "{"
        elif text == "}":
            closed = True
            break
        elif text:
            rows.append([number_at(token, f"{path}:{number}") for token in text.split()])
            if len(rows[-1]) not in (2, 3) or len(rows[-1]) != len(rows[0]):
                raise FormatError(
                    f"{path}:{number}: a point is two or three numbers, as on the other lines, not {text!r}"
                )
    if not closed:
        raise FormatError(f"{path}: the points are not enclosed in {{ and }}; the file may be cut short")
    if promised not in (None, len(rows)):
        raise FormatError(f"{path}: n_points says {promised:g}, but there are {len(rows)} points")
    points = np.array(rows, np.float64).reshape(len(rows), -1 if rows else 2)
    points[:, :2] -= 1
    return [record_at(str(path), image=path.stem, points=points)]


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write a face to a file.

    Raises:
        ShapeError: the format cannot hold these records.
    """
    if len(records) != 1:
        raise ShapeError(f"a .pts file holds one face, not {len(records)}; write .json or .csv")
    points = records[0].points.astype(np.float64)
    points[:, :2] += 1
    lines = [" ".join(f"{value:.4f}" for value in row) for row in points]
    path.write_text("\n".join(["version: 1", f"n_points: {len(points)}", "{", *lines, "}", ""]), encoding="utf-8")
