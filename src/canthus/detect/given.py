"""Face boxes that are given instead of detected: as an argument, or in a file with the boxes of many images."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from canthus.errors import FormatError, InputError, ShapeError
from canthus.formats.record import floats, number_at
from canthus.formats.table import load
from canthus.geometry.crop import box_of
from canthus.types import FaceDetector, Faces, Floats, Image, as_boxes, as_image
from canthus.work.documents import read_rows

SIDES = ("x0", "y0", "x1", "y1")
"""Columns of a box in a .csv file."""


class GivenBoxes(FaceDetector):
    """Returns the same boxes for every image."""

    def __init__(self, boxes: ArrayLike) -> None:
        """Take the boxes.

        Args:
            boxes: Face boxes, x0 y0 x1 y1 in pixels. Shape (F, 4) or (4,).

        Raises:
            ShapeError: wrong shape, a value that is not finite, or a box without area.
        """
        self.boxes = as_boxes(boxes)

    def detect(self, image: Image) -> Faces:
        """The boxes; each must overlap the image (H, W, 3)."""
        return Faces.of_boxes(inside(self.boxes, image))


def inside(boxes: Floats, image: Image) -> Floats:
    """Check that each box (F, 4) overlaps an image (H, W, 3).

    Raises:
        ShapeError: a box lies outside the image.
    """
    height, width = as_image(image).shape[:2]
    outside = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
    if outside.any():
        number = int(np.argmax(outside))
        raise ShapeError(f"box {number}, {boxes[number].tolist()}, lies outside the image of {width} x {height} pixels")
    return boxes


class BoxFile:
    """The boxes of many images.

    An image belongs to the entry whose name is the end of its path, the longest of several: the entry of
    "/data/images/test/a.jpg" is "test/a.jpg", or else "a.jpg".
    """

    def __init__(self, boxes: dict[str, Floats], name: str) -> None:
        """Take the boxes.

        Args:
            boxes: Checked boxes of each image by its name, each (F, 4).
            name: Name of the file in errors.
        """
        self.name = name
        self._boxes = {Path(image).parts: some for image, some in boxes.items()}
        self._taken: dict[tuple[str, ...], str] = {}

    @classmethod
    def open(cls, path: str | Path, columns: str = "") -> "BoxFile":
        """Load boxes.

        Args:
            path: A .csv file `image,x0,y0,x1,y1` with one row per face, whose cells are empty for an image without a
                face; or any file of `formats`, as the .json of `canthus detect`. A face with points but no box has the
                box of its points.
            columns: Prefix of the column names of a .csv file with several boxes per row: "tight_" for tight_x0, ...

        Raises:
            InputError: the file is missing or cannot be read.
            FormatError: the file is not in its format or has no boxes, or a box is not finite or has no area.
        """
        path = Path(path)
        if path.is_dir():
            raise InputError(f"{path}: a folder; boxes are in one .csv or .json file")
        rows = _rows(path, columns) if path.suffix.lower() == ".csv" else _records(path)
        lists: dict[str, list[Floats]] = {}
        for place, image, box in rows:
            some = lists.setdefault(image, [])
            if box is not None:
                try:
                    some.append(as_boxes(box)[0])
                except ShapeError as error:
                    raise FormatError(f"{place}: {image}: {str(error).replace('box 0', 'the box')}") from error
        return cls({image: as_boxes(some) for image, some in lists.items()}, str(path))

    def of(self, image: str | Path) -> Faces:
        """The boxes of an image file.

        Raises:
            InputError: the file has no entry for the image, or one that two images share.
        """
        place = os.path.abspath(image)  # noqa: PTH100 - links stay as they are
        parts = Path(place).parts
        ends = (parts[start:] for start in range(len(parts)))
        entry = next((end for end in ends if end in self._boxes), None)
        if entry is None:
            raise InputError(
                f"{image}: no boxes in {self.name}; add a row for it, with empty cells if it shows no face"
            )
        other = self._taken.setdefault(entry, place)
        if other != place:
            raise InputError(
                f"{image}: {'/'.join(entry)} in {self.name} may mean it or {other}; name both with their folders"
            )
        return Faces.of_boxes(self._boxes[entry])


Row = tuple[str, str, Floats | None]
"""Position in the file, image, and box (4,) or None."""


def _records(path: Path) -> Iterator[Row]:
    for record in load(path):
        box = record.box
        if box is None and np.isfinite(record.points[:, :2]).all(1).any():
            box = box_of(record.points)
        if box is None and not record.empty:
            raise FormatError(f"{path}: {record.image}: a face has neither a box nor points; add one of them")
        yield str(path), record.image, box


def _rows(path: Path, columns: str) -> Iterator[Row]:
    """The rows of a .csv file of boxes; a file of landmarks is read by `_records`."""
    rows = read_rows(path, FormatError, "correct the file")
    header = [name.strip() for name in next(rows, (1, []))[1]]
    if not columns and ("bx0" in header or "x2" in header):
        yield from _records(path)
        return
    names = [columns + side for side in SIDES]
    missing = [name for name in ("image", *names) if name not in header]
    if missing:
        known = ", ".join(repr(name.removesuffix("x0")) for name in header if name.endswith("_x0"))
        hint = f"; its boxes begin with {known}: choose by --boxes-columns" if known else ""
        raise FormatError(f"{path}:1: no column {missing[0]!r}{hint}")
    for line, row in rows:
        place = f"{path}:{line}"
        if len(row) != len(header):
            raise FormatError(f"{place}: {len(row)} cells, but the header has {len(header)}")
        cells = [row[header.index(name)].strip() for name in names]
        box = floats([number_at(cell or "nan", place) for cell in cells])
        yield place, row[header.index("image")], box if any(cells) else None
