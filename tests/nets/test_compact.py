import numpy as np
import pytest
import torch
from scipy.special import softmax

from canthus.nets.compact import Compact, CompactConfig, Deployed, expectation, reliability

TINY = CompactConfig(size=32, stem=(8, 16), widths=(16, 16), depths=(1, 1), head=16)


@pytest.fixture
def net() -> Compact:
    torch.manual_seed(0)
    return Compact(TINY)


@pytest.mark.parametrize("count", [1, 7])
@pytest.mark.parametrize("size", [32, 64])
def test_shapes(net: Compact, count: int, size: int) -> None:
    prediction = net.eval()(torch.zeros(count, 3, size, size))
    assert prediction.heatmaps.shape == (count, 68, size // 4, size // 4)
    assert prediction.points.shape == (count, 68, 2)
    assert prediction.log_spread.shape == (count, 68)
    assert prediction.pose.shape == (count, 3)


def test_every_parameter_gets_a_gradient(net: Compact) -> None:
    prediction = net(torch.randn(3, 3, 32, 32))
    sum(part.sum() * weight for part, weight in zip(prediction, (0.1, 1.0, 1.0, 1.0), strict=True)).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a block's last norm starts at zero, so what lies before it learns from the second step on
    assert all(".inner." in name for name in idle), idle


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


def test_deployed_takes_pictures(net: Compact) -> None:
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    points, scores, pose = Deployed(net.eval())(crops)
    raw = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    assert torch.equal(points, raw.points)
    assert torch.equal(pose, raw.pose * 90)
    assert ((scores > 0) & (scores < 1)).all()
