"""The default system at run time: crop, one network, points back in the image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import crop_matrix, warp
from canthus.geometry.transform import apply, invert
from canthus.runtime.bundle import Card
from canthus.types import Backend, Faces, Floats, Image


@dataclass(frozen=True, eq=False)
class Compact:
    """One network on one crop (`nets/compact.py`).

    Attributes:
        network: Crops (N, S, S, 3) uint8 -> `points` (N, P, 2) in crop pixels, `scores` (N, P), `pose` (N, 3).
        scheme: Name of the scheme of the points.
        count: P.
        size: Side of the crop S.
        extent: Side of the crop over the longer side of the box.
        batch: Faces that go through the network at once.
    """

    network: Backend
    scheme: str
    count: int
    size: int
    extent: float
    batch: int = 32

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
            return [Faces.empty(self.scheme, self.count) for _ in images]
        faces = parts[0] if len(parts) == 1 else Faces.concat(parts)
        if len(boxes) == 1:
            return [faces]
        ends = np.cumsum([len(some) for some in boxes])
        return [faces[end - len(some) : end] for end, some in zip(ends.tolist(), boxes, strict=True)]

    def _some(self, owners: Sequence[tuple[Image, NDArray[Any]]]) -> Faces:
        matrices = [crop_matrix(box, self.size, self.extent) for _, box in owners]
        crops = [warp(image, matrix, self.size) for (image, _), matrix in zip(owners, matrices, strict=True)]
        out = self.network.run(np.stack(crops))
        return Faces(
            points=apply(invert(np.stack(matrices)), out["points"]),
            boxes=np.stack([box for _, box in owners]),
            scores=out["scores"],
            confidence=out["scores"].mean(1),
            pose=out["pose"],
            scheme=self.scheme,
        )


def from_card(card: Card, networks: Mapping[str, Backend], batch: int) -> Compact:
    """The system of a bundle whose network is called "landmarks"."""
    return Compact(networks["landmarks"], card.scheme, card.points, card.crop.size, card.crop.extent, batch)
