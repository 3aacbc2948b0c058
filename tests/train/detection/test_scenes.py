"""Training pictures of the detector: their truth, their randomness, and the hard negatives mined from them."""

from pathlib import Path

import numpy as np
import pytest

from canthus.errors import DataError, RecipeError
from canthus.geometry.box import overlaps
from canthus.nets.detection.networks import DETECTION
from canthus.recipes import find
from canthus.train.detection.backdrops import make_backdrops, surroundings, vary_backdrop
from canthus.train.detection.loader import SceneBatches
from canthus.train.detection.mining import LAG, Bank, hardest
from canthus.train.detection.pool import FacePool, load_faces, rolls_of, without_others
from canthus.train.detection.recipe import RECIPES, DetectorRecipe, FaceScoreRecipe
from canthus.train.detection.scenes import SEEN, SceneMaker
from canthus.train.recipe import Recipe
from canthus.train.stages import load_stages
from canthus.types import Faces


@pytest.fixture(scope="module")
def pool(drawn: Path, small: DetectorRecipe) -> FacePool:
    return load_faces(small.sets, drawn, 40)


@pytest.fixture(scope="module")
def maker(pool: FacePool, small: DetectorRecipe) -> SceneMaker:
    backdrops = make_backdrops(pool, 10, 160, np.random.default_rng(0))
    assert all(one.shape == (160, 160, 3) and one.dtype == np.uint8 for one in backdrops)
    return SceneMaker(pool, backdrops, small.scenes, small.augment)


def test_pictures_in_memory_are_reduced(pool: FacePool, drawn: Path) -> None:
    assert (pool.boxes[:, 2:] - pool.boxes[:, :2]).max() < 41
    assert pool.chance.sum() == pytest.approx(1)


def test_unlabelled_faces_are_blurred_out() -> None:
    """Stripes stay where the labelled face is, and far from both faces; of the other face only colour is left."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[:, ::4] = image[:, 1::4] = 200
    face, other = np.array([20, 30, 60, 70], np.float32), np.array([110, 30, 150, 70], np.float32)
    seen = without_others(image, face, np.stack([face + 3, other]))
    np.testing.assert_array_equal(seen[:, :100], image[:, :100])
    assert np.ptp(seen[25:75, 106:154].astype(int)) < 60 < np.ptp(seen[:, 160:])
    assert without_others(image, face, face[None] + 3) is image
    beside = without_others(image, face, np.array([[50, 30, 90, 70]], np.float32))
    np.testing.assert_array_equal(beside[26:74, 16:64], image[26:74, 16:64])


def test_rolls_follow_the_turn(pool: FacePool) -> None:
    angle = np.deg2rad(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    both = np.concatenate([pool.points, pool.points @ turn.T.astype(np.float32)])
    rolls = rolls_of(both)
    np.testing.assert_allclose(rolls[len(pool.points) :] - rolls[: len(pool.points)], 25, atol=0.5)


def test_truth_of_a_scene(maker: SceneMaker) -> None:
    """Boxes hold their points, lie in the picture and apart; the eyes are as the roll says."""
    rng, turned = np.random.default_rng(1), []
    for _ in range(25):
        scene = maker.scene(160, rng)
        assert scene.image.shape == (160, 160, 3) and len(scene.boxes) <= 3
        assert np.triu(overlaps(scene.boxes, scene.boxes), 1).max(initial=0) < 0.3
        for box, points, roll in zip(scene.boxes, scene.points, scene.rolls, strict=True):
            inside = np.minimum(box[2:], 160) - np.maximum(box[:2], 0)
            assert inside.prod() >= 0.95 * SEEN * (box[2:] - box[:2]).prod()
            assert (points > box[:2]).all() and (points < box[2:]).all()
            turned.append((points, roll))
    assert len(turned) > 15 and np.ptp([roll for _, roll in turned]) > 180
    reference = {}
    for points, roll in turned:  # turned back, all drawn faces have the same form
        angle = -np.deg2rad(roll)
        back = (points - points.mean(0)) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        reference[roll] = back / np.linalg.norm(back)
    forms = np.array(list(reference.values()))
    assert np.abs(forms - np.median(forms, 0)).max() < 0.15


def test_what_is_painted_is_where_the_truth_says(pool: FacePool, maker: SceneMaker) -> None:
    """Drawn faces are colourful discs on a dark ground: the box is far more colourful than its surroundings are."""
    black = [np.zeros((160, 160, 3), np.uint8)]
    rng, alone = np.random.default_rng(2), SceneMaker(pool, black, maker.settings, maker.augment)
    for _ in range(10):
        scene = alone.scene(160, rng, angle=90.0)
        painted = np.ptp(scene.image.astype(int), axis=2) > 60
        seen = np.zeros((160, 160), bool)
        for x0, y0, x1, y1 in scene.boxes.round().astype(int):
            seen[max(0, y0 - 4) : y1 + 5, max(0, x0 - 4) : x1 + 5] = True
        assert painted[~seen].mean() < 0.02 and painted[seen].mean() > 0.1


def test_no_face_is_covered_by_the_next(pool: FacePool, maker: SceneMaker) -> None:
    """The dark ground of a picture that is pasted later does not hide the faces that are there."""
    black = [np.zeros((160, 160, 3), np.uint8)]
    crowd = maker.settings.model_copy(update={"single": 0.0, "empty": 0.0, "most": 8})
    plain = maker.augment.model_copy(update={"occlude": 0.0})
    rng, many, least = np.random.default_rng(3), SceneMaker(pool, black, crowd, plain), []
    for _ in range(20):
        scene = many.scene(160, rng)
        painted = np.ptp(scene.image.astype(int), axis=2) > 60
        for x0, y0, x1, y1 in scene.boxes.round().astype(int).clip(0):
            least.append(painted[y0 : y1 + 1, x0 : x1 + 1].mean())
    assert len(least) > 50 and min(least) > 0.25


def test_batches_depend_on_seed_step_and_process(maker: SceneMaker, small: DetectorRecipe, tmp_path: Path) -> None:
    bank = Bank(tmp_path, 0, 0)
    one, again, other = (SceneBatches(maker, small, process, bank).batch(3) for process in (0, 0, 1))
    assert all(np.array_equal(one[name], again[name], equal_nan=True) for name in one)
    assert not np.array_equal(one["pictures"], other["pictures"])
    assert one["boxes"].shape == (4, 3, 4) and one["points"].shape == (4, 3, 5, 2)


def test_mined_pieces_are_used_some_steps_later(tmp_path: Path) -> None:
    bank = Bank(tmp_path, 0, 100)
    bank.add(100, [np.full((96, 96, 3), 1, np.uint8)])
    bank.add(200, [np.full((96, 96, 3), 2, np.uint8)] * 2)
    counts = [len(bank.before(step)) for step in (0, 100, 99 + LAG, 100 + LAG, 199 + LAG, 200 + LAG)]
    assert counts == [0, 0, 0, 1, 1, 3]
    assert len(Bank(tmp_path, 0, 0).before(1000)) == 0
    with pytest.raises(DataError, match=r"300-0\.npz is missing"):
        bank.before(300 + LAG)


def test_the_hardest_negatives() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[20:40, 20:40] = 200
    faces = Faces.of_boxes([[20, 20, 40, 40], [0, 0, 10, 10], [1, 1, 9, 9]], [0.5, 0.99, 0.2])
    pieces = hardest([picture], [faces], keep=1, ceiling=0.9)
    assert len(pieces) == 1 and pieces[0].shape == (96, 96, 3)
    assert pieces[0][48, 48, 0] == 200 and pieces[0][2, 2, 0] == 0
    assert len(hardest([picture], [faces], keep=5, ceiling=1.0)) == 3


def test_windows_of_backdrops(maker: SceneMaker) -> None:
    rng = np.random.default_rng(3)
    shapes = {vary_backdrop(maker.backdrops, size, rng).shape for size in (64, 160)}
    assert shapes == {(64, 64, 3), (160, 160, 3)}
    steps = [np.repeat(np.arange(20, 180, dtype=np.uint8)[:, None, None], 160, 1).repeat(3, 2)]  # brighter by rows
    windows = [vary_backdrop(steps, 64, rng).astype(int) for _ in range(40)]
    flat = [[(np.ptp(one, axis=axis) == 0).all() for axis in (0, 1)] for one in windows]
    assert all(any(axes) for axes in flat) and {tuple(axes) for axes in flat} >= {(True, False), (False, True)}
    assert len({tuple(one[0, 0]) for one in windows}) > 30, "position and tint are random"


def test_surroundings_show_no_face() -> None:
    """A colourful face on a grey ground: what lies around it is that ground alone."""
    rng = np.random.default_rng(0)
    image = np.full((160, 200, 3), 40, np.uint8)
    image[60:101, 50:91] = rng.integers(0, 256, (41, 41, 3), np.uint8)
    points = rng.uniform([50, 60], [90, 100], (1, 68, 2)).astype(np.float32)
    points[0, :2] = [[50, 60], [90, 100]]
    one = FacePool([image], points, points[:, :5], np.zeros(1, np.float32), np.ones(1))
    found = [surroundings(one, 96, rng) for _ in range(20)]
    assert all((picture == 40).all() for picture in found)


def test_recipes_of_every_kind(tmp_path: Path) -> None:
    for name, kind, count in (
        ("detector", DetectorRecipe, 3),
        ("face_score", FaceScoreRecipe, 1),
        ("default", Recipe, 4),
    ):
        stages = load_stages(find(name), Path("runs"))
        assert len(stages) == count and all(isinstance(stage.recipe, kind) for stage in stages)
    with pytest.raises(RecipeError, match=r"scenes\.faces"):
        load_stages(find("detector"), Path("runs"), ["scenes.faces=3"])
    with pytest.raises(RecipeError, match="multiples of 32"):
        load_stages(find("detector"), Path("runs"), ["phases.0.size=208"])
    with pytest.raises(RecipeError, match="shares add up"):
        load_stages(find("detector"), Path("runs"), ["phases.0.share=0.5"])


def test_every_network_has_a_recipe() -> None:
    assert RECIPES.keys() == DETECTION.keys()
