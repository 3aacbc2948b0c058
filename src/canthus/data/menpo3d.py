"""Reads Menpo-3D tracking: videos with 84 points of a 3D face, projected into every frame [Zafeiriou et al., 2017].

The training labels are for videos of 300-VW, which have to be fetched there.
"""

from pathlib import Path

from canthus.data.files import choose, expect
from canthus.data.lazy import Lazy
from canthus.data.video import Clip, Key, read_clips

TREE = """\
{folder}/
  projected_image_space/001/000001.ljson, ...    labels of the training videos, final_published of the owners' archive
  train/001/vid.avi                              the video of 300-VW of that name, or its frames:
  train/001/frames/000001.jpg, ...
  test/NAME/vid.avi or test/NAME/frames/...      the test videos
  test/NAME/annot/000001.pts, ...                and their labels (.pts or .ljson)"""


def read_menpo3d(folder: Path, split: str) -> Lazy[Key]:
    """Menpo-3D tracking.

    Args:
        folder: The folder of the set.
        split: "train" or "test".

    Returns:
        Samples of 84 points (84, 2) in the picture, with `frame`. The identity is the video.

    Raises:
        DataError: no such split, or its files are incomplete.
    """
    home = choose({"train": "projected_image_space", "test": "test"}, split, "Menpo-3D")
    names = sorted(path.name for path in expect(folder / home, folder, TREE).iterdir() if path.is_dir())
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
