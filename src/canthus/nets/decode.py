"""From heatmaps to points, and from their spread to reliabilities; exported as part of the networks.

The reliability of a point is the probability that it lies within `near` box sides of its truth, under the isotropic
density exp(-r / b) / (2 pi b^2) of its error r, whose b the network predicts.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Reading = Literal["argmax", "quarter", "expectation"]
"""How a point is read from a heatmap: its highest cell; that moved by a quarter of a cell towards the higher neighbour
on each axis [Newell et al., 2016]; or the mean of the positions, which alone has a gradient."""


def read(heatmaps: Tensor, stride: int, reading: Reading) -> tuple[Tensor, Tensor]:
    """Points of heatmaps of logits (N, P, H, W) and the variance of the positions under them.

    Stride and result as in `expectation`; the variance is the same for every reading.
    """
    mean, variance = expectation(heatmaps, stride)
    return (mean if reading == "expectation" else highest(heatmaps, stride, reading)), variance


def highest(heatmaps: Tensor, stride: int, reading: Reading = "argmax") -> Tensor:
    """Centres of the highest cells, or a quarter of a cell beside them; no gradient. (N, P, H, W) -> (N, P, 2)."""
    width = heatmaps.shape[-1]
    place = heatmaps.detach().flatten(2).argmax(-1)
    row = torch.div(place, width, rounding_mode="floor")
    points = torch.stack([place % width, row], -1).float() * stride + (stride - 1) / 2
    if reading != "quarter":
        return points
    beside = width + 2
    around = functional.pad(heatmaps.detach(), (1, 1, 1, 1), mode="replicate").flatten(2)
    middle = (row + 1) * beside + place % width + 1

    def step(offset: int) -> Tensor:
        after, before = (around.gather(2, (middle + sign * offset)[..., None])[..., 0] for sign in (1, -1))
        return torch.sign(after - before)

    return points + 0.25 * stride * torch.stack([step(1), step(beside)], -1).float()


def expectation(heatmaps: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the positions under heatmaps (soft-argmax), in float32.

    Args:
        heatmaps: Logits. Shape (N, P, H, W).
        stride: Crop pixels per cell; cell j is centred on stride * j + (stride - 1) / 2.

    Returns:
        Points in crop pixels (N, P, 2) and their variance, summed over x and y, in square pixels (N, P).
    """
    return moments(probability(heatmaps), stride)


def probability(heatmaps: Tensor) -> Tensor:
    """Probability of each place under heatmaps of logits, in float32. (N, P, H, W) -> (N, P, H, W)."""
    return heatmaps.float().flatten(2).softmax(-1).reshape(heatmaps.shape)


def moments(heat: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the positions under probabilities (N, P, H, W); stride and result as in `expectation`."""
    height, width = heat.shape[-2:]
    half = torch.tensor([(width - 1) / 2, (height - 1) / 2], device=heat.device) * stride
    xs = (torch.arange(width, device=heat.device, dtype=torch.float32) * stride - half[0]).expand(height, width)
    ys = (torch.arange(height, device=heat.device, dtype=torch.float32) * stride - half[1])[:, None].expand(
        height, width
    )
    each = torch.stack([xs, ys, xs**2 + ys**2], -1).flatten(0, 1)  # (H * W, 3)
    mean = heat.flatten(2) @ each  # (N, P, 3)
    centre = mean[..., :2]
    variance = mean[..., 2] - (centre**2).sum(-1)
    return centre + half + (stride - 1) / 2, variance.clamp(min=0)


class Spread(nn.Module):
    """Log b of each point from the variance of its heatmap, by a power law that is learnt for each point."""

    def __init__(self, points: int) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.ones(points))
        self.offset = nn.Parameter(torch.zeros(points))

    def forward(self, variance: Tensor, size: int) -> Tensor:
        """Variance (N, P) in square crop pixels, detached -> log of b over the crop side (N, P)."""
        return self.offset + self.power * 0.5 * torch.log(variance.detach() + 0.25) - math.log(size)


def reliability(log_spread: Tensor, near: float | Tensor) -> Tensor:
    """Probability that the error is below `near`: 1 - (1 + q) exp(-q) with q = near / b, both over the crop side."""
    q = near * torch.exp(-log_spread)
    return 1 - (1 + q) * torch.exp(-q)
