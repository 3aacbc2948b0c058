"""The training step as a Lightning module; validation runs the shipped aligner over the torch network."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from canthus.align.aligner import solver_of
from canthus.align.cropped import Cropped
from canthus.data.sample import Sample
from canthus.errors import InputError
from canthus.evaluate.metrics import distances, normalisers
from canthus.nets.network import NETWORKS, configure
from canthus.schemes.scheme import Scheme
from canthus.train.objectives import OBJECTIVES, target_of
from canthus.train.optimiser import optimisers_of
from canthus.train.recipe import Recipe, Start, check_recipe
from canthus.types import Floats


class TorchBackend:
    """A torch module as the engine of an aligner."""

    def __init__(self, module: torch.nn.Module, outputs: Sequence[str]) -> None:
        self.module, self.outputs = module, outputs

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        with torch.no_grad():
            results = self.module(*(torch.from_numpy(array) for array in inputs))
        return {name: value.float().cpu().numpy() for name, value in zip(self.outputs, results, strict=True)}


class Task(lightning.LightningModule):
    """Trains one network by one recipe."""

    def __init__(
        self, recipe: Recipe, scheme: str, val: Mapping[str, Sequence[Sample]], mean: Floats | None = None
    ) -> None:
        """Set up a run; `mean` is the mean shape that crops are cut by, if they are."""
        super().__init__()
        self.recipe, self.scheme, self.val, self.mean = recipe, scheme, val, mean
        self.config = configure(recipe.network, recipe.preset, recipe.config, Scheme.open(scheme).count)
        self.net = NETWORKS[recipe.network].build(self.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for start in recipe.start:
            load_start(self.net, start)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.Stream`."""
        crops = batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5  # channels last in memory
        target = target_of(batch, crops.shape[-1])
        losses = OBJECTIVES[self.recipe.network](self.net(crops), target, self.recipe.losses)
        trust = batch["trust"] / batch["trust"].sum()
        parts = {name: (trust * value).sum() for name, value in losses.items()}
        total = torch.stack(list(parts.values())).sum()
        self.log_dict({f"loss/{name}": value.detach() for name, value in parts.items()})
        self.log("loss", total.detach(), prog_bar=True)
        return total

    def validation_step(self, batch: Any, index: int) -> None:
        """NME (per cent) of the network as it stands on every validation set, with true boxes."""
        for position, (name, samples) in enumerate(self.val.items()):
            error = validate(self.net, self.recipe, self.scheme, samples, self.mean)
            self.log(f"val/{name}", error, prog_bar=True, batch_size=len(samples), sync_dist=True)
            if position == 0:
                self.log("val/nme", error, batch_size=len(samples), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and its learning rates."""
        return optimisers_of(self.net, self.recipe)


def weights_of(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights of the network in a checkpoint of a run.

    Raises:
        InputError: the file is missing, or no checkpoint.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=False)["state_dict"]
    except FileNotFoundError as error:
        raise InputError(f"{checkpoint} does not exist; `canthus train` makes checkpoints") from error
    except (OSError, KeyError, RuntimeError, UnpicklingError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of `canthus train`, or a damaged one") from error
    return {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}


def load_checkpoint(path: Path) -> tuple[Any, Recipe, dict[str, Any]]:
    """The network of a checkpoint (in evaluation mode, averaged weights), its recipe and its run card."""
    card = path.parent / "card.json"
    for file in (path, card):
        if not file.is_file():
            raise InputError(f"{file} does not exist; `canthus train` makes checkpoints with a card.json beside them")
    run = json.loads(card.read_text())
    recipe = check_recipe(run["recipe"], str(card))
    weights = weights_of(path)
    config = configure(recipe.network, recipe.preset, recipe.config, Scheme.open(run["scheme"]).count)
    net = NETWORKS[recipe.network].build(config)
    net.load_state_dict(weights)
    return net.eval(), recipe, run


def load_start(net: torch.nn.Module, start: Start) -> None:
    """Put weights of an earlier run into a network.

    Raises:
        InputError: no such checkpoint, module or shape.
    """
    weights = weights_of(start.checkpoint)
    if start.source:
        dotted = start.source + "."
        weights = {name.removeprefix(dotted): value for name, value in weights.items() if name.startswith(dotted)}
    try:
        net.get_submodule(start.target).load_state_dict(weights)
    except (AttributeError, RuntimeError) as error:
        what = f"{start.source or 'the network'} of {start.checkpoint}"
        raise InputError(f"start: {what} does not fit {start.target or 'this network'}: {error}") from error


def aligner_of(
    net: torch.nn.Module, stem: str, scheme: str, depth: int | None = None, mean: Floats | None = None
) -> Cropped:
    """The shipped aligner over a torch network."""
    parts = NETWORKS[stem].parts(net, 0.0)
    networks = {part.name: TorchBackend(part.module, part.outputs) for part in parts}
    config: Any = net.config
    return Cropped(solver_of(stem, networks, depth), scheme, config.size, config.margin, mean=mean)


def validate(
    net: torch.nn.Module, recipe: Recipe, scheme: str, samples: Sequence[Sample], mean: Floats | None = None
) -> float:
    """Mean error over the recipe's measure in per cent, from true boxes or, with a mean shape, from true points."""
    was_training, device = net.training, next(net.parameters()).device
    net.eval().cpu()
    truth = np.stack([sample.points[:, :2] for sample in samples])
    system = aligner_of(net, recipe.network, scheme, mean=mean)
    found = []
    with torch.autocast("cpu", enabled=False):
        for start in range(0, len(samples), system.batch):
            some = slice(start, start + system.batch)
            images = [sample.picture() for sample in samples[some]]
            found.append(system.solve_at(images, list(system.matrices(truth[some]))).points)
    net.to(device).train(was_training)
    scale = normalisers(truth, recipe.measure, Scheme.open(scheme))
    known = ~np.isnan(truth).any(-1)
    errors = np.where(known, distances(np.concatenate(found), truth), 0).sum(1) / known.sum(1)
    return float((errors / scale).mean() * 100)
