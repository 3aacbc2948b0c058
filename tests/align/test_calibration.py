import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from canthus.align.calibration import Curve, rising
from canthus.errors import ShapeError
from canthus.evaluate.reliability import calibration_error, reliability_curve, tally


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 9)), min_size=1, max_size=40))
def test_pooling_is_that_of_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    np.testing.assert_allclose(rising(values, weights), expected, atol=1e-9)


def claims(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of points whose real probability of being good is their square."""
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    return scores, rng.random(count) < scores**2


def error(scores: np.ndarray, good: np.ndarray) -> float:
    return calibration_error(reliability_curve(tally(good, scores)))


def test_scores_become_probabilities() -> None:
    """Fitted on some points, right on others; the order of scores stays."""
    scores, good = claims(20_000, 0)
    curve = Curve.fit(scores, good, np.ones(20_000))
    others, outcomes = claims(20_000, 1)
    assert error(others, outcomes) > 0.15 and error(curve(others), outcomes) < 0.02
    assert (np.diff(curve(np.linspace(0, 1, 500).astype(np.float32))) >= 0).all()
    again = Curve.of(curve.arrays())
    assert again is not None
    np.testing.assert_allclose(again(others), curve(others), atol=1e-5)


def test_weights_count() -> None:
    """Two groups of the same scores, one twice as heavy as the other."""
    scores = np.tile(np.linspace(0.4, 0.6, 500), 2)
    good = np.arange(1000) < 500
    curve = Curve.fit(scores, good, np.where(good, 2.0, 1.0))
    np.testing.assert_allclose(curve(np.float32([0.1, 0.5, 0.9])), 2 / 3, atol=0.08)


def test_edges() -> None:
    assert Curve.of({"mean": np.zeros((5, 2))}) is None
    one = Curve.fit(np.array([0.3]), np.array([True]), np.array([1.0]))
    np.testing.assert_array_equal(one(np.float32([[0.0, np.nan], [1.0, 0.3]])), [[1, np.nan], [1, 1]])
    with pytest.raises(ShapeError, match="not a calibration"):
        Curve.fit(np.zeros(0), np.zeros(0), np.zeros(0))
    with pytest.raises(ShapeError, match="not a calibration"):
        Curve.fit(np.zeros(3), np.zeros(2), np.zeros(3))
