"""Crops for the face score: around faces, beside them, of backgrounds.

A box that a tracker lost lies beside the face by about half its side, or is far too large or small: such crops are
negatives, like backgrounds. Boxes that jitter by what the recipe's `augment` says are faces.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from canthus.geometry.crop import box_frames, box_of
from canthus.geometry.transform import Matrix, compose, similarity
from canthus.nets.face_score import FaceScoreConfig
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import convert
from canthus.train.augment import Random, cut, jitter_matrix, vary
from canthus.train.detection.backdrops import vary_backdrop
from canthus.train.detection.pool import SCHEME, FacePool
from canthus.train.detection.recipe import FaceScoreRecipe
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

SHIFTED = (0.4, 0.7)
"""How far boxes beside a face are shifted, in sides of the box."""
WRONG = (1.9, 3.0)
"""By what boxes of a wrong size are too large, or too small."""


class Crop(NamedTuple):
    """A crop and its truth, places in crops around its middle; NaN where it shows no face.

    Attributes:
        image: Shape (S, S, 3).
        face: It is cut around a face.
        box: Box of the landmarks. Shape (4,).
        points: The five points. Shape (5, 2).
    """

    image: Image
    face: bool
    box: Floats
    points: Floats


class Crops:
    """Makes crops of each kind."""

    def __init__(
        self, pool: FacePool, backdrops: list[Image], config: FaceScoreConfig, recipe: FaceScoreRecipe
    ) -> None:
        """Take the faces and what is none."""
        self.pool, self.backdrops, self.config, self.recipe = pool, backdrops, config, recipe
        self.frames: Matrix = box_frames(pool.boxes)

    def around(self, rng: Random) -> Crop:
        """A crop around a face, jittered."""
        matrix, index = self._placed(rng, self.recipe.augment)
        return self._cut(matrix, index, rng, face=True)

    def beside(self, rng: Random) -> Crop:
        """A crop of a box that is shifted by about half its side, or of a wrong size."""
        matrix, index = self._placed(rng, self.recipe.augment.model_copy(update={"shift": 0.0, "scale": 1.0}))
        size = self.config.size
        if rng.random() < 0.7:
            far, way = rng.uniform(*SHIFTED), rng.uniform(0, 2 * np.pi)
            step = far * size / self.config.margin
            wrong = similarity(shift=(float(step * np.cos(way)), float(step * np.sin(way))))
        else:
            factor = float(rng.uniform(*WRONG)) ** (1 if rng.random() < 0.5 else -1)
            middle = (size - 1) / 2
            wrong = similarity(factor, 0.0, (middle * (1 - factor), middle * (1 - factor)))
        return self._cut(compose(wrong, matrix), index, rng, face=False)

    def background(self, rng: Random) -> Crop:
        """A crop of a backdrop."""
        picture, size = vary_backdrop(self.backdrops, 2 * self.config.size, rng), self.config.size
        side = float(np.exp(rng.uniform(np.log(size / 2), np.log(2 * size))))
        corner = rng.uniform(0, 2 * size - side, 2)
        matrix = similarity(size / side, 0.0, tuple((-corner * size / side).tolist()))
        image, _ = cut(picture, matrix, size, np.zeros((1, 2)))
        return Crop(vary(image, self.recipe.augment, rng, picture), False, np.full(4, np.nan, np.float32), _NO_POINTS)

    def _placed(self, rng: Random, settings: Augment) -> tuple[Matrix, int]:
        index = int(rng.choice(len(self.pool.images), p=self.pool.chance))
        matrix, _ = jitter_matrix(self.frames[index], self.config.size, self.config.margin, settings, rng)
        return matrix, index

    def _cut(self, matrix: Matrix, index: int, rng: Random, *, face: bool) -> Crop:
        size = self.config.size
        image, points = cut(self.pool.images[index], matrix, size, self.pool.points[index])
        if rng.random() < self.recipe.augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points = Scheme.open(SCHEME).mirrored(points, size).astype(np.float32)
        settings = self.recipe.augment
        image = vary(image, settings, rng, self.backdrops[int(rng.integers(len(self.backdrops)))])
        unit = (points - (size - 1) / 2) / size
        return Crop(image, face, box_of(unit), convert(unit, SCHEME, "5").astype(np.float32))


_NO_POINTS = np.full((5, 2), np.nan, np.float32)


class CropBatches:
    """Crops: `crops` (N, S, S, 3) uint8, `face` (N,) 0 or 1, `box` (N, 4), `points` (N, 5, 2)."""

    def __init__(self, crops: Crops, recipe: FaceScoreRecipe, process: int) -> None:
        """Take the maker of crops."""
        self.crops, self.recipe, self.process = crops, recipe, process
        self.steps = recipe.steps

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, step, self.process))
        kinds = rng.random(recipe.batch)
        limits = recipe.positives, recipe.positives + recipe.beside
        makers = (self.crops.around, self.crops.beside, self.crops.background)
        rows = [makers[int(np.searchsorted(limits, kind, side="right"))](rng) for kind in kinds]
        return {
            "crops": torch.from_numpy(np.stack([row.image for row in rows])),
            "face": torch.tensor([float(row.face) for row in rows]),
            "box": torch.from_numpy(np.stack([row.box for row in rows])),
            "points": torch.from_numpy(np.stack([row.points for row in rows])),
        }
