from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from canthus.align.stage import Parts, System
from canthus.align.systems import system_of
from canthus.errors import BundleError, ShapeError
from canthus.types import Floats
from whole import whole_view

DEPTHS = 4


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


CROPS = np.stack([np.full((4, 4, 3), value, np.uint8) for value in (10, 20)])


@pytest.fixture
def networks() -> dict[str, Any]:
    return {"base": Base(), **{f"unit{k}": Unit(k) for k in range(1, DEPTHS + 1)}}


def cascade(networks: Mapping[str, Any], units: int = DEPTHS) -> System:
    _, crop = whole_view(CROPS)
    names = {f"unit{k}": ["base", "unit1"] if k == 1 else [f"unit{k}"] for k in range(1, units + 1)}
    parts = {stage: Parts(crop, {name: networks[name] for name in some}) for stage, some in names.items()}
    return system_of("cascaded_cnn", "68", parts)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_units_run_in_order_as_far_as_wanted(networks: dict[str, Any], depth: int) -> None:
    found = cascade(networks).prefix(depth).run(whole_view(CROPS)[0])
    np.testing.assert_allclose(found.points[:, 0, 0], [12 + depth, 22 + depth], atol=1e-5)
    assert found.points[0, 0, 1] == pytest.approx(int("1234"[:depth]), abs=1e-5)
    assert found.scores[0, 0] == pytest.approx(depth / 10)
    assert np.isnan(found.pose).all()
    assert not found.state
    assert [networks[f"unit{k}"].runs for k in range(1, 5)] == [int(k <= depth) for k in range(1, 5)]


def test_a_shorter_cascade(networks: dict[str, Any]) -> None:
    short = cascade(networks, 2)
    assert short.run(whole_view(CROPS)[0]).points[0, 0, 1] == pytest.approx(12, abs=1e-5)
    with pytest.raises(ShapeError, match="stages 1 to 2; it cannot stop after stage 3"):
        short.prefix(3)


def test_a_unit_cannot_start_a_row(networks: dict[str, Any]) -> None:
    with pytest.raises(ShapeError, match="unit 3 of the cascade follows unit 2"):
        cascade(networks).suffix("unit3").run(whole_view(CROPS)[0])
    with pytest.raises(ShapeError, match="none called 'unit9'"):
        cascade(networks).suffix("unit9")


def test_a_stage_that_is_missing_is_named(networks: dict[str, Any]) -> None:
    _, crop = whole_view(CROPS)
    with pytest.raises(BundleError, match="'cascaded_cnn' lacks the stage 'unit1'"):
        system_of("cascaded_cnn", "68", {"unit2": Parts(crop, networks)})
