import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter

from canthus.geometry.heatmap import DECODERS, argmax, encode, peak, quarter, soft_argmax, taylor, window_score

SIZE = (20, 30)
POINT = st.tuples(st.floats(1, 28), st.floats(1, 18)).map(np.array)
SIGMA = st.floats(0.8, 3)


@given(POINT, SIGMA)
def test_the_gaussian_in_closed_form(point: np.ndarray, sigma: float) -> None:
    (found,) = encode(point[None], SIZE, sigma)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    expected = np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * sigma**2))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_gaussian_agrees_with_scipy() -> None:
    spike = np.zeros(SIZE)
    spike[9, 14] = 1
    blurred = gaussian_filter(spike, 1.5, truncate=8, mode="constant")
    np.testing.assert_allclose(encode(np.array([[14, 9]]), SIZE, 1.5)[0], blurred / blurred.max(), atol=1e-4)


@given(POINT, SIGMA)
def test_decoding_is_the_inverse_of_encoding(point: np.ndarray, sigma: float) -> None:
    maps = encode(point[None], SIZE, sigma)
    assert np.abs(taylor(maps)[0] - point).max() < 2e-4
    assert np.abs(argmax(maps)[0] - point).max() <= 0.5 + 1e-4
    # a tie between neighbours may fall either way
    assert np.abs(quarter(maps)[0] - point).max() <= 0.25 + 2e-3 or (np.abs(point - np.rint(point)) < 0.01).any()
    assert peak(maps)[0] >= np.exp(-0.25 / sigma**2) - 1e-6


@given(st.tuples(st.floats(10, 20), st.floats(10, 10.99)).map(np.array), st.floats(0.8, 1.2))
def test_soft_argmax_of_logarithms(point: np.ndarray, sigma: float) -> None:
    logits = np.log(np.maximum(encode(point[None], (21, 31), sigma), 1e-30))
    assert np.abs(soft_argmax(logits)[0] - point).max() < 1e-3


@given(st.tuples(st.floats(0, 29), st.floats(0, 19)).map(np.array))
def test_at_the_border_no_decoder_leaves_the_pixel(point: np.ndarray) -> None:
    maps = encode(point[None], SIZE, 1.5)
    for decode in (argmax, quarter, taylor):
        assert np.abs(decode(maps)[0] - point).max() <= 1


def test_a_missing_point_stays_missing() -> None:
    points = np.array([[3, np.nan], [5, 6]])
    maps = encode(points, SIZE, 1)
    assert not maps[0].any()
    for decode in (argmax, quarter, taylor):
        assert np.isnan(decode(maps)[0]).all()
        assert decode(maps)[1] == pytest.approx([5, 6])


def test_leading_axes_stay(rng: np.random.Generator) -> None:
    points = rng.uniform(2, 17, (3, 4, 5, 2))
    maps = encode(points, SIZE, 1.3)
    assert maps.shape == (3, 4, 5, *SIZE)
    np.testing.assert_allclose(taylor(maps), points, atol=1e-3)
    assert peak(maps).shape == (3, 4, 5)
    for decode in DECODERS.values():
        np.testing.assert_allclose(decode(maps)[2, 1], decode(maps[2, 1]), rtol=1e-6)


def test_soft_argmax_is_the_expectation(rng: np.random.Generator) -> None:
    logits = rng.normal(size=(4, 5))
    share = np.exp(logits) / np.exp(logits).sum()
    expected = [(share * np.arange(5)).sum(), (share * np.arange(4)[:, None]).sum()]
    assert soft_argmax(logits) == pytest.approx(expected)
    assert soft_argmax(logits + 1e4) == pytest.approx(expected)


def test_taylor_of_a_slanted_gaussian() -> None:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] - np.array([8.7, 12.4])[:, None, None]
    maps = np.exp(-(0.3 * x**2 + 0.2 * y**2 + 0.25 * x * y))
    assert taylor(maps) == pytest.approx([12.4, 8.7], abs=1e-5)


def test_taylor_stands_still_without_a_top() -> None:
    ridge = np.ones((1, 5, 5), np.float32)
    ridge[0, 2] = 2.0  # no top along the ridge
    assert taylor(ridge)[0] == pytest.approx([0, 2])


@given(st.integers(0, 4), st.integers(0, 2**16))
def test_the_window_score_agrees_with_scipy(radius: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    maps = rng.random((3, *SIZE))
    points = rng.uniform([0, 0], [29, 19], (3, 2))
    around = np.stack([uniform_filter(item, 2 * radius + 1, mode="constant") for item in maps])
    columns, rows = np.rint(points).astype(int).T
    np.testing.assert_allclose(window_score(maps, points, radius), around[range(3), rows, columns], atol=1e-6)


def test_outside_of_the_map_the_score_is_nothing() -> None:
    maps = np.ones((4, 8, 8))
    points = np.array([[4, 4], [0, 0], [-5, 3], [np.nan, 3]])
    assert window_score(maps, points, 1) == pytest.approx([1, 4 / 9, 0, 0])
