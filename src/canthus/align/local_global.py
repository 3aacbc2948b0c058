"""local_global at run time: one network on one crop, which gives the heatmaps' points and the regressor's."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from canthus.align.cropped import Solved, Solver
from canthus.types import Backend

DEPTHS = 2


def solver(networks: Mapping[str, Backend], depth: int) -> Solver:
    """The system over its network "landmarks"; `depth` 1 reads the heatmaps, 2 the fine-tuning regressor."""
    stage = ("local", "points")[depth - 1]

    def solve(crops: NDArray[np.uint8]) -> Solved:
        out = networks["landmarks"].run(crops)
        return Solved(out[stage], out["scores"])

    return solve
