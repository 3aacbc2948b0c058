"""Reads sets of CSV files `image,identity,x0,y0,x1,y1,...` with pictures in the folder `images` (wild68, ytf68).

A set may use the pictures of another one by their relative path from `images`, as `../../ytf68/images/a.jpg`
(`canthus synth denoise` writes such sets); the folder `images` itself need not exist then.
"""

import csv
import os
from pathlib import Path

import numpy as np

from canthus.data.files import expect
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.formats.record import visible_of
from canthus.formats.table import load
from canthus.types import Floats

TREE = """\
{folder}/
  train.csv, val.csv, test.csv    image,identity,x0,y0,x1,y1,...
  test_boxes.csv                  optional: image,NAME_x0,NAME_y0,NAME_x1,NAME_y1,...
  images/                         the pictures that the column `image` names"""

SIDES = ("x0", "y0", "x1", "y1")


def read_csv(folder: Path, split: str) -> list[Sample]:
    """Read one split.

    Args:
        folder: The folder of the set.
        split: Name of the CSV file without its extension: "train", "val", "test".

    Returns:
        One sample per face, in the order of the file, with all that `formats.csv` reads: depth (z0, ...), hidden points
        (o0, ...), pose, and the box bx0 ... by1 as "set". The scheme is that of the file, else the number of points, as
        "68"; `boxes` are also those of `<split>_boxes.csv` by name, where that file exists. An empty cell is NaN.

    Raises:
        DataError: a file or picture is missing, or there are no points or identities.
        FormatError: a row has the wrong number of cells, or a cell is not a number.
    """
    table = expect(folder / f"{split}.csv", folder, TREE)
    faces = [record for record in load(table) if not record.empty]
    if not all(len(record.points) for record in faces) or not any(record.identity for record in faces):
        raise DataError(f"{table}: no points or no identities; the header is image,identity,x0,y0,x1,y1,...")
    boxes = _boxes(folder / f"{split}_boxes.csv", folder)
    samples = []
    for record in faces:
        path = _picture(folder / "images", record.image)
        if not path.is_file():
            raise DataError(f"{table}: {path} does not exist; expected\n{TREE.format(folder=folder)}")
        if boxes and record.image not in boxes:
            raise DataError(
                f"{split}_boxes.csv in {folder} has no row for {record.image}; remove the file or add the row"
            )
        own = {} if record.box is None else {"set": record.box}
        samples.append(
            Sample(
                path,
                record.points,
                record.scheme or str(len(record.points)),
                record.identity,
                visible=visible_of(record.occluded),
                pose=record.pose,
                boxes=own | boxes.get(record.image, {}),
            )
        )
    return samples


def _picture(folder: Path, image: str) -> Path:
    """The picture of a row; where its name leads out of the folder, the folder need not exist."""
    path = Path(image)
    return Path(os.path.normpath(folder.resolve() / path)) if ".." in path.parts else folder / path


def _boxes(table: Path, folder: Path) -> dict[str, dict[str, Floats]]:
    """Boxes of each image by name: `tight_x0` ... `tight_y1` is the box "tight". Empty where there is no file."""
    if not table.exists():
        return {}
    header, rows = _table(table)
    names = [cell.removesuffix("_x0") for cell in header[1::4]]
    if header != ["image", *(f"{name}_{side}" for name in names for side in SIDES)]:
        raise DataError(f"{table}: the header is image,NAME_x0,NAME_y0,NAME_x1,NAME_y1,..., not {','.join(header)}")
    return {
        image: dict(zip(names, _numbers(cells, table, line).reshape(-1, 4), strict=True))
        for line, (image, *cells) in rows
    }


def _table(table: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with their line numbers."""
    with table.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{table}, line {line}: {len(row)} cells, but the header has {len(header)}")
    return header, rows


def _numbers(cells: list[str], table: Path, line: int) -> Floats:
    """Cells as numbers; an empty cell is NaN."""
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells], np.float32)
    except ValueError as error:
        raise DataError(f"{table}, line {line}: {error}") from None
