"""The outline and the five points of labelled faces, whatever their labels are.

The box of a face that is rotated follows from an outline of 68 points, which is one of

- the labels, where there are 68; those that are not known are NaN;
- the mean 3D face, fitted to five points as a rigid body. What lies under its mouth is stretched by `CHIN`, since the
  chin of the fit is too high by 5.5 % of the side of the box (median over wild68 and ytf68). The overlap of these boxes
  with those of the labels is .86 on average (.78 on infants, whose chins are short);
- the mean of the shapes with 68 labels, stretched to the box, where only a box is known.
"""

from dataclasses import replace

import numpy as np

from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.face3d.rigid import RigidFace
from canthus.geometry.crop import box_of
from canthus.schemes.transfer import convert
from canthus.types import Floats

OUTLINE, FIVE = "68", "5"
"""Schemes of the outline and of the points that the detector learns."""
CHIN = 1.22
"""Factor by which the mean 3D face is stretched under the mouth."""
MOUTH = (48, 54)
"""Corners of the mouth in the outline."""
KNOWN = 40
"""Number of known points that a face with 68 labels must have."""


def usable(sample: Sample) -> bool:
    """Whether the labels of a sample determine a face: 68 or five points, or a box."""
    known = np.isfinite(sample.points).all(1).sum()
    needed = {OUTLINE: KNOWN, FIVE: 5}.get(sample.scheme)
    return sample.box is not None if needed is None else bool(known >= needed)


class Outliner:
    """Gives outlines to the faces of a training run."""

    def __init__(self, solid: RigidFace | None) -> None:
        """Take the mean 3D face, which faces with five points need."""
        self.solid = None if solid is None else stretched(solid)

    def labels(self, sample: Sample) -> tuple[Floats, Floats]:
        """Outline (68, 2), NaN in all points where only a box is known, and five points (5, 2), NaN where not known.

        Raises:
            DataError: the labels are of another scheme, or there are five points but no 3D face.
        """
        if sample.scheme == OUTLINE:
            points = sample.points[:, :2]
            return points, convert(points, OUTLINE, FIVE).astype(np.float32)
        if sample.scheme == FIVE:
            if self.solid is None:
                raise DataError(
                    f"{sample.image}: a face with five points needs the mean face; add face_model to the recipe, as "
                    "face_model: ict_facekit/ict_facekit.npz"
                )
            camera = self.solid.fit(sample.points[None, :, :2], FIVE)
            return camera.project(self.solid.points)[0, :, :2].astype(np.float32), sample.points[:, :2]
        if sample.scheme == NO_POINTS and sample.box is not None:
            return np.full((68, 2), np.nan, np.float32), np.full((5, 2), np.nan, np.float32)
        raise DataError(
            f"{sample.image}: scheme {sample.scheme!r}; the detector learns from 68 or five points or a box"
        )

    def boxed(self, sample: Sample) -> Sample:
        """The sample with the box of its outline."""
        if sample.scheme == NO_POINTS:
            return sample
        return replace(sample, box=box_of(self.labels(sample)[0]))


def stretched(solid: RigidFace) -> RigidFace:
    """The mean face with a lower chin."""
    points = solid.points.copy()
    line = points[list(MOUTH), 1].mean()
    below = points[:, 1] > line
    points[below, 1] = line + CHIN * (points[below, 1] - line)
    return RigidFace(points)


def shape_in(box: Floats, mean: Floats) -> Floats:
    """The mean shape (68, 2), stretched to a box (4,)."""
    low, high = mean.min(0), mean.max(0)
    placed: Floats = ((mean - low) / (high - low) * (box[2:] - box[:2]) + box[:2]).astype(np.float32)
    return placed
