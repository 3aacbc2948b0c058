"""The training task of networks of landmarks; validation runs the shipped stages over the torch network."""

from collections.abc import Mapping, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor

from canthus.align.estimate import Estimate
from canthus.align.stage import System
from canthus.align.view import View
from canthus.data.sample import Sample
from canthus.evaluate.metrics import Normaliser, nme, normalisers
from canthus.geometry.crop import box_of
from canthus.nets.losses import target_of
from canthus.schemes.scheme import Scheme
from canthus.train.landmarks.agreement import agreement_loss
from canthus.train.landmarks.pool import labels_in
from canthus.train.landmarks.system import Trained, join
from canthus.train.landmarks.teacher import distilled
from canthus.train.optimiser import optimisers_of
from canthus.train.task import evaluating, total_of
from canthus.types import Floats


class Task(lightning.LightningModule):
    """Trains one network by one recipe."""

    def __init__(
        self,
        trained: Trained,
        val: Mapping[str, Sequence[Sample]],
        earlier: System | None = None,
        given: Mapping[str, Floats] | None = None,
    ) -> None:
        """Set up a run.

        Args:
            trained: The network, its recipe and its arrays.
            val: Validation faces by the name of their set.
            earlier: The stages before those of the network; None = there are none, or labels are used in their place.
            given: Points of validation faces from which the stage of the network starts, each (F, Q, 2), by the name of
                the set; the labels of sets that are not there.
        """
        super().__init__()
        self.trained, self.val, self.earlier, self.given = trained, val, earlier, given or {}
        self.net = trained.net.to(memory_format=torch.channels_last)

    def training_step(self, batch: Mapping[str, Tensor], index: int) -> Tensor:
        """Loss of one batch of `loader.Stream`: mean over its faces, weighted by `trust`."""
        prediction = self._predict(batch, "crops")
        network, settings, target = self.trained.network, self.trained.recipe.losses, target_of(batch)
        losses = network.loss(prediction, target, settings)
        if self.trained.recipe.teacher is not None:
            losses = distilled(losses, prediction, batch, network, settings)
        if (agreement := self.trained.recipe.agreement) is not None:
            others, moves = self._predict(batch, "twins").points, batch["moves"]
            apart = agreement_loss(
                prediction.points, others, moves, batch["points"], batch["crops"].shape[1], agreement.unit
            )
            losses = {**losses, "agreement": agreement.weight * apart}
        trust = batch["trust"] / batch["trust"].sum()
        return total_of(self, {name: (trust * value).sum() for name, value in losses.items()})

    def _predict(self, batch: Mapping[str, Tensor], name: str) -> Any:
        """What the network finds in the crops, or in the second crops, of a batch."""
        crops = batch[name].permute(0, 3, 1, 2).float() / 255 - 0.5  # channels last in memory
        return self.net(crops)

    def validation_step(self, batch: Any, index: int) -> None:
        """Log the normalised mean error on every validation set, in per cent.

        `val/SET` starts from the labels: boxes or points (v_gt of coarse_to_fine, table 1). With earlier stages,
        `val_real/SET` starts from the points that these find (v_real). `val/nme`, the last of these errors on the first
        set, decides between checkpoints.
        """
        with evaluating(self.net):
            system = join([self.trained])
            for position, (name, samples) in enumerate(self.val.items()):
                measure, start = self.trained.recipe.measure, self.given.get(name)
                errors = {f"val/{name}": validate(system, samples, measure, start=start)}
                if self.earlier is not None:
                    whole = System(system.name, system.scheme, [*self.earlier.stages, *system.stages])
                    errors[f"val_real/{name}"] = validate(whole, samples, measure, given=False)
                self.log_dict(errors, prog_bar=True, batch_size=len(samples), sync_dist=True)
                if position == 0:
                    self.log("val/nme", list(errors.values())[-1], batch_size=len(samples), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The recipe's optimiser and learning rates."""
        return optimisers_of(self.net, self.trained.recipe)


def validate(
    system: System,
    samples: Sequence[Sample],
    measure: Normaliser,
    given: bool = True,
    start: Floats | None = None,
) -> float:
    """Normalised mean error of a system that starts from true boxes, in per cent.

    Unknown points are left out, and so are faces whose normaliser depends on one; NaN if no face is left.

    Args:
        system: The whole system, or its later stages.
        samples: Labelled faces; labels of another scheme are converted to that of the system.
        measure: Name of the normaliser.
        given: Whether the first stage also starts from points.
        start: These points; None = the true points. Shape (F, Q, 2).
    """
    truth = np.stack([labels_in(sample, system.scheme)[..., :2] for sample in samples])
    boxes = np.stack([box_of(x) if s.box is None else s.box for s, x in zip(samples, truth, strict=True)])
    found, begin = [], truth if start is None else start
    for first in range(0, len(samples), system.batch):
        some = slice(first, first + system.batch)
        view = View.of_boxes([sample.picture() for sample in samples[some]], boxes[some])
        found.append(system.run(view, Estimate.of_points(begin[some]) if given else None).points[..., :2])
    scale = normalisers(truth, measure, Scheme.open(system.scheme))
    errors = nme(np.concatenate(found), truth, scale)
    measured = np.isfinite(scale)
    return float(errors[measured].mean() * 100) if measured.any() else float("nan")
