"""Trained networks as systems: the stages of `align/`, which also ship, over torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from canthus.align.stage import Parts, System
from canthus.align.systems import system_of
from canthus.errors import BundleError, InputError
from canthus.geometry.crop import Crop
from canthus.nets.network import Network
from canthus.nets.part import Part
from canthus.nets.systems import configure, network_of
from canthus.runtime.bundle import Bundle, named_bundle
from canthus.train.checkpoint import TorchBackend, weights_of
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.run_card import RunCard
from canthus.train.unfold import unfold
from canthus.types import Backend
from canthus.work.archive import read_arrays

ARRAYS = "arrays.npz"
"""Name of the file of arrays in the folder of a run."""
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network of a system with its recipe and arrays.

    Attributes:
        net: The network; `config` is its config.
        recipe: Recipe by which it was, or is, trained.
        scheme: Name of the scheme of its points.
        arrays: Constant arrays that its stages need, by name.
    """

    net: Any
    recipe: Recipe
    scheme: str
    arrays: Arrays

    @property
    def network(self) -> Network:
        """How the network is made, trained and exported."""
        return network_of(self.recipe.network, self.recipe.stage)

    @property
    def crop(self) -> Crop:
        """Size and margin of its crops."""
        return Crop(self.net.config.size, self.net.config.margin)

    @property
    def first(self) -> str:
        """Name of its first stage."""
        return self.parts()[0].stage

    def parts(self, calibration: float = 0.0) -> tuple[Part, ...]:
        """The parts in which it is exported; `calibration` is added to its log b."""
        return self.network.parts(self.net, calibration)

    def stage_parts(self, engines: Mapping[str, Backend] | None = None, calibration: float = 0.0) -> dict[str, Parts]:
        """Crop, engines and arrays of each of its stages, by the name of the stage.

        Args:
            engines: Engine of each part by the name of the part; None = torch.
            calibration: Shift of log b, where torch runs.
        """
        stages: dict[str, dict[str, Backend]] = {}
        for part in self.parts(calibration):
            engine = TorchBackend(part.module, part.outputs) if engines is None else engines[part.name]
            stages.setdefault(part.stage, {})[part.name] = engine
        return {name: Parts(self.crop, networks, self.arrays) for name, networks in stages.items()}


def join(trained: Sequence[Trained], parts: Sequence[Mapping[str, Parts]] | None = None) -> System:
    """The system of networks that were trained separately.

    Args:
        trained: The networks, in the order of their stages.
        parts: `Trained.stage_parts` of each; None = over torch.

    Raises:
        InputError: the networks belong to different systems, or two to the same stage.
    """
    stems = {one.recipe.network for one in trained}
    if len(stems) != 1:
        raise InputError(f"the checkpoints belong to different systems: {', '.join(sorted(stems))}")
    every = [one.stage_parts() for one in trained] if parts is None else parts
    merged = {name: stage for some in every for name, stage in some.items()}
    if sum(map(len, every)) > len(merged):
        raise InputError("two checkpoints are of the same stage; give one, or --average for the mean of their weights")
    return system_of(stems.pop(), trained[-1].scheme, merged)


def load_trained(checkpoint: Path) -> tuple[Trained, RunCard]:
    """The network of a checkpoint, in evaluation mode and with averaged weights, and the card of its run.

    Raises:
        InputError: the checkpoint, its card or its arrays are missing or damaged.
    """
    card = RunCard.beside(checkpoint)
    recipe = check_recipe(card.recipe, str(checkpoint.parent / "card.json"))
    config = configure(recipe.network, recipe.preset, recipe.config, card.scheme, recipe.stage)
    net = network_of(recipe.network, recipe.stage).build(config)
    try:
        net.load_state_dict(weights_of(checkpoint))
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(f"{checkpoint}: does not fit the recipe in its card: {error}") from error
    return Trained(net.eval(), recipe, card.scheme, _arrays(checkpoint.parent, card)), card


def averaged(trained: Sequence[Trained]) -> Trained:
    """The network whose weights are the means of those of networks that were trained from the same weights.

    [Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time", 2022].

    Args:
        trained: The networks; recipe and arrays are those of the first one.

    Raises:
        InputError: the networks differ in more than their weights.
    """
    first, *others = trained
    like = (first.recipe.network, first.first, first.net.config, first.scheme)
    if any((one.recipe.network, one.first, one.net.config, one.scheme) != like for one in others):
        raise InputError("only checkpoints of the same network can be averaged: same system, stage, config and scheme")
    states = [one.net.state_dict() for one in trained]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    first.net.load_state_dict(mean)
    return first


def open_trained(source: Path) -> Trained:
    """The network of a checkpoint, or of a bundle of one network, in evaluation mode.

    Args:
        source: `best.ckpt` or `last.ckpt` of a run; or a bundle: its file, or its name as "large".

    Raises:
        BundleError: the bundle is missing or damaged, or has several networks.
        InputError: the checkpoint, its card or its arrays are missing or damaged.
    """
    if source.suffix not in ("", ".canthus"):
        return load_trained(source)[0]
    path = named_bundle(source)
    bundle = Bundle.open(path)
    if len(bundle.card.parts) != 1:
        raise BundleError(f"{path}: has the networks {', '.join(bundle.card.parts)}; a teacher has one")
    stage = bundle.card.stages[0]
    recipe = check_recipe(bundle.card.checkpoints[stage.checkpoint].recipe, str(path))
    config = configure(recipe.network, recipe.preset, recipe.config, stage.scheme, recipe.stage)
    net = network_of(recipe.network, recipe.stage).build(config)
    unfold(net, bundle.network(next(iter(bundle.card.parts))))
    return Trained(net.eval(), recipe, stage.scheme, {})


def with_margin(trained: Trained, margin: float | None) -> Trained:
    """A network with another crop margin at run time; None = unchanged."""
    if margin is not None:
        trained.net.config = replace(trained.net.config, margin=margin)
    return trained


def _arrays(folder: Path, card: RunCard) -> dict[str, NDArray[Any]]:
    """The arrays of a run by name; empty where its network has none."""
    if card.arrays is None:
        return {}
    try:
        return read_arrays(folder / ARRAYS)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / ARRAYS} is missing or damaged: {error}; copy it again from the run") from error
