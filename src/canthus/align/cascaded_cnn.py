"""The cascade at run time: the base networks, then as many units as wanted (`nets/cascaded_cnn.py`)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from canthus.align.cropped import Solved, Solver
from canthus.errors import ShapeError
from canthus.types import Backend

DEPTHS = 4
SHARED = ("regression_features", "heatmap_features", "first")
"""What the base gives to every unit, beside the heatmaps and the feature of the unit before."""


def solver(networks: Mapping[str, Backend], depth: int) -> Solver:
    """The system over its networks "base", "unit1", ..., "unitK".

    Args:
        networks: By name.
        depth: Units to run; `DEPTHS` = all there are.

    Raises:
        ShapeError: the cascade is not that deep.
    """
    units = [networks[f"unit{k}"] for k in range(1, DEPTHS + 1) if f"unit{k}" in networks]
    if depth != DEPTHS and depth > len(units):
        raise ShapeError(f"this cascade has {len(units)} units; it cannot stop after unit {depth}")

    def solve(crops: NDArray[np.uint8]) -> Solved:
        out = dict(networks["base"].run(crops))
        for k, unit in enumerate(units[:depth]):
            out.update(unit.run(*(out[name] for name in (*SHARED, f"heatmaps{k}", f"feature{k}"))))
        return Solved(out["points"], out["scores"])

    return solve
