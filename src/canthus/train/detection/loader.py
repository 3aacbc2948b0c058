"""Endless streams of batches for the detector and the face score: batch k depends on seed, process and k alone."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from canthus.train.detection.crops import CropMaker
from canthus.train.detection.mining import Bank
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.detection.scenes import Scene, SceneMaker


class Batches(Protocol):
    """Makes the batch of any step."""

    steps: int

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step; the same for the same seed, step and process."""
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
    """Scenes: `pictures` (N, S, S, 3) uint8, `boxes` (N, K, 4), `points` (N, K, 5, 2), `rolls` (N, K); NaN = none."""

    def __init__(self, maker: SceneMaker, recipe: DetectorRecipe, process: int, bank: Bank) -> None:
        """Prepare the batches of one process.

        Args:
            maker: Maker of the scenes.
            recipe: The recipe.
            process: Number of the process among those of the recipe.
            bank: Hard negatives that the process has mined.
        """
        self.maker, self.recipe, self.process, self.bank = maker, recipe, process, bank
        self.steps = recipe.steps

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        rng = np.random.default_rng((self.recipe.seed, step, self.process))
        size, mined = self.recipe.size_at(step), self.bank.before(step)
        scenes = [self.maker.scene(size, rng, distractors=mined) for _ in range(self.recipe.batch)]
        return collate(scenes, self.recipe.scenes.most)


def collate(scenes: Sequence[Scene], most: int) -> dict[str, Tensor]:
    """Scenes of one size as tensors, padded with NaN to `most` faces."""
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


class CropBatches:
    """Crops: `crops` (N, S, S, 3) uint8, `face` (N,) 0 or 1, `box` (N, 4), `points` (N, 5, 2); NaN = no face."""

    def __init__(self, maker: CropMaker, recipe: FaceScoreRecipe, process: int) -> None:
        """Prepare the batches of one process.

        Args:
            maker: Maker of the crops.
            recipe: The recipe.
            process: Number of the process among those of the recipe.
        """
        self.maker, self.recipe, self.process = maker, recipe, process
        self.steps = recipe.steps

    def batch(self, step: int) -> dict[str, Tensor]:
        """The batch of a step."""
        recipe = self.recipe
        rng = np.random.default_rng((recipe.seed, step, self.process))
        kinds = rng.random(recipe.batch)
        limits = recipe.positives, recipe.positives + recipe.beside
        makers = (self.maker.around, self.maker.beside, self.maker.background)
        rows = [makers[int(np.searchsorted(limits, kind, side="right"))](rng) for kind in kinds]
        return {
            "crops": torch.from_numpy(np.stack([row.image for row in rows])),
            "face": torch.tensor([float(row.face) for row in rows]),
            "box": torch.from_numpy(np.stack([row.box for row in rows])),
            "points": torch.from_numpy(np.stack([row.points for row in rows])),
        }
