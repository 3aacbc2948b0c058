"""Endless streams of batches for the detector and the face score: batch k depends on seed, process and k alone."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from canthus.train.detection.mining import Bank
from canthus.train.detection.recipe import DetectorRecipe
from canthus.train.detection.scenes import Maker, Scene


class Batches(Protocol):
    """Makes the batch of a step."""

    steps: int

    def batch(self, step: int) -> dict[str, Tensor]:
        """The same for the same seed, step and process."""
        ...


class Endless(IterableDataset[dict[str, Tensor]]):
    """The batches from a step on; several workers share them in turn."""

    def __init__(self, batches: Batches, first: int) -> None:
        self.batches, self.first = batches, first

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        start, stride = (0, 1) if worker is None else (worker.id, worker.num_workers)
        for step in range(self.first + start, self.batches.steps, stride):
            yield self.batches.batch(step)


class SceneBatches:
    """Scenes: `pictures` (N, S, S, 3) uint8, `boxes` (N, K, 4), `points` (N, K, 5, 2), `rolls` (N, K), NaN = none."""

    def __init__(self, maker: Maker, recipe: DetectorRecipe, process: int, bank: Bank) -> None:
        """Take the maker of scenes, and where mined negatives are found."""
        self.maker, self.recipe, self.process, self.bank = maker, recipe, process, bank
        self.steps = recipe.steps

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        rng = np.random.default_rng((self.recipe.seed, step, self.process))
        size, mined = self.recipe.size_at(step), self.bank.before(step)
        scenes = [self.maker.scene(size, rng, distractors=mined) for _ in range(self.recipe.batch)]
        return collate(scenes, self.recipe.scenes.most)


def collate(scenes: Sequence[Scene], most: int) -> dict[str, Tensor]:
    """Scenes of one size as tensors; `most` faces have room."""
    count = len(scenes)
    boxes, points = np.full((count, most, 4), np.nan, np.float32), np.full((count, most, 5, 2), np.nan, np.float32)
    rolls = np.full((count, most), np.nan, np.float32)
    for row, scene in enumerate(scenes):
        faces = len(scene.boxes)
        boxes[row, :faces], points[row, :faces], rolls[row, :faces] = scene.boxes, scene.points, scene.rolls
    pictures = np.stack([scene.image for scene in scenes])
    return {
        "pictures": torch.from_numpy(pictures),
        "boxes": torch.from_numpy(boxes),
        "points": torch.from_numpy(points),
        "rolls": torch.from_numpy(rolls),
    }
