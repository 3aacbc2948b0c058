"""A mixture of data sets as an endless stream of batches: batch k depends on seed, process and k alone."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from canthus.geometry.transform import Matrix, apply, scale_of
from canthus.schemes.scheme import Scheme
from canthus.train.augment import cut, jitter_matrix, vary
from canthus.train.landmarks.pool import Pool
from canthus.train.recipe import Recipe
from canthus.types import Floats, Image

Row = dict[str, Image | Floats]


class Stream(IterableDataset[dict[str, Tensor]]):
    """Batches of one process, as mappings from names to tensors; NaN = not known.

    `crops` (N, S, S, 3) uint8; `points` (N, P, 2) and `depth` (N, P) in pixels of the crops; `visible` (N, P); `pose`
    (N, 3) in degrees; `trust` (N,), the weight of each face in the losses, and `teaching` (N,), that
    of the teacher's answers against the labels; `scheme` (N,), the number of its annotation
    scheme; `group` (N,), the number of the crop among the crops of its face; with a teacher its points `taught` (N, P,
    2) and their spread `taught_spread` (N, P) in pixels of the crops.
    """

    def __init__(
        self,
        pool: Pool,
        recipe: Recipe,
        frames: Matrix,
        margin: float,
        *,
        real: Matrix | None = None,
        rank: int = 0,
        first: int = 0,
    ) -> None:
        """Prepare a stream.

        Args:
            pool: The faces.
            recipe: The recipe, of which sizes and augmentation are used.
            frames: Frames in which the trained stage sees each face, by its labels (`pool.frames_of`). Shape
                (L, G, 2, 3).
            margin: Crop margin.
            real: Frames by the points that the earlier stages find; drawn with the probability `recipe.real`; None =
                there are none. Shape (L, G, 2, 3).
            rank: Number of this process among those of the recipe.
            first: First step.
        """
        self.pool, self.recipe, self.frames, self.margin = pool, recipe, frames, margin
        self.real, self.rank, self.first = real, rank, first
        self.mirror = Scheme.open(pool.schemes[0]).mirror
        mirrors = [Scheme.open(name).mirror_scheme for name in pool.schemes]
        self.mirrored = [pool.schemes.index(name) if name in pool.schemes else at for at, name in enumerate(mirrors)]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()  # the loader takes one batch from each worker in turn
        start, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self.first + start, self.recipe.steps, stride):
            yield self.batch(step)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step; the same for the same seed, step and process."""
        recipe, size = self.recipe, self.recipe.size_at(step)
        rng = np.random.default_rng((recipe.seed, step, self.rank))
        chosen = rng.choice(len(self.pool.images), recipe.batch, p=self.pool.chance)
        rows = [self._vary(int(index), size, rng) for index in chosen]
        columns = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
        for name in ("trust", "teaching"):
            columns[name] = torch.from_numpy(getattr(self.pool, name)[chosen])
        return columns

    def _frame(self, index: int, rng: np.random.Generator) -> tuple[Matrix, int]:
        """One of the frames of a face, and its number among them."""
        frames = self.frames
        if self.real is not None and rng.random() < self.recipe.real:
            frames = self.real
        groups = frames.shape[1]
        group = int(rng.integers(groups)) if groups > 1 else 0
        return frames[index, group], group

    def _vary(self, index: int, size: int, rng: np.random.Generator) -> Row:
        """One crop with its labels."""
        pool, settings = self.pool, self.recipe.augment
        frame, group = self._frame(index, rng)
        matrix, angle = jitter_matrix(frame, size, self.margin, settings, rng)
        crop, points = cut(pool.images[index], matrix, size, pool.points[index])
        depth = pool.depth[index] * np.float32(scale_of(matrix))
        visible, scheme = pool.visible[index], int(pool.scheme[index])
        pose = pool.pose[index] + np.array([0, 0, angle], np.float32)
        flip = rng.random() < settings.flip
        if flip:
            crop = np.ascontiguousarray(crop[:, ::-1])
            points = self._mirrored(points, size)
            depth, visible, scheme = depth[self.mirror], visible[self.mirror], self.mirrored[scheme]
            pose = pose * np.array([-1, 1, -1], np.float32)
        other = pool.images[int(rng.integers(len(pool.images)))]
        return {
            "crops": vary(crop, settings, rng, other),
            "points": points.astype(np.float32),
            "depth": depth.astype(np.float32),
            "visible": visible,
            "pose": pose.astype(np.float32),
            "scheme": np.int64(scheme),
            "group": np.int64(group),
            **self._taught(index, matrix, size if flip else None),
        }

    def _mirrored(self, points: Floats, size: int) -> Floats:
        """Points (P, 2) of the mirror image of a crop of `size` pixels."""
        return points[self.mirror] * np.array([-1, 1], np.float32) + np.array([size - 1, 0], np.float32)

    def _taught(self, index: int, matrix: Matrix, flip: int | None) -> Row:
        """Answers of the teacher in a crop, mirrored where its size in pixels is given as `flip`."""
        taught = self.pool.taught
        if taught is None:
            return {}
        points = apply(matrix, taught.points[index]).astype(np.float32)
        spread = taught.spread[index] * np.float32(scale_of(matrix))
        if flip is not None:
            points, spread = self._mirrored(points, flip), spread[self.mirror]
        return {"taught": points, "taught_spread": spread}
