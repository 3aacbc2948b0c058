"""Distillation: a network learns from the answers of a larger one as well as from labels, also on unlabelled pictures.

[Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015], here for points and their spread. The
teacher sees each face once, undisturbed, as it is and mirrored; the network that learns must give the same from crops
that augmentation has shifted, covered and blurred [Xie et al., "Self-training with Noisy Student", 2020].
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from canthus.align.stage import System
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.geometry.crop import box_frames, box_of, crop_of_frame, warp
from canthus.geometry.transform import Matrix, apply, invert, scale_of
from canthus.nets.losses import Losses, spread_loss, target_of
from canthus.nets.network import Network
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.system import Trained
from canthus.types import Floats, Image

BATCH = 32
"""Number of faces that the teacher sees together."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a teacher found in pictures of faces.

    Attributes:
        points: Points, mean of those in the crop and in its mirror image; pixels of the pictures. Shape (L, P, 2).
        spread: Spread b of their errors (`nets/decode.py`), pixels of the pictures. Shape (L, P).
    """

    points: Floats
    spread: Floats

    @classmethod
    def of(
        cls, teacher: Trained, images: Sequence[Image], boxes: Floats, half: bool = False, device: str = "cpu"
    ) -> Self:
        """Ask a teacher.

        Args:
            teacher: Its network predicts `points` and `log_spread`.
            images: L pictures, each (H, W, 3).
            boxes: Box of the face in each picture. Shape (L, 4), pixels.
            half: Whether the teacher runs in bfloat16: three times as fast, .04 % of the box side apart.
            device: Device on which it runs, as "cuda".
        """
        matrices = crop_of_frame(box_frames(boxes), teacher.crop.size, teacher.crop.margin)
        some = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
        teacher.net.to(device)
        with torch.autocast(device, torch.bfloat16, enabled=half):
            parts = [_ask(teacher, images[part], matrices[part], device) for part in some]
        teacher.net.cpu()
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _ask(teacher: Trained, images: Sequence[Image], matrices: Matrix, device: str) -> tuple[Floats, Floats]:
    """Points (F, P, 2) and spreads (F, P) of faces, of which the teacher sees the crops (F, 2, 3)."""
    size, mirror = teacher.crop.size, Scheme.open(teacher.scheme).mirror
    crops = np.stack([warp(image, matrix, size) for image, matrix in zip(images, matrices, strict=True)])
    both = torch.from_numpy(np.concatenate([crops, crops[:, :, ::-1]])).permute(0, 3, 1, 2).float() / 255 - 0.5
    with torch.no_grad():
        found = teacher.net(both.contiguous(memory_format=torch.channels_last).to(device))
    points, turned = found.points.float().cpu().numpy().reshape(2, len(crops), -1, 2)
    turned = turned[:, mirror] * np.array([-1, 1], np.float32) + np.array([size - 1, 0], np.float32)
    spread, other = found.log_spread.float().cpu().numpy().reshape(2, len(crops), -1)
    logs = (spread + other[:, mirror]) / 2
    pixels = np.exp(logs) * size / scale_of(matrices)[:, None]
    return apply(invert(matrices), (points + turned) / 2).astype(np.float32), pixels.astype(np.float32)


def distilled(
    own: Mapping[str, Tensor],
    prediction: Any,
    batch: Mapping[str, Tensor],
    network: Network,
    losses: Losses,
) -> dict[str, Tensor]:
    """The losses of labels and teacher together.

    The teacher's points take the place of the labels in a second evaluation of the network's loss. A label is expected
    around the teacher's point, at the distance 2 b on average, so the spread learns from the root of the squares of
    this distance and of the network's own distance to the teacher's point.

    Args:
        own: Losses against the labels by name, each (N,).
        prediction: Prediction of the network that learns.
        batch: Batch of the loader with `taught` (N, P, 2) and `taught_spread` (N, P), pixels of the crops, and the
            weight of the teacher, `teaching` (N,); the losses against labels have the rest, 1 - teaching.
        network: The network that learns.
        losses: Settings of its losses.

    Returns:
        Losses by name, each (N,).
    """
    target = target_of({**batch, "points": batch["taught"]})
    theirs = dict(network.loss(prediction, target, losses))
    distance = torch.hypot((prediction.points - target.points).norm(dim=-1), 2 * batch["taught_spread"]) / target.size
    theirs["spread"] = losses.spread * spread_loss(prediction.log_spread, distance, target.inside)
    theirs.pop("pose", None)  # the labels of pose include those fitted to the teacher's points
    weight = batch["teaching"]
    kept = {name: (1 - weight if name in theirs else 1) * value for name, value in own.items()}
    return kept | {f"teacher_{name}": weight * value for name, value in theirs.items()}


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
