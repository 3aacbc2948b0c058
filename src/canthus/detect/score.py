"""Is this crop still a face? The third stage of a cascade over an engine (`nets/face_score.py`), for trackers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from canthus.errors import BundleError, ShapeError
from canthus.geometry.box import turned_box
from canthus.geometry.crop import box_of, crop_matrix, warp
from canthus.geometry.transform import apply, invert
from canthus.runtime.bundle import Precision, open_system
from canthus.runtime.session import Device, Session
from canthus.types import Backend, Floats, Image, as_boxes, as_image


class Scored(NamedTuple):
    """What the third stage says of boxes.

    Attributes:
        scores: That the box is around a face, 0..1. Shape (F,).
        boxes: Where the box should be. Shape (F, 4).
        points: The five points. Shape (F, 5, 2).
    """

    scores: Floats
    boxes: Floats
    points: Floats


class FaceScorer:
    """Judges boxes."""

    def __init__(self, network: Backend, size: int, margin: float) -> None:
        """Take an engine.

        Args:
            network: Runs a batch of crops.
            size: Side of the crop.
            margin: Crop margin: side of the crop over the longer side of the box.
        """
        self.network, self.size, self.margin = network, size, margin

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        device: Device = "cpu",
        threads: int = 1,
        precision: Precision = "fp32",
    ) -> "FaceScorer":
        """Load a bundle made of a run of recipes/face_score.yaml; None = the one in the package.

        Raises:
            BundleError: there is no such bundle, or it holds something else.
        """
        bundle = open_system("face_score", path)
        crop = bundle.card.stages[0].crop
        if crop is None:
            raise BundleError(f"{bundle.path}: the card has no crop settings; export the checkpoint again")
        return cls(Session(bundle.network("face_score", precision), device, threads), crop.size, crop.margin)

    def score(self, image: Image, boxes: ArrayLike, rolls: ArrayLike | None = None) -> Scored:
        """Judge the boxes of an image.

        Args:
            image: Shape (H, W, 3).
            boxes: Boxes of the landmarks, upright in the picture. Shape (F, 4).
            rolls: How far the heads are turned, degrees clockwise on the screen; NaN, or None for all = upright.
                Shape (F,).

        Raises:
            ShapeError: not an image, not boxes, or another number of rolls.
        """
        checked = as_boxes(boxes)
        angles = np.zeros(len(checked)) if rolls is None else np.nan_to_num(np.asarray(rolls, np.float64))
        if angles.shape != (len(checked),):
            raise ShapeError(f"rolls of shape {angles.shape} for {len(checked)} boxes")
        if not len(checked):
            return Scored(np.zeros(0, np.float32), checked, np.zeros((0, 5, 2), np.float32))
        squares: Sequence[Floats] = list(turned_box(checked, angles))
        matrices = np.stack(
            [crop_matrix(square, self.size, self.margin, angle) for square, angle in zip(squares, angles, strict=True)]
        )
        crops = np.stack([warp(as_image(image), matrix, self.size) for matrix in matrices])
        found, back = self.network.run(crops), invert(matrices)
        corners = found["boxes"][:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        return Scored(found["scores"], box_of(apply(back, corners)), apply(back, found["points"]))
