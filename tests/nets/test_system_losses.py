"""The losses of every system: what they leave alone, what scales them, and what each of them measures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from torch import Tensor

from canthus.nets.losses import Losses, Target, heatmap_term, point_term, spread_term
from canthus.nets.network import Network
from canthus.nets.systems import SYSTEMS, configure, network_of

SMALL: Mapping[str, Mapping[str, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in (Path(__file__).parents[1] / "systems").glob("*.yaml")
}
POINTS, SIZE, FACES = 68, 64, 4
WEIGHTS = ("point", "decoded", "heat", "spread", "pose", "angle")
ALONE = [
    (stem, stage)
    for stem, networks in SYSTEMS.items()
    for stage, network in networks.items()
    if len(network.several("68").partners) == 1
]
"""Networks that see one crop of a face; the others have tests of their own."""


class Case(NamedTuple):
    """A network, its prediction as leaves, and the truth, of which some is not known."""

    network: Network
    prediction: Any
    leaves: list[Tensor]
    target: Target
    losses: Losses


def leaf(part: Any, leaves: list[Tensor]) -> Any:
    """A prediction cut off from its network, each tensor a leaf."""
    if part is None:
        return None
    if isinstance(part, Tensor):
        leaves.append(part.detach().clone().requires_grad_())
        return leaves[-1]
    inside = [leaf(one, leaves) for one in part]
    return type(part)(*inside) if hasattr(part, "_fields") else tuple(inside)


@pytest.fixture(params=ALONE, ids=" ".join)
def case(request: pytest.FixtureRequest) -> Case:
    stem, stage = request.param
    small = SMALL[stem][stage]
    network = network_of(stem, stage)
    torch.manual_seed(0)
    config = configure(stem, small.get("preset", "compact"), {**small["config"], "size": SIZE}, "68", stage)
    leaves: list[Tensor] = []
    prediction = leaf(network.build(config).eval()(torch.rand(FACES, 3, SIZE, SIZE) - 0.5), leaves)
    inside = torch.ones(FACES, POINTS)
    inside[0, 3], inside[1, 5:] = 0, 0
    inside[2] = 0
    unknown = torch.full((FACES, POINTS), torch.nan)
    pose = torch.rand(FACES, 3)
    pose[0] = torch.nan
    points = torch.rand(FACES, POINTS, 2) * SIZE * inside[..., None]
    none, turn = torch.zeros(FACES, dtype=torch.int64), torch.tensor([30.0, -170, torch.nan, 5])
    visible = (torch.rand(FACES, POINTS) < 0.7).float()
    visible[3, ::2] = torch.nan
    given = torch.zeros(FACES, 0, 2), torch.zeros(FACES, 0)
    target = Target(points, inside, unknown, visible, pose, none, turn, SIZE, *given)
    weights = {name: 0.7 for name in WEIGHTS if name in network.losses.model_fields}
    settings = network.losses.model_validate({**small.get("losses", {}), **weights})
    return Case(network, prediction, leaves, target, settings)


def test_unknown_points_have_no_gradient(case: Case) -> None:
    """Nor do unknown poses; each known point has one."""
    found = case.network.loss(case.prediction, case.target, case.losses)
    assert all(value.shape == (FACES,) and value.isfinite().all() for value in found.values())
    torch.stack(list(found.values())).sum().backward()
    known = case.target.inside > 0
    reached = torch.zeros(FACES, POINTS)
    for part in case.leaves:
        if part.grad is None or part.shape[:2] != (FACES, POINTS):
            continue
        gradient = part.grad.flatten(2).abs().sum(-1) if part.ndim > 2 else part.grad.abs()
        assert (gradient[~known] == 0).all()
        reached += gradient
    assert (reached[known] > 0).all()
    predicted = getattr(case.prediction, "pose", None)
    if predicted is not None:
        assert (predicted.grad[0] == 0).all() and (predicted.grad[1:] != 0).all()


def test_a_face_without_known_points_costs_nothing_but_its_pose(case: Case) -> None:
    found = case.network.loss(case.prediction, case.target, case.losses)
    assert all(value[2].item() == 0 for name, value in found.items() if name != "pose")


def test_weights_scale_their_losses(case: Case) -> None:
    before = case.network.loss(case.prediction, case.target, case.losses)
    assert set(before) <= set(type(case.losses).model_fields)
    for name in before:
        settings = case.losses.model_copy(update={name: 3 * getattr(case.losses, name)})
        after = case.network.loss(case.prediction, case.target, settings)
        torch.testing.assert_close(after[name], 3 * before[name])
        assert all(torch.equal(after[other], before[other]) for other in before if other != name)


def test_every_stage_with_heatmaps_is_supervised(case: Case) -> None:
    """The loss of heatmaps is the mean over all of them, that of points over all refined ones."""
    prediction, target, losses = case.prediction, case.target, case.losses
    found = case.network.loss(prediction, target, losses)
    known = getattr(prediction, "heatmaps", ())
    maps = known if isinstance(known, tuple) else (known,)
    points = getattr(prediction, "points_by_depth", (prediction.points,))
    expected = {
        **({"heat": sum(heatmap_term(one, target, losses) for one in maps) / len(maps)} if maps else {}),
        "point": sum(point_term(one, target, losses) for one in points) / len(points),
        "spread": spread_term(prediction.points, prediction.log_spread, target),
    }
    for name, value in expected.items():
        torch.testing.assert_close(found[name], 0.7 * value)


def test_true_points_cost_nothing(case: Case) -> None:
    truth = case.target.points
    names = [name for name in ("points", "local") if hasattr(case.prediction, name)]
    right = case.prediction._replace(**dict.fromkeys(names, truth))
    several = [name for name in ("points_by_depth", "decoded") if hasattr(right, name)]
    right = right._replace(**{name: (truth,) * len(getattr(right, name)) for name in several})
    found = case.network.loss(right, case.target, case.losses)
    assert all((found[name] == 0).all() for name in ("point", "decoded") if name in found)
