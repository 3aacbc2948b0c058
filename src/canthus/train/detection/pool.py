"""Labelled faces in memory, from which pictures for the detector are made."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.errors import DataError
from canthus.geometry.crop import box_of, shape_frames, unit_mean
from canthus.train.recipe import SetShare
from canthus.types import Floats, Image

SCHEME = "68"


@dataclass(frozen=True, eq=False)
class FacePool:
    """Faces, arrays aligned by face.

    Attributes:
        images: Pictures, reduced.
        points: The 68 landmarks in them, pixels. Shape (L, 68, 2).
        rolls: How far each head is turned: of the mean face's Procrustes fit, degrees clockwise. Shape (L,).
        chance: How often each is drawn; adds up to 1. Shape (L,).
    """

    images: Sequence[Image]
    points: Floats
    rolls: Floats
    chance: NDArray[np.float64]

    @property
    def boxes(self) -> Floats:
        """Boxes of the landmarks. Shape (L, 4)."""
        boxes: Floats = box_of(self.points)
        return boxes


def load_faces(shares: Sequence[SetShare], root: Path, held: int) -> FacePool:
    """Read faces into memory.

    Args:
        shares: The sets and their weights.
        root: Folder of the data sets.
        held: Longer side of a face's box that is kept at most, in pixels.

    Raises:
        DataError: a set is missing or incomplete, or does not have the 68 points.
        ReadError: a picture cannot be read.
    """
    samples: list[Sample] = []
    chance = []
    for share in shares:
        some = [s for s in open_set(share.name, root, share.split, **share.options) if np.isfinite(s.points).all()]
        if not some or some[0].scheme != SCHEME:
            raise DataError(f"{share.name} {share.split}: it has no faces with {SCHEME} points to learn from")
        samples += some
        chance.append(np.full(len(some), share.weight / len(some)))
    with ThreadPoolExecutor(4) as threads:
        stored = list(threads.map(lambda sample: _reduced(sample, held), samples))
    points = np.stack([points for _, points in stored])
    weights = np.concatenate(chance)
    return FacePool([image for image, _ in stored], points, rolls_of(points), weights / weights.sum())


def rolls_of(points: Floats) -> Floats:
    """In-plane angles of heads, by the similarity from the mean face. (L, 68, 2) -> (L,) degrees."""
    frames = shape_frames(points, unit_mean(points))
    return -np.degrees(np.arctan2(frames[:, 1, 0], frames[:, 0, 0])).astype(np.float32)


def _reduced(sample: Sample, held: int) -> tuple[Image, Floats]:
    image, points = sample.picture(), np.asarray(sample.points[:, :2], np.float32)
    box = box_of(points)
    factor = held / float(max(box[2:] - box[:2]))
    if factor >= 1:
        return image, points
    height, width = image.shape[:2]
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    scale = np.array(size, np.float32) / (width, height)
    return small, ((points + 0.5) * scale - 0.5).astype(np.float32)
