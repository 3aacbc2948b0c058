"""When the points of two engines count as the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import CanthusError
from canthus.export.onnx import halve, part_to_onnx
from canthus.export.proof import OTHER_CELLS, TOLERANCES, faces_of, prove, same_cells
from canthus.nets.cascaded_cnn import CascadedCnn, CascadedCnnConfig, parts
from canthus.train.landmarks.system import Trained
from canthus.train.recipe import Recipe

CELLS = CascadedCnnConfig(
    size=32,
    depth=0,
    early=(8,),
    pools=(1,),
    late=(4, 4, 4, 4),
    features=(4, 8),
    refined=False,
    base_points=True,
    dropout=0.0,
    maps="softmax",
    read="argmax",
)


@given(st.lists(st.floats(0, TOLERANCES["points"]), min_size=1, max_size=400), st.lists(st.floats(1, 90), max_size=9))
def test_few_points_may_take_another_cell(near: list[float], far: list[float]) -> None:
    counted = same_cells(np.array(near + far))
    few = len(far) <= OTHER_CELLS * len(near + far)
    assert counted.size == len(near) + (0 if few else len(far))


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
def test_networks_that_read_the_highest_cell(tiny: Recipe, drawn: Path) -> None:
    """The same weights agree; another reading of the same maps does not, nor do other weights."""
    torch.manual_seed(0)
    net = CascadedCnn(CELLS).eval()
    torch.nn.init.normal_(net.maps[-1].weight, 0, 20)  # maps with peaks
    other = CascadedCnn(CELLS).eval()
    mean = CascadedCnn(replace(CELLS, read="expectation")).eval()
    mean.load_state_dict(net.state_dict())
    recipe = tiny.model_copy(update={"network": "cascaded_cnn", "preset": "full", "config": {}})
    trained = Trained(net, recipe, "68", {})
    faces = faces_of(trained, recipe.sets, drawn)

    def exported(source: CascadedCnn) -> dict[str, bytes]:
        (part,) = parts(source)
        example = {"crops": np.zeros((2, 32, 32, 3), np.uint8)}
        return {part.name: part_to_onnx(part, example, ({0: torch.export.Dim("faces")},))}

    whole = exported(net)
    assert prove([trained], [0.0], whole, faces) < TOLERANCES["points"]
    assert prove([trained], [0.0], {name: halve(model) for name, model in whole.items()}, faces) < 0.05
    for wrong in (other, mean):
        with pytest.raises(CanthusError, match="differ"):
            prove([trained], [0.0], exported(wrong), faces)
