"""What all systems share at run time: crops of faces, batches across images, points back in the image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
        extent: Side of the crop over the longer side of the box.
        batch: Faces that go through the networks at once.
        mean: Where the system's crops are cut by the similarity of points to a mean shape: that shape, its box centred
            at 0 with 1 as its longer side. Shape (P, 2).
    """

    solve: Solver
    scheme: str
    size: int
    extent: float
    batch: int = 32
    mean: Floats | None = None

    def matrices(self, points: Floats) -> Matrix:
        """The crops of faces whose points are known, as those of the frame before. (F, P, 2) -> (F, 2, 3)."""
        frames = box_frames(box_of(points)) if self.mean is None else shape_frames(points, self.mean)
        return crop_of_frame(frames, self.size, self.extent)

    def align(self, images: Sequence[Image], boxes: Sequence[Floats]) -> list[Faces]:
        """Landmarks of the faces of several images, batched across images and faces.

        Args:
            images: I pictures, each (H, W, 3).
            boxes: For each picture (F, 4).

        Returns:
            For each picture its `Faces`, in the order of its boxes.
        """
        owners = [(image, box) for image, some in zip(images, boxes, strict=True) for box in some]
        parts = [self._some(owners[start : start + self.batch]) for start in range(0, len(owners), self.batch)]
        if not parts:
            return [Faces.empty(self.scheme, Scheme.open(self.scheme).count) for _ in images]
        faces = parts[0] if len(parts) == 1 else Faces.concat(parts)
        if len(boxes) == 1:
            return [faces]
        ends = np.cumsum([len(some) for some in boxes])
        return [faces[end - len(some) : end] for end, some in zip(ends.tolist(), boxes, strict=True)]

    def _some(self, owners: Sequence[tuple[Image, NDArray[Any]]]) -> Faces:
        matrices = [crop_matrix(box, self.size, self.extent) for _, box in owners]
        found = self.solve_at([image for image, _ in owners], matrices)
        return Faces(
            points=found.points,
            boxes=np.stack([box for _, box in owners]),
            scores=found.scores,
            confidence=found.scores.mean(1),
            pose=np.full((len(owners), 3), np.nan, np.float32) if found.pose is None else found.pose,
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
