import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp

from canthus.errors import ShapeError
from canthus.geometry.dictionary import ShapePosterior, k_svd, rebuild, sparse_codes
from canthus.geometry.shape import ShapeModel


def unit(array: np.ndarray) -> np.ndarray:
    return array / np.linalg.norm(array, axis=1, keepdims=True)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(0, 10_000))
def test_codes_are_those_of_scikit_learn(sparsity: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    atoms, signals = unit(rng.normal(size=(12, 16))), rng.normal(size=(7, 16))
    expected = orthogonal_mp(atoms.T, signals.T, n_nonzero_coefs=sparsity).T
    np.testing.assert_allclose(sparse_codes(atoms, signals, sparsity), expected, atol=1e-8)


@pytest.mark.parametrize("sparsity", [1, 2])
def test_atoms_that_made_the_signals_are_found(sparsity: int) -> None:
    """Sparse sums of few atoms are written without rest; the rest never grows over the rounds."""
    rng = np.random.default_rng(1)
    truth = unit(rng.normal(size=(6, 20)))
    codes = np.zeros((400, 6))
    for row in codes:
        row[rng.choice(6, sparsity, replace=False)] = rng.uniform(1, 3, sparsity)
    signals = codes @ truth

    def rest(rounds: int) -> float:
        atoms = k_svd(signals, 6, sparsity, rounds, seed=3)
        assert np.linalg.norm(atoms, axis=1) == pytest.approx(1)
        return float(np.linalg.norm(signals - sparse_codes(atoms, signals, sparsity) @ atoms))

    errors = [rest(rounds) for rounds in (0, 2, 40)]
    assert errors[0] > errors[1] >= errors[2] and errors[2] < 1e-6 * np.linalg.norm(signals)


def test_one_atom_is_the_first_principal_direction() -> None:
    signals = np.random.default_rng(0).normal(size=(50, 8)) + 2
    atom = k_svd(signals, 1, 1, 5)[0]
    first = np.linalg.svd(signals, full_matrices=False)[2][0]
    assert abs(atom @ first) == pytest.approx(1, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 19), st.floats(0.1, 50), st.integers(0, 10_000))
def test_a_shape_of_the_dictionary_is_found_from_part_of_its_points(number: int, factor: float, seed: int) -> None:
    """Weights times a factor change nothing, and points of weight 0 do not matter."""
    rng = np.random.default_rng(seed)
    exemplars = rng.normal(size=(20, 30, 2))
    weights = np.zeros((1, 30))
    weights[0, rng.choice(30, 15, replace=False)] = rng.uniform(0.5, 1, 15)
    shapes = np.where(weights[..., None] > 0, exemplars[number], rng.normal(size=(1, 30, 2)) * 9)
    found = rebuild(exemplars, shapes, weights, 1)
    np.testing.assert_allclose(found[0], exemplars[number], atol=1e-6)
    some = rebuild(exemplars, shapes, weights, 4)
    np.testing.assert_allclose(rebuild(exemplars, shapes, factor * weights, 4), some, atol=1e-8)


def test_coefficients_are_least_squares() -> None:
    """With all points and exemplars that span the shape, the sum is the shape."""
    rng = np.random.default_rng(5)
    exemplars = rng.normal(size=(3, 10, 2))
    shape = 0.2 * exemplars[0] + 0.5 * exemplars[1] + 0.3 * exemplars[2]
    found = rebuild(exemplars, shape[None], np.ones((1, 10)), 3)
    np.testing.assert_allclose(found[0], shape, atol=5e-3)


def test_edges_of_a_dictionary() -> None:
    """One exemplar; more neighbours than exemplars; no reliable point; an empty or unfitting dictionary."""
    rng = np.random.default_rng(2)
    exemplars, shapes = rng.normal(size=(4, 10, 2)), rng.normal(size=(2, 10, 2))
    np.testing.assert_allclose(rebuild(exemplars[:1], shapes, np.ones((2, 10)), 1), exemplars[[0, 0]])
    np.testing.assert_allclose(
        rebuild(exemplars, shapes, np.ones((2, 10)), 99), rebuild(exemplars, shapes, np.ones((2, 10)), 4)
    )
    np.testing.assert_array_equal(rebuild(exemplars, shapes, np.zeros((2, 10)), 2), shapes)
    with pytest.raises(ShapeError):
        rebuild(exemplars[:0], shapes, np.ones((2, 10)), 2)
    with pytest.raises(ShapeError):
        rebuild(exemplars, shapes, np.ones((2, 9)), 2)
    with pytest.raises(ShapeError):
        k_svd(np.zeros((0, 4)), 2)


def test_the_posterior_is_that_of_the_full_covariance() -> None:
    """Against the textbook formula with matrices of all coordinates; unmeasured points follow from the others."""
    rng = np.random.default_rng(3)
    shapes = rng.normal(size=(200, 6, 2)) @ np.array([[2.0, 0.3], [0.0, 1.0]]) + np.arange(12).reshape(6, 2)
    shapes[:, 3] = shapes[:, 0] + shapes[:, 1]
    model = ShapeModel.fit(shapes, 0.9)
    prior = ShapePosterior(model, 0.01)
    covariance = (model.modes.T * model.deviations**2) @ model.modes + 0.01 * np.eye(12)
    spread = np.array([[0.1, 0.2, 0.5, np.inf, 1.0, 0.3]])
    measured = shapes[:1] + rng.normal(size=(1, 6, 2)) * 0.1
    known = np.repeat(np.isfinite(spread[0]), 2)
    noise = np.diag(np.repeat(spread[0], 2)[known] ** 2)
    gap = (measured - model.mean).reshape(-1)[known]
    gain = covariance[:, known] @ np.linalg.inv(covariance[np.ix_(known, known)] + noise)
    expected = model.mean + (gain @ gap).reshape(6, 2)
    np.testing.assert_allclose(prior.mean(measured, spread)[0], expected, atol=1e-9)
