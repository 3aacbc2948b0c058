"""A bundle's weights in a network that trains on."""

from pathlib import Path

import pytest
import torch

from canthus.errors import BundleError
from canthus.export.detection import to_onnx
from canthus.export.landmarks import export as export_landmarks
from canthus.export.onnx import fold_norms, halve
from canthus.nets.detection import detector as nets
from canthus.train.fit import fit
from canthus.train.landmarks.job import build
from canthus.train.landmarks.system import open_trained
from canthus.train.recipe import Recipe, Start
from canthus.train.start import begin
from canthus.train.unfold import unfold

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
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
    with pytest.raises(BundleError, match="the network of the bundle does not fit this network"):
        unfold(other, to_onnx(part, 96, open_size=True), torch.zeros(2, 96, 96, 3, dtype=torch.uint8))


@pytest.fixture(scope="module")
def bundle(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint and the bundle made from it."""
    out = tmp_path_factory.mktemp("bundle")
    best = fit(tiny.model_copy(update={"steps": 30, "validate_every": 30}), drawn, out / "run")
    export_landmarks([best], drawn, out / "tiny.canthus", int8=False)
    return best, out / "tiny.canthus"


def test_a_network_of_a_bundle_gives_what_its_checkpoint_gives(bundle: tuple[Path, Path]) -> None:
    """Points, spreads and pose, to the half precision of the weights."""
    crops = torch.rand(3, 3, 32, 32) - 0.5
    with torch.no_grad():
        there, back = (open_trained(path).net(crops) for path in bundle)
    torch.testing.assert_close(back.points, there.points, atol=0.02, rtol=0)
    torch.testing.assert_close(back.log_spread, there.log_spread, atol=0.01, rtol=0)
    torch.testing.assert_close(back.pose, there.pose, atol=0.01, rtol=0)


def test_a_run_starts_from_a_bundle_or_a_part_of_it(bundle: tuple[Path, Path], tiny: Recipe) -> None:
    """All of it, or the trunk alone; its norms have the statistics of the pictures."""
    pictures = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    given = pictures.permute(0, 3, 1, 2).float() / 255 - 0.5
    truth = open_trained(bundle[0]).net
    for field in ({}, {"source": "trunk", "target": "trunk"}):
        net = build(tiny.model_copy(update={"seed": 8}), "68", {}).net
        begin(net, [Start(checkpoint=bundle[1], **field)], pictures)
        for training in (False, True):
            net.train(training)
            with torch.no_grad():
                torch.testing.assert_close(net.trunk(given)[0], truth.trunk(given)[0], atol=0.02, rtol=0.02)
        same = torch.allclose(net.maps[1].bias, truth.maps[1].bias)
        assert same == (not field)
    net = build(tiny, "68", {}).net
    with pytest.raises(BundleError, match="maps of the bundle does not fit trunk"):
        begin(net, [Start(checkpoint=bundle[1], source="maps", target="trunk")], pictures)
    with pytest.raises(BundleError, match="no bundle is called 'nobody'"):
        begin(net, [Start(checkpoint=Path("nobody"))], pictures)
