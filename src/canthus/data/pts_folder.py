"""Reads any folder of pictures with a .pts file of the same name beside each."""

from pathlib import Path

from canthus.data.files import expect, labelled
from canthus.data.sample import Lazy, Sample
from canthus.formats.table import load
from canthus.schemes.scheme import Scheme

Key = tuple[Path, Path, str, str]
"""Files of the points and of the picture, identity, and name of the scheme."""
TREE = """\
{folder}/
  any/folder/name.jpg    a picture
  any/folder/name.pts    its points; pictures without one are left out"""


def read_pts_folder(folder: Path, split: str = "", scheme: str = "") -> Lazy[Key]:
    """The labelled pictures of a folder and all below it.

    Args:
        folder: The folder of the set.
        split: A folder in it, as "train"; empty = the whole folder.
        scheme: Landmark scheme of the points: a name, or the YAML file of an own scheme; empty = the number of points.

    Returns:
        Samples whose identity is the path of the picture in the folder, without extension.

    Raises:
        DataError: the folder is missing or empty, or a .pts file has no picture or another number of points.
        SchemeError: there is no such scheme, or its file is damaged.
    """
    pairs = labelled(expect(folder / split, folder, TREE), complete=False, deep=True)
    names = [picture.relative_to(folder).with_suffix("").as_posix() for _, picture in pairs]
    chosen = Scheme.open(scheme).name if scheme else ""
    return Lazy([(*pair, name, chosen) for pair, name in zip(pairs, names, strict=True)], _sample)


def _sample(key: Key) -> Sample:
    labels, picture, name, scheme = key
    points = load(labels)[0].points
    sample = Sample(picture, points, str(len(points)), name)
    return sample.in_scheme(Scheme.open(scheme), labels) if scheme else sample
