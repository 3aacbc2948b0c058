"""A system of two stages from recipes to a bundle, with nothing but an entry in each of the two tables."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import two_step
from canthus.align import systems as run_time
from canthus.align.aligner import Aligner
from canthus.align.estimate import Estimate
from canthus.align.view import View
from canthus.data.catalogue import open_set
from canthus.errors import InputError, RecipeError, ShapeError
from canthus.export.landmarks import export
from canthus.geometry.crop import box_of
from canthus.geometry.transform import apply, compose, similarity
from canthus.nets import systems as training
from canthus.runtime.bundle import Bundle
from canthus.train.fit import fit
from canthus.train.landmarks.system import join, load_trained
from canthus.train.recipe import Recipe, check_recipe
from canthus.train.run_card import RunCard

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
]


@pytest.fixture(scope="module", autouse=True)
def registered() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(run_time.SYSTEMS, "two_step", two_step.stages)
        patch.setitem(training.SYSTEMS, "two_step", two_step.NETWORKS)
        yield


def recipe_for(tiny: Recipe, stage: str, size: int, steps: int, **fields: object) -> Recipe:
    tree = tiny.model_dump(mode="json")
    tree["augment"] |= {"rotation": 20.0}
    changed = {"network": "two_step", "stage": stage, "config": {}, "steps": steps, "validate_every": steps}
    return check_recipe(tree | changed | {"phases": [{"share": 1, "size": size}]} | fields, stage)


@pytest.fixture(scope="module")
def runs(drawn: Path, tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Both stages trained apart; half of the crops of the second one are cut by what the first one finds."""
    out = tmp_path_factory.mktemp("runs")
    coarse = fit(recipe_for(tiny, "coarse", 32, 120), drawn, out / "coarse")
    later = {"earlier": [str(coarse)], "real": 0.5, "losses": {"gain": 2.0}}
    fine = fit(recipe_for(tiny, "fine", 64, 250, **later), drawn, out / "fine")
    return [coarse, fine]


@pytest.fixture(scope="module")
def bundle(runs: list[Path], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "two_step.canthus"
    export(runs, drawn, path)
    return path


def faces(drawn: Path, angle: float = 0.0) -> tuple[list[np.ndarray], np.ndarray]:
    """The validation faces, turned in the plane."""
    images, truth = [], []
    for sample in open_set("wild68", drawn, "val"):
        turn = compose(similarity(1, angle, (59.5, 59.5)), similarity(shift=(-59.5, -59.5)))
        images.append(cv2.warpAffine(sample.picture(), turn, (120, 120), borderValue=(40, 40, 40)).astype(np.uint8))
        truth.append(apply(turn, sample.points))
    return images, np.stack(truth)


def test_the_second_stage_is_validated_from_truth_and_from_the_first_one(runs: list[Path]) -> None:
    last = RunCard.beside(runs[1]).sessions[-1].last
    assert {"val/wild68", "val_real/wild68"} <= last.keys()
    assert last["val/wild68"] != last["val_real/wild68"]
    assert last["val_real/wild68"] < 60


def test_the_second_stage_improves_the_first_one(bundle: Path, drawn: Path) -> None:
    images, truth = faces(drawn)
    boxes = [box[None] for box in box_of(truth)]
    errors = []
    for depth in (1, 2):
        found = Aligner.open(bundle, depth=depth).align_many(images, boxes)
        errors.append(np.linalg.norm(np.concatenate([some.points for some in found]) - truth, axis=-1).mean())
    assert errors[1] < 0.9 * errors[0]
    with pytest.raises(ShapeError, match="two_step has stages 1 to 2; it cannot stop after stage 3"):
        Aligner.open(bundle, depth=3)


def test_the_second_crop_turns_with_the_points_of_the_first(bundle: Path, drawn: Path) -> None:
    """From true points the second stage finds a face at any angle, though the box is upright."""
    system = Aligner.open(bundle).system.suffix("fine")
    errors = []
    for angle in (0.0, 90.0):
        images, truth = faces(drawn, angle)
        found = system.run(View.of_points(images, truth), Estimate.of_points(truth.astype(np.float32)))
        errors.append(float(np.linalg.norm(found.points - truth, axis=-1).mean()))
    assert errors[1] < errors[0] + 0.5


def test_card_and_results(bundle: Path, runs: list[Path], drawn: Path) -> None:
    """Two stages with a checkpoint, a crop and arrays of their own; what the second one reports reaches the faces."""
    opened = Bundle.open(bundle)
    card = opened.card
    assert [(stage.name, stage.crop.size, stage.checkpoint) for stage in card.stages] == [
        ("coarse", 32, "coarse"),
        ("fine", 64, "fine"),
    ]
    assert card.precisions == ["fp32", "int8"]
    assert opened.arrays(card.stages[0]) == {}
    assert opened.arrays(card.stages[1])["mean"].shape == (68, 2)
    assert card.checkpoints["fine"].training["earlier"][0]["recipe"]["stage"] == "coarse"
    assert card.checkpoints["fine"].recipe["losses"]["gain"] == 2
    images, truth = faces(drawn)
    for precision in ("fp32", "int8"):
        (found,) = Aligner.open(bundle, precision=precision).align_many(images[:1], [box_of(truth[:1])])
        assert (found.occluded == 0.25).all() and found.raw.shape == (1, 68, 2)
        assert np.isnan(found.view).all()
    ours = join([load_trained(path)[0] for path in runs]).align(images, [box[None] for box in box_of(truth)])
    theirs = Aligner.open(bundle).align_many(images, [box[None] for box in box_of(truth)])
    assert max(np.abs(a.points - b.points).max() for a, b in zip(ours, theirs, strict=True)) < 0.3


def test_errors_name_the_stage(tiny: Recipe, runs: list[Path]) -> None:
    with pytest.raises(RecipeError, match=r"has no network that begins with stage 'middle', only with coarse, fine"):
        recipe_for(tiny, "middle", 32, 5)
    with pytest.raises(RecipeError, match=r"losses\.gain"):
        recipe_for(tiny, "fine", 64, 5, losses={"gain": "much"})
    with pytest.raises(RecipeError, match=r"losses\.gain"):
        recipe_for(tiny, "coarse", 32, 5, losses={"gain": 2})
    other = load_trained(runs[0])[0]
    compact = type(other)(other.net, other.recipe.model_copy(update={"network": "compact"}), "68", {})
    with pytest.raises(InputError, match="different systems: compact, two_step"):
        join([other, compact])
