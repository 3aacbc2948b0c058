"""Reads WFLW: 98 points and six attributes [Wu et al., 2018]."""

from pathlib import Path

import numpy as np

from canthus.data.files import checked, choose, expect
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.formats.record import floats

TREE = """\
{folder}/
  WFLW_images/0--Parade/...jpg, ...
  WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt
  WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt"""

SUBSETS = ("largepose", "expression", "illumination", "makeup", "occlusion", "blur")
"""Subsets of the test faces, in the order of the six flags of a line."""
CELLS = 196 + 4 + 6 + 1
"""Number of cells of a line: coordinates, box, flags, name."""


def read_wflw(folder: Path, split: str) -> list[Sample]:
    """WFLW.

    Args:
        folder: The folder of the set.
        split: "train" (7500 faces), "test" (2500), or one of `SUBSETS` of the test faces.

    Returns:
        Samples of 98 points with the box of the set as "set", and the names of their `SUBSETS` as groups. The identity
        is the picture, which may show several faces.

    Raises:
        DataError: the split is not known, a file is missing, or a line is not 196 coordinates, a box, 6 flags
            and a name.
    """
    part = choose({"train": "train", **dict.fromkeys(("test", *SUBSETS), "test")}, split, "WFLW")
    name = f"WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{part}.txt"
    table = expect(folder / name, folder, TREE)
    try:
        lines = enumerate(table.read_text(encoding="utf-8").splitlines(), 1)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read ({error}); restore the file") from error
    samples = [_sample(folder, f"{table}, line {number}", line) for number, line in lines if line.strip()]
    return [sample for sample in samples if split == part or split in sample.groups]


def _sample(folder: Path, place: str, line: str) -> Sample:
    cells = line.split(maxsplit=CELLS - 1)
    if len(cells) != CELLS:
        raise DataError(
            f"{place}: {len(cells)} cells, but 98 points, box, flags and name are {CELLS}; restore the file"
        )
    try:
        numbers = np.array(cells[:-1], np.float64)
    except ValueError as error:
        raise DataError(f"{place}: {error}; restore the file") from None
    points = checked(numbers[:196].reshape(98, 2), place, 98)
    if not np.isfinite(floats(numbers)).all():
        raise DataError(f"{place}: a number is not finite; restore the file")
    name = cells[-1].strip()
    picture = expect(folder / "WFLW_images" / name, folder, TREE)
    groups = frozenset(subset for subset, flag in zip(SUBSETS, numbers[200:], strict=True) if flag == 1)
    return Sample(picture, points, "98", name, groups=groups, boxes={"set": numbers[196:200].astype(np.float32)})
