"""Reads XM2VTS, frontal faces [Messer et al., 1999], with the 68 points of iBUG [Sagonas et al., 2013]."""

from pathlib import Path

from canthus.data.files import choose, expect, labelled, read_points
from canthus.data.sample import Lazy, Sample

TREE = """\
{folder}/
  000_1_1.ppm, 000_1_1.pts, ...    person_session_shot; pictures from the owners, points from iBUG"""


def read_xm2vts(folder: Path, split: str) -> Lazy[tuple[Path, Path]]:
    """XM2VTS.

    Args:
        folder: The folder of the set.
        split: "all" (2360 pictures of 295 people); the landmark literature uses no splits.

    Returns:
        Samples of 68 points. The identity is the person.

    Raises:
        DataError: the split is not known, or files are missing or damaged.
    """
    choose({"all": None}, split, "XM2VTS")
    return Lazy(labelled(expect(folder, folder, TREE), complete=False), _sample)


def _sample(key: tuple[Path, Path]) -> Sample:
    labels, picture = key
    return Sample(picture, read_points(labels, 68), "68", f"xm2vts:{picture.stem.split('_')[0]}")
