"""coarse_to_fine beside its paper: counts, the full circle, student and teacher, patches and their gate."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from canthus.align.coarse_to_fine import components_of, mean_face, patches_of, unit_groups
from canthus.nets.coarse_to_fine import NETWORKS
from canthus.nets.coarse_to_fine.angle import ANGLE, Angle, angle_loss
from canthus.nets.coarse_to_fine.coarse import COARSE, Coarse, coarse_loss
from canthus.nets.coarse_to_fine.components import (
    COMPONENTS,
    Components,
    component_crops,
    component_loss,
    fill_components,
)
from canthus.nets.coarse_to_fine.losses import CoarseToFineLosses
from canthus.nets.coarse_to_fine.points import POINTS, Points, fill_points, point_crops, points_loss
from canthus.nets.losses import Target, square_loss, target_of
from canthus.schemes.scheme import Scheme
from canthus.study.figure import multiply_adds

L2 = CoarseToFineLosses(point_form="l2", beta=0.1, spread=0, pose=0)


def million_adds(net: nn.Module, *shape: int) -> float:
    """Multiply-adds of convolutions and linear layers for an input, in millions."""
    total = 0

    def count(module: nn.Module, given: Any, found: Any) -> None:
        nonlocal total
        total += multiply_adds(module, given, found)

    for module in net.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        net.eval()(torch.zeros(shape))
    return total / 1e6


def truth_of(points: Tensor, size: int, turn: Tensor | None = None) -> Target:
    count, per_face = points.shape[:2]
    unknown = torch.full((count, per_face), torch.nan)
    return target_of(
        {
            "crops": torch.zeros(count, size, size, 3),
            "points": points,
            "depth": unknown,
            "visible": unknown,
            "pose": torch.full((count, 3), torch.nan),
            "view": torch.zeros(count),
            "turn": torch.full((count,), torch.nan) if turn is None else turn,
            "given": points[:, :0],
        }
    )


@pytest.fixture
def face(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A mirror symmetric mean face of 68 random points and their components."""
    points = rng.uniform(-1, 1, (40, 68, 2)).astype(np.float32) * 0.02 + rng.uniform(-1, 1, (68, 2)).astype(np.float32)
    return {"mean": mean_face(points, "68"), "component": components_of("68")}


def test_counts_of_the_full_size() -> None:
    """Sections 3.2 and 3.3: 500 million for the coarse points, 100 for a component, 25 for a point."""
    coarse = Coarse(replace(COARSE["full"], teacher=False))
    assert million_adds(coarse, 1, 3, 160, 160) == pytest.approx(500, rel=0.05)
    assert million_adds(Components(COMPONENTS["full"]), 6, 3, 64, 64) / 6 == pytest.approx(100, rel=0.05)
    assert million_adds(Points(POINTS["full"]), 3 * 51, 3, 48, 48) / 51 == pytest.approx(25, rel=0.05)


def test_counts_of_the_compact_size() -> None:
    """What the issue of the system asks for: 60 million in both kinds of blocks, 8-12 a component, .3 a net."""
    for preset in ("compact", "channelwise"):
        coarse = Coarse(replace(COARSE[preset], teacher=False))
        assert million_adds(coarse, 1, 3, 96, 96) == pytest.approx(60, rel=0.15)
    for preset in ("compact", "maps"):
        assert 8 < million_adds(Components(COMPONENTS[preset]), 6, 3, 64, 64) / 6 < 12
    assert million_adds(Points(POINTS["compact"]), 3 * 51, 3, 32, 32) / (3 * 51) == pytest.approx(0.3, rel=0.25)
    assert million_adds(Angle(ANGLE["compact"]), 1, 3, 64, 64) == pytest.approx(26, rel=0.05)


def test_a_block_is_one_by_one_channelwise_one_by_one() -> None:
    """Figure 3, counted in the convolutions of a block; before training it gives what its skip gives."""
    block = Coarse(replace(COARSE["channelwise"], teacher=False)).student.layers[1]
    convolutions = [module for module in block.inner.modules() if isinstance(module, nn.Conv2d)]
    assert [one.kernel_size for one in convolutions] == [(1, 1), (3, 3), (1, 1)]
    assert [one.groups for one in convolutions] == [1, convolutions[1].in_channels, 1]
    x = torch.rand(2, convolutions[0].in_channels, 6, 6)
    torch.testing.assert_close(block.eval()(x), x)


def test_the_angle_has_no_seam() -> None:
    """179 and -179 degrees cost as little as 1 and -1, and the mean face that is placed lies on the circle."""
    net = Angle(replace(ANGLE["ablation"], points=3)).eval()
    found = net(torch.rand(2, 3, 64, 64) - 0.5)
    torch.testing.assert_close((found.angle**2).sum(1), torch.ones(2), atol=1e-3, rtol=0)

    def cost(predicted: float, true: float) -> float:
        angle = torch.deg2rad(torch.tensor([predicted]))
        guess = found._replace(
            angle=torch.stack([angle.sin(), angle.cos()], 1), points=found.points[:1], log_spread=found.log_spread[:1]
        )
        target = truth_of(torch.zeros(1, 3, 2), 64, torch.tensor([true]))
        return float(angle_loss(guess, target, CoarseToFineLosses())["angle"])

    assert cost(179, -179) == pytest.approx(cost(1, -1), rel=1e-3)
    assert cost(0, 180) > cost(0, 90) > cost(0, 10) > 0
    assert cost(0, float("nan")) == 0


def test_the_student_learns_from_the_teacher_and_not_the_other_way() -> None:
    """Figure 4: loss 3 has no gradient in the teacher; losses 1 and 2 reach one network each."""
    torch.manual_seed(0)
    net = Coarse(replace(COARSE["ablation"], size=32)).train()
    target = truth_of(torch.rand(4, 68, 2) * 20 + 5, 32)
    found = net(torch.rand(4, 3, 32, 32) - 0.5)
    assert found.teacher is not None
    terms = coarse_loss(found, target, L2)
    by_hand = square_loss(found.points, found.teacher.points.detach(), target.inside, 0.1 * 32)
    torch.testing.assert_close(terms["taught"], by_hand)
    terms["taught"].sum().backward(retain_graph=True)
    assert all(p.grad is None for p in net.teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.student.parameters())
    before = [None if p.grad is None else p.grad.clone() for p in net.student.parameters()]
    square_loss(found.teacher.points, target.points, target.inside, 3.2).sum().backward()
    assert any(p.grad is not None for p in net.teacher.parameters())
    after = [p.grad for p in net.student.parameters()]
    assert all(a is b is None or torch.equal(a, b) for a, b in zip(after, before, strict=True))
    both = square_loss(found.points, target.points, target.inside, 3.2)
    both = both + square_loss(found.teacher.points, target.points, target.inside, 3.2)
    torch.testing.assert_close(terms["point"], both)


def test_the_student_alone_ships() -> None:
    net = Coarse(replace(COARSE["ablation"], size=32)).eval()
    assert net(torch.zeros(1, 3, 32, 32)).teacher is None
    (part,) = NETWORKS["coarse"].parts(net, 0.0)
    assert not any("teacher" in name for name, _ in part.module.named_parameters())


def test_components_are_those_of_the_scheme() -> None:
    """The paper's 8, 8, 9, 9, 10 and 18 points of 81; a mirrored crop shows the other side."""
    for scheme, sizes in (("81", [8, 8, 9, 9, 10, 18]), ("68", [5, 5, 6, 6, 9, 20])):
        net = Components(replace(COMPONENTS["ablation"], points=Scheme.open(scheme).count, scheme=scheme))
        assert sorted(len(group) for group in net.groups) == sizes
        names, partners = list(Scheme.open(scheme).components), component_crops(scheme).partners
        for name, partner in zip(names, partners, strict=True):
            swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
            assert names[partner] == swapped


@pytest.mark.parametrize("preset", ["ablation", "maps"])
def test_a_component_has_losses_of_its_own_points_alone(preset: str, face: dict[str, np.ndarray]) -> None:
    net = Components(replace(COMPONENTS[preset], size=32))
    fill_components(net, face)
    found = net(torch.rand(12, 3, 32, 32) - 0.5)
    groups = net.groups
    for row in range(12):
        assert found.points[row].isfinite().all(-1).nonzero().flatten().tolist() == sorted(groups[row % 6])
    points = torch.rand(12, 68, 2) * 20 + 5
    terms = component_loss(found, truth_of(points, 32), L2)
    mine = groups[3]
    by_hand = ((found.points[9, mine] - points[9, mine]) ** 2).sum(-1).mean() / 2 / 3.2**2
    torch.testing.assert_close(terms["point"][9], by_hand)
    assert ("heat" in terms) == (preset == "maps")


def test_maps_of_a_component_are_those_of_its_own_network(face: dict[str, np.ndarray]) -> None:
    """A point is the mean place under its map, in the crop; the loss of the maps sees no other component."""
    net = Components(replace(COMPONENTS["maps"], size=32)).eval()
    fill_components(net, face)
    crops = torch.rand(6, 3, 32, 32) - 0.5
    with torch.no_grad():
        found, alone = net(crops), net.nets[3](crops[3:4]).heatmaps[0]
    mine = net.groups[3]
    torch.testing.assert_close(found.heatmaps[0][3, mine], alone[0])
    cells = torch.arange(8) * 4 + 1.5
    share = alone[0].flatten(1).softmax(1).reshape(-1, 8, 8)
    by_hand = torch.stack([(share.sum(1) * cells).sum(1), (share.sum(2) * cells).sum(1)], 1)
    torch.testing.assert_close(found.points[3, mine], by_hand)
    points = torch.rand(6, 68, 2) * 20 + 5
    other = points.clone()
    other[3, [point for point in range(68) if point not in mine]] = 0
    heats = [component_loss(found, truth_of(one, 32), L2)["heat"][3] for one in (points, other)]
    torch.testing.assert_close(*heats)


def test_a_new_network_of_components_gives_the_mean_component(face: dict[str, np.ndarray]) -> None:
    """The mean shape in its frame, in crops of `margin` times the component."""
    net = Components(replace(COMPONENTS["ablation"], size=32)).eval()
    fill_components(net, face)
    nn.init.zeros_(net.nets[2].points.bias)
    found = net(torch.rand(6, 3, 32, 32) - 0.5)
    mean = unit_groups(face["mean"], net.groups)[0][2]
    expected = 15.5 + 32 / net.config.margin * torch.from_numpy(mean)
    torch.testing.assert_close(found.points[2, net.groups[2]], expected)


def test_neighbours_by_hand() -> None:
    """Points on a line at 0, 1, 2, 4, 8, 16, 32: itself first, then by distance; squares that span them."""
    line = np.float32([0, 1, 2, 4, 8, 16, 32])
    mean = np.concatenate([np.stack([line, 0 * line], 1), np.float32([[1, 1]])])  # and one on the contour
    points, near, sides = patches_of(mean, np.array([0, 0, 0, 1, 1, 1, 2, -1]))
    assert points == list(range(7))
    assert near[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert near[3].tolist()[:3] == [3, 2, 1] and set(near[3, :5].tolist()) == {3, 2, 1, 0, 4}
    np.testing.assert_allclose(sides[0], [2 * 2, 2 * 8, 2 * 32])
    np.testing.assert_allclose(sides[3], [2 * 3, 2 * 4, 2 * 28])


def test_the_patches_of_a_face(face: dict[str, np.ndarray]) -> None:
    """62 points of 81 (51 of 68), three patches each; partners of points are those of the scheme."""
    assert Points(replace(POINTS["ablation"], points=81, scheme="81")).inner == 62
    partners, together = point_crops("68")
    assert together == 3 and len(partners) == 51
    mirror = Scheme.open("68").mirror
    assert [int(mirror[17 + index]) - 17 for index in range(51)] == partners.tolist()
    points, near, sides = patches_of(face["mean"], face["component"])
    assert points == list(range(17, 68)) and (near[:, 0] == points).all()
    assert (np.diff(sides, axis=1) >= 0).all()
    np.testing.assert_allclose(sides[partners], sides, rtol=1e-4)


def test_the_gate_weighs_three_answers(face: dict[str, np.ndarray]) -> None:
    """Each in pixels of its own crop, about the same centre."""
    torch.manual_seed(1)
    net = Points(replace(POINTS["ablation"], size=16)).eval()
    fill_points(net, face)
    for layer in (*net.heads, net.gate):
        nn.init.normal_(layer.weight, std=0.3)
    crops = torch.rand(2 * 153, 3, 16, 16) - 0.5
    found = net(crops)
    answers, gates, _ = net.found(crops.reshape(2, 153 * 3, 16, 16))
    torch.testing.assert_close(gates.sum(-1), torch.ones(2, 51))
    assert gates.std() > 0.01
    point, middle = 7, 7.5
    sides = patches_of(face["mean"], face["component"])[2][point]
    away = sum(gates[1, point, k] * (answers[k][1, point, 0] - middle) * float(sides[k] / sides[0]) for k in range(3))
    row = 153 + 3 * point
    torch.testing.assert_close(found.points[row, 17 + point], middle + away)
    assert found.points[row].isfinite().all(-1).sum() == 1 and found.points[row + 1].isnan().all()


def test_patches_are_asked_for_three_five_and_seven_points(face: dict[str, np.ndarray]) -> None:
    net = Points(replace(POINTS["ablation"], size=16))
    fill_points(net, face)
    found = net(torch.rand(2 * 153, 3, 16, 16) - 0.5)
    assert found.counted[:3].sum(1).tolist() == [3, 5, 7]
    points = torch.rand(2 * 153, 68, 2) * 10 + 3
    terms = points_loss(found, truth_of(points, 16), L2)
    near = patches_of(face["mean"], face["component"])[1]
    row = 3 * 5 + 1  # the second patch of point 5
    wanted = points[row, near[5, :5]]
    by_hand = ((found.patches[row, :5] - wanted) ** 2).sum(-1).mean() / 2 / 1.6**2
    torch.testing.assert_close(terms["patch"][row], by_hand)
