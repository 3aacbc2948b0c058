"""Weights of the losses of coarse_to_fine, and what its networks share."""

from pydantic import Field
from torch import Tensor
from torch.nn import functional

from canthus.nets.losses import Losses
from canthus.nets.settings import Number


class CoarseToFineLosses(Losses):
    """Losses of the angle, of student and teacher, and of single patches.

    Attributes:
        angle: Weight of the squared distance of sine and cosine.
        taught: Weight of the loss of the student against the teacher.
        patch: Weight of the losses of the patches of a point, before they are weighed by the gate.
    """

    angle: Number = Field(4.0, ge=0)
    taught: Number = Field(1.0, ge=0)
    patch: Number = Field(1.0, ge=0)


def pooled(features: Tensor, side: int) -> Tensor:
    """Features (N, C, H, W), averaged to `side` rows and columns where the crops have another size than the config."""
    return features if features.shape[-1] == side else functional.adaptive_avg_pool2d(features, side)
