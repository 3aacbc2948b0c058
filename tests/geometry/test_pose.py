import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from canthus.errors import ShapeError
from canthus.geometry import transform
from canthus.geometry.pose import (
    angles,
    azimuth,
    perspective,
    pose_from_points,
    rotate,
    rotation,
    rotation_about,
    turn_between,
    weak_perspective,
)

POSES = st.tuples(st.floats(-89, 89), st.floats(-179, 179), st.floats(-179, 179)).map(np.array)
HEADS = st.tuples(st.floats(-85, 85), st.floats(-60, 60), st.floats(-179, 179)).map(np.array)
NOSE, CROWN, LEFT_EAR = np.array([0, 0, -1.0]), np.array([0, -1.0, 0]), np.array([1.0, 0, 0])


@pytest.fixture
def model() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(12, 3))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs((a - b + 180) % 360 - 180)


@given(POSES, POSES)
def test_the_turn_between_poses_is_that_of_scipy(first: np.ndarray, second: np.ndarray) -> None:
    one, other = Rotation.from_matrix(rotation(first)), Rotation.from_matrix(rotation(second))
    assert turn_between(first, second) == pytest.approx(np.degrees((one.inv() * other).magnitude()), abs=1e-5)


def test_profiles_whose_pitch_and_roll_differ_may_be_the_same_rotation() -> None:
    profile = np.array([90.0, 20, 0])
    assert turn_between(profile, np.array([90.0, 0, -20])) == pytest.approx(0, abs=1e-5)
    assert turn_between(profile, np.array([90.0, 0, 20])) == pytest.approx(40)


def test_signs() -> None:
    assert rotation(np.array([30, 0, 0])) @ NOSE == pytest.approx([0.5, 0, -np.sqrt(0.75)])  # to the image's right
    assert rotation(np.array([0, 30, 0])) @ NOSE == pytest.approx([0, -0.5, -np.sqrt(0.75)])  # up
    assert rotation(np.array([0, 0, 30])) @ CROWN == pytest.approx([0.5, -np.sqrt(0.75), 0])  # clockwise
    assert rotation(np.array([30, 0, 0])) @ LEFT_EAR == pytest.approx([np.sqrt(0.75), 0, 0.5])  # further away


@given(POSES)
def test_angles_are_the_inverse_of_rotation(pose: np.ndarray) -> None:
    matrix = rotation(pose)
    assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)
    assert apart(angles(matrix), pose) == pytest.approx(np.zeros(3), abs=1e-6)


@given(POSES)
def test_rotation_agrees_with_scipy(pose: np.ndarray) -> None:
    yaw, pitch, roll = pose
    assert rotation(pose) == pytest.approx(Rotation.from_euler("ZYX", [roll, -yaw, -pitch], degrees=True).as_matrix())


@given(POSES, st.floats(-180, 180))
def test_turning_the_image_adds_to_roll_and_mirroring_negates(pose: np.ndarray, turn: float) -> None:
    flat = np.eye(3)
    flat[:2, :2] = transform.similarity(angle=turn)[:, :2]
    assert apart(angles(flat @ rotation(pose)), pose + np.array([0, 0, turn])) == pytest.approx(np.zeros(3), abs=1e-6)
    mirror = np.diag([-1, 1, 1])
    assert apart(angles(mirror @ rotation(pose) @ mirror), pose * [-1, 1, -1]) == pytest.approx(np.zeros(3), abs=1e-6)


@pytest.mark.parametrize("yaw", [-90, 90])
def test_in_full_profile_the_roll_is_none(yaw: float) -> None:
    matrix = rotation(np.array([yaw, 20, 30]))
    found = angles(matrix)
    assert (found[0], found[2]) == (yaw, 0)
    assert rotation(found) == pytest.approx(matrix)


def test_many_at_once() -> None:
    poses = np.random.default_rng(1).uniform(-80, 80, (4, 5, 3))
    assert rotation(poses)[2, 3] == pytest.approx(rotation(poses[2, 3]))
    assert angles(rotation(poses)) == pytest.approx(poses)


VECTORS = st.tuples(*[st.floats(-4, 4)] * 3).map(np.array)


@given(VECTORS)
def test_rotations_about_vectors_agree_with_opencv_and_scipy(vector: np.ndarray) -> None:
    found = rotation_about(vector)
    assert found == pytest.approx(cv2.Rodrigues(vector)[0], abs=1e-9)
    assert found == pytest.approx(Rotation.from_rotvec(vector).as_matrix(), abs=1e-9)


def test_many_rotations_about_vectors_and_none(rng: np.random.Generator) -> None:
    vectors = np.concatenate([rng.normal(size=(5, 3)), np.zeros((1, 3)), 1e-9 * np.ones((1, 3))])
    assert rotation_about(vectors) == pytest.approx(np.stack([cv2.Rodrigues(vector)[0] for vector in vectors]))
    assert (rotation_about(np.zeros(3)) == np.eye(3)).all()


@given(VECTORS.filter(lambda vector: np.linalg.norm(vector) > 1e-3))
def test_each_vector_turns_by_its_own_angle(vector: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    axis, angle, vectors = vector / np.linalg.norm(vector), rng.uniform(-7, 7, 6), rng.normal(size=(6, 3))
    expected = [Rotation.from_rotvec(turn * axis).apply(one) for turn, one in zip(angle, vectors, strict=True)]
    assert rotate(vectors, axis, angle) == pytest.approx(np.stack(expected))
    assert rotate(vectors, axis, angle[:1]) == pytest.approx(Rotation.from_rotvec(angle[0] * axis).apply(vectors))


@given(
    st.lists(HEADS, min_size=1, max_size=4), st.floats(0.1, 100), st.tuples(st.floats(-500, 500), st.floats(-500, 500))
)
def test_weak_perspective_of_exact_points(poses: list[np.ndarray], scale: float, shift: tuple[float, float]) -> None:
    model = np.random.default_rng(3).normal(size=(12, 3))
    turns = rotation(np.stack(poses))
    points = scale * (model @ np.swapaxes(turns, 1, 2))[..., :2] + shift
    points[0, 2] = np.nan
    found = weak_perspective(points, model)
    assert found.scale == pytest.approx(np.full(len(poses), scale))
    assert found.rotation == pytest.approx(turns, abs=1e-6)
    assert found.shift == pytest.approx(np.broadcast_to(shift, (len(poses), 2)), abs=1e-6 * (scale + 1))
    assert found.residual == pytest.approx(np.zeros(len(poses)), abs=1e-6 * scale)
    assert found.project(model)[..., :2][~np.isnan(points).any(-1)] == pytest.approx(
        points[~np.isnan(points).any(-1)], abs=1e-5 * (scale + 1)
    )
    assert apart(pose_from_points(points, model), np.stack(poses)).max() < 1e-5
    heads = model + np.arange(len(poses))[:, None, None]
    each = [scale * head @ turn.T + (*shift, 0) for head, turn in zip(heads, turns, strict=True)]
    assert found.project(heads) == pytest.approx(np.stack(each), abs=1e-5 * (scale + 1))


def test_points_without_weight_do_not_count(model: np.ndarray, rng: np.random.Generator) -> None:
    turn = rotation(np.array([20, -10, 5]))
    points = (model @ turn.T)[None, :, :2] * 7
    spoilt = points.copy()
    spoilt[0, 3] += 100
    weights = np.ones(12)
    weights[3] = 0
    found = weak_perspective(spoilt, model, weights)
    assert found.pose == pytest.approx(np.array([[20, -10, 5]]))
    assert weak_perspective(spoilt, model).residual[0] > 5
    noisy = points + rng.normal(size=points.shape)
    seen = weak_perspective(noisy, model)
    far = np.linalg.norm(noisy - seen.project(model)[..., :2], axis=-1)
    assert seen.residual == pytest.approx(np.sqrt((far**2).mean(1)))


def test_of_noisy_points_the_nearest_scaled_rotation_is_taken(model: np.ndarray, rng: np.random.Generator) -> None:
    points = 5 * (model @ rotation(np.array([25, 10, -40])).T)[:, :2] + rng.normal(size=(12, 2))
    found = weak_perspective(points[None], model)
    design = np.column_stack([model, np.ones(12)])
    affine = np.linalg.lstsq(design, points, rcond=None)[0].T[:, :3]
    left = np.linalg.norm(found.scale[0] * found.rotation[0, :2] - affine)
    for change in rng.normal(size=(30, 4)) * 1e-2:
        other = found.scale[0] * (1 + change[0]) * (found.rotation[0] @ rotation(np.rad2deg(change[1:])))[:2]
        assert np.linalg.norm(other - affine) > left


def test_what_determines_no_pose_is_nan(model: np.ndarray) -> None:
    points = np.stack([model[:, :2]] * 4)
    points[0, 3:] = np.nan  # three points
    points[1] = np.nan
    points[2] = 5.0  # all in one place
    found = weak_perspective(points, model)
    for part in (found.scale, found.rotation, found.shift, found.residual, found.pose):
        assert np.isnan(part[:3]).all()
        assert np.isfinite(part[3]).all()
    flat = model * [1, 1, 0]
    assert np.isnan(weak_perspective(points[3:], flat).pose).all()
    assert weak_perspective(points[:0], model).pose.shape == (0, 3)


@given(HEADS)
def test_perspective_of_exact_points(pose: np.ndarray) -> None:
    model = np.random.default_rng(3).normal(size=(12, 3))
    camera = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
    seen = model @ rotation(pose).T + [0.5, -0.2, 12]
    points = (seen @ camera.T)[:, :2] / seen[:, 2:]
    points[4] = np.nan
    turn, shift = perspective(points, model, camera)
    assert apart(angles(turn), pose).max() < 1e-3
    assert shift == pytest.approx([0.5, -0.2, 12], abs=1e-4)


def test_wrong_shapes(model: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="model"):
        weak_perspective(np.zeros((2, 11, 2)), model)
    with pytest.raises(ShapeError, match="model"):
        perspective(np.zeros((11, 2)), model, np.eye(3))
    with pytest.raises(ShapeError, match="four"):
        perspective(np.full((12, 2), np.nan), model, np.eye(3))


@given(st.floats(-80, 80), st.floats(-30, 30), st.floats(-40, 40))
def test_azimuth_is_what_a_turn_of_the_head_adds_to(yaw: float, pitch: float, turn: float) -> None:
    assert azimuth(rotation(np.array([yaw, 0, 0]))) == pytest.approx(yaw, abs=1e-6)
    head = rotation(np.array([yaw, pitch, 10.0]))
    turned = head @ rotation(np.array([turn, 0, 0]))
    added = (azimuth(turned) - azimuth(head) - turn + 180) % 360 - 180
    assert added == pytest.approx(0, abs=1e-6)
