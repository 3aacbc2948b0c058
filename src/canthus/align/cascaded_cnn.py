"""The cascade at run time: the base networks, then one stage for each unit (`nets/cascaded_cnn.py`)."""

from collections.abc import Mapping

import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage
from canthus.align.view import View
from canthus.errors import ShapeError

SHARED = ("regression_features", "heatmap_features", "first")
"""Outputs of the base that every unit takes, beside the heatmaps and the feature of the unit before."""


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "unit1", over the networks "base" and "unit1", then "unit2" and so on, as many as there are."""
    return tuple(_unit(k, parts[f"unit{k}"]) for k in range(1, len(parts) + 1))


def _unit(k: int, parts: Parts) -> Stage:
    crop, networks, _ = parts

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        if k == 1:
            state = networks["base"].run(view.cut(crop))
        elif estimate is not None and f"heatmaps{k - 1}" in estimate.state:
            state = estimate.state
        else:
            raise ShapeError(f"unit {k} of the cascade follows unit {k - 1}; it cannot start a row")
        given = {name: state[name] for name in (*SHARED, f"heatmaps{k - 1}", f"feature{k - 1}")}
        out = networks[f"unit{k}"].run(*given.values())
        passed = {name: given[name] for name in SHARED} | {name: out[name] for name in (f"heatmaps{k}", f"feature{k}")}
        pose = np.full((len(view), 3), np.nan, np.float32)
        return Estimate(view.lift(out["points"], crop), out["scores"], pose, state=passed)

    return Stage(f"unit{k}", crop, solve)
