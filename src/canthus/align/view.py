"""Faces in pictures, each in a frame of its own, from which crops of any size are cut.

The frame of a face has the centre of its box at 0 and the longer side of the box as 1; the head is upright in it as far
as its roll is known. A frame is given by the similarity from picture pixels to it.

Laws (tested): `lift(lower(p)) == p`; points of the mean shape stay where they are under `aligned`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.box import turned_box
from canthus.geometry.crop import Crop, box_frames, box_of, crop_of_frame, shape_frames, warp, warp_all
from canthus.geometry.transform import Matrix, apply, compose, invert, similarity
from canthus.types import Floats, Image


@dataclass(frozen=True, eq=False, slots=True)
class View:
    """N faces, each in a picture.

    Attributes:
        pictures: The picture of each face; faces may share one. N of (H, W, 3).
        frames: From picture pixels to the frame of each face. Shape (N, 2, 3).
    """

    pictures: Sequence[Image]
    frames: Matrix

    @classmethod
    def of_boxes(cls, pictures: Sequence[Image], boxes: NDArray[Any], rolls: NDArray[Any] | None = None) -> Self:
        """Faces whose boxes are known.

        Args:
            pictures: One a face.
            boxes: Boxes of the landmarks, upright in the picture, x0 y0 x1 y1. Shape (N, 4).
            rolls: In-plane rotation of the heads in degrees, clockwise on the screen; NaN, or None for all: not known,
                the frame is upright in the picture. Shape (N,).
        """
        if rolls is None or np.isnan(rolls).all():
            return cls(pictures, box_frames(boxes))
        upright = box_frames(turned_box(boxes, rolls))
        return cls(pictures, compose(_turns(-np.nan_to_num(rolls)), upright))

    @classmethod
    def of_points(cls, pictures: Sequence[Image], points: NDArray[Any]) -> Self:
        """Faces whose points (N, P, 2 or 3) are known, in the frames of the boxes of these points."""
        return cls(pictures, box_frames(box_of(points)))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, rows: slice) -> "View":
        """Some of the faces."""
        return View(self.pictures[rows], self.frames[rows])

    def aligned(self, points: NDArray[Any], mean: NDArray[Any]) -> "View":
        """The same faces, each in the frame of the similarity that brings its points nearest to a mean shape.

        Args:
            points: Picture pixels; NaN is left out. Shape (N, P, 2 or 3).
            mean: The mean shape in its own frame (`geometry.crop.unit_mean`), or several (`crop.shape_frames`).
                Shape (P, 2) or (V, P, 2).

        Raises:
            ShapeError: the points do not fit the mean, or those of a face coincide.
        """
        return View(self.pictures, shape_frames(points, mean))

    def around(
        self, points: NDArray[Any], groups: Sequence[Sequence[int]], means: Sequence[NDArray[Any]] | None = None
    ) -> "View":
        """Several frames a face, one around each group of its points.

        Args:
            points: Picture pixels. Shape (N, P, 2 or 3).
            groups: Indices of the points of each of the G groups.
            means: The mean shape of each group in its own frame, to which the group is aligned; None = the frame is the
                box of the group, turned as the face is. Each (points of the group, 2).

        Returns:
            N * G frames: all groups of the first face, then all of the second one.

        Raises:
            ShapeError: a group has fewer than two known points.
        """
        columns = [np.asarray(points)[:, list(group), :2] for group in groups]
        if means is None:
            turned = compose(_turns(self.angles), np.broadcast_to(np.eye(2, 3), self.frames.shape))
            boxes = [box_of(apply(turned, column)) for column in columns]
            if any((box[:, 2:] - box[:, :2]).max(1, initial=0).min(initial=1) <= 0 for box in boxes):
                raise ShapeError("a group of points has no box to cut around")
            frames = [compose(box_frames(box), turned) for box in boxes]
        else:
            frames = [shape_frames(column, mean) for column, mean in zip(columns, means, strict=True)]
        pictures = [picture for picture in self.pictures for _ in groups]
        return View(pictures, np.stack(frames, 1).reshape(-1, 2, 3))

    def turned(self, angles: NDArray[Any]) -> "View":
        """The same faces with their heads turned back by angles (N,), degrees clockwise on the screen."""
        return View(self.pictures, compose(_turns(-np.asarray(angles, np.float64)), self.frames))

    @property
    def angles(self) -> NDArray[np.float64]:
        """By how much each frame is turned against its picture: degrees, clockwise on the screen. Shape (N,)."""
        angles: NDArray[np.float64] = np.degrees(np.arctan2(self.frames[:, 1, 0], self.frames[:, 0, 0]))
        return angles

    def matrices(self, crop: Crop) -> Matrix:
        """From picture pixels to crop pixels. Shape (N, 2, 3)."""
        return crop_of_frame(self.frames, crop.size, crop.margin)

    def cut(self, crop: Crop) -> NDArray[np.uint8]:
        """The crops. Shape (N, S, S, 3)."""
        matrices = self.matrices(crop)
        return np.stack(
            [warp(picture, matrix, crop.size) for picture, matrix in zip(self.pictures, matrices, strict=True)]
        )

    def together(self, crop: Crop, count: int) -> NDArray[np.uint8]:
        """Small crops as those of `cut`, but for rounding; those of a face are cut together, which is fast.

        Args:
            crop: Size and margin.
            count: Number of consecutive frames that show the same face.

        Returns:
            The crops of each face side by side in the channels. Shape (N / count, S, S, 3 count).
        """
        matrices = self.matrices(crop).reshape(-1, count, 2, 3)
        pairs = zip(self.pictures[::count], matrices, strict=True)
        return np.stack(
            [warp_all(picture, some, crop.size).reshape(crop.size, crop.size, -1) for picture, some in pairs]
        )

    def lift(self, points: Floats, crop: Crop) -> Floats:
        """Points of crops (N, P, 2 or 3) in pixels of their pictures; a third coordinate is scaled with them."""
        return apply(invert(self.matrices(crop)), points)

    def lower(self, points: Floats, crop: Crop) -> Floats:
        """Points of the pictures (N, P, 2 or 3) in pixels of the crops: the inverse of `lift`."""
        return apply(self.matrices(crop), points)

    def lift_pose(self, pose: Floats) -> Floats:
        """Yaw, pitch, roll (N, 3) in the crops as those in the pictures, roll in -180..180 degrees."""
        lifted = pose.copy()
        lifted[:, 2] = (lifted[:, 2] - self.angles + 180) % 360 - 180
        return lifted


def _turns(angles: NDArray[Any]) -> Matrix:
    """Rotations by angles (N,) in degrees. Shape (N, 2, 3)."""
    return np.stack([similarity(1.0, float(angle)) for angle in angles]) if len(angles) else np.zeros((0, 2, 3))
