"""The default system at run time: one network on one crop (`nets/compact.py`)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from canthus.align.cropped import Solved, Solver
from canthus.types import Backend

DEPTHS = 1


def solver(networks: Mapping[str, Backend], depth: int) -> Solver:
    """The system over its network "landmarks"; `depth` is 1."""

    def solve(crops: NDArray[np.uint8]) -> Solved:
        out = networks["landmarks"].run(crops)
        return Solved(out["points"], out["scores"], out["pose"])

    return solve
