"""What all systems share at run time: crops of faces, batches across images, points back in the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.box import turned_box
from canthus.geometry.crop import box_frames, box_of, crop_matrix, crop_of_frame, shape_frames, warp
from canthus.geometry.transform import Matrix, apply, invert
from canthus.schemes.scheme import Scheme
from canthus.types import Faces, Floats, Image


class Solved(NamedTuple):
    """What a system finds in crops.

    Attributes:
        points: Crop pixels. Shape (N, P, 2).
        scores: Reliability of each point, 0..1. Shape (N, P).
        pose: Yaw, pitch, roll in degrees; None = the system does not tell. Shape (N, 3).
    """

    points: Floats
    scores: Floats
    pose: Floats | None = None


Solver = Callable[[NDArray[np.uint8]], Solved]
"""A system on crops (N, S, S, 3)."""


@dataclass(frozen=True, eq=False)
class Cropped:
    """A system on the faces of images.

    Attributes:
        solve: The system on crops.
        scheme: Name of the scheme of the points.
        size: Side of the crop S.
        margin: Crop margin: side of the crop over the longer side of the box.
        batch: Faces that go through the networks at once.
        mean: Where the system's crops are cut by the similarity of points to a mean shape: that shape, its box centred
            at 0 with 1 as its longer side. Shape (P, 2).
    """

    solve: Solver
    scheme: str
    size: int
    margin: float
    batch: int = 32
    mean: Floats | None = None

    def matrices(self, points: Floats) -> Matrix:
        """The crops of faces whose points are known, as those of the frame before. (F, P, 2) -> (F, 2, 3)."""
        frames = box_frames(box_of(points)) if self.mean is None else shape_frames(points, self.mean)
        return crop_of_frame(frames, self.size, self.margin)

    def align(
        self, images: Sequence[Image], boxes: Sequence[Floats], rolls: Sequence[Floats] | None = None
    ) -> list[Faces]:
        """Landmarks of the faces of several images, batched across images and faces.

        Args:
            images: I pictures, each (H, W, 3).
            boxes: For each picture (F, 4).
            rolls: How far the heads are turned in the plane, degrees clockwise on the screen; the network sees them
                upright. NaN = not known, taken as upright; None = none is. For each picture (F,).

        Returns:
            For each picture its `Faces`, in the order of its boxes.
        """
        turns = [np.full(len(some), np.nan, np.float32) for some in boxes] if rolls is None else rolls
        owners = [
            (image, box, roll)
            for image, some, angles in zip(images, boxes, turns, strict=True)
            for box, roll in zip(some, angles, strict=True)
        ]
        parts = [self._some(owners[start : start + self.batch]) for start in range(0, len(owners), self.batch)]
        if not parts:
            return [Faces.empty(self.scheme, Scheme.open(self.scheme).count) for _ in images]
        faces = parts[0] if len(parts) == 1 else Faces.concat(parts)
        if len(boxes) == 1:
            return [faces]
        ends = np.cumsum([len(some) for some in boxes])
        return [faces[end - len(some) : end] for end, some in zip(ends.tolist(), boxes, strict=True)]

    def _some(self, owners: Sequence[tuple[Image, NDArray[Any], Any]]) -> Faces:
        boxes, rolls = np.stack([box for _, box, _ in owners]), np.array([roll for _, _, roll in owners], np.float32)
        squares, angles = turned_box(boxes, rolls), np.nan_to_num(rolls).tolist()
        matrices = [crop_matrix(s, self.size, self.margin, a) for s, a in zip(squares, angles, strict=True)]
        found = self.solve_at([image for image, _, _ in owners], matrices)
        return Faces(
            points=found.points,
            boxes=boxes,
            scores=found.scores,
            confidence=found.scores.mean(1),
            pose=pose_in_image(found, matrices),
            scheme=self.scheme,
        )

    def solve_at(self, images: Sequence[Image], matrices: Sequence[Matrix]) -> Solved:
        """Landmarks in crops that the caller chooses, one face an image.

        Args:
            images: N pictures.
            matrices: From image pixels to crop pixels, each (2, 3).

        Returns:
            Points in pixels of the images; scores; pose in the crop.
        """
        crops = [warp(image, matrix, self.size) for image, matrix in zip(images, matrices, strict=True)]
        found = self.solve(np.stack(crops))
        return found._replace(points=apply(invert(np.stack(matrices)), found.points))


def pose_in_image(found: Solved, matrices: Sequence[Matrix]) -> Floats:
    """Yaw, pitch, roll of faces in the picture, from those in their crops.

    Args:
        found: What a system found in N crops.
        matrices: From image pixels to crop pixels, each (2, 3).

    Returns:
        Degrees, the roll in -180..180; NaN where the system does not tell. Shape (N, 3).
    """
    if found.pose is None:
        return np.full((len(matrices), 3), np.nan, np.float32)
    pose = found.pose.copy()
    turn = np.degrees([np.arctan2(matrix[1, 0], matrix[0, 0]) for matrix in matrices])  # what the crops add
    pose[:, 2] = (pose[:, 2] - turn + 180) % 360 - 180
    return pose
