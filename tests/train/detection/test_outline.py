"""Outlines and five points of faces, from labels of any kind."""

from pathlib import Path

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS, Sample
from canthus.errors import DataError
from canthus.face3d.rigid import RigidFace
from canthus.geometry.crop import box_of
from canthus.schemes.transfer import convert
from canthus.train.detection.backdrops import load_faceless, scenery
from canthus.train.detection.outline import CHIN, KNOWN, Outliner, shape_in, stretched, usable
from canthus.train.detection.pool import load_faces
from canthus.train.detection.recipe import Scenes
from canthus.train.detection.scenes import CLOSE, SEEN, SceneMaker
from canthus.train.recipe import Augment, SetShare

PICTURE = Path("a.png")


@pytest.fixture(scope="module")
def solid(data_root: Path) -> RigidFace:
    return RigidFace.open(data_root / "ict_facekit" / "ict_facekit.npz")


@pytest.mark.data
def test_five_points_give_the_box_of_the_landmarks(solid: RigidFace, data_root: Path) -> None:
    """Medians of the errors of the edges, in per cent of the longer side, over faces at any yaw."""
    outliner, errors = Outliner(solid), []
    for sample in open_set("wild68", data_root, "val"):
        truth = box_of(sample.points)
        five = Sample(sample.image, convert(sample.points, "68", "5"), "5", "a")
        found = outliner.boxed(five).box
        assert found is not None
        errors.append(100 * (found - truth) / (truth[2:] - truth[:2]).max())
    assert np.abs(np.median(errors, 0)).max() < 4
    assert abs(np.median(errors, 0)[3]) < 1.5, "the chin"


@pytest.mark.data
def test_only_what_lies_under_the_mouth_is_stretched(solid: RigidFace) -> None:
    longer = stretched(solid)
    mouth = solid.points[[48, 54], 1].mean()
    below = solid.points[:, 1] > mouth
    np.testing.assert_allclose(longer.points[~below], solid.points[~below])
    np.testing.assert_allclose(longer.points[below, 1] - mouth, CHIN * (solid.points[below, 1] - mouth))


def test_labels_of_each_kind() -> None:
    points = np.random.default_rng(0).uniform(0, 50, (68, 2)).astype(np.float32)
    points[:4] = np.nan
    outline, five = Outliner(None).labels(Sample(PICTURE, points, "68", "a"))
    np.testing.assert_array_equal(outline, points)
    np.testing.assert_allclose(five, convert(points, "68", "5"))
    alone = Sample(PICTURE, np.zeros((0, 2)), NO_POINTS, "a", box=np.array([1, 2, 30, 40], np.float32))
    assert all(np.isnan(one).all() for one in Outliner(None).labels(alone))
    with pytest.raises(DataError, match="add face_model to the recipe"):
        Outliner(None).labels(Sample(PICTURE, points[4:9], "5", "a"))
    with pytest.raises(DataError, match="scheme '29'"):
        Outliner(None).labels(Sample(PICTURE, points[:29], "29", "a"))


def test_which_samples_are_usable() -> None:
    points = np.zeros((68, 2), np.float32)
    points[KNOWN:] = np.nan
    assert usable(Sample(PICTURE, points, "68", "a"))
    points[0] = np.nan
    assert not usable(Sample(PICTURE, points, "68", "a"))
    assert usable(Sample(PICTURE, np.zeros((5, 2)), "5", "a"))
    assert not usable(Sample(PICTURE, np.array([[np.nan, 0]] * 5), "5", "a"))
    assert not usable(Sample(PICTURE, np.zeros((0, 2)), NO_POINTS, "a"))


def test_a_shape_fills_a_box() -> None:
    mean = np.random.default_rng(1).normal(0, 1, (68, 2)).astype(np.float32)
    np.testing.assert_allclose(box_of(shape_in(np.array([3, 5, 40, 90], np.float32), mean)), [3, 5, 40, 90], atol=1e-4)


@pytest.mark.data
def test_a_pool_of_all_kinds_of_labels(mixed: Path, solid: RigidFace) -> None:
    shares = [SetShare(name=name, split=split) for name, split in (("wild68", "train"), ("csv:five", "train"))]
    pool = load_faces([*shares, SetShare(name="fairface", split="list/part-0-50")], mixed, 200, solid=solid)
    rest = len(pool.images) - 10
    assert 0 < rest < 20 and np.isfinite(pool.points).all()
    assert np.isfinite(pool.five[:10]).all() and np.isnan(pool.five[10:]).all()
    assert np.isfinite(pool.rolls[:10]).all() and np.isnan(pool.rolls[10:]).all()
    np.testing.assert_allclose(pool.five[8:10], pool.five[:2], atol=1e-2)
    np.testing.assert_allclose(pool.boxes[10], [9.5, 12.3, 89.5, 75.5], atol=0.1)
    with pytest.raises(DataError, match="no set of the recipe has 68 points"):
        load_faces([SetShare(name="fairface", split="list")], mixed, 64)


@pytest.mark.data
def test_scenes_of_faces_with_boxes_alone(mixed: Path) -> None:
    """Their box is known, points and roll are not; a face that fills its picture is as large as it should be."""
    both = [SetShare(name="wild68", weight=1e-9), SetShare(name="fairface", split="list")]
    faceless = load_faceless([SetShare(name="backdrops")], mixed)
    settings = Scenes(close=1, empty=0, most=2)
    plain = Augment(flip=0.5, light=0, grey=0, blur=0, shrink=0, jpeg=0, noise=0, occlude=0)
    maker = SceneMaker(load_faces(both, mixed, 64), [np.zeros((96, 96, 3), np.uint8)], settings, plain, faceless)
    rng, sides = np.random.default_rng(0), []
    for _ in range(20):
        scene = maker.scene(96, rng, 0.0)
        for box, points, roll in zip(scene.boxes, scene.points, scene.rolls, strict=True):
            assert np.isfinite(box).all() and np.isnan(points).all() and np.isnan(roll)
            assert (np.minimum(box[2:], 96) - np.maximum(box[:2], 0)).prod() > 0.95 * SEEN * (box[2:] - box[:2]).prod()
            sides.append((box[2:] - box[:2]).max() / 96)
    assert len(sides) > 10 and min(sides) > 0.95 * CLOSE[0] and max(sides) < 1.05 * CLOSE[1]


def test_parts_of_photographs() -> None:
    """Any part at any scale, rotated or not, fills the background; nothing but the photograph is in it."""
    rng = np.random.default_rng(0)
    photograph = np.full((40, 300, 3), 200, np.uint8)
    parts = [scenery(photograph, 64, rng) for _ in range(20)]
    assert all(part.shape == (64, 64, 3) and (part == 200).all() for part in parts)
    rows = np.repeat(np.arange(120, dtype=np.uint8)[:, None, None], 300, 1).repeat(3, 2)
    upright = [(np.ptp(scenery(rows, 64, rng).astype(int), axis=1) <= 1).all() for _ in range(40)]
    assert 8 < sum(upright) < 32, "half of the parts are rotated"
