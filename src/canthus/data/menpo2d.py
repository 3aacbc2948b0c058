"""Reads Menpo 2D: semi-frontal faces with 68 points, profile faces with 39 [Zafeiriou et al., 2017; Deng et al., 2019].

The files do not say which side of a profile is visible; it follows from the positions of nose, eye and jaw.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.data.files import choose, expect, labelled, read_points
from canthus.data.sample import Lazy, Sample

TREE = """\
{folder}/
  menpo_train_release/          aflw__face_39351.jpg, aflw__face_39351.pts, ...; 68 or 39 points
  Menpo2D-Test-Semifrontal/     the same, 68 points
  Menpo2D-Test-Profile/         the same, 39 points"""

TEST = ("Menpo2D-Test-Semifrontal", "Menpo2D-Test-Profile")
SPLITS = {"train": ("menpo_train_release",), "test": TEST, "semifrontal": TEST[:1], "profile": TEST[1:]}
BEHIND, NOSE, UPPER, LOWER = [*range(12), *range(22, 27)], [*range(16, 21)], [*range(12, 16)], [*range(27, 39)]


def read_menpo2d(folder: Path, split: str) -> Lazy[tuple[Path, Path]]:
    """Menpo 2D.

    Args:
        folder: The folder of the set.
        split: "train" (7564 faces); "test" = "semifrontal" (5335) + "profile"; or one of these two.

    Returns:
        Samples of 68 points, group "semifrontal", or 39 points, scheme "39_left" or "39_right", group "profile".

    Raises:
        DataError: the split is not known, or files are missing or damaged.
    """
    parts = [expect(folder / part, folder, TREE) for part in choose(SPLITS, split, "Menpo 2D")]
    return Lazy([pair for part in parts for pair in labelled(part, deep=True)], _sample)


def profile_side(points: NDArray[Any]) -> str:
    """The half of the subject's face that 39 profile points show.

    It is the sense of rotation from the direction down (brow to mouth) to the direction ahead (eye and jaw to nose). It
    depends neither on a rotation of the face in the picture, nor on the end from which the jaw is labelled, which is
    the wrong one in a dozen files of the set.

    Args:
        points: Profile points in pixels. Shape (39, 2).

    Returns:
        "left" where the subject's left half is visible, so that the face looks to the left of the picture; or "right".
    """
    ahead = points[NOSE, :2].mean(0) - points[BEHIND, :2].mean(0)
    down = points[LOWER, :2].mean(0) - points[UPPER, :2].mean(0)
    return "left" if ahead[0] * down[1] - ahead[1] * down[0] < 0 else "right"


def _sample(key: tuple[Path, Path]) -> Sample:
    labels, picture = key
    points = read_points(labels, 68, 39)
    profile = len(points) == 39
    scheme, group = (f"39_{profile_side(points)}", "profile") if profile else ("68", "semifrontal")
    return Sample(picture, np.ascontiguousarray(points), scheme, picture.stem, groups=frozenset({group}))
