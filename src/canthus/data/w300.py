"""Reads 300-W: the public pictures (LFPW, Helen, AFW, iBUG) and the private test set [Sagonas et al., 2013, 2016]."""

import re
from collections.abc import Mapping
from pathlib import Path

from canthus.data.files import choose, expect, labelled, read_mat, read_points, understood
from canthus.data.sample import Lazy, Sample
from canthus.formats.record import floats
from canthus.types import Floats, as_boxes

TREE = """\
{folder}/
  afw/                 pictures, and a .pts file beside each
  helen/trainset/      the same, and so on
  helen/testset/
  lfpw/trainset/
  lfpw/testset/
  ibug/
  Bounding Boxes/      optional: bounding_boxes_afw.mat, bounding_boxes_helen_testset.mat, ..."""

PRIVATE_TREE = """\
{folder}/
  01_Indoor/           indoor_001.png, indoor_001.pts, ...
  02_Outdoor/          outdoor_001.png, outdoor_001.pts, ..."""

COMMON, CHALLENGING = ("helen/testset", "lfpw/testset"), ("ibug",)
SPLITS = {
    "train": ("afw", "helen/trainset", "lfpw/trainset"),
    "test": (*COMMON, *CHALLENGING),
    "full": (*COMMON, *CHALLENGING),
    "common": COMMON,
    "challenging": CHALLENGING,
    "helen": COMMON[:1],
    "lfpw": COMMON[1:],
}
PRIVATE = {"test": ("01_Indoor", "02_Outdoor"), "indoor": ("01_Indoor",), "outdoor": ("02_Outdoor",)}

Key = tuple[Path, Path, str, frozenset[str], Mapping[str, Floats]]


def read_300w(folder: Path, split: str) -> Lazy[Key]:
    """The public pictures.

    Args:
        folder: The folder of the set.
        split: "train" (3148 faces), "test" or "full" (689) = "common" (554) + "challenging" (135), or a part of
            "common": "helen" (330) or "lfpw" (224).

    Returns:
        Samples of 68 points; groups "common" or "challenging", and "afw", "helen", "lfpw" or "ibug". If the folder
        `Bounding Boxes` of the owners exists, the box "set" is that of their detector, and "ground-truth" that of the
        points. The identity is the source picture.

    Raises:
        DataError: the split is not known, or files are missing or damaged.
    """
    keys: list[Key] = []
    for part in choose(SPLITS, split, "300-W"):
        boxes = _boxes(folder / "Bounding Boxes", part)
        groups = {part.split("/")[0]}
        groups |= {"common"} if part in COMMON else {"challenging"} if part in CHALLENGING else set()
        for labels, picture in labelled(expect(folder / part, folder, TREE)):
            # faces of one picture are numbered in all parts but LFPW, which numbers the pictures
            source = picture.stem if part.startswith("lfpw") else re.sub(r" ?_\d+$", "", picture.stem)
            keys.append((labels, picture, f"{part}:{source}", frozenset(groups), boxes.get(picture.name, {})))
    return Lazy(keys, _sample)


def read_300w_private(folder: Path, split: str) -> Lazy[Key]:
    """The private test set.

    Args:
        folder: The folder of the set.
        split: "test" (600 faces) = "indoor" (300) + "outdoor" (300).

    Returns:
        Samples of 68 points; groups "indoor" or "outdoor".

    Raises:
        DataError: the split is not known, or files are missing or damaged.
    """
    keys: list[Key] = []
    for part in choose(PRIVATE, split, "300-W private"):
        group = frozenset({part[3:].lower()})
        for labels, picture in labelled(expect(folder / part, folder, PRIVATE_TREE)):
            keys.append((labels, picture, picture.stem, group, {}))
    return Lazy(keys, _sample)


def _sample(key: Key) -> Sample:
    labels, picture, identity, groups, boxes = key
    return Sample(picture, read_points(labels, 68), "68", identity, groups=groups, boxes=boxes)


def _boxes(folder: Path, part: str) -> dict[str, dict[str, Floats]]:
    """The owners' boxes of each picture of a part, whose coordinates count from 1; empty where they are missing."""
    if not folder.exists():
        return {}
    path = expect(folder / f"bounding_boxes_{part.replace('/', '_')}.mat", folder.parent, TREE)
    found = read_mat(path, ["bounding_boxes"])["bounding_boxes"]
    with understood(path):
        return {
            str(row["imgName"].item()): {
                "set": as_boxes(floats(row["bb_detector"]).ravel() - 1)[0],
                "ground-truth": as_boxes(floats(row["bb_ground_truth"]).ravel() - 1)[0],
            }
            for row in (cell[0, 0] for cell in found.ravel())
        }
