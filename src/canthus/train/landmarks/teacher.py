"""Distillation: a network learns from the answers of a larger one as well as from labels, also on unlabelled pictures.

[Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015], here for points and their spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from canthus.align.stage import System
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError, RecipeError
from canthus.geometry.crop import box_of
from canthus.nets.losses import Losses, Target, in_crop
from canthus.nets.network import Network
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.system import Trained
from canthus.train.recipe import Distillation
from canthus.types import Floats


class Teacher:
    """A trained network whose answers are targets. It is no part of the checkpoints of the run."""

    def __init__(self, trained: Trained, settings: Distillation, scheme: str, margin: float) -> None:
        """Take a network as the teacher.

        Args:
            trained: The teacher.
            settings: Weights of its answers.
            scheme: Name of the scheme of the network that learns.
            margin: Crop margin of the network that learns.

        Raises:
            RecipeError: the teacher has another scheme or crop margin.
        """
        if (trained.scheme, trained.crop.margin) != (scheme, margin):
            raise RecipeError(
                f"teacher: {settings.checkpoint} has scheme {trained.scheme} and crop margin {trained.crop.margin}, "
                f"the network has {scheme} and {margin}; both must be the same"
            )
        self.trained, self.settings = trained, settings
        self.net = trained.net.eval().to(memory_format=torch.channels_last)

    def answer(self, crops: Tensor) -> Any:
        """What the teacher predicts on crops, scaled to its own size, in pixels of these crops.

        Args:
            crops: Shape (N, 3, S, S), values in -.5 .. .5.

        Returns:
            Its prediction, of which only `points` (N, P, 2) and, where it has them, `log_spread` and `pose` are used.
        """
        self.net.to(crops.device)
        size, own = crops.shape[-1], self.trained.crop.size
        with torch.no_grad():
            seen = crops if size == own else functional.interpolate(crops, (own, own), mode="bilinear", antialias=True)
            found = self.net(seen)
        scale = size / own
        return found._replace(points=(found.points.float() + 0.5) * scale - 0.5)

    def add(
        self,
        own: Mapping[str, Tensor],
        crops: Tensor,
        prediction: Any,
        target: Target,
        network: Network,
        losses: Losses,
    ) -> dict[str, Tensor]:
        """The losses of labels and teacher together.

        The teacher's points take the place of the labels in a second evaluation of the network's loss. Its spread is
        imitated: the errors of labels, not the distance to the teacher, are what reliability is about.

        Args:
            own: Losses against the labels by name, each (N,).
            crops: Shape (N, 3, S, S), values in -.5 .. .5.
            prediction: Prediction of the network that learns.
            target: The labels.
            network: The network that learns.
            losses: Settings of its losses.

        Returns:
            Losses by name, each (N,).
        """
        answer, share = self.answer(crops), self.settings.weight
        pose = target.pose if getattr(answer, "pose", None) is None else answer.pose.float()
        points = answer.points
        taught = target._replace(points=points, inside=in_crop(points, target.size).float(), pose=pose)
        theirs = network.loss(prediction, taught, losses)
        apart = functional.smooth_l1_loss(
            prediction.log_spread, answer.log_spread.float(), beta=0.1, reduction="none"
        ).mean(1)
        kept = {name: value if name == "spread" else (1 - share) * value for name, value in own.items()}
        added = {f"teacher_{name}": share * value for name, value in theirs.items() if name != "spread"}
        return kept | added | {"teacher_spread": self.settings.spread * apart}


def boxed_by(samples: Sequence[Sample], teacher: System | None, name: str) -> list[Sample]:
    """Faces without landmarks with the boxes of the points that a teacher finds; all their labels are unknown.

    Args:
        samples: The faces of a set. Faces with landmarks stay as they are.
        teacher: The system of the teacher; None = there is none.
        name: Name of the set for errors.

    Raises:
        DataError: there is no teacher, or a picture without landmarks has no box to start from.
    """
    blind = [index for index, sample in enumerate(samples) if sample.scheme == NO_POINTS]
    found = list(samples)
    if not blind:
        return found
    if teacher is None or any(samples[index].box is None for index in blind):
        what = "no landmarks to learn from; name a `teacher`" if teacher is None else "neither landmarks nor boxes"
        raise DataError(f"{name}: its pictures have {what}")
    unknown = np.full((Scheme.open(teacher.scheme).count, 2), np.nan, np.float32)
    for start in range(0, len(blind), teacher.batch):
        some = blind[start : start + teacher.batch]
        for index, box in zip(some, _boxes([samples[index] for index in some], teacher), strict=True):
            found[index] = replace(samples[index], points=unknown, scheme=teacher.scheme, box=box)
    return found


def _boxes(samples: Sequence[Sample], teacher: System) -> Floats:
    """Boxes (F, 4) of the points that a teacher finds in two passes."""
    images = [sample.picture() for sample in samples]
    boxes = np.stack([sample.box for sample in samples if sample.box is not None])
    for _ in range(2):
        faces = teacher.align(images, [box[None] for box in boxes])
        boxes = box_of(np.concatenate([some.points for some in faces]))
    return boxes
