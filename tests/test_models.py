"""The bundles of the systems, under models/."""

from pathlib import Path

import numpy as np
import pytest

from canthus.align.aligner import Aligner
from canthus.data.catalogue import open_set
from canthus.evaluate.metrics import distances, normalisers
from canthus.geometry.crop import box_of
from canthus.reader.image import read
from canthus.runtime.bundle import Bundle
from canthus.schemes.scheme import Scheme
from canthus.types import Faces, Floats

ROOT = Path(__file__).parents[1]
MODELS = sorted((ROOT / "models").glob("*.canthus"))


def annotated(faces: Faces) -> Floats:
    """The 68 points of a 2D annotation: a system of 3D points has them beside its own (F, 68, 2)."""
    return faces.points if np.isnan(faces.plane).all() else faces.plane


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_card(path: Path) -> None:
    card = Bundle.open(path).card
    assert path.stem in (card.system, card.name)
    assert path.stat().st_size < 16 * 2**20
    assert card.licence
    assert card.limits
    sessions = [session for one in card.checkpoints.values() for session in one.training["sessions"]]
    assert all(session["commit"] != "unknown" for session in sessions)
    assert any("wild68-test" in figure["protocol"] for figure in card.measured)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_depth_and_precision_agrees_with_the_default_model(path: Path) -> None:
    image = read(ROOT / "examples" / "astronaut.jpg")
    box = np.float32([170, 75, 275, 210])
    (usual,) = Aligner.open().align(image, box).points
    side = np.ptp(usual, axis=0).max()
    for depth in range(1, len(Aligner.open(path).system.stages) + 1):
        (points,) = annotated(Aligner.open(path, depth=depth).align(image, box))
        assert np.linalg.norm(points - usual, axis=-1).mean() < 0.02 * side
    (coarse,) = annotated(Aligner.open(path, precision="int8").align(image, box))
    assert np.linalg.norm(coarse - usual, axis=-1).mean() < 0.03 * side


@pytest.mark.data
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_card_tells_the_error(path: Path, data_root: Path) -> None:
    """NME on wild68 test from true boxes is what the card says."""
    aligner = Aligner.open(path)
    samples = open_set("wild68", data_root, "test")
    truth = np.stack([sample.points for sample in samples])
    results = aligner.align_many([sample.picture() for sample in samples], [box[None] for box in box_of(truth)])
    error = distances(np.concatenate([annotated(faces) for faces in results]), truth).mean(1)
    nme = 100 * (error / normalisers(truth, "inter-ocular", Scheme.open("68"))).mean()
    assert nme == pytest.approx(aligner.card.measured[0]["nme"], abs=0.02)
