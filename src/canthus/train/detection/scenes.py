"""Training pictures of the detector: faces at any rotation and scale, one or many, pasted onto backdrops.

The truth of a face is the upright box of its rotated landmarks, its five points, and its roll: the angle by which it
was rotated, plus the roll of its head in the photograph. At least the share `SEEN` of a face's box lies in the picture,
and faces that are pasted later do not cover it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply, compose, similarity
from canthus.schemes.scheme import Scheme
from canthus.train.augment import vary
from canthus.train.detection.backdrops import scenery, vary_backdrop
from canthus.train.detection.outline import FIVE, OUTLINE
from canthus.train.detection.paste import Pasted, paste, stick
from canthus.train.detection.pool import FacePool
from canthus.train.detection.recipe import Scenes
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

Random = np.random.Generator

SEEN = 0.8
"""Smallest share of the box of a face that lies in the picture."""
APART = 1.2
"""Smallest distance of the centres of two faces, in mean sides of their boxes."""
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
            stick(canvas, distractors[int(rng.integers(len(distractors)))], rng)
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
        index = pool.draw(rng)
        image, points, five = pool.images[index], pool.points[index], pool.five[index]
        roll = float(pool.rolls[index])
        if rng.random() < self.augment.flip:
            image = cv2.flip(image, 1).astype(np.uint8, copy=False)
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
        face = Pasted(image, matrix, placed, turn, reach, tuple(boxes))
        paste(canvas, face, self.augment, rng, self.backdrops)
        final = (roll + turn + 180) % 360 - 180
        return placed.astype(np.float32), apply(matrix, five).astype(np.float32), final


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
    least = -box[:2] - reach
    centres = rng.uniform(least, np.maximum(size - box[2:] + reach, least + 1), (TRIES, 2))
    placed = box + np.tile(centres, 2)
    fits = _seen(placed, size) >= SEEN
    if others:
        fits &= _apart(placed, np.stack(others)).all(1)
    if not fits.any():
        return None
    chosen = int(fits.argmax())
    return placed[chosen], centres[chosen]


def _seen(boxes: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Share of each box that lies in the picture. (T, 4) -> (T,)."""
    inside = np.minimum(boxes[:, 2:], size) - np.maximum(boxes[:, :2], 0)
    share: NDArray[np.float64] = inside.clip(0).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return share


def _apart(boxes: NDArray[Any], others: Floats) -> NDArray[np.bool_]:
    """Whether boxes (T, 4) and others (F, 4) are at least `APART` mean sides apart. Shape (T, F)."""
    (middle, side), (far, large) = (((b[:, :2] + b[:, 2:]) / 2, (b[:, 2:] - b[:, :2]).max(1)) for b in (boxes, others))
    gap = np.abs(middle[:, None] - far).max(2)
    return np.asarray(gap > APART * (side[:, None] + large) / 2)
