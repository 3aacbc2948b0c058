"""Reads COFW, occluded faces: 29 points [Burgos-Artizzu et al., 2013], or 68 [Ghiasi and Fowlkes, 2015].

The pictures are inside the MATLAB files (version 7.3, which is HDF5: cells are references, axes are reversed).
Coordinates count from 1 in MATLAB; the reader subtracts 1.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import checked, choose, expect, from_corner, read_mat
from canthus.data.sample import Lazy, Sample
from canthus.errors import DataError, need
from canthus.types import Floats, Image

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
        with _open(self.file) as stored:
            pixels = np.asarray(stored[_of(stored, self.cells, self.file)[0, self.index]]).T
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
    with _open(path) as stored:
        phis, boxes = (np.asarray(_of(stored, f"{name}{ending}", path)).T for name in ("phis", "bboxes"))
        count = _of(stored, f"Is{ending}", path).size
    if phis.ndim != 2 or phis.shape[1] != 87:
        raise DataError(f"{path}: phis{ending} is {phis.shape}, not (F, 87): 29 x, 29 y, 29 flags; restore the file")
    if not len(phis) == len(boxes) == count:
        raise DataError(f"{path}: {count} pictures, {len(phis)} faces, {len(boxes)} boxes; restore the file")
    samples = []
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
    with _open(path) as stored:
        count = _of(stored, "IsT", path).size
    if boxes.shape != (count, 4):
        raise DataError(f"{folder}: {count} pictures, but the boxes are {boxes.shape}; restore the files")
    for index in range(count):
        expect(folder / "test_annotations" / f"{index + 1}_points.mat", folder, TREE_68)
    return Lazy(range(count), partial(_sample68, path, boxes))


def _sample68(pictures: Path, boxes: NDArray[Any], index: int) -> Sample:
    labels = pictures.parent / "test_annotations" / f"{index + 1}_points.mat"
    found = read_mat(labels, ["Points", "Occ"])
    points = checked(found["Points"], labels, 68) - 1
    if found["Occ"].size != 68:
        raise DataError(f"{labels}: Occ has {found['Occ'].size} flags, not 68; restore the file")
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


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise need("report") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: not a MATLAB file of version 7.3 ({error}); restore the file") from error


def _of(stored: Any, name: str, path: Path) -> Any:
    if name not in stored:
        raise DataError(f"{path}: there is no variable {name!r}; restore the file")
    return stored[name]
