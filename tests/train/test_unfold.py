"""A bundle's weights in a network that trains on."""

import pytest
import torch

from canthus.errors import BundleError
from canthus.export.detection import to_onnx
from canthus.export.onnx import fold_norms, halve
from canthus.nets.detection import detector as nets
from canthus.train.unfold import unfold

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
CONFIG = nets.DetectorConfig((8, 8), (8, 16, 16), (1, 0, 0), 16)


@pytest.fixture(scope="module")
def trained() -> nets.Detector:
    torch.manual_seed(0)
    net = nets.Detector(CONFIG)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    for head in net.heads:
        torch.nn.init.normal_(head[2].bias)  # the exporter stores equal weights once
    for _ in range(20):
        net(torch.rand(4, 3, 96, 96) - 0.5)
    return net.eval()


def test_an_unfolded_network_computes_the_same_in_training_and_in_evaluation(trained: nets.Detector) -> None:
    (part,) = nets.parts(fold_norms(trained))  # type: ignore[arg-type]
    pictures = torch.randint(0, 256, (4, 96, 96, 3), dtype=torch.uint8)
    net = nets.Detector(CONFIG)
    unfold(net, halve(to_onnx(part, 96, open_size=True)), pictures)
    given = pictures.permute(0, 3, 1, 2).float() / 255 - 0.5
    for training in (False, True):
        net.train(training)
        with torch.no_grad():
            for ours, theirs in zip(net(given), trained(given), strict=True):
                torch.testing.assert_close(ours, theirs, atol=0.01, rtol=0.01)


def test_weights_of_another_config_are_refused(trained: nets.Detector) -> None:
    (part,) = nets.parts(fold_norms(trained))  # type: ignore[arg-type]
    other = nets.Detector(nets.DetectorConfig((8, 8), (8, 16, 24), (1, 0, 0), 16))
    with pytest.raises(BundleError, match="do not fit the config"):
        unfold(other, to_onnx(part, 96, open_size=True), torch.zeros(2, 96, 96, 3, dtype=torch.uint8))
