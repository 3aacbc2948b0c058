import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from scipy.stats import ecdf

from canthus.errors import ShapeError
from canthus.evaluate import metrics
from canthus.geometry.transform import apply, similarity
from canthus.schemes.scheme import Scheme

ERRORS = arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 0.3))
SCHEME = Scheme.open("68")


def test_nme_of_one_known_face():
    truth = np.zeros((1, 68, 2))
    truth[0, 45] = (50, 0)
    predicted = truth + np.array([3, 4])
    unit = metrics.normalisers(truth, "inter-ocular", SCHEME)
    assert metrics.nme(predicted, truth, unit) == pytest.approx(5 / 50)


def test_normalisers_are_the_distances_they_say(make_faces):
    faces = make_faces(4)
    eyes = np.linalg.norm(faces[:, 36] - faces[:, 45], axis=1)
    pupils = np.linalg.norm(faces[:, 36:42].mean(1) - faces[:, 42:48].mean(1), axis=1)
    wide, high = np.ptp(faces, axis=1).T
    assert metrics.normalisers(faces, "inter-ocular", SCHEME) == pytest.approx(eyes)
    assert metrics.normalisers(faces, "inter-pupil", SCHEME) == pytest.approx(pupils)
    assert metrics.normalisers(faces, "box", SCHEME) == pytest.approx(np.sqrt(wide * high))
    farthest = [np.hypot(w, h) for w, h in zip(wide, high, strict=True)]
    assert metrics.normalisers(faces, "diagonal", SCHEME) == pytest.approx(farthest)


def test_normaliser_of_given_boxes_and_of_partial_points(make_faces):
    faces = make_faces(2)
    boxes = np.array([[0, 0, 30, 40], [10, 10, 13, 14]])
    assert metrics.normalisers(faces, "diagonal", SCHEME, boxes) == pytest.approx([50, 5])
    partial = faces.copy()
    partial[0, 36] = np.nan
    assert np.isnan(metrics.normalisers(partial, "inter-ocular", SCHEME)).tolist() == [True, False]
    assert metrics.normalisers(partial, "box", SCHEME) == pytest.approx(metrics.normalisers(faces, "box", SCHEME))


def test_a_scheme_without_eyes_refuses_to_measure_between_them():
    with pytest.raises(ShapeError, match=r"39_left has no inter-ocular distance.*box, diagonal"):
        metrics.normalisers(np.zeros((1, 39, 2)), "inter-ocular", Scheme.open("39_left"))


def test_distances_agree_with_scipy(make_faces, rng):
    truth = make_faces(3)
    predicted = truth + rng.normal(0, 2, truth.shape)
    expected = [np.diag(cdist(p, t)) for p, t in zip(predicted, truth, strict=True)]
    assert metrics.distances(predicted, truth) == pytest.approx(np.array(expected))
    with pytest.raises(ShapeError, match="not the same"):
        metrics.distances(predicted[:2], truth)


def test_a_truth_that_is_not_annotated_is_left_out_and_a_missing_prediction_is_not():
    truth, predicted = np.zeros((2, 4, 2)), np.ones((2, 4, 2))
    truth[0, 1] = np.nan
    predicted[1, 2] = np.nan
    error = metrics.nme(predicted, truth, np.ones(2))
    assert error[0] == pytest.approx(np.sqrt(2))
    assert np.isnan(error[1])
    with pytest.raises(ShapeError, match="as many normalisers"):
        metrics.nme(predicted, truth, np.ones(3))


def test_root_mean_square_error():
    distance = np.array([[3.0, 4.0, 100.0]])
    mask = np.array([[True, True, False]])
    assert metrics.face_errors(distance, np.array([10.0]), mask, "rms") == pytest.approx(np.sqrt(12.5) / 10)
    assert metrics.face_errors(distance, np.array([10.0]), mask) == pytest.approx(0.35)
    assert np.isnan(metrics.face_errors(distance, np.array([10.0]), np.zeros((1, 3), bool))[0])


@given(ERRORS, st.floats(0.01, 0.2))
def test_auc_is_the_integral_of_scipys_distribution(errors, threshold):
    curve = ecdf(errors).cdf
    steps = np.unique(errors[(errors > 0) & (errors < threshold)])
    corners = np.array([0.0, *steps, threshold])
    area = (curve.evaluate(corners[:-1]) * np.diff(corners)).sum()
    assert metrics.auc(errors, threshold) == pytest.approx(area / threshold)


@given(ERRORS, st.floats(0.01, 0.2))
def test_failures_are_what_the_distribution_leaves(errors, threshold):
    assert metrics.failure_rate(errors, threshold) == pytest.approx(1 - metrics.ced(errors, [threshold])[0])
    assert metrics.ced(errors, [threshold])[0] == pytest.approx(float(ecdf(errors).cdf.evaluate(threshold)))


@given(ERRORS, st.floats(0.01, 0.2), st.randoms())
def test_order_does_not_matter(errors, threshold, random):
    shuffled = np.array(random.sample(list(errors), len(errors)))
    assert metrics.auc(shuffled, threshold) == pytest.approx(metrics.auc(errors, threshold))
    assert metrics.failure_rate(shuffled, threshold) == metrics.failure_rate(errors, threshold)


@given(ERRORS, st.floats(0.01, 0.2), st.floats(0.1, 10))
def test_errors_and_threshold_scale_together(errors, threshold, factor):
    assert metrics.auc(errors * factor, threshold * factor) == pytest.approx(metrics.auc(errors, threshold))


def test_lost_faces_and_no_faces():
    assert metrics.auc([np.inf, 0.0], 0.08) == 0.5
    assert metrics.failure_rate([np.inf, 0.0], 0.08) == 0.5
    assert np.isnan(metrics.auc([], 0.08))
    assert np.isnan(metrics.failure_rate([], 0.08))


@given(st.floats(0.2, 5), st.floats(-180, 180), st.floats(-50, 50), st.integers(0, 5))
def test_errors_do_not_change_under_a_similarity(scale, angle, shift, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (3, 68, 2))
    predicted = truth + rng.normal(0, 3, truth.shape)
    move = similarity(scale, angle, (shift, -shift))
    for kind in ("inter-ocular", "inter-pupil"):
        before = metrics.nme(predicted, truth, metrics.normalisers(truth, kind, SCHEME))
        moved = apply(move, truth)
        after = metrics.nme(apply(move, predicted), moved, metrics.normalisers(moved, kind, SCHEME))
        assert after == pytest.approx(before, rel=1e-6)


@given(st.floats(0.2, 5), st.floats(-50, 50), st.integers(0, 5))
def test_box_errors_do_not_change_with_scale_and_place(scale, shift, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (3, 68, 2))
    predicted = truth + rng.normal(0, 3, truth.shape)
    for kind in ("box", "diagonal"):
        before = metrics.nme(predicted, truth, metrics.normalisers(truth, kind, SCHEME))
        moved = scale * truth + shift
        after = metrics.nme(scale * predicted + shift, moved, metrics.normalisers(moved, kind, SCHEME))
        assert after == pytest.approx(before, rel=1e-6)


def test_contour_parts_of_a_straight_line():
    truth = np.stack([np.arange(5.0), np.zeros(5)], 1)[None]
    tangent, normal = metrics.along_contour(truth + np.array([0.5, 2.0]), truth, range(5))
    assert tangent == pytest.approx(np.full((1, 5), 0.5))
    assert normal == pytest.approx(np.full((1, 5), 2.0))


@given(st.floats(-180, 180), st.integers(0, 9))
def test_contour_parts_turn_with_the_face_and_make_up_the_distance(angle, seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 100, (2, 9, 2))
    predicted = truth + rng.normal(0, 3, truth.shape)
    tangent, normal = metrics.along_contour(predicted, truth, range(9))
    assert np.hypot(tangent, normal) == pytest.approx(metrics.distances(predicted, truth))
    move = similarity(2.0, angle, (5, 6))
    turned = metrics.along_contour(apply(move, predicted), apply(move, truth), range(9))
    assert turned[0] == pytest.approx(2 * tangent, abs=1e-6)
    assert turned[1] == pytest.approx(2 * normal, abs=1e-6)


def test_sliding_round_a_circle_is_tangent_and_growing_is_normal():
    angle = np.linspace(0, np.pi, 200)
    circle = 100 * np.stack([np.cos(angle), np.sin(angle)], 1)[None]
    slid = 100 * np.stack([np.cos(angle + 0.01), np.sin(angle + 0.01)], 1)[None]
    tangent, normal = metrics.along_contour(slid, circle, range(200))
    assert np.abs(tangent[0, 1:-1]) == pytest.approx(np.full(198, 1.0), rel=1e-2)
    assert np.abs(normal[0, 1:-1]).max() < 0.01
    tangent, normal = metrics.along_contour(1.01 * circle, circle, range(200))
    assert np.abs(normal[0, 1:-1]) == pytest.approx(np.full(198, 1.0), rel=1e-2)
    assert np.abs(tangent[0, 1:-1]).max() < 0.01


def test_contour_points_that_coincide_have_no_direction():
    truth = np.zeros((1, 5, 2))
    tangent, normal = metrics.along_contour(truth + 1, truth, range(5))
    assert np.isnan(tangent).all() and np.isnan(normal).all()
