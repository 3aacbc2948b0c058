"""What the training tasks of all networks share: the sum of the losses, and evaluation mode in validation."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import lightning
import torch
from torch import Tensor


def total_of(task: lightning.LightningModule, losses: Mapping[str, Tensor]) -> Tensor:
    """Sum of the losses of a batch, each of which is logged as `loss/NAME` and their sum as `loss`.

    Args:
        task: The task that logs them.
        losses: Weighted losses by name, scalars.
    """
    total = torch.stack(list(losses.values())).sum()
    task.log_dict({f"loss/{name}": value.detach() for name, value in losses.items()})
    task.log("loss", total.detach(), prog_bar=True)
    return total


@contextmanager
def evaluating(net: torch.nn.Module) -> Iterator[None]:
    """Keep a network in evaluation mode, on the CPU and in full precision, as long as the context lasts."""
    modes, device = [(module, module.training) for module in net.modules()], next(net.parameters()).device
    net.eval().cpu()
    try:
        with torch.autocast("cpu", enabled=False):
            yield
    finally:
        net.to(device)
        for module, mode in modes:  # frozen modules stay in evaluation mode
            module.training = mode
