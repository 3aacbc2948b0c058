"""Training pictures of the detector: faces at any rotation and scale, one or many, pasted onto backdrops.

The truth of a face is the upright box of its rotated landmarks, its five points, and its roll: the angle by which it
was rotated, plus the roll of its head in the photograph. At least the share `SEEN` of a face's box lies in the picture,
and faces that are pasted later do not cover it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import box_of, warp
from canthus.geometry.transform import Matrix, apply, compose, similarity
from canthus.schemes.scheme import Scheme
from canthus.train.augment import blur, occlude, shrink, vary
from canthus.train.detection.backdrops import scenery, vary_backdrop
from canthus.train.detection.outline import FIVE, OUTLINE
from canthus.train.detection.pool import FacePool
from canthus.train.detection.recipe import Scenes
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

Random = np.random.Generator

SEEN = 0.8
"""Smallest share of the box of a face that lies in the picture."""
APART = 1.2
"""Smallest distance of the centres of two faces, in mean sides of their boxes."""
KEPT = 1.15
"""Side of the patch around a face that later faces do not cover, over that of its box."""
SHARP = 48
"""Longer side of the smallest box of a face that is blurred or shrunk, in pixels."""
UPRIGHT = 20.0
"""Largest rotation of the faces of upright pictures, in degrees."""
CLOSE = (0.5, 1.08)
"""Smallest and largest side of a face that fills its picture, over the side of the picture."""
TRIES = 12
"""Number of positions that are tried for a face before it is given up."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its faces.

    Attributes:
        image: Shape (S, S, 3).
        boxes: Boxes of the landmarks, pixels. Shape (F, 4).
        points: The five points, pixels; NaN = not known. Shape (F, 5, 2).
        rolls: In-plane rotations of the heads, degrees clockwise; NaN = not known. Shape (F,).
    """

    image: Image
    boxes: Floats
    points: Floats
    rolls: Floats


@dataclass(frozen=True, eq=False)
class SceneMaker:
    """Makes scenes.

    Attributes:
        pool: Labelled faces.
        backdrops: Pictures without a face, not smaller than the scenes.
        settings: Settings of the scenes.
        augment: Augmentation: of each face by occlusion, blur and shrinking, of the whole picture by the rest.
        faceless: Photographs without a face, of any size; they replace the share `settings.photographs` of the
            backdrops.
    """

    pool: FacePool
    backdrops: Sequence[Image]
    settings: Scenes
    augment: Augment
    faceless: Sequence[Image] = ()

    def scene(self, size: int, rng: Random, angle: float | None = None, distractors: Sequence[Image] = ()) -> Scene:
        """Make one.

        Args:
            size: Side of the picture in pixels.
            rng: Randomness.
            angle: Rotation of every face in degrees; None = a random one for each, within the settings.
            distractors: Small pictures without a face that may be pasted in.
        """
        settings = self.settings
        canvas = self._background(size, rng)
        for _ in range(int(rng.integers(settings.distractors + 1)) if distractors else 0):
            _stick(canvas, distractors[int(rng.integers(len(distractors)))], rng)
        kind, upright = rng.random(), rng.random() < settings.upright
        faces: list[tuple[Floats, Floats, float]] = []
        if kind < settings.empty and angle is None:
            wanted = 0
        elif kind < settings.empty + settings.close + settings.single:
            wanted = 1
        else:
            wanted = int(rng.integers(1, settings.most + 1))
        spread = UPRIGHT if upright else 180.0
        close = settings.empty <= kind < settings.empty + settings.close
        sides = CLOSE if close else (settings.smallest / size, settings.largest * (1.0 if wanted == 1 else 0.6))
        for _ in range(wanted):
            turn = float(rng.uniform(-spread, spread)) if angle is None else angle
            face = self._paste(canvas, faces, turn, rng, sides, alone=wanted == 1)
            if face is not None:
                faces.append(face)
        whole = self.augment.model_copy(update={"occlude": 0.0, "blur": 0.0, "shrink": 0.0})
        image = vary(canvas, whole, rng, canvas)
        return Scene(
            image,
            np.array([box for box, _, _ in faces], np.float32).reshape(-1, 4),
            np.array([points for _, points, _ in faces], np.float32).reshape(-1, 5, 2),
            np.array([roll for _, _, roll in faces], np.float32),
        )

    def empty(self, size: int, rng: Random) -> Image:
        """A picture without a face."""
        settings = self.augment.model_copy(update={"occlude": 0.0})
        return vary(self._background(size, rng), settings, rng, self.backdrops[0])

    def _background(self, size: int, rng: Random) -> Image:
        """A part of a photograph without a face, or of a backdrop. (size, size, 3)."""
        if self.faceless and rng.random() < self.settings.photographs:
            return scenery(self.faceless[int(rng.integers(len(self.faceless)))], size, rng)
        return vary_backdrop(self.backdrops, size, rng)

    def _paste(
        self,
        canvas: Image,
        others: Sequence[tuple[Floats, Floats, float]],
        turn: float,
        rng: Random,
        sides: tuple[float, float],
        *,
        alone: bool,
    ) -> tuple[Floats, Floats, float] | None:
        """Paste a random face where there is room.

        Args:
            canvas: The picture, which is changed. Shape (S, S, 3).
            others: Box, points and roll of the faces that it shows.
            turn: Rotation of the face in degrees.
            rng: Randomness.
            sides: Smallest and largest side of its box, over the side of the picture.
            alone: Whether it is the only face, with all that its photograph shows around it.

        Returns:
            Its box, points and roll; None = no room was found.
        """
        pool, size = self.pool, canvas.shape[0]
        index = int(rng.choice(len(pool.images), p=pool.chance))
        image, points, five = pool.images[index], pool.points[index], pool.five[index]
        roll = float(pool.rolls[index])
        if rng.random() < self.augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points = Scheme.open(OUTLINE).mirrored(points, image.shape[1])
            five, roll = Scheme.open(FIVE).mirrored(five, image.shape[1]), -roll
        box = box_of(points)
        low, high = sides[0] * size, min(sides[1] * size, self.settings.enlarged * float((box[2:] - box[:2]).max()))
        side = float(np.exp(rng.uniform(np.log(low), np.log(max(high, low * 1.01)))))
        stretch = float(np.exp(rng.uniform(-1, 1) * np.log(self.augment.stretch)))
        scale = side / float((box[2:] - box[:2]).max())
        to_origin = similarity(shift=tuple((-(box[:2] + box[2:]) / 2).tolist()))
        linear = compose(similarity(scale, turn), compose(np.array([[stretch, 0, 0], [0, 1 / stretch, 0]]), to_origin))
        boxes = [other for other, _, _ in others]
        found = _room(box_of(apply(linear, points)), boxes, size, rng)
        if found is None:
            return None
        placed, centre = found
        matrix = compose(similarity(shift=tuple(centre.tolist())), linear)
        reach = np.inf if alone else float(rng.uniform(0.7, 1.2))
        self._blend(canvas, image, matrix, (placed, turn, reach), rng, boxes)
        final = (roll + turn + 180) % 360 - 180
        return placed.astype(np.float32), apply(matrix, five).astype(np.float32), final

    def _blend(
        self,
        canvas: Image,
        image: Image,
        matrix: Matrix,
        where: tuple[Floats, float, float],
        rng: Random,
        others: Sequence[Floats],
    ) -> None:
        """Draw the photograph of a face onto the canvas.

        Args:
            canvas: The picture, which is changed. Shape (S, S, 3).
            image: The photograph.
            matrix: Map from the photograph to the canvas.
            where: Box of the face in the canvas, its rotation in degrees, and half the side of the part of the
                photograph that is drawn, in sides of the box; infinite = all of it.
            rng: Randomness.
            others: Boxes of the faces in the canvas, which stay in front.
        """
        box, _, reach = where
        size = canvas.shape[0]
        side = float((box[2:] - box[:2]).max())
        half = min(1.5 * reach * side, 1.0 * size)
        x0, y0 = (max(0, int(value)) for value in (box[:2] + box[2:]) / 2 - half)
        length = min(size, int(2 * half) + 2)
        to_patch = compose(similarity(shift=(-x0, -y0)), matrix)
        patch = warp(image, to_patch, length)
        if side > SHARP:
            if rng.random() < self.augment.shrink:
                patch = shrink(patch, rng)
            if rng.random() < self.augment.blur:
                patch = blur(patch, rng)
        if rng.random() < self.augment.occlude:
            other = self.backdrops[int(rng.integers(len(self.backdrops)))]
            patch = _covered(patch, (box - np.tile([x0, y0], 2)).astype(int), rng, other)
        height, width = image.shape[:2]
        frame = np.array([[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], np.float64)
        mask = np.zeros((length, length), np.uint8)
        cv2.fillConvexPoly(mask, (apply(matrix, frame) - (x0, y0)).round().astype(np.int32), 255)
        if np.isfinite(reach):
            mask &= _limit(length, where, (x0, y0), rng)
        _spare(mask, others, (x0, y0))
        if rng.random() < 0.5:
            mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 3))).astype(np.uint8, copy=False)
        target = canvas[y0 : y0 + length, x0 : x0 + length]
        patch, mask = patch[: target.shape[0], : target.shape[1]], mask[: target.shape[0], : target.shape[1]]
        share = mask[..., None].astype(np.uint16)
        target[:] = ((patch * share + target * (255 - share)) // 255).astype(np.uint8)


def _room(box: Floats, others: Sequence[Floats], size: int, rng: Random) -> tuple[Floats, NDArray[np.float64]] | None:
    """A random position at which a face can be seen and is far enough from the others.

    Args:
        box: Box of the face around the origin. Shape (4,).
        others: Boxes of the other faces in the picture.
        size: Side of the picture.
        rng: Randomness.

    Returns:
        The box there (4,), and its shift (2,); None = no position was found.
    """
    reach = (box[2:] - box[:2]) * (0.5 - SEEN / 2)
    for _ in range(TRIES):
        centre = rng.uniform(-box[:2] - reach, np.maximum(size - box[2:] + reach, -box[:2] - reach + 1))
        placed = box + np.tile(centre, 2)
        if _seen(placed, size) >= SEEN and all(_apart(placed, other) for other in others):
            return placed, centre
    return None


def _limit(length: int, where: tuple[Floats, float, float], corner: tuple[int, int], rng: Random) -> Image:
    """Mask of the part of a patch that is drawn: a rotated square or a disc around the face. (length, length).

    Args:
        length: Side of the patch.
        where: Box of the face, its rotation, and half the side of the square in sides of the box.
        corner: First pixel of the patch in the picture, (x, y).
        rng: Randomness.
    """
    box, turn, reach = where
    side = float((box[2:] - box[:2]).max())
    middle = (box[:2] + box[2:]) / 2 - corner
    mask = np.zeros((length, length), np.uint8)
    if rng.random() < 0.5:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * reach * side
        square = apply(similarity(1, turn, tuple(middle.tolist())), corners)
        cv2.fillConvexPoly(mask, square.round().astype(np.int32), 255)
    else:
        cv2.circle(mask, tuple(middle.round().astype(int).tolist()), round(1.1 * reach * side), 255, -1)
    return mask


def _spare(mask: Image, boxes: Sequence[Floats], corner: tuple[int, int]) -> None:
    """Take the faces in boxes of the picture out of the mask of a patch, whose first pixel is `corner`, (x, y)."""
    for box in boxes:
        kept = (box[2:] - box[:2]) * KEPT / 2
        around = (box[:2] + box[2:]) / 2 - corner
        left, top = np.maximum(0, (around - kept).round().astype(int))
        right, bottom = np.maximum(0, (around + kept).round().astype(int) + 1)
        mask[top:bottom, left:right] = 0


def _covered(patch: Image, box: np.ndarray, rng: Random, other: Image) -> Image:
    """A patch in which a part of the face, whose box is given, is covered, however small the face is."""
    x, y = (max(0, int(value)) for value in box[:2])
    side = min(int(max(box[2:] - box[:2])), patch.shape[0] - x, patch.shape[1] - y)
    if side < 8:
        return patch
    patch = patch.copy()
    patch[y : y + side, x : x + side] = occlude(np.ascontiguousarray(patch[y : y + side, x : x + side]), rng, other)
    return patch


def _stick(canvas: Image, piece: Image, rng: Random) -> None:
    """Paste a small picture at a random position and size, rotated by right angles."""
    size = canvas.shape[0]
    side = int(np.exp(rng.uniform(np.log(24), np.log(max(25, size / 2)))))
    small = cv2.resize(np.rot90(piece, int(rng.integers(4))), (side, side), interpolation=cv2.INTER_AREA)
    x, y = rng.integers(0, size - side + 1, 2)
    canvas[y : y + side, x : x + side] = small


def _seen(box: Floats, size: int) -> float:
    """Share of a box that lies in the picture."""
    inside = np.minimum(box[2:], size) - np.maximum(box[:2], 0)
    return float(inside.clip(0).prod() / (box[2:] - box[:2]).prod())


def _apart(box: Floats, other: Floats) -> bool:
    """Whether two boxes are at least `APART` mean sides apart."""
    gap = np.abs((box[:2] + box[2:]) - (other[:2] + other[2:])) / 2
    sides = (box[2:] - box[:2]).max() + (other[2:] - other[:2]).max()
    return bool(gap.max() > APART * sides / 2)
