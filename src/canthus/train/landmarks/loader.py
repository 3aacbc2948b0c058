"""A mixture of data sets as an endless stream of batches: sample k of the stream depends on the seed and k alone."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from canthus.data.catalogue import open_set
from canthus.data.sample import Sample
from canthus.geometry.crop import box_frames, box_of, shape_frames, unit_mean
from canthus.geometry.pose import pose_from_points
from canthus.geometry.shape import align, mean_shape
from canthus.geometry.transform import Matrix
from canthus.schemes.scheme import Scheme
from canthus.train.augment import cut, jitter_matrix, vary
from canthus.train.recipe import Recipe, SetShare
from canthus.types import Floats, Image

STORED = 112
"""Longer side of a box in the pictures held in memory, in pixels; finer ones are reduced to it once."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Training samples in memory, arrays aligned by sample.

    Attributes:
        images: Pictures, reduced to `STORED`; L of them.
        points: Shape (L, P, 2), pixels of those pictures.
        frames: From each picture to where the face's box has its centre at 0 and 1 as its longer side. Shape (L, 2, 3).
        mean: The mean shape in that frame, where crops are cut by it. Shape (P, 2).
        pose: Yaw, pitch, roll in degrees; NaN = not known. Shape (L, 3).
        trust: Weight of the labels in the losses. Shape (L,).
        chance: How often each is drawn; adds up to 1. Shape (L,).
    """

    images: Sequence[Image]
    points: Floats
    frames: Matrix
    mean: Floats | None
    pose: Floats
    trust: Floats
    chance: np.ndarray[tuple[int], np.dtype[np.float64]]


def load_pool(recipe: Recipe, root: Path) -> Pool:
    """Read the mixture of a recipe into memory.

    Args:
        recipe: Names the sets and their weights.
        root: Folder of the data sets.

    Raises:
        DataError: a set is missing or incomplete.
        ReadError: a picture cannot be read.
    """
    parts = [(share, open_set(share.name, root, share.split, **share.options)) for share in recipe.sets]
    samples = [sample for _, some in parts for sample in some]
    with ThreadPoolExecutor(4) as threads:
        stored = list(threads.map(_reduced, samples))
    images, points = [image for image, _, _ in stored], np.stack([points for _, points, _ in stored])
    mean = unit_mean(points) if recipe.crop == "shape" else None
    frames = box_frames(box_of(points)) if mean is None else shape_frames(_given(parts, stored, root), mean)
    rarity = shape_distance(points) ** recipe.emphasis
    chance = np.concatenate([_shares(share, len(some)) for share, some in parts]) * rarity
    return Pool(
        images=images,
        points=points,
        frames=frames,
        mean=mean,
        pose=_poses(parts, points, None if recipe.pose_model is None else root / recipe.pose_model),
        trust=np.concatenate([np.full(len(some), share.trust, np.float32) for share, some in parts]),
        chance=chance / chance.sum(),
    )


def _given(
    parts: Sequence[tuple[SetShare, Sequence[Sample]]], stored: Sequence[tuple[Image, Floats, Floats]], root: Path
) -> Floats:
    """The points by which crops are cut, in the reduced pictures; the labels where a set gives no others. (L, P, 2)."""
    gauges, place = [points for _, points, _ in stored], 0
    for share, some in parts:
        others = open_set(share.name, root, share.split, **(share.options | share.given)) if share.given else ()
        by_image = {sample.image: sample.points for sample in others}
        for sample in some:
            if sample.image in by_image:
                gauges[place] = _scaled(by_image[sample.image], stored[place][2])
            place += 1
    return np.stack(gauges)


def shape_distance(points: Floats) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Procrustes distance of each shape to the mean shape over the median one, within .5 .. 3. (L, P, 2) -> (L,)."""
    mean = mean_shape(points)
    aligned, _ = align(points, mean)
    distance = np.sqrt(((aligned - mean) ** 2).sum((1, 2)))
    rarity: np.ndarray[tuple[int], np.dtype[np.float64]] = np.clip(distance / np.median(distance), 0.5, 3.0)
    return rarity


def _shares(share: SetShare, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.full(count, share.weight / count)


def _poses(parts: Sequence[tuple[SetShare, Sequence[Sample]]], points: Floats, model: Path | None) -> Floats:
    """Head poses: those that the data factory wrote, else by fitting a rigid 3D face to 68 points. (L, 3)."""
    unknown = np.full(3, np.nan, np.float32)
    told = [
        sample.pose if share.name.partition(":")[0] in ("fits", "views") and sample.pose is not None else unknown
        for share, some in parts
        for sample in some
    ]
    pose = np.stack(told).astype(np.float32)
    missing = np.isnan(pose).any(1)
    if model is not None and points.shape[1] == 68 and missing.any():
        pose[missing] = _fitted_poses(points[missing], model)
    return pose


def _fitted_poses(points: Floats, model: Path) -> Floats:
    """(L, 68, 2) -> (L, 3)."""
    with np.load(model) as arrays:
        vertices = arrays["mean"]
    chosen = json.loads((model.parent / "landmarks.json").read_text())["sets"]["ibug68_3d_adapted"]
    rigid = vertices[chosen] * np.array([1.0, -1.0, -1.0])  # image axes: x right, y down, z away
    weights = np.full(points.shape[:2], 1.0)
    weights[:, :17] = 0.15  # the jaw line of 2D labels slides
    return pose_from_points(points, rigid, weights).astype(np.float32)


def _reduced(sample: Sample) -> tuple[Image, Floats, Floats]:
    """The picture at the size that is held, its points, and by what x and y were scaled."""
    image, plane = sample.picture(), np.asarray(sample.points[:, :2], np.float32)
    box = box_of(plane)
    factor = STORED / float(max(box[2:] - box[:2]))
    if factor >= 1:
        return image, plane, np.ones(2, np.float32)
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    scale = np.array([width / image.shape[1], height / image.shape[0]], np.float32)
    return small, _scaled(plane, scale), scale


def _scaled(points: Floats, scale: Floats) -> Floats:
    return ((points[..., :2] + 0.5) * scale - 0.5).astype(np.float32)


class Stream(IterableDataset[dict[str, Tensor]]):
    """Batches of one process: `crops` (N, S, S, 3) uint8, `points` (N, P, 2), `pose` (N, 3), `trust` (N,)."""

    def __init__(self, pool: Pool, recipe: Recipe, margin: float, scheme: str, rank: int, first: int) -> None:
        """Start at step `first`, as process number `rank` of the recipe's processes."""
        self.pool, self.recipe, self.margin = pool, recipe, margin
        self.mirror = Scheme.open(scheme).mirror
        self.rank, self.first = rank, first

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
        crops, points, pose = (np.stack(column) for column in zip(*rows, strict=True))
        return {
            "crops": torch.from_numpy(crops),
            "points": torch.from_numpy(points),
            "pose": torch.from_numpy(pose),
            "trust": torch.from_numpy(self.pool.trust[chosen]),
        }

    def _vary(self, index: int, size: int, rng: np.random.Generator) -> tuple[Image, Floats, Floats]:
        pool, settings = self.pool, self.recipe.augment
        matrix, angle = jitter_matrix(pool.frames[index], size, self.margin, settings, rng)
        crop, points = cut(pool.images[index], matrix, size, pool.points[index])
        pose = pool.pose[index] + np.array([0, 0, angle], np.float32)
        if rng.random() < settings.flip:
            crop = np.ascontiguousarray(crop[:, ::-1])
            points = points[self.mirror] * np.array([-1, 1], np.float32)
            points += np.array([size - 1, 0], np.float32)
            pose = pose * np.array([-1, 1, -1], np.float32)
        other = pool.images[int(rng.integers(len(pool.images)))]
        return vary(crop, settings, rng, other), points.astype(np.float32), pose.astype(np.float32)
