"""Optimisers and learning rates of training runs."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from canthus.errors import RecipeError
from canthus.train.recipe import Run

OPTIMISERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "sgd": partial(torch.optim.SGD, momentum=0.9),
}
"""Optimisers by their name in recipes."""


def optimisers_of(net: torch.nn.Module, recipe: Run) -> Any:
    """Optimiser and learning rates of a recipe in the form of Lightning; norms and biases have no weight decay.

    Parameters that need no gradient are left out (`start.freeze`).

    Raises:
        RecipeError: no parameter is left.
    """
    settings = recipe.optimiser
    shares = {
        parameter: start.rate for start in recipe.start for parameter in net.get_submodule(start.target).parameters()
    }
    groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
    for parameter in net.parameters():
        if parameter.requires_grad:
            groups.setdefault((shares.get(parameter, 1.0), parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise RecipeError("start: rate 0 keeps all weights, so nothing is trained; name a `target`, or a rate above 0")
    rows = [
        {"params": parameters, "lr": settings.rate * share, "weight_decay": settings.decay if matrix else 0.0}
        for (share, matrix), parameters in groups.items()
    ]
    optimiser = OPTIMISERS[settings.kind](rows, lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, recipe.rate_at)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
