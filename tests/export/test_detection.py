"""Bundles of the detector and of the face score: the runtime says what torch says, whatever the picture's size."""

from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.detect.detector import Detector
from canthus.detect.own import OwnDetector
from canthus.detect.score import FaceScorer
from canthus.errors import BundleError, CanthusError, InputError
from canthus.export.detection import export_faces, kind_of, prove, to_onnx
from canthus.export.onnx import fold_norms, halve
from canthus.geometry.box import overlaps
from canthus.nets.detection import detector as nets
from canthus.runtime.bundle import Bundle
from canthus.runtime.session import Session
from canthus.train.checkpoint import TorchBackend
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.run_card import RunCard

CONFIG = {"stem": [8, 8], "widths": [8, 16, 16], "depths": [1, 0, 0], "head": 16}
SHARED = {"sets": [{"name": "wild68"}], "val": [{"name": "wild68"}], "steps": 1}

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")


def checkpoint(folder: Path, net: torch.nn.Module, recipe: DetectorRecipe | FaceScoreRecipe) -> Path:
    """A run's checkpoint of a network, as `fit` leaves it."""
    folder.mkdir()
    torch.save({"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}}, folder / "best.ckpt")
    RunCard.of(recipe, folder, "5", {}, None).write(folder)
    return folder / "best.ckpt"


@pytest.fixture(scope="module")
def net() -> nets.Detector:
    """A network that believes in faces everywhere."""
    torch.manual_seed(0)
    made = nets.Detector(nets.DetectorConfig((8, 8), (8, 16, 16), (1, 0, 0), 16))
    for head in made.heads:
        torch.nn.init.normal_(head[2].weight, std=0.5)
        torch.nn.init.zeros_(head[2].bias)
        head[2].weight.data[0] *= 4
    for _ in range(20):
        made(torch.rand(4, 3, 96, 96) - 0.5)
    return made.eval()


@pytest.fixture(scope="module")
def bundle(net: nets.Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = DetectorRecipe.model_validate(
        {**SHARED, "name": "d", "network": "detector", "config": CONFIG, "phases": [{"share": 1, "size": 96}]}
    )
    folder = tmp_path_factory.mktemp("export")
    export_faces(checkpoint(folder / "run", net, recipe), folder / "d.canthus", [{"recall": 0.5}])
    return folder / "d.canthus"


def test_the_shipped_detector_finds_what_the_trained_one_finds(bundle: Path, net: nets.Detector) -> None:
    image = np.random.default_rng(0).integers(0, 256, (130, 200, 3), np.uint8)
    shipped = Detector.open("own", bundle=bundle, threshold=0.5, min_face=5)
    (part,) = nets.parts(net)
    ours = OwnDetector(TorchBackend(part.module, part.outputs), threshold=0.5, min_face=5)
    compared = 0
    for picture in (image, image[:40, :50], np.vstack([image] * 3)):
        a, b = shipped.detect(picture), ours.detect(picture)
        sure = a.confidence > 0.52
        if not sure.any():
            continue
        compared += int(sure.sum())
        overlap = overlaps(a.boxes[sure], b.boxes)
        again = overlap.max(1) > 0.9  # near ties may be suppressed the other way round
        assert again.mean() > 0.9
        partner = b.confidence[overlap.argmax(1)]
        assert np.abs(a.confidence[sure] - partner)[again].max() < 0.03
    assert compared > 3
    card = Bundle.open(bundle).card
    assert (card.system, card.scheme, card.stages[0].crop) == ("detector", "5", None)


def test_an_int8_variant_finds_the_same(drawn: Path, net: nets.Detector, tmp_path: Path) -> None:
    tree = {**SHARED, "name": "d", "network": "detector", "config": CONFIG, "phases": [{"share": 1, "size": 96}]}
    tree |= {"val": [{"name": "wild68", "split": "val"}], "val_pictures": 2, "scenes": {"memory": 40, "most": 3}}
    recipe = DetectorRecipe.model_validate(tree)
    card = export_faces(checkpoint(tmp_path / "run", net, recipe), tmp_path / "d.canthus", calibration=drawn)
    assert card.precisions == ("fp32", "int8") or sorted(card.precisions) == ["fp32", "int8"]
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), np.uint8)
    files = Bundle.open(tmp_path / "d.canthus")
    exact, coarse = (Session(files.network("detector", kind), "cpu", 1).run(image) for kind in card.precisions)
    for name, values in exact.items():
        assert np.corrcoef(values.ravel(), coarse[name].ravel())[0, 1] > 0.98


def test_the_default_network_is_small_enough() -> None:
    (part,) = nets.parts(fold_norms(nets.Detector(nets.DetectorConfig())))  # type: ignore[arg-type]
    assert len(halve(to_onnx(part, 96, open_size=True))) < 1.5 * 2**20


def test_the_face_score_as_a_bundle(tmp_path: Path) -> None:
    from canthus.nets.detection.face_score import FaceScore, FaceScoreConfig

    recipe = FaceScoreRecipe.model_validate(
        {**SHARED, "name": "s", "network": "face_score", "phases": [{"share": 1, "size": 48}]}
    )
    net = FaceScore(FaceScoreConfig()).eval()
    export_faces(checkpoint(tmp_path / "run", net, recipe), tmp_path / "s.canthus")
    image = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    found = FaceScorer.open(tmp_path / "s.canthus").score(image, [[10, 10, 60, 70], [40, 20, 80, 80]], [0, 40])
    assert found.scores.shape == (2,) and found.boxes.shape == (2, 4) and found.points.shape == (2, 5, 2)
    assert ((found.scores > 0) & (found.scores < 1)).all()
    with pytest.raises(BundleError, match="holds the system 'face_score', not a detector"):
        Detector.open("own", bundle=tmp_path / "s.canthus")


def test_a_network_that_differs_is_no_bundle(net: nets.Detector) -> None:
    (part,) = nets.parts(net)
    other = nets.Detector(net.config).eval()
    (wrong,) = nets.parts(other)
    with pytest.raises(CanthusError, match="differ by"):
        prove(part, to_onnx(wrong, 96, open_size=True), [(96, 96)])


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"best\.ckpt does not exist"):
        kind_of(tmp_path / "best.ckpt")
    (tmp_path / "best.ckpt").write_bytes(b"")
    with pytest.raises(InputError, match=r"card\.json does not exist"):
        kind_of(tmp_path / "best.ckpt")
