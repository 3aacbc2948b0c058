import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from canthus.errors import ShapeError
from canthus.evaluate.bootstrap import bootstrap_interval, clusters_of, resampled_means


def test_the_interval_is_scipys(rng):
    values = rng.normal(0.1, 1, 300)
    low, high = bootstrap_interval(values[:, None], resamples=4000)
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=4000, rng=1).confidence_interval
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=0.015)


def test_the_interval_is_that_of_the_normal_distribution(rng):
    values = rng.normal(0, 1, 2000)
    low, high = bootstrap_interval(values[:, None], level=0.9)
    half = 1.645 * values.std() / np.sqrt(2000)
    assert (low[0], high[0]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_clusters_widen_the_interval_as_repeated_faces_must(rng):
    values = rng.normal(0, 1, 100)
    repeated, who = np.repeat(values, 9), np.repeat(np.arange(100), 9)
    low, high = (end[0] for end in bootstrap_interval(values[:, None]))
    wide = [end[0] for end in bootstrap_interval(repeated[:, None], who)]
    narrow = [end[0] for end in bootstrap_interval(repeated[:, None])]
    assert wide == pytest.approx([low, high])  # nine copies of a face say no more than one
    assert narrow[1] - narrow[0] == pytest.approx((high - low) / 3, rel=0.1)


@settings(max_examples=20)
@given(st.floats(-5, 5), st.floats(0.1, 9))
def test_the_interval_moves_and_grows_with_the_values(shift, scale):
    values = np.random.default_rng(1).normal(0, 1, (50, 2))
    low, high = bootstrap_interval(values, resamples=200)
    moved = bootstrap_interval(scale * values + shift, resamples=200)
    assert moved[0] == pytest.approx(scale * low + shift, abs=1e-9)
    assert moved[1] == pytest.approx(scale * high + shift, abs=1e-9)


def test_what_is_not_known_is_left_out_of_the_mean(rng):
    values = rng.normal(0, 1, (300, 2))
    values[200:, 1] = np.nan
    low, high = bootstrap_interval(values)
    alone = bootstrap_interval(values[:200, 1:])
    assert (low[1], high[1]) == pytest.approx((alone[0][0], alone[1][0]), abs=0.03)
    assert (low[0], high[0]) == pytest.approx([end[0] for end in bootstrap_interval(values[:, :1])])


def test_intervals_of_nothing_are_refused():
    for values, clusters, level in (
        (np.zeros((0, 1)), None, 0.95),
        (np.zeros((3, 1)), None, 1.0),
        (np.zeros((3, 1)), np.array([0, 0, 2]), 0.95),
        (np.zeros((3, 1)), np.array([0, 1]), 0.95),
    ):
        with pytest.raises(ShapeError):
            bootstrap_interval(values, clusters, level)


def test_identities_that_share_no_face_need_no_clusters():
    assert clusters_of((), 3) is None
    assert clusters_of(("a", "b", "c"), 3) is None
    assert clusters_of(("b", "a", "b"), 3).tolist() == [1, 0, 1]


def test_a_resample_without_a_value_has_no_mean():
    means = resampled_means(np.array([[1.0, np.nan], [3.0, 5.0]]), resamples=50)
    assert set(np.unique(means[:, 0])) == {1, 2, 3}
    assert set(np.unique(means[~np.isnan(means[:, 1]), 1])) == {5} and np.isnan(means[:, 1]).any()


def test_faces_of_unknown_identity_are_not_one_person():
    assert clusters_of(("", "", ""), 3) is None
    assert clusters_of(("", "a", ""), 3) is None
    known = clusters_of(("", "a", "", "a"), 4)
    assert known[1] == known[3] and sorted(set(known.tolist())) == [0, 1, 2]
