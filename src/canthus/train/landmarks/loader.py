"""A mixture of data sets as an endless stream of batches.

The samples of step k depend on the seed, on k and on the number of random streams alone, not on the number of processes
that share them (`Recipe.streams`).
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from canthus.geometry.crop import crop_of_frame
from canthus.geometry.transform import Matrix, apply, compose, invert, scale_of
from canthus.nets.systems import network_of
from canthus.schemes.scheme import Scheme
from canthus.schemes.transfer import VIEWS
from canthus.train.augment import Random, cut, jitter_matrices, vary
from canthus.train.landmarks.agreement import seen_moves, small_moves, with_noise
from canthus.train.landmarks.pool import Pool, turns_of
from canthus.train.recipe import Augment, Recipe
from canthus.types import Floats, Image

MIRRORED_POSE = np.array([-1, 1, -1], np.float32)
"""Signs of yaw, pitch and roll in the mirror image."""
MIRRORED_VIEW = np.array([VIEWS.index(Scheme.open(name).mirror_scheme) for name in VIEWS])
"""Number of the view of the mirror image of each view."""
Columns = dict[str, Image | Floats | NDArray[np.int64]]


class Drawn(NamedTuple):
    """The crops of a batch, before they are cut.

    Attributes:
        chosen: Number of each face in the pool. Shape (N,).
        matrices: Map from the picture of each face to its crop. Shape (N, 2, 3).
        flip: Whether the crop is mirrored then. Shape (N,).
        size: Side of the crops in pixels.
    """

    chosen: NDArray[np.int64]
    matrices: Matrix
    flip: NDArray[np.bool_]
    size: int


class Cutter(Protocol):
    """What holds the pictures of a pool, and cuts crops from them."""

    def cut(self, drawn: Drawn, settings: Augment, rng: Random) -> Tensor:
        """Cut the crops of a batch and change how they look. Shape (N, S, S, 3), uint8."""
        ...


class Pictures:
    """Cuts crops one after the other on the CPU."""

    def __init__(self, pool: Pool) -> None:
        self.images = pool.images

    def cut(self, drawn: Drawn, settings: Augment, rng: Random) -> Tensor:
        """Cut the crops of a batch and change how they look. Shape (N, S, S, 3), uint8."""
        crops = []
        for index, matrix, flip in zip(drawn.chosen, drawn.matrices, drawn.flip, strict=True):
            crop, _ = cut(self.images[index], matrix, drawn.size, np.empty((0, 2)))
            other = self.images[int(rng.integers(len(self.images)))]
            crops.append(vary(np.ascontiguousarray(crop[:, ::-1]) if flip else crop, settings, rng, other))
        return torch.from_numpy(np.stack(crops))


class Stream(IterableDataset[dict[str, Tensor]]):
    """Batches of one process, as mappings from names to tensors; NaN = not known.

    `crops` (N, S, S, 3) uint8; `points` (N, P, 2) and `depth` (N, P) in pixels of the crops; `visible` (N, P); `pose`
    (N, 3) in degrees; `trust` (N,), the weight of each face in the losses, and `teaching` (N,), that
    of the teacher's answers against the labels; `view` (N,), the number of the view that its annotation shows
    (`transfer.VIEWS`; 0 for all other schemes); `turn` (N,), the rotation of the face by its points in degrees;
    `given` (N, Q, 2), the points from which its stage starts where these are of another scheme, else Q is 0; with a
    teacher its points `taught` (N, P, 2) and their spread `taught_spread` (N, P) in pixels of the crops; where the
    network is to agree with itself, `twins` (N, S, S, 3), second crops, and `moves` (N, 2, 3), the maps from the pixels
    of the crops to those of the second ones.

    Where a stage sees several crops of a face, they are in the order of `View.around`; each unit (`network.Several`) of
    each round has a face of its own.
    """

    def __init__(
        self,
        pool: Pool,
        recipe: Recipe,
        frames: Matrix,
        margin: float,
        *,
        real: Matrix | None = None,
        process: int = 0,
        first: int = 0,
        cutter: Cutter | None = None,
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
            process: Number of this process among those of all machines.
            first: First step.
            cutter: What cuts the crops; None = `Pictures`, on the CPU.
        """
        self.pool, self.recipe, self.frames, self.margin = pool, recipe, frames, margin
        each = (recipe.streams or recipe.world) // recipe.world
        self.real, self.streams, self.first = real, range(process * each, (process + 1) * each), first
        self.cutter = Pictures(pool) if cutter is None else cutter
        self.mirror = Scheme.open(pool.scheme).mirror
        network = network_of(recipe.network, recipe.stage)
        self.given, self.several = network.given, network.several(pool.scheme)
        self.turn = turns_of(pool.points, pool.scheme)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()  # the loader takes one batch from each worker in turn
        start, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self.first + start, self.recipe.steps, stride):
            yield self.batch(step)

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of one step: the samples of the streams of this process."""
        parts = [self._part(step, stream) for stream in self.streams]
        return parts[0] if len(parts) == 1 else {name: torch.cat([part[name] for part in parts]) for name in parts[0]}

    def _part(self, step: int, stream: int) -> dict[str, Tensor]:
        """The samples of one stream; the same for the same seed, step and stream."""
        recipe, size = self.recipe, self.recipe.size_at(step)
        rng = np.random.default_rng((recipe.seed, step, stream))
        partners, together = self.several
        count = recipe.batch // len(self.streams) * len(partners)
        chosen = rng.choice(len(self.pool.images), count, p=self.pool.chance)
        flip = rng.random(len(chosen)) < recipe.augment.flip
        matrices, angles = self._matrices(chosen, flip, size, rng)
        drawn = Drawn(np.repeat(chosen, together), matrices, np.repeat(flip, together), size)
        columns, pictures = self._labels(drawn, angles), {}
        if recipe.agreement is not None:
            moves = small_moves(len(drawn.chosen), size, recipe.agreement, rng)
            twins = drawn._replace(matrices=compose(moves, drawn.matrices))
            columns["moves"] = seen_moves(moves, drawn.flip, size).astype(np.float32)
            seconds = self.cutter.cut(twins, recipe.augment, deepcopy(rng))  # changed as the crops are
            pictures["twins"] = with_noise(seconds, recipe.agreement.noise, rng)
        pictures["crops"] = crops = self.cutter.cut(drawn, recipe.augment, rng)
        return pictures | {
            name: torch.from_numpy(column).to(crops.device, non_blocking=True) for name, column in columns.items()
        }

    def _matrices(
        self, chosen: NDArray[np.int64], flip: NDArray[np.bool_], size: int, rng: Random
    ) -> tuple[Matrix, NDArray[np.float64]]:
        """Maps to the crops of a batch and the angles by which they rotate the faces.

        Args:
            chosen: A face for each unit of each round. Shape (M,).
            flip: Whether its crops are mirrored then: they are cut where the partner of the unit lies. Shape (M,).
            size: Side of the crops.
            rng: Randomness.

        Returns:
            Shapes (M * K, 2, 3) and (M * K,) for units of K crops.
        """
        partners, together = self.several
        unit = np.tile(np.arange(len(partners)), len(chosen) // len(partners))
        unit = np.where(flip, partners[unit], unit)
        frames = self.frames.reshape(len(self.frames), len(partners), together, 2, 3)[chosen, unit]
        augment, real = self.recipe.augment, None
        if self.real is not None:
            real = rng.random(len(chosen)) < self.recipe.real
            other = self.real.reshape(len(self.real), len(partners), together, 2, 3)[chosen, unit]
            frames = np.where(real[:, None, None, None], other, frames)
        first, angles = jitter_matrices(frames[:, 0], size, self.margin, augment, rng)
        if real is not None and self.recipe.real_augment is not None:
            own, turns = jitter_matrices(frames[:, 0], size, self.margin, self.recipe.real_augment, rng)
            first, angles = np.where(real[:, None, None], own, first), np.where(real, turns, angles)
        if together == 1:
            return first, angles
        plain = crop_of_frame(frames, size, self.margin)  # (M, K, 2, 3)
        every = compose(compose(plain, invert(plain[:, :1])), first[:, None])
        return every.reshape(-1, 2, 3), np.repeat(angles, together)

    def _labels(self, drawn: Drawn, angles: NDArray[np.float64]) -> Columns:
        """Labels of the faces of a batch in their crops; `angles` (N,) are those by which the faces are rotated."""
        pool, chosen, flip = self.pool, drawn.chosen, drawn.flip
        scale = scale_of(drawn.matrices).astype(np.float32)[:, None]
        turn = np.zeros((len(chosen), 3), np.float32)
        turn[:, 2] = angles
        pose = (pool.pose[chosen] + turn) * np.where(flip[:, None], MIRRORED_POSE, np.float32(1))
        columns: Columns = {
            "points": self._points(pool.points, drawn, self.mirror),
            "depth": _mirrored(pool.depth[chosen] * scale, flip, self.mirror),
            "visible": _mirrored(pool.visible[chosen], flip, self.mirror),
            "pose": pose.astype(np.float32),
            "view": np.where(flip, MIRRORED_VIEW[pool.view[chosen]], pool.view[chosen]),
            "given": np.zeros((len(chosen), 0, 2), np.float32),
            "trust": pool.trust[chosen],
            "teaching": pool.teaching[chosen],
            "turn": ((self.turn[chosen] + turn[:, 2]) * np.where(flip, -1, 1)).astype(np.float32),
        }
        if self.given:
            columns["given"] = self._points(pool.given, drawn, Scheme.open(self.given).mirror)
        if pool.taught is not None:
            columns["taught"] = self._points(pool.taught.points, drawn, self.mirror)
            columns["taught_spread"] = _mirrored(pool.taught.spread[chosen] * scale, flip, self.mirror)
        return columns

    def _points(self, points: Floats, drawn: Drawn, mirror: NDArray[np.intp]) -> Floats:
        """Points (L, P, 2) of the pictures in the crops of a batch. Shape (N, P, 2)."""
        moved = apply(drawn.matrices, points[drawn.chosen].astype(np.float64))
        across = np.where(drawn.flip[:, None], drawn.size - 1 - moved[..., 0], moved[..., 0])
        return _mirrored(np.stack([across, moved[..., 1]], -1), drawn.flip, mirror).astype(np.float32)


def _mirrored(values: Floats, flip: NDArray[np.bool_], mirror: NDArray[np.intp]) -> Floats:
    """Values (N, P, ...) of points, in the order `mirror` (P,) of the mirror image where `flip` (N,) is set."""
    return np.where(flip.reshape(-1, *[1] * (values.ndim - 1)), values[:, mirror], values)
