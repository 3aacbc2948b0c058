"""CSV files with one row per picture: rows with their line numbers, cells as numbers, values as names of groups."""

import csv
from pathlib import Path

import numpy as np

from canthus.errors import DataError
from canthus.types import Floats

Row = tuple[int, list[str]]
"""The number of the line, from 1, and its cells."""


def read_rows(table: Path) -> tuple[list[str], list[Row]]:
    """The header of a file and its rows.

    Raises:
        DataError: a row has not as many cells as the header.
    """
    with table.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{table}, line {line}: {len(row)} cells, but the header has {len(header)}")
    return header, rows


def numbers(cells: list[str], table: Path, line: int) -> Floats:
    """Cells as numbers; an empty cell is NaN. Shape (N,).

    Raises:
        DataError: a cell is not a number.
    """
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells], np.float32)
    except ValueError as error:
        raise DataError(f"{table}, line {line}: {error}") from None


def group_of(column: str, value: str) -> str:
    """Name of a group: "age-20-29", "race-east-asian"."""
    return "-".join(f"{column} {value}".lower().replace("_", " ").split())
