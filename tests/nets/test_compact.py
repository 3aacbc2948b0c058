import pytest
import torch

from canthus.nets.compact import Compact, CompactConfig, Deployed

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


def test_deployed_takes_pictures(net: Compact) -> None:
    crops = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    points, scores, pose = Deployed(net.eval())(crops)
    raw = net(crops.permute(0, 3, 1, 2).float() / 255 - 0.5)
    assert torch.equal(points, raw.points)
    assert torch.equal(pose, raw.pose * 90)
    assert ((scores > 0) & (scores < 1)).all()
