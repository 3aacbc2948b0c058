"""The mean 3D face as a rigid body: head poses and face boxes from some of the points of a face."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from canthus.errors import DataError
from canthus.face3d.landmarks import ADAPTED
from canthus.geometry.crop import box_of
from canthus.geometry.pose import WeakPerspective, weak_perspective
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import convert
from canthus.types import Floats
from canthus.work.archive import open_arrays
from canthus.work.documents import read_json

Doubles = NDArray[np.float64]

SCHEME = "68"
JAW_WEIGHT = 0.15
"""Weight of the jaw line against the inner points: that of 2D labels slides with the view."""
POSED = 20
"""Number of known points within the jaw line that a face must have for a pose."""


@dataclass(frozen=True, eq=False)
class RigidFace:
    """The 68 points of the mean face.

    Attributes:
        points: Position of each point in the axes of an image: x right, y down, z away. Shape (68, 3), cm.
    """

    points: Doubles

    @classmethod
    def open(cls, model: Path) -> Self:
        """Read the mean of a face model.

        Args:
            model: File of the model; `landmarks.json` lies beside it.

        Raises:
            DataError: a file is missing or damaged.
        """
        landmarks = model.parent / "landmarks.json"
        try:
            with open_arrays(model) as arrays:
                vertices = arrays["mean"]
            chosen = read_json(landmarks, DataError, "restore the file")["sets"][ADAPTED]
            return cls(vertices[chosen] * np.array([1.0, -1.0, -1.0]))
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(f"{model} or {landmarks} is missing or damaged: {error}; restore the files") from error

    def fit(self, points: NDArray[Any], scheme: str = SCHEME) -> WeakPerspective:
        """Cameras that bring the mean face nearest to faces.

        Args:
            points: Points; NaN has no weight. Shape (F, P, 2), pixels.
            scheme: Their scheme: "68", or one whose points follow from it.

        Returns:
            One camera per face; NaN where the points do not determine it.
        """
        solid = convert(self.points, SCHEME, scheme)
        weights = np.ones(len(solid))
        weights[list(Scheme.open(scheme).contour)] = JAW_WEIGHT
        known = np.isfinite(solid).all(1)
        return weak_perspective(points, np.where(known[:, None], solid, 0), weights * known)

    def poses(self, points: NDArray[Any]) -> Floats:
        """Yaw, pitch, roll in degrees; NaN where fewer than `POSED` inner points are known. (F, 68, 2) -> (F, 3)."""
        pose = self.fit(points).pose.astype(np.float32)
        inner = list(Scheme.open(SCHEME).groups["inner"])
        pose[np.isfinite(points[:, inner]).all(-1).sum(1) < POSED] = np.nan
        return pose

    def boxes(self, points: NDArray[Any], scheme: str = SCHEME) -> Floats:
        """Boxes of all 68 points of faces of which some points are known, or those of a smaller scheme.

        Args:
            points: Points; NaN = not known. Shape (F, P, 2), pixels.
            scheme: Their scheme.

        Returns:
            x0 y0 x1 y1; NaN where the points do not determine the face. Shape (F, 4), pixels.
        """
        placed = self.fit(points, scheme).project(self.points)[..., :2]
        boxes = np.full((len(placed), 4), np.nan, np.float32)
        found = np.isfinite(placed).all((1, 2))
        boxes[found] = box_of(placed[found])
        return boxes
