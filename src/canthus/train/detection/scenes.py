"""Pictures for the detector: faces at any rotation and scale, alone or many, pasted onto backdrops.

The truth of a face is the box of its turned landmarks, upright in the picture (the house's boxes), its five points, and
its roll: the angle it was turned by, plus its own. Of the box of a face at least the share `SEEN` is in the picture;
what is pasted later does not cover it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from canthus.geometry.crop import box_of, warp
from canthus.geometry.transform import Matrix, apply, compose, similarity
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import convert
from canthus.train.augment import blur, occlude, shrink, vary
from canthus.train.detection.backdrops import vary_backdrop
from canthus.train.detection.pool import SCHEME, FacePool
from canthus.train.detection.recipe import Scenes
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

Random = np.random.Generator

SEEN = 0.8
APART = 1.2
"""Centres of two faces are at least so many mean sides apart."""
KEPT = 1.15
"""Of the box of a face so much, in its sides, stays as it was pasted."""
SHARP = 48
"""Only faces with a longer side are blurred or shrunk, in pixels."""
UPRIGHT = 20.0
TRIES = 12


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and its faces.

    Attributes:
        image: Shape (S, S, 3).
        boxes: Shape (F, 4), pixels.
        points: The five points. Shape (F, 5, 2).
        rolls: Degrees clockwise. Shape (F,).
    """

    image: Image
    boxes: Floats
    points: Floats
    rolls: Floats


@dataclass(frozen=True, eq=False)
class Maker:
    """Makes scenes.

    Attributes:
        pool: The faces.
        backdrops: Pictures without one, not smaller than the scenes.
        settings: How scenes are made.
        augment: How they vary: occlusion, blur and shrinking of each face, the rest of the whole picture.
    """

    pool: FacePool
    backdrops: Sequence[Image]
    settings: Scenes
    augment: Augment

    def scene(self, size: int, rng: Random, angle: float | None = None, distractors: Sequence[Image] = ()) -> Scene:
        """Make one.

        Args:
            size: Side of the picture.
            rng: Randomness.
            angle: By which every face is turned, degrees; None = by any, or by little, as the settings say.
            distractors: Small pictures without a face to paste.
        """
        settings = self.settings
        canvas = vary_backdrop(self.backdrops, size, rng)
        for _ in range(int(rng.integers(settings.distractors + 1)) if distractors else 0):
            _stick(canvas, distractors[int(rng.integers(len(distractors)))], rng)
        kind, upright = rng.random(), rng.random() < settings.upright
        faces: list[tuple[Floats, Floats, float]] = []
        if kind < settings.empty and angle is None:
            wanted = 0
        elif kind < settings.empty + settings.single:
            wanted = 1
        else:
            wanted = int(rng.integers(1, settings.most + 1))
        spread = UPRIGHT if upright else 180.0
        for _ in range(wanted):
            turn = float(rng.uniform(-spread, spread)) if angle is None else angle
            face = self._paste(canvas, faces, turn, rng, alone=wanted == 1)
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
        return vary(vary_backdrop(self.backdrops, size, rng), settings, rng, self.backdrops[0])

    def _paste(
        self, canvas: Image, others: Sequence[tuple[Floats, Floats, float]], turn: float, rng: Random, *, alone: bool
    ) -> tuple[Floats, Floats, float] | None:
        """Put a face where there is room; None where none was found."""
        pool, size = self.pool, canvas.shape[0]
        index = int(rng.choice(len(pool.images), p=pool.chance))
        image, points, roll = pool.images[index], pool.points[index], float(pool.rolls[index])
        if rng.random() < self.augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points, roll = Scheme.open(SCHEME).mirrored(points, image.shape[1]), -roll
        box = box_of(points)
        low, high = self.settings.smallest, self.settings.largest * size * (1.0 if alone else 0.6)
        side = float(np.exp(rng.uniform(np.log(low), np.log(max(high, low * 1.01)))))
        stretch = float(np.exp(rng.uniform(-1, 1) * np.log(self.augment.stretch)))
        scale = side / float((box[2:] - box[:2]).max())
        to_origin = similarity(shift=tuple((-(box[:2] + box[2:]) / 2).tolist()))
        linear = compose(similarity(scale, turn), compose(np.array([[stretch, 0, 0], [0, 1 / stretch, 0]]), to_origin))
        around = apply(linear, points)
        margin = box_of(around)
        for _ in range(TRIES):
            room = 0.5 - SEEN / 2
            reach = (margin[2:] - margin[:2]) * room
            centre = rng.uniform(-margin[:2] - reach, np.maximum(size - margin[2:] + reach, -margin[:2] - reach + 1))
            placed = margin + np.tile(centre, 2)
            if _seen(placed, size) >= SEEN and all(_apart(placed, other) for other, _, _ in others):
                break
        else:
            return None
        matrix = compose(similarity(shift=tuple(centre.tolist())), linear)
        reach_of_frame = np.inf if alone else float(rng.uniform(0.7, 1.2))
        self._blend(canvas, image, matrix, (placed, turn, reach_of_frame), rng, [other for other, _, _ in others])
        moved = apply(matrix, points)
        final = (roll + turn + 180) % 360 - 180
        return placed.astype(np.float32), convert(moved, SCHEME, "5").astype(np.float32), final

    def _blend(
        self,
        canvas: Image,
        image: Image,
        matrix: Matrix,
        where: tuple[Floats, float, float],
        rng: Random,
        others: Sequence[Floats],
    ) -> None:
        """Lay a picture under a map onto the canvas, as far as `reach` sides of the box around its centre.

        The faces in the boxes `others` stay in front.
        """
        box, turn, reach = where
        size = canvas.shape[0]
        side = float((box[2:] - box[:2]).max())
        centre = (box[:2] + box[2:]) / 2
        half = min(1.5 * reach * side, 1.0 * size)
        x0, y0 = (max(0, int(value)) for value in centre - half)
        length = min(size, int(2 * half) + 2)
        patch = warp(image, compose(similarity(shift=(-x0, -y0)), matrix), length)
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
            limit = np.zeros_like(mask)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64) * reach * side
            middle = centre - (x0, y0)
            if rng.random() < 0.5:
                square = apply(similarity(1, turn, tuple(middle.tolist())), corners)
                cv2.fillConvexPoly(limit, square.round().astype(np.int32), 255)
            else:
                radius = round(1.1 * reach * side)
                cv2.circle(limit, tuple(middle.round().astype(int).tolist()), radius, 255, -1)
            mask &= limit
        for front in others:
            kept = (front[2:] - front[:2]) * KEPT / 2
            around = (front[:2] + front[2:]) / 2 - (x0, y0)
            left, top = np.maximum(0, (around - kept).round().astype(int))
            right, bottom = np.maximum(0, (around + kept).round().astype(int) + 1)
            mask[top:bottom, left:right] = 0
        if rng.random() < 0.5:
            mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 3))).astype(np.uint8, copy=False)
        target = canvas[y0 : y0 + length, x0 : x0 + length]
        patch, mask = patch[: target.shape[0], : target.shape[1]], mask[: target.shape[0], : target.shape[1]]
        share = mask[..., None].astype(np.uint16)
        target[:] = ((patch * share + target * (255 - share)) // 255).astype(np.uint8)


def _covered(patch: Image, box: np.ndarray, rng: Random, other: Image) -> Image:
    """A patch with a part of the face covered, however small it is in the patch."""
    x, y = (max(0, int(value)) for value in box[:2])
    side = min(int(max(box[2:] - box[:2])), patch.shape[0] - x, patch.shape[1] - y)
    if side < 8:
        return patch
    patch = patch.copy()
    patch[y : y + side, x : x + side] = occlude(np.ascontiguousarray(patch[y : y + side, x : x + side]), rng, other)
    return patch


def _stick(canvas: Image, piece: Image, rng: Random) -> None:
    """Paste a small picture anywhere, at a random size, turned by right angles."""
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
    gap = np.abs((box[:2] + box[2:]) - (other[:2] + other[2:])) / 2
    sides = (box[2:] - box[:2]).max() + (other[2:] - other[:2]).max()
    return bool(gap.max() > APART * sides / 2)
