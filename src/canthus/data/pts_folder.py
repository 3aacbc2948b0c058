"""Reads any folder of pictures with a .pts file of the same name beside each."""

from pathlib import Path

from canthus.data.files import expect, labelled
from canthus.data.sample import Lazy, Sample
from canthus.formats.table import load

TREE = """\
{folder}/
  any/folder/name.jpg    a picture
  any/folder/name.pts    its points; pictures without one are left out"""


def read_pts_folder(folder: Path, split: str = "") -> Lazy[tuple[Path, Path, str]]:
    """The labelled pictures of a folder and all below it.

    Args:
        folder: The folder of the set.
        split: A folder in it, as "train"; empty = the whole folder.

    Returns:
        Samples whose scheme is named by the number of points, and whose identity is the path of the picture in the
        folder, without extension.

    Raises:
        DataError: the folder is missing or empty, or a .pts file has no picture.
    """
    pairs = labelled(expect(folder / split, folder, TREE), complete=False, deep=True)
    names = [picture.relative_to(folder).with_suffix("").as_posix() for _, picture in pairs]
    return Lazy([(*pair, name) for pair, name in zip(pairs, names, strict=True)], _sample)


def _sample(key: tuple[Path, Path, str]) -> Sample:
    labels, picture, name = key
    points = load(labels)[0].points
    return Sample(picture, points, str(len(points)), name)
