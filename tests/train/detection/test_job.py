"""Runs of the detector and of the face score from recipe to checkpoint, at a tiny size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from canthus.errors import RecipeError
from canthus.train.checkpoint import weights_of
from canthus.train.detection.job import validation
from canthus.train.detection.recipe import DetectorRecipe, FaceScoreRecipe
from canthus.train.detection.task import ANGLES
from canthus.train.fit import fit
from canthus.train.job import Post
from canthus.train.recipe import Start

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


@pytest.fixture(scope="module")
def run(drawn: Path, small: DetectorRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    fit(small, drawn, out)
    return out


def test_a_run_reports_recall_and_precision_at_every_rotation(run: Path) -> None:
    last = json.loads((run / "card.json").read_text())["sessions"][0]["last"]
    for angle in ANGLES:
        assert 0 <= last[f"val/recall_{angle}"] <= 100 and 0 <= last[f"val/precision_{angle}"] <= 100
    assert {"val/ap", "val/false"} <= last.keys()
    assert {"best.ckpt", "last.ckpt"} <= {file.name for file in run.iterdir()}


def test_false_detections_are_mined(run: Path) -> None:
    assert sorted(file.name for file in (run / "negatives").iterdir()) == ["4-0.npz", "8-0.npz"]
    with np.load(run / "negatives" / "4-0.npz") as archive:
        assert archive["pieces"].shape[1:] == (96, 96, 3)


def test_a_run_resumes_where_it_stopped(run: Path, drawn: Path, small: DetectorRecipe, tmp_path: Path) -> None:
    """It goes to the same step, over the steps that it had not seen."""
    fit(small.model_copy(update={"steps": 4}), drawn, tmp_path)
    fit(small, drawn, tmp_path, resume=True)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 8
    assert [entry["first_step"] for entry in json.loads((tmp_path / "card.json").read_text())["sessions"]] == [0, 4]


def test_the_same_seed_gives_the_same_weights(run: Path, drawn: Path, small: DetectorRecipe, tmp_path: Path) -> None:
    fit(small, drawn, tmp_path)
    ours, theirs = weights_of(run / "last.ckpt"), weights_of(tmp_path / "last.ckpt")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_module_that_stays_as_it_is(run: Path, drawn: Path, small: DetectorRecipe, tmp_path: Path) -> None:
    """At rate 0 neither weights nor the means and variances of norms change; the rest learns."""
    before = weights_of(run / "last.ckpt")
    part = next(iter(before)).partition(".")[0]
    start = Start(checkpoint=run / "last.ckpt", source=part, target=part, rate=0)
    fit(small.model_copy(update={"start": [start]}), drawn, tmp_path)
    after = weights_of(tmp_path / "last.ckpt")
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    kept = {name for name in after if name.startswith(f"{part}.")}
    assert kept and kept <= same and len(same) < len(after)


def test_scenes_of_validation_are_fixed_and_turned(drawn: Path, small: DetectorRecipe, tmp_path: Path) -> None:
    post = Post(drawn, tmp_path, 0, 0)
    (scenes, empty), (again, _) = validation(small, post), validation(small, post._replace(process=1))
    assert set(scenes) == set(ANGLES) and len(empty) == small.val_pictures
    for angle in ANGLES:
        for one, other in zip(scenes[angle], again[angle], strict=True):
            assert np.array_equal(one.image, other.image)
            off = (one.rolls - angle + 180) % 360 - 180
            assert np.abs(off).max(initial=0) < 10  # drawn faces hardly lean


def test_the_face_score_learns(drawn: Path, small_score: FaceScoreRecipe, tmp_path: Path) -> None:
    fit(small_score, drawn, tmp_path)
    last = json.loads((tmp_path / "card.json").read_text())["sessions"][0]["last"]
    assert last["val/auc_background"] > 90 and 0 <= last["val/threshold"] <= 1
    wrong = small_score.model_copy(update={"config": {"size": 64}})
    with pytest.raises(RecipeError, match="crops of 64 pixels"):
        fit(wrong, drawn, tmp_path / "wrong")
