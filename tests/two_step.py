"""A system of two stages that exists for tests alone: the second crop is cut by the points of the first stage.

It has what `align/x.py` and `nets/x.py` of a real system have; a real one also has an entry in each of the two tables
called `SYSTEMS`.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage, as_given
from canthus.align.view import View
from canthus.geometry.crop import unit_mean
from canthus.nets import compact
from canthus.nets.losses import Losses
from canthus.nets.network import Labels, Network
from canthus.nets.part import Part

# What stands in align/two_step.py


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "coarse" on the crop of the box, "fine" on the crop that aligns its points to the mean shape."""
    made = {"coarse": _coarse, "fine": _fine}
    return tuple(make(parts[name]) for name, make in made.items() if name in parts)


def _coarse(parts: Parts) -> Stage:
    def solve(view: View, estimate: Estimate | None) -> Estimate:
        out = parts.networks["coarse"].run(view.cut(parts.crop))
        return Estimate(view.lift(out["points"], parts.crop), out["scores"], view.lift_pose(out["pose"]))

    return Stage("coarse", parts.crop, solve, as_given)


def _fine(parts: Parts) -> Stage:
    def look(view: View, estimate: Estimate | None) -> View:
        assert estimate is not None, "the fine stage follows the coarse one"
        return view.aligned(estimate.points, parts.arrays["mean"])

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        assert estimate is not None
        out = parts.networks["fine"].run(view.cut(parts.crop))
        hidden = np.broadcast_to(np.float32(0.25), out["scores"].shape)
        points = view.lift(out["points"], parts.crop)
        return Estimate(
            points, out["scores"], view.lift_pose(out["pose"]), {"raw": estimate.points, "occluded": hidden}
        )

    return Stage("fine", parts.crop, solve, look)


# What stands in nets/two_step.py

COARSE = compact.CompactConfig(size=32, stem=(8, 16), widths=(24, 24), depths=(1, 1), head=16)
FINE = replace(COARSE, size=64, margin=1.2)


class FineLosses(Losses):
    """Losses with a field of their own.

    Attributes:
        gain: Weight of the whole loss.
    """

    gain: float = 1.0


def _parts(name: str, net: nn.Module, calibration: float) -> tuple[Part, ...]:
    module = compact.Deployed(net, calibration)  # type: ignore[arg-type]
    return (Part(name, module, ("crops",), ("points", "scores", "pose"), name),)


def fine_loss(prediction: compact.Prediction, target: object, losses: FineLosses) -> dict[str, torch.Tensor]:
    """The losses of the default network, weighted by a field of this one's own."""
    terms = compact.loss(prediction, target, losses)  # type: ignore[arg-type]
    return {name: losses.gain * value for name, value in terms.items()}


def mean_of(labels: Labels, config: compact.CompactConfig) -> dict[str, NDArray[np.float32]]:
    """The mean shape that the second crop is aligned to."""
    return {"mean": unit_mean(labels.points)}


NETWORKS: Mapping[str, Network] = {
    "coarse": Network(
        {"compact": COARSE}, compact.Compact, lambda net, c: _parts("coarse", net, c), compact.loss, "none"
    ),
    "fine": Network(
        {"compact": FINE},
        compact.Compact,
        lambda net, c: _parts("fine", net, c),
        fine_loss,
        "none",
        FineLosses,
        mean_of,
    ),
}
