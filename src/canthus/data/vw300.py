"""Reads 300-VW: videos with 68 points in every frame, three test categories [Shen et al., 2015]."""

from collections.abc import Sequence
from pathlib import Path

from canthus.data.files import choose
from canthus.data.sample import Sample
from canthus.data.scenes import SYNTH, read_scenes
from canthus.data.video import Clip, read_clips

TREE = """\
{folder}/
  001/vid.avi
  001/annot/000001.pts, ...
  001/frames/000001.jpg, ...    optional: the frames of vid.avi; read instead of it
  002/..."""

CATEGORIES = {
    "category1": """
        114 124 125 126 150 158 401 402 505 506 507 508 509 510 511 514 515 518 519 520 521 522 524 525 537 538 540 541
        546 547 548""",
    "category2": "203 208 211 212 213 214 218 224 403 404 405 406 407 408 409 412 550 551 553",
    "category3": "410 411 516 517 526 528 529 530 531 533 557 558 559 562",
}
"""Test videos by category: well lit; varying light; unconstrained."""
TRAIN = """
    001 002 003 004 007 009 010 011 013 015 016 017 018 019 020 022 025 027 028 029 031 033 034 035 037 039 041 043 044
    046 047 048 049 053 057 059 112 113 115 119 120 123 138 143 144 160 204 205 223 225"""
SPLITS = {"train": TRAIN, "test": " ".join(CATEGORIES.values()), **CATEGORIES}


def read_300vw(folder: Path, split: str, labels: str = "outline") -> Sequence[Sample]:
    """300-VW.

    Args:
        folder: The folder of the set.
        split: "train" (50 videos), "test" (64) = "category1" (31) + "category2" (19) + "category3" (14);
            "synth" = the folder is a run of `canthus synth video`.
        labels: "outline" = jaw points on the visible outline, as in the set; of "synth" also "2d" = jaw points on the
            3D jaw line, and "3d" = the same with depth in pixels.

    Returns:
        Samples of 68 points with `frame`; group "category1", "category2" or "category3". The identity is the video.

    Raises:
        DataError: the split or labels are not known, or files are missing or damaged.
    """
    if split == SYNTH:
        return read_scenes(folder, "68", labels)
    choose({"outline": ""}, labels, f"300-VW ({split})", "labels")
    category = {name: group for group, names in CATEGORIES.items() for name in names.split()}
    clips = [
        Clip(
            f"300vw:{name}",
            folder / name / "vid.avi",
            folder / name / "annot",
            68,
            frozenset({category[name]} if name in category else ()),
        )
        for name in choose(SPLITS, split, "300-VW").split()
    ]
    return read_clips(clips, folder, TREE)
