import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes

from canthus.errors import ShapeError
from canthus.geometry.transform import apply, compose, fit_affine, fit_similarity, invert, scale_of, similarity

POINTS = np.random.default_rng(5).normal(size=(7, 2)) * 20
SIMILARITIES = st.builds(
    similarity, st.floats(0.05, 20), st.floats(-180, 180), st.tuples(st.floats(-300, 300), st.floats(-300, 300))
)


def test_a_positive_angle_turns_clockwise_on_the_screen() -> None:
    quarter_turn = similarity(2, 90, (10, 20))
    assert apply(quarter_turn, np.array([[1.0, 0]])) == pytest.approx(np.array([[10, 22]]))  # right becomes down


@given(SIMILARITIES, SIMILARITIES)
def test_laws(a: np.ndarray, b: np.ndarray) -> None:
    assert apply(compose(a, b), POINTS) == pytest.approx(apply(a, apply(b, POINTS)), rel=1e-6, abs=1e-6)
    assert compose(a, invert(a)) == pytest.approx(similarity(), abs=1e-6)
    assert scale_of(compose(a, b)) == pytest.approx(scale_of(a) * scale_of(b))
    assert fit_similarity(POINTS, apply(a, POINTS)) == pytest.approx(a, rel=1e-6, abs=1e-6)
    assert fit_affine(POINTS, apply(a, POINTS)) == pytest.approx(a, rel=1e-6, abs=1e-6)


def test_matrices_and_points_in_batches(rng: np.random.Generator) -> None:
    matrices = np.stack([similarity(1 + k, 20 * k, (k, -k)) for k in range(4)])
    faces = rng.normal(size=(4, 7, 2))
    each = np.stack([apply(m, p) for m, p in zip(matrices, faces, strict=True)])
    assert apply(matrices, faces) == pytest.approx(each)
    assert apply(matrices, faces[0])[2] == pytest.approx(apply(matrices[2], faces[0]))
    assert compose(invert(matrices), matrices) == pytest.approx(np.stack([similarity()] * 4), abs=1e-9)
    assert fit_similarity(faces, each) == pytest.approx(matrices)
    assert scale_of(matrices) == pytest.approx([1, 2, 3, 4])


def test_depth_is_scaled_with_the_plane(rng: np.random.Generator) -> None:
    solid = rng.normal(size=(7, 3)).astype(np.float32)
    moved = apply(similarity(3, 30, (5, 6)), solid)
    assert moved.dtype == np.float32
    assert moved[:, 2] == pytest.approx(3 * solid[:, 2])
    assert moved[:, :2] == pytest.approx(apply(similarity(3, 30, (5, 6)), solid[:, :2]))
    batch = apply(np.stack([similarity(2), similarity(3)]), solid)
    assert batch.shape == (2, 7, 3)
    assert batch[1, :, 2] == pytest.approx(3 * solid[:, 2])


def test_whole_numbers_are_not_cut_off() -> None:
    assert apply(similarity(0.5), np.array([[1, 3]])) == pytest.approx(np.array([[0.5, 1.5]]))


def test_the_fit_is_the_best_one(rng: np.random.Generator) -> None:
    target = apply(similarity(2, 30, (4, 5)), POINTS) + rng.normal(size=POINTS.shape)
    found = fit_similarity(POINTS, target)
    left = ((apply(found, POINTS) - target) ** 2).sum()
    assert left / ((target - target.mean(0)) ** 2).sum() == pytest.approx(procrustes(target, POINTS)[2])
    for change in rng.normal(size=(20, 4)) * 1e-3:
        other = compose(similarity(1 + change[0], change[1], (change[2], change[3])), found)
        assert ((apply(other, POINTS) - target) ** 2).sum() >= left


def test_points_without_weight_do_not_count(rng: np.random.Generator) -> None:
    target = apply(similarity(2, 30, (4, 5)), POINTS)
    target[2] += 1000
    weights = np.ones(7)
    weights[2] = 0
    assert fit_similarity(POINTS, target, weights) == pytest.approx(similarity(2, 30, (4, 5)))
    assert fit_similarity(POINTS, target) != pytest.approx(similarity(2, 30, (4, 5)), rel=0.1)


def test_no_reflection_is_fitted() -> None:
    found = fit_similarity(POINTS, POINTS * [-1, 1])
    assert np.linalg.det(found[:, :2]) > 0


def test_an_affine_map_that_is_no_similarity() -> None:
    matrix = np.array([[2, 0.5, 3], [-1, 1, 4]])
    assert fit_affine(POINTS, apply(matrix, POINTS)) == pytest.approx(matrix)


def test_what_cannot_be_fitted_or_inverted() -> None:
    line = np.outer(np.arange(4.0), [1, 2])
    with pytest.raises(ShapeError, match="coincide"):
        fit_similarity(np.full((4, 2), 700.0), line)
    with pytest.raises(ShapeError, match="not"):
        fit_similarity(POINTS, POINTS[:4])
    with pytest.raises(ShapeError, match="line"):
        fit_affine(line, line)
    with pytest.raises(ShapeError, match="not"):
        fit_affine(POINTS, POINTS[:4])
    with pytest.raises(ShapeError, match="no inverse"):
        invert(np.zeros((2, 3)))
