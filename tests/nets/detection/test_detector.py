"""Size, cost and shapes of the detector's network."""

import pytest
import torch
from torch import nn

from canthus.nets.detection.cells import STRIDES, cells
from canthus.nets.detection.detector import FIRST_SCORE, Deployed, Detector, DetectorConfig, decode
from canthus.nets.detection.face_score import FaceScore, FaceScoreConfig

TINY = DetectorConfig((8, 8), (8, 16, 16), (1, 1, 1), 16)


def multiply_adds(net: nn.Module, *inputs: torch.Tensor) -> float:
    """Millions, of convolutions and linear layers, for one picture."""
    counted = [0]

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            counted[0] += output[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            counted[0] += module.weight.numel()

    for module in net.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        net.eval()(*inputs)
    return counted[0] / 1e6


def test_cost_and_size() -> None:
    net = Detector(DetectorConfig())
    assert 100 < multiply_adds(net, torch.zeros(1, 3, 320, 320)) <= 150
    assert 2 * sum(parameter.numel() for parameter in net.parameters()) < 1.5 * 2**20
    assert multiply_adds(FaceScore(FaceScoreConfig()), torch.zeros(1, 3, 48, 48)) < 20


@pytest.mark.parametrize(("count", "height", "width"), [(1, 64, 96), (3, 128, 32)])
def test_shapes(count: int, height: int, width: int) -> None:
    maps = Deployed(Detector(TINY).eval())(torch.zeros(count, height, width, 3, dtype=torch.uint8))
    assert [one.shape for one in maps] == [(count, 17, height // s, width // s) for s in STRIDES]
    found = decode(maps)
    total = sum((height // s) * (width // s) for s in STRIDES)
    assert found.score.shape == (count, total) and found.box.shape == (count, total, 4)
    assert found.points.shape == (count, total, 5, 2) and found.turn.shape == (count, total, 2)


def test_an_untrained_network_believes_in_little_and_its_boxes_are_around_the_cells() -> None:
    with torch.no_grad():
        found = decode(Detector(TINY).eval()(torch.randn(1, 3, 64, 64)))
    assert (found.score.sigmoid() < 5 * FIRST_SCORE).all()
    centre, stride = cells(64, 64)
    torch.testing.assert_close((found.box[0, :, :2] + found.box[0, :, 2:]) / 2, centre, atol=3.0, rtol=0)
    assert ((found.box[0, :, 2] - found.box[0, :, 0]) / stride - 4).abs().max() < 1


def test_every_parameter_gets_a_gradient() -> None:
    net = Detector(TINY)
    sum(one.square().mean() for one in net(torch.randn(2, 3, 64, 64))).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert all(".inner." in name for name in idle), idle  # a block's last norm starts at zero
