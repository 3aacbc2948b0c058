import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.errors import SchemeError, ShapeError
from canthus.face3d.fit import FitOptions, Fitter, find_problems
from canthus.geometry.transform import apply, similarity
from canthus.schemes.scheme import Scheme

EXACT = FitOptions(noise=1e-4, slide=(1.0, 1.0), spread=2.0, iterations=60)
ANGLES = st.tuples(st.floats(-60, 60), st.floats(-20, 20), st.floats(-40, 40))


@pytest.fixture(scope="module")
def fitter(toy):
    return Fitter(toy.model, "68")


@settings(max_examples=12)
@given(ANGLES, st.integers(0, 999))
def test_round_trip(toy, make_faces, pose, seed):
    """Labels without noise give the parameters back that made them."""
    truth = make_faces(toy.model, [pose], np.random.default_rng(seed))
    found = Fitter(toy.model, "68", options=EXACT).fit(truth.labels)
    assert found.problems == ("",)
    assert found.camera.pose == pytest.approx(truth.pose, abs=1)
    assert found.camera.scale == pytest.approx([truth.scale], rel=0.02)
    assert found.error[0] < 0.003
    heads = [toy.model.vertices(fit.identity, fit.expression) for fit in (truth, found)]
    assert np.linalg.norm(heads[0] - heads[1], axis=-1).mean() < 0.15  # cm
    assert found.expression[:, 3] == 0  # left out of the fit


def test_parameters_come_back(toy, make_faces, rng):
    truth = make_faces(toy.model, rng.uniform(-35, 35, (8, 3)), rng)
    found = Fitter(toy.model, "68", options=EXACT).fit(truth.labels)
    assert np.abs(found.identity - truth.identity).mean() < 0.1
    assert np.abs(found.expression - truth.expression).mean() < 0.05
    placed = np.linalg.norm(found.points[..., :2] - truth.labels, axis=-1)
    assert found.residual == pytest.approx(placed)
    assert found.error == pytest.approx(placed.mean(1) / found.inter_ocular)
    assert found.camera.residual == pytest.approx(np.sqrt((placed**2).mean(1)))
    eyes = truth.points[:, [36, 45]]
    assert found.inter_ocular == pytest.approx(np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1), rel=0.02)


def test_noise(fitter, toy, make_faces, rng):
    truth = make_faces(toy.model, np.column_stack([np.tile([-50, -20, 0, 20, 50], 4), *rng.normal(0, 9, (2, 20))]), rng)
    unit = np.linalg.norm(truth.points[:, 36] - truth.points[:, 45], axis=-1)
    noisy = truth.labels + 0.012 * unit[:, None, None] * rng.normal(size=truth.labels.shape)
    found = fitter.fit(noisy)
    assert np.abs(found.camera.pose - truth.pose).mean() < 2
    far = np.linalg.norm(found.points[..., :2] - truth.labels, axis=-1) / unit[:, None]
    assert far.mean() < 0.009  # less than the noise of the labels: .015


@settings(max_examples=10)
@given(st.floats(-30, 30), st.floats(0.3, 5), st.tuples(st.floats(-300, 300), st.floats(-300, 300)))
def test_a_similarity_of_the_picture_changes_roll_scale_and_shift_alone(toy, fitter, make_faces, angle, scale, shift):
    truth = make_faces(toy.model, [(25, 5, 3)], np.random.default_rng(1))
    move = similarity(scale, angle, shift)
    here, there = fitter.fit(truth.labels), fitter.fit(apply(move, truth.labels))
    assert there.camera.pose - here.camera.pose == pytest.approx(np.array([[0, 0, angle]]), abs=0.05)
    assert there.camera.scale == pytest.approx(scale * here.camera.scale, rel=1e-3)
    assert there.identity == pytest.approx(here.identity, abs=0.02)
    assert there.points[..., :2] == pytest.approx(apply(move, here.points[..., :2]), abs=0.1 * scale)


def test_missing_points(fitter, toy, make_faces, rng):
    truth = make_faces(toy.model, [(-20, 5, 10)] * 3, rng)
    labels = truth.labels.copy()
    labels[0, :17] = np.nan
    labels[1, 31:] = np.nan
    found = fitter.fit(labels)
    assert found.problems == ("", "", "")
    assert np.isnan(found.residual).tolist() == np.isnan(labels[..., 0]).tolist()
    assert np.isfinite(found.points).all()
    assert np.abs(found.camera.pose - truth.pose).max() < 4
    assert (found.error < 0.01).all()


def test_a_face_does_not_depend_on_its_neighbours(fitter, toy, make_faces, rng):
    truth = make_faces(toy.model, rng.uniform(-30, 30, (19, 3)), rng)
    together = fitter.fit(truth.labels)
    for index in (0, 15, 16, 18):
        alone = fitter.fit(truth.labels[index][None])
        assert alone.points[0] == pytest.approx(together.points[index], abs=1e-6)


def test_true_jaw_and_schemes_without_contour(toy, make_faces, rng):
    truth = make_faces(toy.model, [(40, 0, 0), (0, 10, 0)], rng)
    jaw = Fitter(toy.model, "68", outline=False, options=EXACT).fit(truth.points[..., :2])
    inner = Fitter(toy.model, "51", options=EXACT).fit(truth.points[:, 17:, :2])
    for found in (jaw, inner):
        assert found.camera.pose == pytest.approx(truth.pose, abs=1)
        assert (found.error < 0.003).all()
    with pytest.raises(SchemeError, match="98"):
        Fitter(toy.model, "98")


def test_bad_faces_are_named_and_nan(fitter, toy, make_faces, rng):
    truth = make_faces(toy.model, [(0, 0, 0)] * 6, rng)
    labels = truth.labels.copy()
    labels[1, 7:] = np.nan
    labels[2] = np.linspace([0, 0], [99, 50], 68) + rng.normal(0, 0.1, (68, 2))
    labels[3] = Scheme.open("68").mirrored(labels[3], 600)[Scheme.open("68").mirror]  # mirrored, order kept
    labels[4] -= 250
    labels[5] = np.nan
    found = fitter.fit(labels, np.full((6, 2), 600))
    wanted = [
        "",
        "too few points: 7",
        "on a line; look for columns",
        "mirrored labels",
        "outside the picture of 600x600; are these labels",
        "too few points: 0",
    ]
    for problem, text in zip(found.problems, wanted, strict=True):
        assert (text in problem) if text else not problem
    bad = np.array([1, 2, 3, 4, 5])
    for part in (found.points, found.identity, found.expression, found.residual, found.error, found.camera.pose):
        assert np.isnan(part[bad]).all()
        assert np.isfinite(part[0]).all()
    assert fitter.fit(labels[bad[:2]]).points.shape == (2, 68, 3)
    assert len(fitter.fit(np.zeros((0, 68, 2)))) == 0


@pytest.mark.parametrize("yaw", [-75, -40, 0, 40, 75])
def test_mirrored_labels_are_told_from_good_ones(fitter, toy, make_faces, rng, yaw):
    labels = make_faces(toy.model, [(yaw, pitch, 0) for pitch in (-20, 0, 20)], rng).labels
    assert fitter.fit(labels).problems == ("", "", "")
    assert all("mirrored" in problem for problem in fitter.fit(labels * (-1, 1)).problems)
    swapped = labels[:, Scheme.open("68").mirror]
    assert all("mirrored" in problem for problem in fitter.fit(swapped).problems)


def test_a_picture_of_unknown_size_is_not_judged():
    points = np.random.default_rng(1).uniform(0, 100, (2, 68, 2))
    assert find_problems(points, np.array([[50, 50], [np.nan, np.nan]]))[1] == ""
    few = points.copy()
    few[:, :15] += 1000
    assert find_problems(few, np.array([[100, 100]] * 2)) == ["", ""]  # cut off by the border


def test_wrong_shapes(fitter):
    with pytest.raises(ShapeError, match="68 is"):
        fitter.fit(np.zeros((2, 51, 2)))
    with pytest.raises(ShapeError, match="sizes"):
        fitter.fit(np.zeros((2, 68, 2)), np.zeros(2))
    with pytest.raises(ShapeError, match="bias"):
        fitter.with_bias(np.zeros((68, 2)))


@pytest.mark.data
@pytest.mark.parametrize(("yaw", "limit", "turn"), [(0, 0.0105, 1.2), (45, 0.0125, 1.8), (75, 0.0125, 1.8)])
def test_self_consistency_of_the_real_model(face_model, make_faces, rng, yaw, limit, turn):
    pose = np.column_stack([np.full(16, yaw) + rng.uniform(-3, 3, 16), rng.normal(0, 6, 16), rng.normal(0, 5, 16)])
    truth = make_faces(face_model, pose, rng)
    unit = np.linalg.norm(truth.points[:, 36] - truth.points[:, 45], axis=-1)[:, None, None]
    found = Fitter(face_model, "68").fit(truth.labels + 0.012 * unit * rng.normal(size=truth.labels.shape))
    assert (np.linalg.norm(found.points[..., :2] - truth.labels, axis=-1) / unit[..., 0]).mean() < limit
    assert np.abs(found.camera.pose[:, 0] - pose[:, 0]).mean() < turn
