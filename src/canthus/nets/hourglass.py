"""Hourglasses [Newell et al., "Stacked Hourglass Networks for Human Pose Estimation", 2016] and stacks of them.

A block is a function (channels in, channels out) -> module that keeps height and width, so that each system can choose
its own residual module.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from canthus.nets.blocks import ConvNorm

Block = Callable[[int, int], nn.Module]
Upsampling = Literal["nearest", "deconvolution"]


class Deconvolution(nn.ConvTranspose2d):
    """Learnt upsampling by two, which is nearest upsampling before training. (N, width, H, W) -> (N, width, 2H, 2W)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 2, 2, bias=False)
        with torch.no_grad():
            self.weight.copy_(torch.eye(width)[:, :, None, None].expand_as(self.weight))


def upsampler(kind: Upsampling, width: int) -> nn.Module:
    """A module that doubles height and width. (N, width, H, W) -> (N, width, 2H, 2W)."""
    return nn.Upsample(scale_factor=2.0, mode="nearest") if kind == "nearest" else Deconvolution(width)


class Hourglass(nn.Module):
    """Pooling by two, `scales` times, and back up, with a block on the skip of each: 3 * scales + 1 blocks."""

    def __init__(self, width: int, scales: int, block: Block, upsampling: Upsampling = "nearest") -> None:
        super().__init__()
        self.side = block(width, width)
        self.down = block(width, width)
        self.inner = Hourglass(width, scales - 1, block, upsampling) if scales > 1 else block(width, width)
        self.back = block(width, width)
        self.up = upsampler(upsampling, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) -> (N, width, H, W); H and W are multiples of 2 ** scales."""
        low = self.down(functional.max_pool2d(x, 2))  # (N, width, H/2, W/2)
        low = self.back(self.inner(low))  # (N, width, H/2, W/2)
        summed: Tensor = self.side(x) + self.up(low)  # (N, width, H, W)
        return summed


class Stage(nn.Module):
    """One hourglass of a stack, its supervised maps, and the input of the next stage."""

    def __init__(self, hourglass: nn.Module, after: nn.Module, head: nn.Module, width: int, maps: int) -> None:
        """Build a stage.

        Args:
            hourglass: The hourglass. (N, width, H, W) -> the same.
            after: Module after the hourglass. (N, width, H, W) -> the same.
            head: Module from features to maps. (N, width, H, W) -> (N, maps, H, W).
            width: Channels of the features.
            maps: Channels of the maps; 0 for the last stage, after which there is no other.
        """
        super().__init__()
        self.hourglass, self.after, self.head = hourglass, after, head
        self.features = ConvNorm(width, width, 1)
        self.from_features = nn.Conv2d(width, width, 1) if maps else None
        self.from_maps = nn.Conv2d(maps, width, 1) if maps else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, width, H, W) -> maps (N, maps, H, W), their features and the input of the next stage (N, width, H, W)."""
        features = self.features(self.after(self.hourglass(x)))  # (N, width, H, W)
        maps = self.head(features)  # (N, maps, H, W)
        if self.from_features is not None and self.from_maps is not None:
            x = x + self.from_features(features) + self.from_maps(maps)  # (N, width, H, W)
        return maps, features, x


class Stack(nn.Module):
    """Stages in sequence, each with its own maps (intermediate supervision)."""

    def __init__(self, *stages: Stage) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, width, H, W) -> the maps of each stage, (N, maps, H, W) each."""
        every = []
        for stage in self.stages:
            maps, _, x = stage(x)
            every.append(maps)
        return tuple(every)
