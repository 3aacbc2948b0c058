"""The state of knowledge about faces between two stages of a system, in pixels of their pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.types import Faces, Floats

Named = Mapping[str, NDArray[Any]]
"""Arrays by name, each with one row a face."""


@dataclass(frozen=True, eq=False, slots=True)
class Estimate:
    """What a stage has found out about N faces.

    Attributes:
        points: Landmarks in picture pixels; P may differ from stage to stage. Shape (N, P, 2) or (N, P, 3).
        scores: Reliability of each point, 0..1; NaN = not known. Shape (N, P).
        pose: Yaw, pitch, roll in degrees in the picture; NaN = not known. Shape (N, 3).
        extras: Further results by name, each (N, ...): those of `Faces` ("occluded", "raw", "view") and those of one
            system ("weights", "gates", ...).
        state: Intermediate arrays that only the next stage of the same system reads, as feature maps, each (N, ...).
    """

    points: Floats
    scores: Floats
    pose: Floats
    extras: Named = field(default_factory=dict)
    state: Named = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, per_face = self.points.shape[:2]
        if self.scores.shape != (count, per_face) or self.pose.shape != (count, 3):
            raise ShapeError(f"scores {self.scores.shape} and pose {self.pose.shape} do not fit {count} faces")
        for name, array in (*self.extras.items(), *self.state.items()):
            if len(array) != count:
                raise ShapeError(f"{name!r} has {len(array)} rows for {count} faces")

    @classmethod
    def of_points(cls, points: Floats) -> Self:
        """An estimate of which only the points (N, P, 2 or 3) are known, as ground truth or the frame before."""
        count, per_face = points.shape[:2]
        return cls(points, np.full((count, per_face), np.nan, np.float32), np.full((count, 3), np.nan, np.float32))

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: slice | NDArray[Any]) -> "Estimate":
        """Some of the faces."""
        return Estimate(
            self.points[rows],
            self.scores[rows],
            self.pose[rows],
            {name: array[rows] for name, array in self.extras.items()},
            {name: array[rows] for name, array in self.state.items()},
        )

    def faces(self, boxes: Floats, scheme: str) -> Faces:
        """The estimate as a result.

        Args:
            boxes: Boxes of the landmarks. Shape (N, 4).
            scheme: Name of the scheme of the points.
        """
        known = {name: array for name, array in self.extras.items() if name in _REPORTED}
        confidence = self.scores.mean(1) if self.scores.size else np.full(len(self), np.nan, np.float32)
        return Faces(self.points, boxes, self.scores, confidence, self.pose, scheme=scheme, **known)


_REPORTED = {item.name for item in fields(Faces)}
