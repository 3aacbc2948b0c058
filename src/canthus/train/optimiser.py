"""Optimisers and learning rates of training runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from canthus.train.recipe import Run

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
"""Optimisers by their name in recipes."""


def optimisers_of(net: torch.nn.Module, recipe: Run) -> Any:
    """Optimiser and learning rates of a recipe in the form of Lightning; norms and biases have no weight decay."""
    settings = recipe.optimiser
    matrices = [p for p in net.parameters() if p.ndim > 1]
    vectors = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.decay}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = OPTIMISERS[settings.kind](groups, lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.rate_at)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
