"""The training tasks of the detector and of the face score; validation runs the shipped code over the torch network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from canthus.detect.own import OwnDetector
from canthus.evaluate.detection import best_threshold, match, roc_area
from canthus.nets.detection.networks import DETECTION
from canthus.train.checkpoint import TorchBackend
from canthus.train.detection.crops import FaceCrop
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.detection.scenes import Scene
from canthus.train.optimiser import optimisers_of
from canthus.train.recipe import Run
from canthus.train.task import evaluating, total_of
from canthus.types import Image

ANGLES = (0, 30, 60, 90, 180)
"""In-plane rotations at which validation measures recall and precision, in degrees."""


@contextmanager
def detector_of(net: nn.Module, threshold: float) -> Iterator[OwnDetector]:
    """The shipped detector over a network, which is in evaluation mode on the CPU meanwhile."""
    (part,) = DETECTION["detector"].parts(net)
    with evaluating(net):
        yield OwnDetector(TorchBackend(part.module, part.outputs), threshold=threshold, min_face=1)


class DetectorTask(lightning.LightningModule):
    """Trains the detector by one recipe."""

    def __init__(
        self, recipe: DetectorRecipe, config: Any, val: Mapping[int, Sequence[Scene]], empty: Sequence[Image]
    ) -> None:
        """Set up a run.

        Args:
            recipe: The recipe.
            config: Config of the network.
            val: Scenes of validation by the rotation of their faces.
            empty: Pictures of validation without a face.
        """
        super().__init__()
        self.recipe, self.val, self.empty = recipe, val, empty
        self.net = _network(recipe, config)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.SceneBatches`."""
        maps = self.net(batch["pictures"].permute(0, 3, 1, 2).float() / 255 - 0.5)
        return total_of(self, DETECTION[self.recipe.network].loss(maps, batch, self.recipe.losses))

    def validation_step(self, batch: Any, index: int) -> None:
        """Log results on the scenes and pictures of validation.

        `val/ap_ANGLE`, `val/recall_ANGLE` and `val/precision_ANGLE` at each rotation, per cent; `val/ap`, the mean over
        the rotations, which decides between checkpoints; `val/false`, false detections per picture without a face.
        """
        values, threshold = {}, self.recipe.threshold
        with detector_of(self.net, 0.05) as detector:
            for angle, scenes in self.val.items():
                found = match(detector.detect_many([s.image for s in scenes]), [s.boxes for s in scenes])
                values[f"val/ap_{angle}"] = 100 * found.average_precision()
                values[f"val/recall_{angle}"] = 100 * found.recall(threshold)
                values[f"val/precision_{angle}"] = 100 * found.precision(threshold)
            faceless = match(detector.detect_many(self.empty), [np.zeros((0, 4))] * len(self.empty))
        values["val/false"] = faceless.false_per_picture(threshold)
        values["val/ap"] = float(np.mean([values[f"val/ap_{angle}"] for angle in self.val]))
        self.log_dict(values, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and learning rates."""
        return optimisers_of(self.net, self.recipe)


class FaceScoreTask(lightning.LightningModule):
    """Trains the face score by one recipe."""

    def __init__(self, recipe: FaceScoreRecipe, config: Any, val: Mapping[str, Sequence[FaceCrop]]) -> None:
        """Set up a run.

        Args:
            recipe: The recipe.
            config: Config of the network.
            val: Crops of validation by kind: "around" faces, "beside" them, and of the "background".
        """
        super().__init__()
        self.recipe, self.val = recipe, val
        self.net = _network(recipe, config)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.CropBatches`."""
        prediction = self.net(batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5)
        return total_of(self, DETECTION[self.recipe.network].loss(prediction, batch, self.recipe.losses))

    def validation_step(self, batch: Any, index: int) -> None:
        """Log results on the crops of validation.

        `val/auc_KIND`, area under the ROC curve of faces against each kind of negative, per cent; `val/auc`, against
        all of them, which decides between checkpoints; `val/threshold`, the score that separates them best;
        `val/point`, mean error of the five points in per cent of the side of the crop.
        """
        found = {kind: self._scores(crops) for kind, crops in self.val.items()}
        faces = found["around"][0]
        values = {}
        for kind in ("beside", "background"):
            scores = np.concatenate([faces, found[kind][0]])
            values[f"val/auc_{kind}"] = 100 * roc_area(scores, np.arange(len(scores)) < len(faces))
        everything = np.concatenate([scores for scores, _ in found.values()])
        true = np.arange(len(everything)) < len(faces)
        values["val/auc"] = 100 * roc_area(everything, true)
        values["val/threshold"] = best_threshold(everything, true)
        truth = np.stack([crop.points for crop in self.val["around"]])
        values["val/point"] = 100 * float(np.linalg.norm(found["around"][1] - truth, axis=-1).mean())
        self.log_dict(values, batch_size=1, sync_dist=True)

    def _scores(self, crops: Sequence[FaceCrop]) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,), and points (N, 5, 2) from the centre of the crop in sides of the crop."""
        size = self.net.config.size
        (part,) = DETECTION[self.recipe.network].parts(self.net)
        with evaluating(self.net):
            found = TorchBackend(part.module, part.outputs).run(np.stack([crop.image for crop in crops]))
        return found["scores"], (found["points"] - (size - 1) / 2) / size

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and learning rates."""
        return optimisers_of(self.net, self.recipe)


def _network(recipe: Run, config: Any) -> Any:
    """The network of a recipe with random weights."""
    return DETECTION[recipe.network].build(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
