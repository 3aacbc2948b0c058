"""Optional files beside the landmarks of a CSV set: named boxes, visibility of the points, flags of the faces."""

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from canthus.data.listed.cells import numbers, read_rows
from canthus.data.sample import Mask
from canthus.errors import DataError
from canthus.types import Floats

Value = TypeVar("Value")

SIDES = ("x0", "y0", "x1", "y1")
SEEN, COVERED, TURNED_AWAY = 1, 2, 0
"""Values of visibility.csv: visible; occluded by an object, and annotated all the same; self-occluded."""


def read_boxes(table: Path) -> dict[str, dict[str, Floats]]:
    """Boxes of each image by name: `tight_x0` ... `tight_y1` is the box "tight". Empty where there is no file.

    Raises:
        DataError: the header is another, or a cell is not a number.
    """
    if not table.exists():
        return {}
    header, rows = read_rows(table)
    names = [cell.removesuffix("_x0") for cell in header[1::4]]
    if header != ["image", *(f"{name}_{side}" for name in names for side in SIDES)]:
        raise DataError(f"{table}: the header is image,NAME_x0,NAME_y0,NAME_x1,NAME_y1,..., not {','.join(header)}")
    return {
        image: dict(zip(names, numbers(cells, table, line).reshape(-1, 4), strict=True))
        for line, (image, *cells) in rows
    }


def read_visibility(table: Path) -> dict[str, NDArray[np.int64]]:
    """What hides the points of each image, as `SEEN`, `COVERED` or `TURNED_AWAY`. Empty where there is no file.

    Raises:
        DataError: the header is another, or a cell is another number.
    """
    if not table.exists():
        return {}
    header, rows = read_rows(table)
    if header != ["image", *(f"v{index}" for index in range(len(header) - 1))]:
        raise DataError(f"{table}: the header is image,v0,v1,..., not {','.join(header[:4])},...")
    known = {str(value): value for value in (SEEN, COVERED, TURNED_AWAY)}
    for line, (_, *cells) in rows:
        if wrong := set(cells) - known.keys():
            raise DataError(
                f"{table}, line {line}: {sorted(wrong)[0]!r} is not 1 (visible), 2 (occluded by an object) "
                "or 0 (hidden by the head); correct the cell"
            )
    return {image: np.array([known[cell] for cell in cells]) for _, (image, *cells) in rows}


def visible_in(codes: NDArray[np.int64], points: Floats, table: Path, image: str) -> Mask:
    """Which points are visible.

    Args:
        codes: Row of the image in `read_visibility`. Shape (P,).
        points: Labels of the image; NaN = not annotated. Shape (P, D).
        table: File of the codes, for errors.
        image: Name of the image, for errors.

    Raises:
        DataError: not as many codes as points, or a point that the head hides is annotated.
    """
    if len(codes) != len(points):
        raise DataError(f"{table}: {len(codes)} columns v0, v1, ..., but {image} has {len(points)} points")
    both = np.flatnonzero((codes == TURNED_AWAY) & np.isfinite(points).all(1))
    if len(both):
        raise DataError(
            f"{table}: point {both[0]} of {image} is 0 (hidden by the head), but it is annotated; "
            "write 2, or leave its coordinates empty"
        )
    return np.asarray(codes == SEEN)


def read_flags(table: Path) -> dict[str, frozenset[str]]:
    """The flags of each image that are 1, by the names of their columns. Empty where there is no file.

    Raises:
        DataError: there is no column image, or a flag is not 1, 0 or -1 (not known).
    """
    if not table.exists():
        return {}
    header, rows = read_rows(table)
    if header[:1] != ["image"]:
        raise DataError(f"{table}: the header is image,NAME,..., not {','.join(header)}")
    for line, (_, *cells) in rows:
        if wrong := set(cells) - {"1", "0", "-1"}:
            raise DataError(
                f"{table}, line {line}: {sorted(wrong)[0]!r} is not 1 (yes), 0 (no) or -1 (not known); correct the cell"
            )
    return {
        image: frozenset(name for name, cell in zip(header[1:], cells, strict=True) if cell == "1")
        for _, (image, *cells) in rows
    }


def row_of(rows: dict[str, Value], table: Path, image: str) -> Value | None:
    """The row of an image; None where there is no file.

    Raises:
        DataError: there is a file, but it has no row for the image.
    """
    if rows and image not in rows:
        raise DataError(f"{table.name} in {table.parent} has no row for {image}; remove the file or add the row")
    return rows.get(image)
