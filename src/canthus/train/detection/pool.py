"""Labelled faces in memory, from which the training pictures of detector and face score are made."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.detect.own import open_own
from canthus.errors import DataError
from canthus.face3d.rigid import RigidFace
from canthus.geometry.crop import box_of, shape_frames, unit_mean
from canthus.runtime.bundle import named_bundle
from canthus.train.detection.outline import Outliner, shape_in, usable
from canthus.train.memory import reduced, scaled
from canthus.train.recipe import SetShare
from canthus.types import Floats, Image

HIDDEN = 1.4
"""Side of the patch that is blurred out around an unlabelled face, over that of its box."""
KEPT = 1.2
"""Side of the patch around the labelled face that is never blurred out, over that of its box."""
COARSE = 3
"""Number of pixels across to which a patch is reduced before it is blurred out."""


@dataclass(frozen=True, eq=False)
class FacePool:
    """Faces, arrays aligned by face.

    Attributes:
        images: Pictures, reduced. L of them.
        points: Outline of each face: the 68 landmarks in pixels of those pictures, or an estimate of them
            (`outline.py`); NaN = not known. Shape (L, 68, 2).
        five: The five points that the detector learns; NaN = not known. Shape (L, 5, 2).
        rolls: In-plane rotation of each head, by Procrustes fit of the mean face, degrees clockwise; NaN = not known.
            Shape (L,).
        chance: Probability that a face is drawn; adds up to 1. Shape (L,).
    """

    images: Sequence[Image]
    points: Floats
    five: Floats
    rolls: Floats
    chance: NDArray[np.float64]

    def draw(self, rng: np.random.Generator) -> int:
        """Number of a random face."""
        return min(int(self._sums.searchsorted(rng.random(), "right")), len(self.images) - 1)

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """Probability that a face up to each is drawn. Shape (L,)."""
        return np.cumsum(self.chance)

    @property
    def boxes(self) -> Floats:
        """Boxes of the landmarks. Shape (L, 4)."""
        boxes: Floats = box_of(self.points)
        return boxes


def load_faces(
    shares: Sequence[SetShare], root: Path, memory: int, hide: Path | None = None, solid: RigidFace | None = None
) -> FacePool:
    """Read faces into memory.

    Args:
        shares: The sets and their weights.
        root: Folder of the data sets.
        memory: Longer side of a face's box in the pictures in memory at most, in pixels.
        hide: Bundle of a detector; unlabelled faces that it finds are blurred out; None = they stay.
        solid: The mean 3D face, for sets with five points.

    Raises:
        BundleError: `hide` is no bundle of a detector.
        DataError: a set is missing or incomplete, or its labels do not determine faces.
        ReadError: a picture cannot be read.
    """
    outliner = Outliner(solid)
    samples, weights = _drawn_from(shares, root)
    hidden = hider(hide)

    def read(sample: Sample) -> tuple[Image, Floats, Floats, Floats]:
        sample = outliner.boxed(sample)
        image, scale = reduced(sample, memory)
        points, five = (scaled(one, scale) for one in outliner.labels(sample))
        assert sample.box is not None
        box = scaled(sample.box.reshape(2, 2), scale).reshape(4)
        return (hidden(image, box) if hidden else image), points, five, box

    with ThreadPoolExecutor(4) as threads:
        images, *labels = zip(*threads.map(read, samples), strict=True)
    points, five, boxes = (np.stack(column) for column in labels)
    outlined = np.isfinite(points).any((1, 2))
    if not outlined.any():
        raise DataError("no set of the recipe has 68 points; the outlines of other faces follow from them")
    rolls = np.full(len(points), np.nan, np.float32)
    rolls[outlined] = rolls_of(points[outlined])
    mean = unit_mean(points[outlined])
    for face in np.flatnonzero(~outlined):
        points[face] = shape_in(boxes[face], mean)
    return FacePool(list(images), points, five, rolls, weights / weights.sum())


def hider(hide: Path | None) -> Callable[[Image, Floats], Image] | None:
    """What blurs out the faces of a picture but the labelled one, given its box; None = nothing.

    Args:
        hide: Bundle of the detector that finds them, or None.

    Raises:
        BundleError: it is no bundle of a detector.
    """
    if hide is None:
        return None
    detector = open_own(bundle=named_bundle(hide))
    return lambda image, box: without_others(image, box, detector.detect(image).boxes)


def _drawn_from(shares: Sequence[SetShare], root: Path) -> tuple[list[Sample], NDArray[np.float64]]:
    """The faces of several sets, and the weight of each.

    Raises:
        DataError: a set is missing or incomplete, or its labels do not determine faces.
    """
    samples: list[Sample] = []
    chance = []
    for share in shares:
        some = [sample for sample in open_set(share.name, root, share.split, **share.options) if usable(sample)]
        if not some:
            raise DataError(
                f"{share.name} {share.split}: no face has 68 or five points or a box; the recipe needs other sets"
            )
        samples += some
        chance.append(np.full(len(some), share.weight / len(some)))
    return samples, np.concatenate(chance)


def rolls_of(points: Floats) -> Floats:
    """In-plane rotations of heads, by the similarity from the mean face. (L, 68, 2) -> (L,) degrees clockwise."""
    frames = shape_frames(points, unit_mean(points))
    return -np.degrees(np.arctan2(frames[:, 1, 0], frames[:, 0, 0])).astype(np.float32)


def without_others(image: Image, face: Floats, found: Floats) -> Image:
    """A picture in which all faces but the labelled one are blurred out: smooth patches of colour take their places.

    Args:
        image: Shape (H, W, 3).
        face: Box of the labelled face, which stays whole. Shape (4,).
        found: Boxes of all faces; one whose centre lies in `face` is the labelled one. Shape (F, 4).
    """
    height, width = image.shape[:2]
    middles = (found[:, :2] + found[:, 2:]) / 2
    others = found[~((middles > face[:2]) & (middles < face[2:])).all(1)]
    if not len(others):
        return image
    changed = image.copy()
    for box in others:
        x0, y0, x1, y1 = _grown(box, HIDDEN, width, height)
        if min(x1 - x0, y1 - y0) >= COARSE:
            coarse = cv2.resize(image[y0:y1, x0:x1], (COARSE, COARSE), interpolation=cv2.INTER_AREA)
            changed[y0:y1, x0:x1] = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    x0, y0, x1, y1 = _grown(face, KEPT, width, height)
    changed[y0:y1, x0:x1] = image[y0:y1, x0:x1]
    return changed


def _grown(box: Floats, factor: float, width: int, height: int) -> list[int]:
    """A box with its sides multiplied, in whole pixels and within the picture."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * factor / 2
    corners = np.concatenate([middle - half, middle + half]).round()
    return [int(value) for value in np.clip(corners, 0, [width, height, width, height])]
