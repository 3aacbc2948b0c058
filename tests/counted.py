"""Multiply-adds of networks."""

from typing import Any

import torch
from torch import nn


def multiply_adds(net: nn.Module, size: int) -> dict[str, int]:
    """Of the convolutions and matrices of each child, counted on tensors without data as they go through."""
    counted: dict[str, int] = {}

    def count(name: str) -> Any:
        def hook(module: nn.Module, given: Any, made: torch.Tensor) -> None:
            counted[name] = counted.get(name, 0) + made.numel() * module.weight[0].numel()  # type: ignore[operator,index]

        return hook

    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count(name.split(".")[0]))
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, size, size, device="meta"))
    return counted
