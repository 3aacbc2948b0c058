from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.local_global import DEPTHS, solver
from canthus.types import Floats


class Both:
    """Heatmaps say 1, the regressor says 2."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        (crops,) = inputs
        ones = np.ones((len(crops), 5, 2), np.float32)
        return {"local": ones, "points": 2 * ones, "scores": 0.5 * ones[..., 0]}


@pytest.mark.parametrize("depth", range(1, DEPTHS + 1))
def test_a_depth_is_a_stage(depth: int) -> None:
    found = solver({"landmarks": Both()}, depth)(np.zeros((3, 8, 8, 3), np.uint8))
    assert found.points.shape == (3, 5, 2)
    assert (found.points == depth).all()
    assert (found.scores == 0.5).all() and found.pose is None
