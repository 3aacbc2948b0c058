"""Face score: whether a crop still shows a face, for trackers. The network is in `nets/detection/face_score.py`."""

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
from canthus.runtime.session import Device, open_network
from canthus.types import Backend, Floats, Image, as_boxes, as_image


class Scored(NamedTuple):
    """Output of the network for given boxes.

    Attributes:
        scores: Probability that each box is around a face, 0..1. Shape (F,).
        boxes: Corrected boxes, x0 y0 x1 y1, pixels. Shape (F, 4).
        points: The five points of each face, pixels. Shape (F, 5, 2).
    """

    scores: Floats
    boxes: Floats
    points: Floats


class FaceScorer:
    """Scores boxes."""

    def __init__(self, network: Backend, size: int, margin: float) -> None:
        """Take an engine.

        Args:
            network: Engine that runs the network on a batch of crops.
            size: Side of the crop in pixels.
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
        """Load a face score.

        Args:
            path: Bundle exported from a run of the recipe face_score; None = the one in the package.
            device: "cpu", "cuda" or "openvino".
            threads: Number of CPU threads; 0 = all cores.
            precision: "fp32", or "int8" where the bundle has it.

        Raises:
            BundleError: the bundle is missing or damaged, or holds another system.
        """
        bundle = open_system("face_score", path)
        crop = bundle.card.stages[0].crop
        if crop is None:
            raise BundleError(f"{bundle.path}: the card has no crop settings; export the checkpoint again")
        network = open_network(bundle, bundle.card.stages[0], "face_score", precision, device, threads)
        return cls(network, crop.size, crop.margin)

    def score(self, image: Image, boxes: ArrayLike, rolls: ArrayLike | None = None) -> Scored:
        """Score the boxes of an image.

        Args:
            image: The image. Shape (H, W, 3).
            boxes: Boxes of the landmarks, with sides parallel to those of the image. Shape (F, 4).
            rolls: Rotation of the heads in the image plane, degrees clockwise on the screen; NaN, or None for all =
                upright. Shape (F,).

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
