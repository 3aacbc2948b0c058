"""CSV files with one row per picture: rows with their line numbers, cells as numbers, values as names of groups."""

from pathlib import Path

import numpy as np

from canthus.errors import DataError
from canthus.formats.record import floats
from canthus.types import Floats
from canthus.work import documents

Row = tuple[int, list[str]]
"""The number of the line, from 1, and its cells."""


def read_rows(table: Path) -> tuple[list[str], list[Row]]:
    """The header of a file and its rows.

    Raises:
        DataError: a row has not as many cells as the header.
    """
    read = documents.read_rows(table, DataError, "restore the file")
    header = next(read, (1, []))[1]
    rows = list(read)
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
        values = [float(cell) if cell else np.nan for cell in cells]
    except ValueError as error:
        raise DataError(f"{table}, line {line}: {error}") from None
    numbers = floats(values)
    if np.isinf(numbers).any():
        raise DataError(f"{table}, line {line}: a number is infinite, or too large; leave unknown cells empty")
    return numbers


def group_of(column: str, value: str) -> str:
    """Name of a group: "age-20-29", "race-east-asian"."""
    return "-".join(f"{column} {value}".lower().replace("_", " ").split())
