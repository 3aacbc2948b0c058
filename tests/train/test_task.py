"""A network that is evaluated between training steps is left as it was."""

import pytest
import torch
from torch import nn

from canthus.train.task import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_in_evaluation_mode_and_full_precision(training: bool) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train(training)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net[0](torch.ones(1, 2)).dtype == torch.bfloat16
        with evaluating(net):
            assert not net.training and not net[1].training
            assert net(torch.ones(1, 2)).dtype == torch.float32
    assert net.training == net[1].training == training


def test_its_mode_comes_back_after_an_error() -> None:
    net = nn.Linear(2, 2).train()
    with pytest.raises(RuntimeError, match="broken"), evaluating(net):
        raise RuntimeError("broken")
    assert net.training
