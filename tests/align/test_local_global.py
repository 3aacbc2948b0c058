from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.stage import Parts
from canthus.align.systems import system_of
from canthus.errors import ShapeError
from canthus.types import Floats
from whole import whole_view


class Both:
    """Heatmaps say 1, the regressor says 2."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        (crops,) = inputs
        ones = np.ones((len(crops), 5, 2), np.float32)
        return {"local": ones, "points": 2 * ones, "scores": 0.5 * ones[..., 0]}


@pytest.mark.parametrize("depth", [1, 2])
def test_a_depth_is_a_stage(depth: int) -> None:
    view, crop = whole_view(np.zeros((3, 8, 8, 3), np.uint8))
    system = system_of("local_global", "68", {"heatmaps": Parts(crop, {"landmarks": Both()})})
    found = system.prefix(depth).run(view)
    assert found.points.shape == (3, 5, 2)
    np.testing.assert_allclose(found.points, depth, atol=1e-4)
    assert (found.scores == 0.5).all() and np.isnan(found.pose).all()
    with pytest.raises(ShapeError, match="follows its heatmaps"):
        system.suffix("regressor").run(view)
