"""The training step as a Lightning module; validation runs the shipped aligner over the torch network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from canthus.align.compact import Compact as CompactAligner
from canthus.data.sample import Sample
from canthus.errors import InputError
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of
from canthus.nets.compact import Compact, CompactConfig, Deployed, Prediction
from canthus.schemes.scheme import Scheme
from canthus.train.losses import heat_loss, point_loss, pose_loss, spread_loss
from canthus.train.recipe import Recipe
from canthus.types import Floats


class TorchBackend:
    """A torch module as the engine of an aligner."""

    def __init__(self, module: torch.nn.Module, outputs: Sequence[str]) -> None:
        self.module, self.outputs = module, outputs

    def run(self, inputs: NDArray[Any]) -> Mapping[str, Floats]:
        """See `Backend.run`."""
        with torch.no_grad():
            results = self.module(torch.from_numpy(inputs))
        return {name: value.float().cpu().numpy() for name, value in zip(self.outputs, results, strict=True)}


class Task(lightning.LightningModule):
    """Trains one network by one recipe."""

    def __init__(self, recipe: Recipe, scheme: str, val: Mapping[str, Sequence[Sample]]) -> None:
        super().__init__()
        self.recipe, self.scheme, self.val = recipe, scheme, val
        self.config = CompactConfig(**{**recipe.config, "points": Scheme.open(scheme).count})
        self.net = Compact(self.config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.start is not None:
            self.net.load_state_dict(weights_of(recipe.start))

    def losses(self, prediction: Prediction, batch: Mapping[str, Tensor], size: int) -> dict[str, Tensor]:
        """Each weighted loss as a mean over the batch, samples weighted by trust."""
        weights, truth = self.recipe.losses, batch["points"]
        known = truth.isfinite().all(-1) & (truth > -0.5).all(-1) & (truth < size - 0.5).all(-1)
        inside, truth = known.float(), torch.where(known[..., None], truth, torch.zeros_like(truth))
        stride = size // prediction.heatmaps.shape[-1]
        distance = (prediction.points - truth).norm(dim=-1) / size
        trust = batch["trust"] / batch["trust"].sum()
        parts = {
            "point": weights.point * point_loss(prediction.points, truth, inside, weights.beta * size),
            "heat": weights.heat * heat_loss(prediction.heatmaps, truth, inside, stride, weights.sigma),
            "spread": weights.spread * spread_loss(prediction.log_spread, distance, inside),
            "pose": weights.pose * pose_loss(prediction.pose, batch["pose"] / 90),
        }
        return {name: (trust * value).sum() for name, value in parts.items()}

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.Stream`."""
        crops = batch["crops"].permute(0, 3, 1, 2).float() / 255 - 0.5  # channels last in memory
        parts = self.losses(self.net(crops), batch, crops.shape[-1])
        total = torch.stack(list(parts.values())).sum()
        self.log_dict({f"loss/{name}": value.detach() for name, value in parts.items()})
        self.log("loss", total.detach(), prog_bar=True)
        return total

    def validation_step(self, batch: Any, index: int) -> None:
        """NME (inter-ocular, per cent) of the network as it stands on every validation set, with true boxes."""
        for position, (name, samples) in enumerate(self.val.items()):
            error = validate(self.net, self.scheme, samples)
            self.log(f"val/{name}", error, prog_bar=True, batch_size=len(samples), sync_dist=True)
            if position == 0:
                self.log("val/nme", error, batch_size=len(samples), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW, no decay on norms and biases, one cycle of warm-up and cosine."""
        settings, steps = self.recipe.optimiser, self.recipe.steps
        matrices = [p for p in self.net.parameters() if p.ndim > 1]
        vectors = [p for p in self.net.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": settings.decay}, {"params": vectors, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=settings.rate)
        warmup = max(1, round(settings.warmup * steps))

        def rate(step: int) -> float:
            if step < warmup:
                return (step + 1) / warmup
            return 0.5 * (1 + float(np.cos(np.pi * min(1.0, (step - warmup) / max(1, steps - warmup)))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


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


def aligner_of(net: Compact, scheme: str) -> CompactAligner:
    """The shipped aligner over a torch network."""
    backend = TorchBackend(Deployed(net), ("points", "scores", "pose"))
    config = net.config
    return CompactAligner(backend, scheme, config.points, config.size, config.extent)


def validate(net: Compact, scheme: str, samples: Sequence[Sample]) -> float:
    """NME over the inter-ocular distance in per cent, from true boxes."""
    was_training = net.training
    net.eval()
    with torch.autocast("cpu", enabled=False):
        images = [sample.picture() for sample in samples]
        truth = np.stack([sample.points for sample in samples])
        results = aligner_of(net, scheme).align(images, [box[None] for box in box_of(truth)])
    net.train(was_training)
    predicted = np.concatenate([faces.points for faces in results])
    scale = normalisers(truth, "inter-ocular", Scheme.open(scheme))
    return float((distances(predicted, truth).mean(1) / scale).mean() * 100)
