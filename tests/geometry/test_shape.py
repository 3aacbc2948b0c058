import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes
from sklearn.decomposition import PCA

from canthus.errors import ShapeError
from canthus.geometry.shape import ShapeModel, align, mean_shape, size_of
from canthus.geometry.transform import apply, similarity

FACE = np.random.default_rng(1).normal(size=(9, 2))


def copies(rng: np.random.Generator, count: int, noise: float, turn: float = 40) -> np.ndarray:
    shapes = [
        apply(similarity(rng.uniform(0.5, 3), rng.uniform(-turn, turn), tuple(rng.uniform(-50, 50, 2))), FACE)
        for _ in range(count)
    ]
    return np.array(shapes) + noise * rng.normal(size=(count, 9, 2))


@given(st.integers(0, 2**16))
def test_the_mean_of_similar_shapes_is_the_shape(seed: int) -> None:
    mean = mean_shape(copies(np.random.default_rng(seed), 5, 0))
    assert mean.mean(0) == pytest.approx([0, 0], abs=1e-9)
    assert size_of(mean) == pytest.approx(1)
    assert align(FACE[None], mean)[0][0] == pytest.approx(mean, abs=1e-6)
    assert procrustes(FACE, mean)[2] == pytest.approx(0, abs=1e-9)


def test_upright_shapes_have_an_upright_mean(rng: np.random.Generator) -> None:
    mean = mean_shape(copies(rng, 200, 0.01, turn=10))
    turn = align(mean[None], FACE)[1][0]
    assert np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0])) == pytest.approx(0, abs=2)


def test_missing_points_are_left_out(rng: np.random.Generator) -> None:
    shapes = copies(rng, 12, 0)
    shapes[rng.random((12, 9)) < 0.2] = np.nan
    assert np.isnan(shapes).any()
    assert procrustes(FACE, mean_shape(shapes))[2] == pytest.approx(0, abs=1e-4)
    aligned, matrices = align(shapes, FACE)
    assert (np.isnan(aligned) == np.isnan(shapes)).all()
    assert aligned == pytest.approx(np.where(np.isnan(shapes), np.nan, FACE), nan_ok=True, abs=1e-9)
    assert matrices.shape == (12, 2, 3)


def test_alignment_agrees_with_scipy(rng: np.random.Generator) -> None:
    noisy = copies(rng, 1, 0.2)
    mean = mean_shape(FACE[None])
    left = ((align(noisy, mean)[0] - mean) ** 2).sum() / (mean**2).sum()
    assert left == pytest.approx(procrustes(mean, noisy[0])[2])


@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (np.zeros((0, 5, 2)), "F > 0"),
        (np.zeros((3, 5)), "F, P, 2"),
        (np.zeros((3, 5, 2)), "coincide"),
        (np.full((3, 5, 2), np.nan), "point 0 is NaN"),
        (np.stack([FACE, np.full((9, 2), np.nan)]), "no points"),
    ],
)
def test_no_mean(shapes: np.ndarray, says: str) -> None:
    with pytest.raises(ShapeError, match=says):
        mean_shape(shapes)


def test_no_alignment() -> None:
    with pytest.raises(ShapeError, match="aligned to a mean"):
        align(FACE[None, :8], FACE)
    one = np.full((1, 9, 2), np.nan)
    one[0, 3] = 1
    with pytest.raises(ShapeError, match="shape 0 has fewer"):
        align(one, FACE)


@given(st.integers(0, 2**16), st.sampled_from([0.5, 0.9, 1.0]))
def test_the_model_agrees_with_scikit_learn(seed: int, keep: float) -> None:
    shapes = np.random.default_rng(seed).normal(size=(7, 5, 2)) * np.arange(1, 6)[:, None]
    model = ShapeModel.fit(shapes, keep)
    count = len(model.deviations)
    pca = PCA().fit(shapes.reshape(7, -1))
    share = np.cumsum(pca.explained_variance_ratio_)
    assert count == (6 if keep == 1 else np.searchsorted(share, keep) + 1)
    assert model.deviations**2 == pytest.approx(pca.explained_variance_[:count])
    assert np.abs(np.sum(model.modes * pca.components_[:count], 1)) == pytest.approx(np.ones(count))
    assert np.abs(model.project(shapes)) == pytest.approx(np.abs(pca.transform(shapes.reshape(7, -1))[:, :count]))


@given(st.integers(0, 2**16))
def test_projecting_and_rebuilding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = rng.normal(size=(6, 4, 3))
    model = ShapeModel.fit(shapes)
    assert model.rebuild(model.project(shapes)) == pytest.approx(shapes)
    coefficients = rng.normal(size=(3, len(model.deviations)))
    assert model.project(model.rebuild(coefficients)) == pytest.approx(coefficients)
    cut = model.project(model.rebuild(100 * coefficients, limit=2))
    assert (np.abs(cut) <= 2 * model.deviations + 1e-9).all()


def test_no_model() -> None:
    for shapes in (np.zeros((1, 4, 2)), np.full((3, 4, 2), np.nan), np.zeros((3, 8))):
        with pytest.raises(ShapeError, match="two or more"):
            ShapeModel.fit(shapes)
    assert ShapeModel.fit(np.ones((3, 4, 2))).modes.shape == (0, 8)
