"""`canthus export` of a small face score: a bundle with its proof of parity, and what is missing by name.

Export of landmarks after a short training run: tests/cli/test_train.py.
"""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from canthus import cli
from canthus.detect.score import FaceScorer
from canthus.errors import DataError, InputError
from canthus.nets.detection import face_score
from canthus.runtime.bundle import Bundle
from canthus.train.detection.recipe import FaceScoreRecipe
from canthus.train.run_card import RunCard

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec.*")
RECIPE = {
    "name": "small",
    "network": "face_score",
    "sets": [{"name": "wild68"}],
    "val": [{"name": "wild68"}],
    "steps": 1,
    "phases": [{"share": 1, "size": 48}],
}


def run(*words: object) -> Result:
    return CliRunner(env={"COLUMNS": "400", "CANTHUS_DATA": ""}).invoke(cli.app, ["export", *map(str, words)])


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A run of the face score, as training leaves it."""
    torch.manual_seed(0)
    net = face_score.FaceScore(next(iter(face_score.PRESETS.values())))
    folder = tmp_path / "run"
    folder.mkdir()
    torch.save({"state_dict": {f"net.{name}": value for name, value in net.state_dict().items()}}, folder / "best.ckpt")
    RunCard.of(FaceScoreRecipe.model_validate(RECIPE), folder, "5", {}, None).write(folder)
    return folder / "best.ckpt"


def test_a_checkpoint_becomes_a_bundle(checkpoint: Path, tmp_path: Path) -> None:
    figures, out = [{"protocol": "crops", "auc": 0.99}], tmp_path / "bundles" / "small.canthus"
    (tmp_path / "measured.json").write_text(json.dumps(figures))
    result = run(checkpoint, "--out", out, "--measured", tmp_path / "measured.json")
    assert result.exit_code == 0, result.exception
    assert f"{out}: small" in result.output and "from torch" in result.output
    card = Bundle.open(out).card
    assert (card.system, card.measured) == ("face_score", figures)
    FaceScorer.open(out)


def test_what_is_missing_is_named(tmp_path: Path, checkpoint: Path) -> None:
    assert run(checkpoint).exit_code == 2  # no --out
    (checkpoint.parent / "card.json").unlink()
    result = run(checkpoint, "--out", tmp_path / "x.canthus")
    assert isinstance(result.exception, InputError) and "card.json does not exist" in str(result.exception)
    result = run(tmp_path / "none.ckpt", "--out", tmp_path / "x.canthus")
    assert isinstance(result.exception, DataError) and "--root" in str(result.exception)
    assert not (tmp_path / "x.canthus").exists()


def test_results_as_canthus_evaluate_writes_them(checkpoint: Path, tmp_path: Path) -> None:
    """One object, not a list; anything else is refused before the work."""
    (tmp_path / "one.json").write_text('{"nme": 0.03}')
    assert run(checkpoint, "--out", tmp_path / "a.canthus", "--measured", tmp_path / "one.json").exit_code == 0
    assert Bundle.open(tmp_path / "a.canthus").card.measured == [{"nme": 0.03}]
    (tmp_path / "text.json").write_text('["3 %"]')
    result = run(checkpoint, "--out", tmp_path / "b.canthus", "--measured", tmp_path / "text.json")
    assert isinstance(result.exception, InputError)
    assert "text.json: no results" in str(result.exception)


def test_a_checkpoint_is_not_replaced_by_its_bundle(checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    result = run(checkpoint, "--out", checkpoint)
    assert result.exit_code == 2 and "is the checkpoint itself" in result.output
    assert checkpoint.read_bytes() == before
