from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.face3d.fit import Fit, Fitter
from canthus.face3d.landmarks import MeshLandmarks
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import WeakPerspective, angles, rotation, weak_perspective
from canthus.geometry.transform import scale_of
from canthus.synth.turn.profile import ProfileOptions, Relief, choose_turn, find_problem, prepare, view

RADII = np.array([7.5, 10.5, 10.0])
"""Half the width, height and depth of a head without a nose, cm."""
SKIN, GREEN = (205, 150, 125), (20, 160, 40)
OPTIONS = ProfileOptions(size=128)


def on_head(x, y):
    """The point of the front of the head at x and y, cm."""
    return np.stack([x, y, -RADII[2] * np.sqrt(1 - (x / RADII[0]) ** 2 - (y / RADII[1]) ** 2)], -1)


def sixty_eight():
    """68 places on the front: a jaw from ear to ear over the chin, and rings where the components are."""
    along = np.linspace(np.pi, 0, 17)
    parts = [on_head(7.2 * np.cos(along), 8.0 * np.sin(along))]
    for x, y, size, count in [
        (-2.8, -4, 1.2, 5),
        (2.8, -4, 1.2, 5),
        (0, -1, 1.3, 9),
        (-2.8, -2.5, 1.0, 6),
        (2.8, -2.5, 1.0, 6),
        (0, 4, 1.6, 20),
    ]:
        turn = np.linspace(np.pi, -np.pi, count, endpoint=False)
        parts.append(on_head(x + size * np.cos(turn), y + 0.5 * size * np.sin(turn)))
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def model():
    """A head in the form of an ellipsoid; no coefficient moves it."""
    steps = 48
    polar, around = np.meshgrid(np.linspace(0, np.pi, steps), np.linspace(0, 2 * np.pi, 2 * steps), indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1)
    vertices = (RADII * unit.reshape(-1, 3)).astype(np.float32)
    row, column = np.meshgrid(np.arange(steps - 1), np.arange(2 * steps - 1), indexing="ij")
    a = (row * 2 * steps + column).ravel()
    b, c, d = a + 1, a + 2 * steps, a + 2 * steps + 1
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)])
    corners = vertices[triangles]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = (outward * corners.mean(1)).sum(1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    distance = np.linalg.norm(vertices[:, None] - sixty_eight()[None], axis=2)
    points = distance.argmin(0)
    return MorphableModel(
        path=Path("head"),
        mean=vertices,
        identity=np.zeros((1, len(vertices), 3), np.float32),
        expression=np.zeros((1, len(vertices), 3), np.float32),
        expression_names=("still",),
        triangles=triangles,
        uv=np.zeros((1, 2), np.float32),
        triangle_uv=np.zeros_like(triangles),
        region=np.zeros(len(vertices), np.uint8),
        region_names=("face", "head_neck"),
        landmarks=MeshLandmarks(
            {"68": points}, {"68": np.stack([points, points], -1)}, (), {"mouth_inner": points[60:68]}
        ),
    )


def fitted(model, pose, error=0.0):
    """The fit of a head at (120, 110) with 8 pixels a cm."""
    turned = rotation(np.array([pose]))
    camera = WeakPerspective(np.array([8.0]), turned, np.array([[120.0, 110.0]]), np.zeros(1))
    points = camera.project(model.mean[model.landmarks.points["68"]])
    return Fit(
        scheme="68",
        camera=camera,
        identity=np.zeros((1, 1)),
        expression=np.zeros((1, 1)),
        points=points,
        residual=np.full((1, 68), error * 60.0),
        inter_ocular=np.array([60.0]),
        problems=("",),
    )


def photograph(fit):
    """Skin in the outline of the head, before green."""
    image = np.full((230, 240, 3), GREEN, np.uint8)
    polar, around = np.meshgrid(np.linspace(0, np.pi, 40), np.linspace(0, 2 * np.pi, 80))
    unit = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], -1).reshape(-1, 3)
    outline = cv2.convexHull(fit.camera.project(RADII * unit)[0, :, :2].astype(np.float32))
    cv2.fillPoly(image, [np.round(outline * 16).astype(np.int32)], SKIN, cv2.LINE_AA, 4)
    return image


def facing_of(model, turned):
    """Cosine between the normals of the ellipsoid at the 68 points and the direction to the viewer."""
    normal = model.mean[model.landmarks.points["68"]] / RADII**2
    return -(normal @ turned.T)[:, 2] / np.linalg.norm(normal, axis=1)


def relief_of(model, pose=(12.0, 0.0, 0.0), error=0.0):
    fit = fitted(model, pose, error)
    return prepare(photograph(fit), model, fit, options=OPTIONS)


def test_no_turn_gives_the_picture_back(model):
    relief = relief_of(model, (15.0, -8.0, 12.0))
    same = view(relief, model, 0.0)
    difference = np.abs(same.image.astype(int) - relief.picture)
    assert difference.mean() < 0.5 and np.percentile(difference, 99) < 12
    np.testing.assert_allclose(same.pose, (15, -8, 12), atol=1e-4)


def test_the_picture_is_the_photograph_under_its_map(model):
    fit = fitted(model, (0.0, 0.0, 0.0))
    relief = prepare(photograph(fit), model, fit, options=OPTIONS)
    box = np.array([fit.points[0, :, :2].min(0), fit.points[0, :, :2].max(0)])
    middle = relief.matrix[:, :2] @ box.mean(0) + relief.matrix[:, 2]
    np.testing.assert_allclose(middle, 63.5, atol=1e-4)
    assert relief.scale * np.ptp(box, 0).max() / 8 == pytest.approx(OPTIONS.size / OPTIONS.margin)
    assert (relief.picture[64, 64] == SKIN).all() and (relief.picture[0, 0] == GREEN).all()


@pytest.mark.parametrize("pose", [(12.0, 0.0, 0.0), (20.0, -10.0, 15.0), (-20.0, 10.0, -30.0)])
def test_the_points_are_those_of_the_head_in_the_pose_told(model, pose):
    turned = view(relief_of(model, pose), model, float(np.sign(pose[0]) * 35))
    found = weak_perspective(turned.points["68"][None, :, :2], model.mean[model.landmarks.points["68"]])
    assert found.residual[0] < 1e-3
    np.testing.assert_allclose(found.rotation[0], rotation(turned.pose), atol=1e-4)
    expected = rotation(np.array(pose)) @ rotation(np.array([np.sign(pose[0]) * 35, 0, 0]))
    np.testing.assert_allclose(turned.pose, angles(expected), atol=1e-3)


def test_without_pitch_azimuth_and_yaw_are_one(model):
    relief = relief_of(model, (-25.0, 0.0, 10.0))
    assert relief.azimuth == pytest.approx(-25)
    turned = view(relief, model, -40.0)
    assert turned.azimuth == pytest.approx(-65) and turned.pose[0] == pytest.approx(-65, abs=1e-3)


@pytest.mark.parametrize("turn", [-40.0, 25.0, 50.0])
def test_the_texture_goes_where_the_points_go(model, turn):
    fit = fitted(model, (np.sign(turn) * 8, 5.0, 6.0))
    facing = facing_of(model, fit.camera.rotation[0] @ rotation(np.array([turn, 0.0, 0.0])))
    indices = [index for index in (8, 19, 24, 36, 48) if facing[index] > 0.4]
    assert len(indices) >= 3
    for index in indices:
        image = photograph(fit)
        x, y = fit.points[0, index, :2]
        cv2.circle(image, (round(x * 16), round(y * 16)), 6 * 16, (0, 0, 255), -1, cv2.LINE_AA, 4)
        turned = view(prepare(image, model, fit, options=OPTIONS), model, turn)
        assert turned.visible["68"][index]
        blue = (turned.image[..., 2].astype(float) - turned.image[..., 0]).clip(120, None) - 120
        row, column = np.indices(blue.shape)
        middle = np.array([(blue * column).sum(), (blue * row).sum()]) / blue.sum()
        assert np.linalg.norm(middle - turned.points["68"][index, :2]) < 1.0


def test_the_border_stays_and_nothing_is_empty(model):
    relief = relief_of(model)
    edge = np.ones(relief.picture.shape[:2], bool)
    edge[1:-1, 1:-1] = False
    rng = np.random.default_rng(0)
    noisy = replace(relief, picture=rng.integers(1, 256, relief.picture.shape, np.uint8))
    turned = view(noisy, model, 60.0)
    assert (turned.image[edge] == noisy.picture[edge]).mean() > 0.9
    assert (relief.rigidity[: len(model.mean)][model.landmarks.points["68"]] == 1).all()
    plain = replace(relief, picture=np.full_like(relief.picture, 200))
    assert (view(plain, model, 60.0).image == 200).all()


@pytest.mark.parametrize("turn", [60.0, 75.0, -70.0])
def test_a_point_is_visible_where_the_head_faces_the_viewer(model, turn):
    turned = view(relief_of(model, (0.0, 0.0, 0.0)), model, turn)
    facing = facing_of(model, rotation(np.array([turn, 0.0, 0.0])))
    visible = turned.visible["68"]
    assert visible[facing > 0.1].all() and not visible[facing < -0.35].any()
    assert (facing < -0.35).any()


@pytest.mark.parametrize("turn", [40.0, 55.0, 65.0, -60.0, -75.0])
def test_a_point_behind_the_head_is_hidden_up_to_the_outline(model, turn):
    relief = relief_of(model, (0.0, 0.0, 0.0))
    turned = view(relief, model, turn)
    to_viewer = rotation(np.array([turn, 0.0, 0.0])).T @ (0, 0, -1)
    facing = (model.mean[model.landmarks.points["68"]] / RADII**2) @ to_viewer
    behind = -2 * facing / (to_viewer**2 / RADII**2).sum()  # the chord of the ellipsoid, cm
    hidden = behind > 2.0
    assert hidden.any() and not turned.visible["68"][hidden].any()


def test_a_turn_shows_the_cheek_and_hides_the_background_behind_it(model):
    turned = view(relief_of(model), model, 40.0)
    column, row = turned.points["68"][[30, 36, 48, 2], :2].round().astype(int).T
    assert (np.abs(turned.image[row, column].astype(int) - SKIN) < 30).all()
    assert (np.abs(turned.image[2:6, 2:-2].astype(int) - GREEN) < 3).all()


def test_outlines_end_where_they_mean_nothing(model):
    relief = relief_of(model)
    assert set(view(relief, model, 40.0).outlines) == {"68"}
    assert not view(relief, model, 60.0).outlines
    inner = view(relief, model, 40.0)
    np.testing.assert_array_equal(inner.outlines["68"][17:], inner.points["68"][17:])


def test_views_that_are_refused(model):
    good = relief_of(model)
    assert find_problem(good, 40.0, OPTIONS) == ""
    assert "6.0% off its labels" in find_problem(relief_of(model, error=0.06), 40.0, OPTIONS)
    assert "off its labels" in find_problem(replace(good, error=np.nan), 40.0, OPTIONS)
    assert "beyond 90" in find_problem(good, 79.0, OPTIONS) and find_problem(good, 77.0, OPTIONS) == ""
    assert "photograph, at 12 degrees, hides" in find_problem(good, -30.0, OPTIONS)
    assert find_problem(relief_of(model, (5.0, 0.0, 0.0)), -30.0, OPTIONS) == ""


@pytest.mark.parametrize(("side", "turn"), [("right", 30.0), ("left", -30.0)])
def test_background_on_the_cheek_that_comes_to_the_front_is_told(model, side, turn):
    fit = fitted(model, (0.0, 0.0, 0.0))
    image = photograph(fit)
    half = slice(0, 85) if side == "right" else slice(155, None)
    image[:, half] = GREEN
    relief = prepare(image, model, fit, options=OPTIONS)
    assert f"the {side} cheek look unlike skin" in find_problem(relief, turn, OPTIONS)
    assert find_problem(relief, -turn, OPTIONS) == ""


@settings(max_examples=40)
@given(azimuth=st.floats(-100, 100), seed=st.integers(0, 999))
def test_turns_go_further_and_not_beyond_the_cap(azimuth, seed):
    turn = choose_turn(azimuth, np.random.default_rng(seed))
    assert abs(turn) <= 60 and choose_turn(azimuth, np.random.default_rng(seed)) == turn
    assert turn == 0 if abs(azimuth) >= 90 else abs(azimuth + turn) <= 90 + 1e-9
    if abs(azimuth) >= 5:
        assert turn * azimuth >= 0


def test_most_turns_are_moderate_and_frontal_faces_go_both_ways(rng):
    turns = np.array([choose_turn(0.0, rng) for _ in range(700)])
    assert 0.08 < (np.abs(turns) > 40).mean() < 0.21
    assert 0.4 < (turns > 0).mean() < 0.6


def test_a_face_without_fit_is_refused(model):
    fit = replace(fitted(model, (0.0, 0.0, 0.0)), problems=("too few points",))
    with pytest.raises(ShapeError, match=r"face 0 was not fitted: too few points"):
        prepare(np.zeros((50, 50, 3), np.uint8), model, fit)


@pytest.mark.data
def test_a_real_photograph_is_turned(data_root):
    model = MorphableModel.open(data_root / "ict_facekit" / "ict_facekit.npz")
    line = (data_root / "wild68" / "train.csv").read_text(encoding="utf-8").splitlines()[5].split(",")
    points = np.array(line[2:], float).reshape(1, 68, 2)
    image = cv2.imread(str(data_root / "wild68" / "images" / line[0]))[..., ::-1].copy()
    fit = Fitter(model, "68").fit(points)
    relief = prepare(image, model, fit)
    assert isinstance(relief, Relief)
    turned = view(relief, model, float(np.sign(relief.azimuth) * 40))
    assert turned.image.shape == (256, 256, 3)
    assert set(turned.points) == set(turned.visible) == set(model.landmarks.points)
    half = "39_right" if turned.azimuth > 0 else "39_left"
    other = "39_left" if turned.azimuth > 0 else "39_right"
    assert turned.visible[half].mean() > 0.9 > turned.visible[other].mean()
    inner = points[0, 17:] @ relief.matrix[:, :2].T + relief.matrix[:, 2]
    unturned = view(relief, model, 0.0).points["68"][17:, :2]
    assert np.linalg.norm(unturned - inner, axis=1).mean() < 0.06 * fit.inter_ocular[0] * scale_of(relief.matrix)
