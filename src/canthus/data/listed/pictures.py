"""Lists of pictures without landmarks: faces that nobody has annotated, and pictures without a face."""

from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from canthus.data.files import exists, expect
from canthus.data.listed.cells import group_of, read_rows
from canthus.data.sample import NO_POINTS, Lazy, Sample
from canthus.errors import DataError, ReadError
from canthus.reader.parse import upright_size

TREE = """\
{folder}/
  train.csv, test.csv    image, and columns of which each value is a group
  images/                the pictures that the column `image` names"""

FAIRFACE_TREE = """\
{folder}/
  list.csv               image,age,gender,race
  images/                the pictures that the column `image` names"""

FAIRFACE_BOX = np.array([0.1, 0.16, 0.9, 0.95])
"""Median box of the landmarks over width and height of the pictures of FairFace, as the default model finds them."""
MANGLED = {"03-Sep": "3-9", "Oct-19": "10-19"}
"""Ages that a spreadsheet has read as dates."""


def read_pictures(folder: Path, split: str) -> list[Sample]:
    """Pictures without landmarks.

    Args:
        folder: The folder of the set.
        split: Name of the list without its extension, as "train" for train.csv.

    Returns:
        Samples without points (shape (0, 2), scheme "none"). The groups are the values of the further columns, as
        "age-20-29" for the value 20-29 of the column `age`. The identity is the picture.

    Raises:
        DataError: the list or a picture is missing, or a row has the wrong number of cells.
    """
    return _pictures(folder, split, TREE)


def read_backdrops(folder: Path, split: str) -> list[Sample]:
    """Everyday pictures that were chosen for having no face.

    Args:
        folder: The folder of the set.
        split: "train" or "test".

    Returns:
        Samples without points, as of `read_pictures`; group "people" where people are to be seen all the same, as
        listed in backdrops_with_people.txt after a look at thumbnails of all, else "empty".

    Raises:
        DataError: the list or a picture is missing, or a row has the wrong number of cells.
    """
    text = files("canthus.data.listed").joinpath("backdrops_with_people.txt").read_text(encoding="utf-8")
    shown = frozenset(text.split())
    return [
        replace(sample, groups=frozenset({"people" if sample.image.stem in shown else "empty"}))
        for sample in _pictures(folder, split, TREE)
    ]


def read_fairface(folder: Path, split: str) -> Lazy[Sample]:
    """FairFace: faces of all regions and ages, one in each picture, without landmarks.

    Args:
        folder: The folder of the set.
        split: "list".

    Returns:
        Samples without points, as of `read_pictures`, with groups such as "age-3-9", "gender-female",
        "race-middle-eastern". The box is where the landmarks lie in the median picture: the faces have been aligned.

    Raises:
        DataError: the list or a picture is missing, or a row has the wrong number of cells.
    """
    return Lazy(_pictures(folder, split, FAIRFACE_TREE), _with_median_box)


def _pictures(folder: Path, split: str, tree: str) -> list[Sample]:
    table = expect(folder / f"{split}.csv", folder, tree)
    header, rows = read_rows(table)
    if header[:1] != ["image"]:
        raise DataError(f"{table}: the header is image,NAME,..., not {','.join(header)}")
    samples = []
    for line, (name, *cells) in rows:
        path = folder / "images" / name
        if not exists(path) or not path.is_file():
            raise DataError(f"{table}, line {line}: {path} does not exist; expected\n{tree.format(folder=folder)}")
        values = zip(header[1:], (MANGLED.get(cell, cell) for cell in cells), strict=True)
        groups = frozenset(group_of(column, value) for column, value in values if value)
        samples.append(Sample(path, np.zeros((0, 2), np.float32), NO_POINTS, name, groups=groups))
    return samples


def _with_median_box(sample: Sample) -> Sample:
    try:
        size = np.array(upright_size(sample.image.read_bytes()) * 2)
    except (OSError, ReadError) as error:
        raise DataError(f"{sample.image}: {error}; restore the picture") from error
    return replace(sample, box=(FAIRFACE_BOX * size - 0.5).astype(np.float32))
