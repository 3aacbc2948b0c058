from typing import get_args

import pytest
import torch
from torch import nn

from canthus.nets.blocks import Activation, Bottleneck, NormConv


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("outside", [8, 12])
def test_a_bottleneck_starts_as_its_skip(activation: Activation, outside: int) -> None:
    block = Bottleneck(8, outside, activation).eval()
    x = torch.randn(2, 8, 6, 5)
    straight = block.skip(x)
    assert torch.allclose(block(x), straight.relu() if activation == "post" else straight)
    assert block(x).shape == (2, outside, 6, 5)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_a_bottleneck_leaves_its_start(activation: Activation) -> None:
    """After one step every parameter has a gradient: nothing is closed for good by what starts at zero."""
    torch.manual_seed(0)
    block = Bottleneck(8, 12, activation)
    descent = torch.optim.SGD(block.parameters(), lr=1.0)
    for _ in range(2):
        descent.zero_grad()
        block(torch.randn(4, 8, 6, 6)).square().mean().backward()
        descent.step()
    idle = [name for name, p in block.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_what_post_and_pre_mean() -> None:
    """The formulas of the two papers, with norms and convolutions of the block's own."""
    x = torch.randn(3, 8, 5, 5)
    after, before = Bottleneck(8, 8, "post").eval(), Bottleneck(8, 8, "pre").eval()
    for block in (after, before):
        for module in block.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                nn.init.normal_(module.weight)
    first, second, third = after.inner
    assert torch.allclose(after(x), (x + third[1](third[0](second(first(x))))).relu(), atol=1e-5)
    inner = x
    for layer in before.inner:
        assert isinstance(layer, NormConv)
        inner = layer[2](layer[0](inner).relu())
    assert torch.allclose(before(x), x + inner, atol=1e-5)
    assert (before(x) < 0).any() and (after(x) >= 0).all()


def test_the_neck() -> None:
    block = Bottleneck(64, 64, "pre", 0.375)
    assert block.inner[1][2].weight.shape == (24, 24, 3, 3)
