"""Draws faces and small pictures onto a picture; only the pixels that show them are computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import warp
from canthus.geometry.transform import Matrix, apply, compose, similarity
from canthus.train.augment import blur, occlude, shrink
from canthus.train.detection.backdrops import turned
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

Random = np.random.Generator

KEPT = 1.15
"""Side of the patch around a face that later faces do not cover, over that of its box."""
SHARP = 48
"""Longer side of the smallest box of a face that is blurred or shrunk, in pixels."""
FEATHER = (0.5, 3.0)
"""Smallest and largest deviation of the blur of a mask, in pixels."""


@dataclass(frozen=True, eq=False)
class Pasted:
    """A face that is drawn onto a picture.

    Attributes:
        image: Its photograph.
        matrix: Map from the photograph to the picture. Shape (2, 3).
        box: Box of the face in the picture. Shape (4,).
        turn: Rotation of the face in degrees.
        reach: Half the side of the part of the photograph that is drawn, in sides of the box; infinite = all of it.
        others: Boxes of the faces in the picture, which stay in front.
    """

    image: Image
    matrix: Matrix
    box: NDArray[Any]
    turn: float
    reach: float
    others: Sequence[Floats] = ()

    @property
    def side(self) -> float:
        """Longer side of the box."""
        return float((self.box[2:] - self.box[:2]).max())

    def frame(self) -> NDArray[np.float64]:
        """Corners of the photograph in the picture. Shape (4, 2)."""
        height, width = self.image.shape[:2]
        corners = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
        return np.asarray(apply(self.matrix, corners))


def paste(canvas: Image, face: Pasted, settings: Augment, rng: Random, backdrops: Sequence[Image]) -> None:
    """Draw a face onto a picture, with occlusion, blur and shrinking of its own.

    Args:
        canvas: The picture, which is changed. Shape (S, S, 3).
        face: The face.
        settings: Probabilities of the changes.
        rng: Randomness.
        backdrops: Pictures that occluding patches are cut from.
    """
    size = canvas.shape[0]
    limit = None if np.isinf(face.reach) else _limit(face, disc=rng.random() < 0.5)
    feather = float(rng.uniform(*FEATHER)) if rng.random() < 0.5 else 0.0
    corner, length = _window(face, limit, size, round(3 * feather) + 1)
    if length == 0:
        return
    patch = warp(face.image, compose(similarity(shift=(-corner[0], -corner[1])), face.matrix), length)
    if face.side > SHARP:
        if rng.random() < settings.shrink:
            patch = shrink(patch, rng)
        if rng.random() < settings.blur:
            patch = blur(patch, rng, int(min(size, 3 * min(face.reach, size) * face.side)))
    if rng.random() < settings.occlude:
        other = backdrops[int(rng.integers(len(backdrops)))]
        patch = _covered(patch, (face.box - np.tile(corner, 2)).astype(int), rng, other)
    mask = _mask(face, limit, corner, length)
    target = canvas[corner[1] : corner[1] + length, corner[0] : corner[0] + length]
    if feather:
        share = cv2.GaussianBlur(mask, (0, 0), feather)
        mix(target, patch, share.astype(np.uint8, copy=False))
    else:
        cv2.copyTo(patch, mask, target)


def mix(target: Image, patch: Image, share: Image) -> None:
    """Blend a patch into a picture of its size, which is changed, by its share (H, W) in 255ths."""
    weight = share.astype(np.float32) / 255
    cv2.blendLinear(patch, target, weight, 1 - weight, target)


def stick(canvas: Image, piece: Image, rng: Random) -> None:
    """Paste a small picture at a random position and size, rotated by right angles."""
    size = canvas.shape[0]
    side = int(np.exp(rng.uniform(np.log(24), np.log(max(25, size / 2)))))
    x, y = rng.integers(0, size - side + 1, 2)
    target = canvas[y : y + side, x : x + side]
    cv2.resize(turned(piece, rng), (side, side), target, interpolation=cv2.INTER_AREA)


def _limit(face: Pasted, *, disc: bool) -> NDArray[np.float64]:
    """Corners of the part of the picture that a face may change: a rotated square, or a regular polygon as a disc.

    Returns:
        Shape (4 or 64, 2).
    """
    middle = similarity(face.side * face.reach, face.turn, tuple(((face.box[:2] + face.box[2:]) / 2).tolist()))
    if not disc:
        return np.asarray(apply(middle, np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)))
    angle = np.arange(64) * (2 * np.pi / 64)
    return np.asarray(apply(middle, 1.1 * np.stack([np.cos(angle), np.sin(angle)], 1)))


def _window(face: Pasted, limit: NDArray[np.float64] | None, size: int, around: int) -> tuple[tuple[int, int], int]:
    """The square of a picture in which a face is drawn.

    Args:
        face: The face.
        limit: Corners of the part that it may change; None = all of the picture.
        size: Side of the picture.
        around: Pixels around the part that is drawn.

    Returns:
        Its first pixel (x, y) and its side; 0 = it shows nothing.
    """
    frame = face.frame()
    low, high = np.floor(frame.min(0)), np.ceil(frame.max(0))
    if limit is not None:
        low, high = np.maximum(low, np.floor(limit.min(0))), np.minimum(high, np.ceil(limit.max(0)))
    low, high = np.clip(low - around, 0, size).astype(int), np.clip(high + around + 1, 0, size).astype(int)
    if (high <= low).any():
        return (0, 0), 0
    length = int((high - low).max())
    x, y = np.minimum(low, size - length).tolist()
    return (x, y), length


def _mask(face: Pasted, limit: NDArray[np.float64] | None, corner: tuple[int, int], length: int) -> Image:
    """Mask of the pixels of a patch that are drawn, 255 = drawn. (length, length)."""
    mask = np.zeros((length, length), np.uint8)
    cv2.fillConvexPoly(mask, (face.frame() - corner).round().astype(np.int32), 255)
    if limit is not None:
        allowed = np.zeros_like(mask)
        cv2.fillConvexPoly(allowed, (limit - corner).round().astype(np.int32), 255)
        cv2.bitwise_and(mask, allowed, mask)
    for box in face.others:
        kept = (box[2:] - box[:2]) * KEPT / 2
        around = (box[:2] + box[2:]) / 2 - corner
        left, top = np.maximum(0, (around - kept).round().astype(int))
        right, bottom = np.maximum(0, (around + kept).round().astype(int) + 1)
        mask[top:bottom, left:right] = 0
    return mask


def _covered(patch: Image, box: NDArray[np.int64], rng: Random, other: Image) -> Image:
    """A patch in which a part of the face, whose box is given, is covered, however small the face is."""
    x, y = (max(0, int(value)) for value in box[:2])
    side = min(int(max(box[2:] - box[:2])), patch.shape[0] - x, patch.shape[1] - y)
    if side < 8:
        return patch
    patch[y : y + side, x : x + side] = occlude(np.ascontiguousarray(patch[y : y + side, x : x + side]), rng, other)
    return patch
