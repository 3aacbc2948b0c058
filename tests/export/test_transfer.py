"""A transfer as the last stage of a bundle."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from canthus import cli
from canthus.align.aligner import Aligner
from canthus.align.estimate import Estimate
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.errors import DataError
from canthus.export.landmarks import export
from canthus.export.transfer import add_transfer
from canthus.geometry.crop import box_of
from canthus.geometry.transform import fit_similarity
from canthus.runtime.bundle import Bundle
from canthus.schemes.transfer import convert
from canthus.train.fit import fit
from canthus.train.recipe import Recipe, check_recipe

pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
READ = {"scheme": "103", "labels": "outline"}
CHOSEN = ["--transfer", "views", "--transfer-group", "profile_left", "--transfer-option", "scheme=39_left"]


@pytest.fixture(scope="module")
def bundle(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse points of 51, which have no contour, in front of a transfer to 68."""
    out = tmp_path_factory.mktemp("run")
    fields = {"network": "coarse_to_fine", "stage": "coarse", "preset": "ablation", "steps": 40, "validate_every": 40}
    config = {"size": 32, "stem": [8, 16], "widths": [24, 24, 24], "hidden": 32, "teacher": False}
    tree = tiny.model_dump(mode="json") | fields | {"config": config, "scheme": "51", "losses": {}}
    checkpoint = fit(check_recipe(tree, "test"), drawn, out)
    export([checkpoint], drawn, out / "some.canthus", int8=False)
    return out / "some.canthus"


def test_a_transfer_is_the_last_stage(bundle: Path, drawn: Path) -> None:
    """Results are in the scheme of the set; the prefix gives what the networks find; the curve of scores is kept."""
    before = Aligner.open(bundle)
    card = add_transfer(bundle, "wild68", drawn)
    after = Aligner.open(bundle)
    assert [stage.name for stage in card.stages] == ["coarse", "transfer"]
    assert (before.scheme.name, after.scheme.name, after.system.prefix(1).scheme) == ("51", "68", "51")
    assert card.precisions == ["fp32"] and card.data[-1] == "wild68 train"
    assert after.system.curve is not None and before.system.curve is not None
    sample = open_set("wild68", drawn, "val")[0]
    box = box_of(sample.points)
    one, other = (aligner.align(sample.picture(), box) for aligner in (before, after))
    assert other.points.shape == (1, 68, 2) and other.scores.shape == (1, 68)
    short = Aligner.open(bundle, depth=1).align(sample.picture(), box)
    np.testing.assert_array_equal(short.points, one.points)
    assert Bundle.open(bundle).arrays(card.stages[-1])["transfer_copied"].shape == (0, 2)
    error = np.linalg.norm(other.points[0] - sample.points, axis=-1).mean()
    found = np.linalg.norm(one.points[0] - sample.points[17:], axis=-1).mean()
    assert error < 3 * found + 3


def test_a_set_without_points_is_refused(bundle: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canthus.export.transfer.open_set", lambda *words: [])
    with pytest.raises(DataError, match="wild68 train: a transfer needs faces of one scheme, not of none"):
        add_transfer(bundle, "wild68", drawn)


@pytest.fixture(scope="module")
def profiles(turned: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse points of 103, in front of a transfer to 39."""
    out = tmp_path_factory.mktemp("run")
    shares = {split: [{"name": "views", "split": split, "options": READ}] for split in ("train", "val")}
    fields = {"network": "coarse_to_fine", "stage": "coarse", "preset": "ablation", "steps": 30, "validate_every": 30}
    config = {"size": 32, "stem": [8, 16], "widths": [24, 24, 24], "hidden": 32, "teacher": False}
    tree = tiny.model_dump(mode="json") | fields | {"config": config, "scheme": "103", "losses": {}, "measure": "box"}
    checkpoint = fit(check_recipe(tree | {"sets": shares["train"], "val": shares["val"]}, "test"), turned, out)
    words = [str(checkpoint), "--root", str(turned), "-o", str(out / "some.canthus"), "--no-int8"]
    result = CliRunner().invoke(cli.app, ["export", *words, *CHOSEN])
    assert result.exit_code == 0, result.exception
    return out / "some.canthus"


def test_a_transfer_to_half_faces(profiles: Path, turned: Path) -> None:
    """The faces of a group and options of the reader; the contour is copied; mean shapes of three views are kept."""
    card = Bundle.open(profiles).card
    assert card.stages[-1].scheme == "39_left" and card.data[-1] == "views train/profile_left"
    assert Bundle.open(profiles).arrays(card.stages[0])["mean"].shape == (3, 103, 2)
    sample = open_set("views", turned, "val/profile_left", scheme="39_left")[0]
    box = box_of(sample.points)
    found, before = (Aligner.open(profiles, depth=depth).align(sample.picture(), box) for depth in (2, 1))
    assert found.scheme == "39_left" and found.points.shape == (1, 39, 2)
    np.testing.assert_array_equal(found.points[:, :12], before.points[:, 79:91])
    assert not Bundle.open(profiles).arrays(card.stages[-1])["transfer_copied"][:, 1].max() >= 91


def test_a_half_face_is_followed_by_its_own_points(profiles: Path, turned: Path) -> None:
    """Points of the target of the transfer, as those of the frame before, align the coarse crop to their view."""
    system, bundle = Aligner.open(profiles).system, Bundle.open(profiles)
    sample = open_set("views", turned, "val/profile_left", scheme="39_left")[0]
    view, given = View.of_points([sample.picture()], sample.points[None]), Estimate.of_points(sample.points[None])
    mean, points = bundle.arrays(bundle.card.stages[0])["mean"][1], convert(sample.points, "39_left", "103")
    both = np.isfinite(mean).all(1) & np.isfinite(points).all(1)
    assert both[79:91].all()
    expected = fit_similarity(points[both], mean[both])
    np.testing.assert_allclose(system.stages[0].look(view, given).frames[0], expected, atol=1e-4)
    assert np.isfinite(system.run(view, given).points).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--transfer-group", "profile_left"], "name it"),
        (["--transfer", "views", "--transfer-option", "scheme"], "'scheme': an option has the form name=value"),
    ],
)
def test_wrong_options_of_a_transfer(words: list[str], says: str, tmp_path: Path) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, ["export", "a.ckpt", "-o", str(tmp_path / "a"), *words])
    assert result.exit_code == 2 and says in result.output
