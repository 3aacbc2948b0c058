"""Four heads from features to heatmaps: figure 4 of local_global. All of them are based on 1x1 convolutions.

A head maps (N, width, H, W) to (N, points, H, W). It is built from the number of channels, the number of points, and
the level: the value around which its maps lie before training.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Head = Literal["plain", "transform", "local", "global_local"]


class Plain(nn.Conv2d):
    """Module 1: a 1x1 convolution."""

    def __init__(self, width: int, points: int, level: float) -> None:
        super().__init__(width, points, 1)
        nn.init.constant_(self.bias, level)  # type: ignore[arg-type]


class Transform(nn.Module):
    """Module 2: each point's map, plus those of its two neighbours, each moved by a learnt affine transform.

    Neighbours are the points before and after it in the scheme; the last point is a neighbour of the first.
    """

    def __init__(self, width: int, points: int, level: float) -> None:
        super().__init__()
        self.plain = Plain(width, points, level)
        self.affine = nn.Parameter(torch.eye(2, 3).repeat(2, points, 1, 1))  # for coordinates in -1 .. 1
        self.share = nn.Parameter(torch.full((2, points, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> (N, points, H, W)."""
        maps: Tensor = self.plain(x).float()
        height, width = maps.shape[-2:]
        xs = (2 * torch.arange(width, device=maps.device) + 1) / width - 1
        ys = (2 * torch.arange(height, device=maps.device) + 1) / height - 1
        across, down = xs.expand(height, width), ys[:, None].expand(height, width)
        positions = torch.stack([across, down, torch.ones_like(across)], -1)  # (H, W, 3)
        summed = maps
        for side, step in enumerate((1, -1)):
            neighbours = maps.roll(step, 1).transpose(0, 1)  # (P, N, H, W)
            grid = (positions[:, :, None] * self.affine[side][:, None, None]).sum(-1)  # (P, H, W, 2)
            moved = functional.grid_sample(neighbours, grid, padding_mode="border", align_corners=False)
            summed = summed + self.share[side] * moved.transpose(0, 1)
        return summed


class Attention(nn.Module):
    """Modules 3 and 4: features weighted for each point (eq. 4); in module 4 first for all points (eq. 2, 3).

    A point's map is a 1x1 projection w of its weighted features h = y * x. Since y has one channel, this is
    y * (w . x), and no features need to be stored for each point.
    """

    def __init__(self, width: int, points: int, level: float, globally: bool) -> None:
        super().__init__()
        self.whole = nn.Conv2d(width, 1, 1) if globally else None
        self.own = nn.Conv2d(width, points, 1)
        self.project = nn.Conv2d(width, points, 1, bias=False)
        self.level = nn.Parameter(torch.full((points, 1, 1), level))

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> (N, points, H, W)."""
        if self.whole is not None:
            x = x * self.whole(x).sigmoid()  # (N, width, H, W)
        maps: Tensor = self.own(x).sigmoid() * self.project(x)
        return maps + self.level.to(maps.dtype)  # not to float32 under autocast


def local(width: int, points: int, level: float) -> nn.Module:
    """Module 3: a head with attention for each point."""
    return Attention(width, points, level, globally=False)


def global_local(width: int, points: int, level: float) -> nn.Module:
    """Module 4: a head with attention for all points, then for each point."""
    return Attention(width, points, level, globally=True)


HEADS: Mapping[Head, Callable[[int, int, float], nn.Module]] = {
    "plain": Plain,
    "transform": Transform,
    "local": local,
    "global_local": global_local,
}
"""Heads by name: (channels, points, level) -> head."""
