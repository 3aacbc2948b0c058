import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import DataError
from canthus.face3d.rigid import POSED, RigidFace
from canthus.geometry.crop import box_of
from canthus.geometry.pose import rotation
from canthus.schemes.transfer import convert


@pytest.fixture
def solid(rng: np.random.Generator) -> RigidFace:
    """Any 68 points in space."""
    return RigidFace(rng.normal(0, 5, (68, 3)))


def seen(face: RigidFace, poses: np.ndarray) -> np.ndarray:
    """The points of the face, turned by poses (F, 3), twice as large and shifted. Shape (F, 68, 2)."""
    turned = face.points @ np.swapaxes(rotation(poses), 1, 2)
    return 2 * turned[..., :2] + (40, 60)


def test_poses_and_boxes_of_rigid_faces_are_exact(solid: RigidFace) -> None:
    poses = np.array([[0, 0, 0], [40, -10, 25], [-75, 5, -60]], np.float64)
    points = seen(solid, poses)
    np.testing.assert_allclose(solid.poses(points), poses, atol=1e-3)
    hidden = points.copy()
    hidden[:, 20:40] = np.nan
    np.testing.assert_allclose(solid.poses(hidden), poses, atol=1e-3)
    np.testing.assert_allclose(solid.boxes(hidden), box_of(points), atol=1e-3)


def test_a_smaller_scheme_gives_the_box_of_all_points(solid: RigidFace) -> None:
    points = seen(solid, np.array([[30, 5, -10]], np.float64))
    np.testing.assert_allclose(solid.boxes(convert(points, "68", "5"), "5"), box_of(points), atol=1e-3)


def test_too_few_points_give_no_pose(solid: RigidFace) -> None:
    points = seen(solid, np.zeros((1, 3)))
    points[:, 17 + POSED - 1 :] = np.nan
    assert np.isnan(solid.poses(points)).all()
    points[:, 3:] = np.nan
    assert np.isnan(solid.boxes(points)).all()


def test_a_missing_model_is_named(tmp_path) -> None:
    with pytest.raises(
        DataError, match=r"model\.npz or .*landmarks\.json is missing or damaged: .*; restore the files"
    ):
        RigidFace.open(tmp_path / "model.npz")


@pytest.mark.data
def test_poses_of_faces_with_unknown_points(data_root) -> None:
    """Half of the inner points, or those of a set with an order of its own, give nearly the pose of all."""
    points = np.stack([sample.points for sample in open_set("wild68", data_root, "val")])
    face = RigidFace.open(data_root / "ict_facekit" / "ict_facekit.npz")
    whole = face.poses(points)
    half = points.copy()
    half[:, 17::2] = np.nan
    assert np.median(np.abs(face.poses(half) - whole)) < 3
    for name in ("fgnet68", "scut86", "london189"):
        known = np.isfinite(open_set(name, data_root, "train")[0].points).all(1)
        some = np.where(known[:, None], points, np.nan)
        yaw, pitch, roll = np.abs(face.poses(some) - whole).mean(0)
        assert max(yaw, roll) < 3 and pitch < 8


@pytest.mark.data
def test_boxes_of_five_points(data_root) -> None:
    """Edges within 6 % of the longer side on average, as good at any yaw."""
    face = RigidFace.open(data_root / "ict_facekit" / "ict_facekit.npz")
    for name in ("wild68", "ytf68"):
        points = np.stack([sample.points for sample in open_set(name, data_root, "val")])
        true = box_of(points)
        off = np.abs(face.boxes(convert(points, "68", "5"), "5") - true) / (true[:, 2:] - true[:, :2]).max(1)[:, None]
        assert off.mean(0).max() < 0.065
