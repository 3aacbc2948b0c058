import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss

from canthus.errors import ShapeError
from canthus.evaluate.reliability import bad_precision, brier, calibration_error, reliability_curve, tally


def draw(seed: int, count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 1001, count) / 1000  # ties, and exact in steps
    return rng.random(count) < scores**2, scores


@given(st.integers(0, 50))
def test_agrees_with_scikit_learn(seed):
    good, scores = draw(seed)
    found = tally(good, scores)
    assert bad_precision(found) == pytest.approx(average_precision_score(~good, 1 - scores))
    assert brier(found) == pytest.approx(brier_score_loss(good, scores))


def test_bins_agree_with_scikit_learn():
    rng = np.random.default_rng(3)
    scores = rng.random(2000)
    good = rng.random(2000) < scores
    curve = reliability_curve(tally(good, scores))
    true, claimed = calibration_curve(good, scores, n_bins=10, strategy="uniform")
    assert curve.true == pytest.approx(true)
    assert curve.claimed == pytest.approx(claimed)
    assert curve.counts.sum() == 2000


def test_scores_that_are_true_have_no_calibration_error():
    scores = np.repeat([0.25, 0.75], 400)
    good = np.concatenate([np.arange(400) < 100, np.arange(400) < 300])
    assert calibration_error(reliability_curve(tally(good, scores))) == pytest.approx(0)
    assert calibration_error(reliability_curve(tally(good, np.full(800, 0.9)))) == pytest.approx(0.4)


@given(st.integers(0, 20), st.integers(1, 499))
def test_a_tally_of_parts_is_the_tally_of_the_whole(seed, at):
    good, scores = draw(seed)
    whole, parts = tally(good, scores), tally(good[:at], scores[:at]) + tally(good[at:], scores[at:])
    assert (parts.counts == whole.counts).all()
    assert bad_precision(parts) == pytest.approx(bad_precision(whole))
    assert brier(parts) == pytest.approx(brier(whole))


def test_unknown_scores_are_left_out():
    good, scores = np.array([[True, False, True]]), np.array([[0.9, np.nan, 0.8]])
    assert tally(good, scores).counts.sum() == 2
    assert np.isnan(bad_precision(tally(good, scores)))
    empty = tally(good[:0], scores[:0])
    assert np.isnan(brier(empty))
    assert np.isnan(calibration_error(reliability_curve(empty)))


def test_what_is_no_probability_is_refused():
    with pytest.raises(ShapeError, match=r"0\.\.1, not"):
        tally(np.array([True]), np.array([1.2]))
    with pytest.raises(ShapeError, match="not of the same points"):
        tally(np.zeros((2, 3), bool), np.zeros((3, 2)))
