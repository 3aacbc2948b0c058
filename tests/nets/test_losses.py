import numpy as np
import pytest
import torch
from scipy.stats import entropy

from canthus.geometry.heatmap import encode
from canthus.nets.losses import HEAT, gaussians, heat_loss, point_loss, pose_loss, spread_loss, square_loss

ALL = torch.ones(1, 1)


def test_point_loss_is_quadratic_then_linear() -> None:
    truth = torch.zeros(1, 1, 2)
    small = point_loss(torch.tensor([[[0.5, 0.0]]]), truth, ALL, scale=1.0)
    large = point_loss(torch.tensor([[[3.0, 0.0]]]), truth, ALL, scale=1.0)
    assert float(small) == pytest.approx(0.125)
    assert float(large) == pytest.approx(2.5)


def test_points_outside_do_not_count() -> None:
    truth, inside = torch.zeros(1, 2, 2), torch.tensor([[1.0, 0.0]])
    wrong = torch.tensor([[[0.0, 0.0], [50.0, 50.0]]])
    assert float(point_loss(wrong, truth, inside, 1.0)) == 0
    assert float(spread_loss(torch.zeros(1, 2), torch.tensor([[0.0, 9.0]]), inside)) == 0


def test_heat_loss_is_the_cross_entropy() -> None:
    """Against scipy: cross entropy = entropy of the target + its divergence from the softmax of the map."""
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(1, 1, 8, 8, generator=generator)
    truth = torch.tensor([[[13.0, 18.0]]])
    ys, xs = np.mgrid[:8, :8]
    x, y = (13 - 1.5) / 4, (18 - 1.5) / 4
    target = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 1.2**2)).ravel()
    target /= target.sum()
    chance = np.exp(maps.numpy().ravel())
    expected = entropy(target) + entropy(target, chance / chance.sum())
    assert float(heat_loss(maps, truth, ALL, 4, 1.2)) == pytest.approx(expected, rel=1e-5)


def test_spread_loss_is_least_at_half_the_mean_error() -> None:
    """The maximum likelihood of b under exp(-r / b) / (2 pi b^2) is mean(r) / 2."""
    distance = torch.tensor([[0.01, 0.02, 0.06]])
    grid = np.linspace(-6, -2, 400)
    loss = [float(spread_loss(torch.full((1, 3), value), distance, torch.ones(1, 3))) for value in grid]
    assert float(np.exp(grid[int(np.argmin(loss))])) == pytest.approx(0.015, rel=0.02)


def test_unknown_angles_give_neither_loss_nor_gradient() -> None:
    predicted = torch.tensor([[0.3, 0.1, 0.2]], requires_grad=True)
    loss = pose_loss(predicted, torch.tensor([[float("nan"), 0.1, 0.4]]))
    loss.sum().backward()
    assert predicted.grad is not None
    assert predicted.grad[0, 0] == 0
    assert predicted.grad[0, 2] != 0
    assert torch.isfinite(loss).all()


def test_square_loss_is_half_the_square() -> None:
    loss = square_loss(torch.tensor([[[3.0, 4.0]]]), torch.zeros(1, 1, 2), ALL, scale=2.0)
    assert float(loss) == pytest.approx(0.5 * 25 / 4)


def test_gaussians_are_those_of_the_codec() -> None:
    points = torch.tensor([[[13.0, 18.0], [0.4, 30.2]]])
    ours = gaussians(points, (8, 10), 4, 1.3)
    theirs = encode((points.numpy() - 1.5) / 4, (8, 10), 1.3)
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-6)


@pytest.mark.parametrize("form", sorted(HEAT))
def test_heatmaps_are_drawn_to_their_gaussian(form: str) -> None:
    """Gradient descent on free maps ends at the Gaussian: its logarithm, its logit, itself."""
    truth = torch.tensor([[[13.0, 18.0]]])
    maps = torch.zeros(1, 1, 8, 8, requires_grad=True)
    optimiser = torch.optim.Adam([maps], 0.1)
    for _ in range(600):
        optimiser.zero_grad()
        loss = HEAT[form](maps, truth, ALL, 4, 1.2).sum()
        loss.backward()
        optimiser.step()
    wanted = gaussians(truth, (8, 8), 4, 1.2)
    ends = {
        "softmax": lambda m: m.flatten(2).softmax(-1).unflatten(2, (8, 8)),
        "sigmoid": torch.sigmoid,
        "l2": lambda m: m,
    }
    told = ends[form](maps.detach())
    np.testing.assert_allclose(told / told.max(), wanted / wanted.max(), atol=0.03)
    if form != "softmax":
        assert 0 <= loss.item() < 0.01
