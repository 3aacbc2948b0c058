from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.cascaded_cnn import DEPTHS, solver
from canthus.errors import ShapeError
from canthus.types import Floats


class Base:
    """Gives every crop its brightness."""

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        (crops,) = inputs
        bright = crops.mean((1, 2, 3), dtype=np.float32)[:, None]
        return {
            "regression_features": bright,
            "heatmap_features": bright + 1,
            "first": bright + 2,
            "heatmaps0": bright + 2,
            "feature0": 0 * bright,
        }


class Unit:
    """Adds one to the heatmaps, appends its number to the feature, and counts its runs."""

    def __init__(self, number: int) -> None:
        self.number, self.runs = number, 0

    def run(self, *inputs: NDArray[Any]) -> Mapping[str, Floats]:
        self.runs += 1
        regression, heatmap, first, maps, feature = inputs
        np.testing.assert_array_equal(heatmap, regression + 1)
        np.testing.assert_array_equal(first, regression + 2)
        maps, feature = maps + 1, 10 * feature + self.number
        points = np.stack([maps, feature], -1)
        out = {f"heatmaps{self.number}": maps, f"feature{self.number}": feature}
        return out | {"points": points, "scores": np.full(maps.shape, self.number / 10, np.float32)}


@pytest.fixture
def networks() -> dict[str, Any]:
    return {"base": Base(), **{f"unit{k}": Unit(k) for k in range(1, DEPTHS + 1)}}


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_units_run_in_order_as_far_as_wanted(networks: dict[str, Any], depth: int) -> None:
    crops = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20)])
    found = solver(networks, depth)(crops)
    assert found.points[:, 0, 0].tolist() == [12 + depth, 22 + depth]
    assert found.points[0, 0, 1] == int("1234"[:depth])
    assert found.scores[0, 0] == pytest.approx(depth / 10)
    assert found.pose is None
    assert [networks[f"unit{k}"].runs for k in range(1, 5)] == [int(k <= depth) for k in range(1, 5)]


def test_a_shorter_cascade(networks: dict[str, Any]) -> None:
    short = {name: networks[name] for name in ("base", "unit1", "unit2")}
    found = solver(short, DEPTHS)(np.zeros((1, 4, 4, 3), np.uint8))
    assert found.points[0, 0, 1] == 12
    with pytest.raises(ShapeError, match="has 2 units; it cannot stop after unit 3"):
        solver(short, 3)
