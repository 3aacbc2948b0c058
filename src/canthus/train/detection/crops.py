"""Training crops of the face score: around faces, beside them, and of backgrounds.

The box of a tracker that has lost its face lies beside it by about half a side, or is far too large or small: such
crops are negatives, as are backgrounds. Boxes that differ from a face's own by the jitter of the recipe's `augment` are
faces.
"""

from typing import NamedTuple

import numpy as np

from canthus.geometry.crop import box_frames, box_of
from canthus.geometry.transform import Matrix, compose, similarity
from canthus.nets.detection.face_score import FaceScoreConfig
from canthus.schemes.scheme import Scheme
from canthus.train.augment import Random, cut, jitter_matrices, vary
from canthus.train.detection.backdrops import vary_backdrop
from canthus.train.detection.outline import FIVE, OUTLINE
from canthus.train.detection.pool import FacePool
from canthus.train.detection.recipe import FaceScoreRecipe
from canthus.train.recipe import Augment
from canthus.types import Floats, Image

SHIFTED = (0.4, 0.7)
"""Smallest and largest shift of the boxes beside a face, in sides of the box."""
WRONG = (1.9, 3.0)
"""Smallest and largest factor by which boxes of a wrong size are too large, or too small."""


class FaceCrop(NamedTuple):
    """A crop and its truth; coordinates from the centre of the crop in sides of the crop, NaN where it shows no face.

    Attributes:
        image: Shape (S, S, 3).
        face: Whether it is cut around a face.
        box: Box of the landmarks. Shape (4,).
        points: The five points. Shape (5, 2).
    """

    image: Image
    face: bool
    box: Floats
    points: Floats


class CropMaker:
    """Makes crops of each kind."""

    def __init__(
        self, pool: FacePool, backdrops: list[Image], config: FaceScoreConfig, recipe: FaceScoreRecipe
    ) -> None:
        """Prepare to make crops.

        Args:
            pool: Labelled faces.
            backdrops: Pictures without a face.
            config: Config of the network.
            recipe: The recipe, of which `augment` is used.
        """
        self.pool, self.backdrops, self.config, self.recipe = pool, backdrops, config, recipe
        self.frames: Matrix = box_frames(pool.boxes)

    def around(self, rng: Random) -> FaceCrop:
        """A crop around a face, with jitter."""
        matrix, index = self._drawn(rng, self.recipe.augment)
        return self._cut(matrix, index, rng, face=True)

    def beside(self, rng: Random) -> FaceCrop:
        """A crop of a box that is shifted by about half its side, or of a wrong size."""
        matrix, index = self._drawn(rng, self.recipe.augment.model_copy(update={"shift": 0.0, "scale": 1.0}))
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

    def background(self, rng: Random) -> FaceCrop:
        """A crop of a backdrop."""
        picture, size = vary_backdrop(self.backdrops, 2 * self.config.size, rng), self.config.size
        side = float(np.exp(rng.uniform(np.log(size / 2), np.log(2 * size))))
        corner = rng.uniform(0, 2 * size - side, 2)
        matrix = similarity(size / side, 0.0, tuple((-corner * size / side).tolist()))
        image, _ = cut(picture, matrix, size, np.zeros((1, 2)))
        image = vary(image, self.recipe.augment, rng, picture)
        return FaceCrop(image, False, np.full(4, np.nan, np.float32), np.full((5, 2), np.nan, np.float32))

    def _drawn(self, rng: Random, settings: Augment) -> tuple[Matrix, int]:
        """A random face: the map from its picture to a crop around it, and its number in the pool."""
        index = self.pool.draw(rng)
        frames = self.frames[index][None]
        matrices, _ = jitter_matrices(frames, self.config.size, self.config.margin, settings, rng)
        return matrices[0], index

    def _cut(self, matrix: Matrix, index: int, rng: Random, *, face: bool) -> FaceCrop:
        size = self.config.size
        both = np.concatenate([self.pool.points[index], self.pool.five[index]])
        image, moved = cut(self.pool.images[index], matrix, size, both)
        points, five = moved[:-5], moved[-5:]
        if rng.random() < self.recipe.augment.flip:
            image = np.ascontiguousarray(image[:, ::-1])
            points = Scheme.open(OUTLINE).mirrored(points, size).astype(np.float32)
            five = Scheme.open(FIVE).mirrored(five, size).astype(np.float32)
        settings = self.recipe.augment
        image = vary(image, settings, rng, self.backdrops[int(rng.integers(len(self.backdrops)))])
        box = box_of((points - (size - 1) / 2) / size)
        return FaceCrop(image, face, box, ((five - (size - 1) / 2) / size).astype(np.float32))
