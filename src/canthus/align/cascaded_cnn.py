"""The cascade at run time: the base networks and one stage for each unit (`nets/cascaded_cnn.py`)."""

from collections.abc import Mapping

import numpy as np

from canthus.align.estimate import Estimate
from canthus.align.stage import Parts, Stage
from canthus.align.view import View
from canthus.errors import ShapeError

SHARED = ("regression_features", "heatmap_features", "first")
"""Outputs of the base that every unit takes, as far as the system has them, beside the maps of the unit before."""
PASSED = ("heatmaps", "feature")
"""What a unit passes on to the next one, as far as the system has them, with the number of the unit after the name."""


def stages(parts: Mapping[str, Parts]) -> tuple[Stage, ...]:
    """The row: "unit1", "unit2" and so on, as many as there are; before them "unit0", where the base has points.

    The network "base" belongs to the first stage, and the network of each unit to the stage of its name.
    """
    first = 0 if "unit0" in parts else 1
    return tuple(_unit(k, parts[f"unit{k}"]) for k in range(first, first + len(parts)))


def _unit(k: int, parts: Parts) -> Stage:
    crop, networks, _ = parts

    def solve(view: View, estimate: Estimate | None) -> Estimate:
        if estimate is not None and f"heatmaps{k - 1}" in estimate.state:
            state = estimate.state
        elif "base" in networks:
            state = networks["base"].run(view.cut(crop))
        else:
            raise ShapeError(f"unit {k} of the cascade follows unit {k - 1}; it cannot start a row")
        if f"unit{k}" in networks:
            names = (*SHARED, *(f"{name}{k - 1}" for name in PASSED))
            given = {name: state[name] for name in names if name in state}
            state = given | dict(networks[f"unit{k}"].run(*given.values()))
        names = (*SHARED, *(f"{name}{k}" for name in PASSED))
        pose = np.full((len(view), 3), np.nan, np.float32)
        passed = {name: state[name] for name in names if name in state}
        return Estimate(view.lift(state["points"], crop), state["scores"], pose, state=passed)

    return Stage(f"unit{k}", crop, solve)
