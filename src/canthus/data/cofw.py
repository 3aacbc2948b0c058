"""Reads COFW, occluded faces: 29 points [Burgos-Artizzu et al., 2013], or 68 [Ghiasi and Fowlkes, 2015].

The pictures are inside the MATLAB files (version 7.3, which is HDF5: cells are references, axes are reversed).
A process with limited time reads all pictures once, since HDF5 never returns from some damaged files (`formats.hdf5`).
Coordinates count from 1 in MATLAB; the reader subtracts 1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import checked, choose, expect, from_corner, read_mat, understood
from canthus.data.sample import Lazy, Sample
from canthus.errors import DataError
from canthus.formats.hdf5 import read_hdf5
from canthus.formats.matlab import is_hdf5, open_hdf5
from canthus.types import Floats, Image
from canthus.work.archive import DamagedError

TREE = """\
{folder}/
  COFW_train.mat or COFW_train_color.mat    IsTr, phisTr, bboxesTr
  COFW_test.mat or COFW_test_color.mat      IsT, phisT, bboxesT"""

TREE_68 = """\
{folder}/
  COFW_test.mat or COFW_test_color.mat      the pictures, from COFW
  test_annotations/1_points.mat, ...        Points, Occ
  cofw68_test_bboxes.mat                    bboxes"""

ENDINGS = {"train": "Tr", "test": "T"}


@dataclass(frozen=True)
class HdfPicture:
    """One picture in a COFW file, which is read when this object is called.

    Attributes:
        file: The .mat file.
        cells: Name of the cell array, "IsTr" or "IsT".
        index: Index of the picture, from 0.
    """

    file: Path
    cells: str
    index: int

    def __call__(self) -> Image:
        """The picture; a grey one is converted to RGB. Shape (H, W, 3)."""
        with _intact(self.file), open_hdf5(self.file) as stored:
            pixels = stored.cell(self.cells, (0, self.index))
        if pixels.ndim == 2:
            pixels = np.repeat(pixels[..., None], 3, 2)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            found = f"{pixels.dtype} {pixels.shape}"
            raise DataError(f"{self.file}: {self.cells}[{self.index}] is not a picture: {found}; restore the file")
        return np.ascontiguousarray(pixels)


def read_cofw(folder: Path, split: str) -> list[Sample]:
    """COFW with 29 points and their occlusion.

    Args:
        folder: The folder of the set. If both the colour and the grey file exist, the colour file is read.
        split: "train" (1345 faces) or "test" (507).

    Returns:
        Samples of 29 points with `visible`, the box of the set as "set", and `pixels`.

    Raises:
        DataError: no such split, or the file is missing or damaged.
        ExtraMissingError: h5py is not installed.
    """
    ending = choose(ENDINGS, split, "COFW")
    path = _pictures(folder, split, TREE)
    phis, boxes, pictures = _read(path, f"Is{ending}", f"phis{ending}", f"bboxes{ending}")
    count = len(pictures)
    if phis.ndim != 2 or phis.shape[1] != 87:
        raise DataError(f"{path}: phis{ending} is {phis.shape}, not (F, 87): 29 x, 29 y, 29 flags; restore the file")
    if boxes.shape != (count, 4) or len(phis) != count:
        raise DataError(f"{path}: {count} pictures, {len(phis)} faces, boxes {boxes.shape}; restore the file")
    samples = []
    with understood(path):
        for index, (row, box) in enumerate(zip(phis, boxes, strict=True)):
            points = checked(row[:58].reshape(2, 29).T - 1, f"{path}, face {index + 1}", 29)
            picture = HdfPicture(path, f"Is{ending}", index)
            samples.append(_sample(picture, points, "29", row[58:] == 0, {"set": from_corner(box, 1)}))
    return samples


def read_cofw68(folder: Path, split: str) -> Lazy[int]:
    """The 507 faces of the COFW test set with 68 points.

    Args:
        folder: The folder `COFW68_Data` of the annotations, into which the picture file of COFW was copied.
        split: "test".

    Returns:
        Samples of 68 points with `visible`, the box of the 300-W detector as "set", and `pixels`.

    Raises:
        DataError: no such split, or a file is missing or damaged.
        ExtraMissingError: h5py or SciPy is not installed.
    """
    choose({"test": None}, split, "COFW-68")
    path = _pictures(folder, split, TREE_68)
    boxes = read_mat(expect(folder / "cofw68_test_bboxes.mat", folder, TREE_68), ["bboxes"])["bboxes"]
    count = len(_read(path, "IsT")[-1])
    if boxes.shape != (count, 4):
        raise DataError(f"{folder}: {count} pictures, but the boxes are {boxes.shape}; restore the files")
    for index in range(count):
        expect(folder / "test_annotations" / f"{index + 1}_points.mat", folder, TREE_68)
    return Lazy(range(count), partial(_sample68, path, boxes))


def _sample68(pictures: Path, boxes: NDArray[Any], index: int) -> Sample:
    labels = pictures.parent / "test_annotations" / f"{index + 1}_points.mat"
    found = read_mat(labels, ["Points", "Occ"])
    if found["Occ"].size != 68:
        raise DataError(f"{labels}: Occ has {found['Occ'].size} flags, not 68; restore the file")
    with understood(labels):
        points = checked(found["Points"], labels, 68) - 1
        box = {"set": from_corner(boxes[index], 1)}
    return _sample(HdfPicture(pictures, "IsT", index), points, "68", found["Occ"].ravel() == 0, box)


def _sample(
    picture: HdfPicture, points: Floats, scheme: str, visible: NDArray[np.bool_], boxes: dict[str, Floats]
) -> Sample:
    name = str(picture.index + 1)
    return Sample(
        picture.file / name,
        points,
        scheme,
        f"{picture.file.stem}:{name}",
        visible=visible,
        boxes=boxes,
        pixels=picture,
    )


def _pictures(folder: Path, split: str, tree: str) -> Path:
    colour = folder / f"COFW_{split}_color.mat"
    return colour if colour.exists() else expect(folder / f"COFW_{split}.mat", folder, tree)


def _read(path: Path, cells: str, *names: str) -> list[NDArray[Any]]:
    """Variables of the picture file of COFW, and last, for each picture in the cells, whether it can be read.

    Raises:
        DataError: not a MATLAB file of version 7.3, a variable is missing, or what is read is damaged.
    """
    with _intact(path):
        if not is_hdf5(path):
            raise DamagedError("another version")
        found = read_hdf5(path, [cells])
    if missing := [name for name in (*names, cells) if name not in found]:
        raise DataError(f"{path}: there is no variable {missing[0]!r}; restore the file")
    return [found[name] for name in (*names, cells)]


@contextmanager
def _intact(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes an error that names it."""
    try:
        yield
    except (OSError, DamagedError) as error:
        raise DataError(f"{path}: not a MATLAB file of version 7.3, or damaged ({error}); restore the file") from error
