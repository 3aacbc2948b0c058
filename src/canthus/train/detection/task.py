"""The training steps of the detector and of the face score; validation runs the shipped code over the torch network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn

from canthus.detect.own import OwnDetector
from canthus.evaluate.detection import best_threshold, match, roc_area
from canthus.nets import detector as nets_detector
from canthus.nets import face_score as nets_score
from canthus.train.checkpoint import TorchBackend, load_start
from canthus.train.detection import objectives
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.detection.scenes import Scene
from canthus.train.detection.score_loader import Crop
from canthus.train.optimiser import optimisers_of
from canthus.types import Image

ANGLES = (0, 30, 60, 90, 180)
"""At which validation tells recall and precision."""


@contextmanager
def detector_of(net: nn.Module, threshold: float) -> Iterator[OwnDetector]:
    """The shipped detector over a network, which is in evaluation mode on the CPU meanwhile."""
    was_training, device = net.training, next(net.parameters()).device
    net.eval().cpu()
    (part,) = nets_detector.parts(net)  # type: ignore[arg-type]
    try:
        with torch.autocast("cpu", enabled=False):
            yield OwnDetector(TorchBackend(part.module, part.outputs), threshold=threshold, min_face=1)
    finally:
        net.to(device).train(was_training)


class DetectorTask(lightning.LightningModule):
    """Trains the detector."""

    def __init__(
        self,
        recipe: DetectorRecipe,
        config: nets_detector.DetectorConfig,
        val: Mapping[int, Sequence[Scene]],
        empty: Sequence[Image],
    ) -> None:
        """Set up a run: scenes of validation by angle, and pictures without a face."""
        super().__init__()
        self.recipe, self.val, self.empty = recipe, val, empty
        self.net = nets_detector.Detector(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for start in recipe.start:
            load_start(self.net, start)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.SceneBatches`."""
        pictures = batch["pictures"].permute(0, 3, 1, 2).float() / 255 - 0.5
        found = nets_detector.decode(self.net(pictures))
        losses = objectives.detector(found, batch, self.recipe.losses)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"loss/{name}": value.detach() for name, value in losses.items()})
        self.log("loss", total.detach(), prog_bar=True)
        return total

    def validation_step(self, batch: Any, index: int) -> None:
        """Average precision (per cent), recall and precision at every angle; false detections a faceless picture."""
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
        """The recipe's optimiser and its learning rates."""
        return optimisers_of(self.net, self.recipe)


class FaceScoreTask(lightning.LightningModule):
    """Trains the third stage."""

    def __init__(
        self, recipe: FaceScoreRecipe, config: nets_score.FaceScoreConfig, val: Mapping[str, Sequence[Crop]]
    ) -> None:
        """Set up a run: crops of validation by kind, "around", "beside" and "background"."""
        super().__init__()
        self.recipe, self.val = recipe, val
        self.net = nets_score.FaceScore(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for start in recipe.start:
            load_start(self.net, start)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `score_loader.CropBatches`."""
        found = self.net(batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5)
        losses = objectives.face_score(found, batch, self.recipe.losses)
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"loss/{name}": value.detach() for name, value in losses.items()})
        self.log("loss", total.detach(), prog_bar=True)
        return total

    def validation_step(self, batch: Any, index: int) -> None:
        """Areas under the ROC against each kind of negative (per cent), the threshold, errors of points and boxes."""
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

    def _scores(self, crops: Sequence[Crop]) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and points (N, 5, 2) in crops around the middle."""
        size = self.net.config.size
        was_training, device = self.net.training, next(self.net.parameters()).device
        self.net.eval().cpu()
        (part,) = nets_score.parts(self.net)
        with torch.autocast("cpu", enabled=False):
            found = TorchBackend(part.module, part.outputs).run(np.stack([crop.image for crop in crops]))
        self.net.to(device).train(was_training)
        return found["scores"], (found["points"] - (size - 1) / 2) / size

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and its learning rates."""
        return optimisers_of(self.net, self.recipe)
