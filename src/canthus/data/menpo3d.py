"""Reads Menpo-3D tracking: videos with 84 points of a 3D face, projected into every frame [Zafeiriou et al., 2017].

The training labels are for videos of 300-VW, which are distributed with that set.
"""

from collections.abc import Sequence
from pathlib import Path

from canthus.data.files import choose, expect
from canthus.data.sample import Sample
from canthus.data.scenes import SYNTH, read_scenes
from canthus.data.video import Clip, read_clips

TREE = """\
{folder}/
  projected_image_space/001/000001.ljson, ...    labels of the training videos, final_published of the owners' archive
  train/001/vid.avi                              the video of 300-VW of that name, or its frames:
  train/001/frames/000001.jpg, ...
  test/NAME/vid.avi or test/NAME/frames/...      the test videos
  test/NAME/annot/000001.pts, ...                and their labels (.pts or .ljson)"""


def read_menpo3d(folder: Path, split: str, labels: str = "2d") -> Sequence[Sample]:
    """Menpo-3D tracking.

    Args:
        folder: The folder of the set.
        split: "train" or "test"; "synth" = the folder is a run of `canthus synth video`.
        labels: "2d" = x and y in the picture; "3d" = with depth in pixels, for "synth" only.

    Returns:
        Samples of 84 points in the picture, with `frame`. The identity is the video.

    Raises:
        DataError: the split or labels are not known, or files are missing or damaged.
    """
    if split == SYNTH:
        return read_scenes(folder, "84", labels)
    choose({"2d": ""}, labels, f"Menpo-3D ({split})", "labels")
    home = choose({"train": "projected_image_space", "test": "test"}, split, "Menpo-3D")
    inside = expect(folder / home, folder, TREE).iterdir()
    names = sorted(path.name for path in inside if path.is_dir() and not path.name.startswith("."))
    clips = [
        Clip(
            f"menpo3d:{name}",
            folder / split / name / "vid.avi",
            folder / home / name if split == "train" else folder / home / name / "annot",
            84,
        )
        for name in names
    ]
    return read_clips(clips, folder, TREE)
