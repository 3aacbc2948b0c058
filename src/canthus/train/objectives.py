"""What each system is trained towards: its losses by name, one number a sample."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from canthus.nets import cascaded_cnn as cascade
from canthus.nets import compact as one_stage
from canthus.nets import local_global as hourglasses
from canthus.nets.losses import HEAT, POINT, pose_loss, spread_loss
from canthus.train.recipe import Losses


class Target(NamedTuple):
    """The truth of a batch.

    Attributes:
        points: Crop pixels, 0 where `inside` is. Shape (N, P, 2).
        inside: 1 where a point is known and in the crop. Shape (N, P).
        pose: Yaw, pitch, roll over 90 degrees; NaN = not known. Shape (N, 3).
        size: Side of the crop in pixels.
    """

    points: Tensor
    inside: Tensor
    pose: Tensor
    size: int


def target_of(batch: Mapping[str, Tensor], size: int) -> Target:
    """The truth of a batch of `loader.Stream`."""
    points = batch["points"]
    known = points.isfinite().all(-1) & (points > -0.5).all(-1) & (points < size - 0.5).all(-1)
    return Target(
        torch.where(known[..., None], points, torch.zeros_like(points)), known.float(), batch["pose"] / 90, size
    )


def heat(maps: Tensor, target: Target, losses: Losses) -> Tensor:
    """Loss of one stage's heatmaps (N, P, H, W)."""
    return HEAT[losses.heat_form](maps, target.points, target.inside, target.size // maps.shape[-1], losses.sigma)


def place(points: Tensor, target: Target, losses: Losses) -> Tensor:
    """Loss of one stage's points (N, P, 2)."""
    return POINT[losses.point_form](points, target.points, target.inside, losses.beta * target.size)


def spread(prediction: Any, target: Target) -> Tensor:
    """Loss of the reliabilities."""
    distance = (prediction.points - target.points).norm(dim=-1) / target.size
    return spread_loss(prediction.log_spread, distance, target.inside)


def compact(prediction: one_stage.Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """One stage of heatmaps, its points, their spread, and the pose."""
    return {
        "point": losses.point * place(prediction.points, target, losses),
        "heat": losses.heat * heat(prediction.heatmaps, target, losses),
        "spread": losses.spread * spread(prediction, target),
        "pose": losses.pose * pose_loss(prediction.pose, target.pose),
    }


def local_global(prediction: hourglasses.Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """Heatmaps of every stage and the points of the regressor: figure 2; of the maps by `losses.decoded`."""
    none = torch.zeros_like(target.points[:, 0, 0])
    heats = [losses.heat * heat(maps, target, losses) for maps in prediction.heatmaps]
    return {
        "point": losses.point * place(prediction.points, target, losses),
        "decoded": losses.decoded * place(prediction.local, target, losses),
        "heat": torch.stack(heats).mean(0) if heats else none,
        "spread": losses.spread * spread(prediction, target),
    }


def cascaded_cnn(prediction: cascade.Prediction, target: Target, losses: Losses) -> dict[str, Tensor]:
    """Heatmaps and refined points of every unit: figure 3. `losses.decoded` weighs the points of the heatmaps, too."""
    heats = [heat(maps, target, losses) for maps in prediction.heatmaps]
    places = [place(points, target, losses) for points in prediction.points_by_depth]
    read = [place(points, target, losses) for points in prediction.decoded]
    return {
        "point": losses.point * torch.stack(places).mean(0),
        "decoded": losses.decoded * torch.stack(read).mean(0),
        "heat": losses.heat * torch.stack(heats).mean(0),
        "spread": losses.spread * spread(prediction, target),
    }


OBJECTIVES: dict[str, Callable[[Any, Target, Losses], dict[str, Tensor]]] = {
    "cascaded_cnn": cascaded_cnn,
    "compact": compact,
    "local_global": local_global,
}
"""By the stem of the system: prediction, truth and weights -> weighted losses, each (N,)."""
