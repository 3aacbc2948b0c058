"""Optimisers of recipes: what decays, and the learning rates over a run."""

from pathlib import Path

import pytest
import torch
from torch import nn

from canthus.train.optimiser import OPTIMISERS, optimisers_of
from canthus.train.recipe import Recipe, Start
from canthus.train.start import freeze


@pytest.mark.parametrize("kind", sorted(OPTIMISERS))
def test_norms_and_biases_do_not_decay(tiny: Recipe, kind: str) -> None:
    """Without a gradient, decay alone moves weights."""
    settings = tiny.optimiser.model_copy(update={"kind": kind, "decay": 0.5, "warmup": 0.0, "rate": 0.1})
    net = nn.Sequential(nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    nn.init.ones_(net[0].weight), nn.init.ones_(net[0].bias)
    made = optimisers_of(net, tiny.model_copy(update={"optimiser": settings}))
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    made["optimizer"].step()
    assert (net[0].weight < 1).all()
    assert (net[0].bias == 1).all() and (net[1].weight == 1).all()


def test_rates_are_those_of_the_recipe(tiny: Recipe) -> None:
    made = optimisers_of(nn.Linear(2, 2), tiny)
    schedule, optimiser = made["lr_scheduler"]["scheduler"], made["optimizer"]
    assert made["lr_scheduler"]["interval"] == "step"
    for step in range(tiny.steps):
        assert [group["lr"] for group in optimiser.param_groups] == [tiny.optimiser.rate * tiny.rate_at(step)] * 2
        optimiser.step()
        schedule.step()


def test_loaded_weights_have_a_rate_of_their_own(tiny: Recipe) -> None:
    """At rate 0 they stay as they are; weights that are not loaded have the rate of the recipe."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    starts = [
        Start(checkpoint=Path("a.ckpt"), target="0", rate=0),
        Start(checkpoint=Path("b.ckpt"), target="1", rate=0.1),
    ]
    freeze(net, starts)
    before = [layer.weight.detach().clone() for layer in net]
    made = optimisers_of(net, tiny.model_copy(update={"start": starts}))
    rates = {parameter: group["lr"] for group in made["optimizer"].param_groups for parameter in group["params"]}
    assert rates[net[1].weight] == pytest.approx(0.1 * rates[net[2].weight])
    net(torch.ones(1, 2)).sum().backward()
    for _ in range(3):
        made["optimizer"].step()
        made["lr_scheduler"]["scheduler"].step()
    moved = [(layer.weight - weight).abs().max() for layer, weight in zip(net, before, strict=True)]
    assert moved[0] == 0 < moved[1] < moved[2]
