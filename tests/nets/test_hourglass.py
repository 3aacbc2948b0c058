from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from canthus.nets.blocks import Bottleneck, ConvNorm
from canthus.nets.hourglass import Deconvolution, Hourglass, Stack, Stage, Upsampling


def same(inside: int, outside: int) -> nn.Module:
    return nn.Identity()


def stage(width: int, points: int, last: bool) -> Stage:
    hourglass = Hourglass(width, 2, Bottleneck)
    return Stage(hourglass, Bottleneck(width, width), nn.Conv2d(width, points, 1), width, 0 if last else points)


@pytest.mark.parametrize("upsampling", get_args(Upsampling))
@pytest.mark.parametrize("scales", [1, 2, 3])
def test_shapes_and_number_of_blocks(upsampling: Upsampling, scales: int) -> None:
    net = Hourglass(8, scales, Bottleneck, upsampling)
    assert net(torch.randn(2, 8, 16, 24)).shape == (2, 8, 16, 24)
    assert sum(isinstance(module, Bottleneck) for module in net.modules()) == 3 * scales + 1


def test_deconvolution_starts_as_nearest_upsampling() -> None:
    x = torch.randn(2, 5, 3, 4)
    assert torch.allclose(Deconvolution(5)(x), functional.interpolate(x, scale_factor=2.0, mode="nearest"))


@pytest.mark.parametrize("upsampling", get_args(Upsampling))
def test_an_hourglass_of_empty_blocks_is_a_pyramid(upsampling: Upsampling) -> None:
    """x + up(max(x) + up(max(max(x)))), with the maxima taken by hand."""
    x = torch.randn(1, 3, 8, 8)
    half = x.reshape(1, 3, 4, 2, 4, 2).amax((3, 5))
    quarter = half.reshape(1, 3, 2, 2, 2, 2).amax((3, 5))
    low = half + quarter.repeat_interleave(2, 2).repeat_interleave(2, 3)
    expected = x + low.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(Hourglass(3, 2, same, upsampling)(x), expected, atol=1e-6)


def test_an_hourglass_sees_far() -> None:
    net = Hourglass(8, 3, lambda inside, outside: ConvNorm(inside, outside))
    x = torch.randn(1, 8, 32, 32, requires_grad=True)
    net.eval()(x)[0, :, 16, 16].sum().backward()
    assert x.grad is not None
    rows = x.grad.abs().sum((0, 1, 3)).nonzero()
    assert rows.min() <= 2 and rows.max() >= 29  # three convolutions alone would reach 13..19


def test_stages_are_supervised_and_hand_on() -> None:
    torch.manual_seed(0)
    net = Stack(stage(8, 5, last=False), stage(8, 5, last=True))
    x = torch.randn(2, 8, 8, 8)
    first, second = net(x)
    assert first.shape == second.shape == (2, 5, 8, 8)
    head = net.stages[0].head.weight
    assert torch.autograd.grad(second.sum(), head, retain_graph=True)[0].abs().sum() > 0  # maps flow on
    assert torch.autograd.grad(first.sum(), head)[0].abs().sum() > 0
    assert net.stages[1].from_maps is None and net.stages[1].from_features is None
