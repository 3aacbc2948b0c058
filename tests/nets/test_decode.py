import numpy as np
import pytest
import torch
from scipy.special import softmax

from canthus.geometry import heatmap
from canthus.nets.decode import Reading, Spread, expectation, read, reliability


def test_expectation_against_scipy() -> None:
    maps = torch.randn(2, 3, 6, 8, generator=torch.Generator().manual_seed(1)) * 3
    points, variance = expectation(maps, 4)
    chance = softmax(maps.numpy().reshape(2, 3, -1), axis=-1).reshape(maps.shape)
    ys, xs = np.mgrid[:6, :8] * 4 + 1.5
    x, y = (chance * xs).sum((2, 3)), (chance * ys).sum((2, 3))
    around = (chance * ((xs - x[..., None, None]) ** 2 + (ys - y[..., None, None]) ** 2)).sum((2, 3))
    np.testing.assert_allclose(points.numpy(), np.stack([x, y], -1), atol=1e-4)
    np.testing.assert_allclose(variance.numpy(), around, atol=1e-3)


def test_a_sharp_peak_is_where_it_is() -> None:
    maps = torch.zeros(1, 1, 24, 24)
    maps[0, 0, 5, 17] = 60
    points, variance = expectation(maps, 4)
    assert points[0, 0].tolist() == pytest.approx([17 * 4 + 1.5, 5 * 4 + 1.5], abs=1e-3)
    assert float(variance) < 1e-2


def test_reliability_is_the_probability_it_says() -> None:
    """Against draws from exp(-r / b) / (2 pi b^2), whose radius is a Gamma(2, b)."""
    rng = np.random.default_rng(0)
    for spread in (0.005, 0.02, 0.05):
        drawn = (rng.gamma(2, spread, 200_000) < 0.02).mean()
        told = float(reliability(torch.tensor(np.log(spread)), 0.02))
        assert told == pytest.approx(drawn, abs=5e-3)


def test_spread_starts_as_the_deviation_of_the_heatmap() -> None:
    variance = torch.tensor([[3.75, 99.75]], requires_grad=True)
    told = Spread(2)(variance, 96)
    np.testing.assert_allclose(told.exp().detach().numpy() * 96, [[2.0, 10.0]], rtol=1e-5)
    told.sum().backward()
    assert variance.grad is None


@pytest.mark.parametrize("reading", ["argmax", "quarter", "expectation"])
@pytest.mark.parametrize("stride", [2, 4])
def test_readings_against_numpy(reading: Reading, stride: int) -> None:
    """Against `geometry/heatmap.py`, also where the highest cell lies on the border."""
    maps = torch.randn(3, 5, 7, 9, generator=torch.Generator().manual_seed(2)) * 3
    maps[0, 0, 0, 8], maps[0, 1, 6, 0] = 20, 20
    numpy = heatmap.DECODERS["soft_argmax" if reading == "expectation" else reading](maps.numpy())
    points, variance = read(maps, stride, reading)
    np.testing.assert_allclose(points.numpy(), numpy * stride + (stride - 1) / 2, atol=1e-4)
    assert torch.equal(variance, expectation(maps, stride)[1])
