"""Jitter, lag, openings and interpolation of signals whose figures are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, group_delay, lfilter

from canthus.evaluate.video.jitter import STILL, jitter, speeds, still_and_moving
from canthus.evaluate.video.lag import correlation, lag
from canthus.evaluate.video.opening import eye_opening, openings
from canthus.evaluate.video.sparse import interpolated
from canthus.schemes.scheme import Scheme

SHAPE = np.random.default_rng(3).uniform(-50, 50, (30, 2))
factors = st.floats(0.1, 50)


def waves(count: int, delay: float = 0.0, seed: int = 0) -> np.ndarray:
    """A signal without frequencies over 1 / 12 of a frame, which can be delayed by any time. Shape (count,)."""
    rng = np.random.default_rng(seed)
    frequency, phase, strength = rng.uniform(1 / 80, 1 / 12, 12), rng.uniform(0, 7, 12), rng.uniform(0.2, 1, 12)
    time = np.arange(count)[:, None] - delay
    return (strength * np.sin(2 * np.pi * frequency * time + phase)).sum(1)


def test_jitter_of_noise_of_a_known_size(rng: np.random.Generator) -> None:
    track = SHAPE + rng.normal(0, 0.3, (2000, 30, 2))
    assert jitter(track, 100.0) == pytest.approx(0.003 * np.sqrt(2), rel=0.01), "s in x and s in y"
    one = np.zeros((5, 1, 2))
    one[2, 0] = (3, 4)
    expected = np.sqrt((5**2 + 10**2 + 5**2) / 3 / 6) / 10
    assert jitter(one, 10.0) == pytest.approx(expected)
    assert jitter(one, 10.0, np.arange(5) == 2) == pytest.approx(10 / 10 / np.sqrt(6))


@given(factors, st.integers(0, 99))
def test_jitter_does_not_depend_on_the_scale_nor_on_uniform_motion(factor: float, seed: int) -> None:
    track = SHAPE + np.random.default_rng(seed).normal(0, 1, (20, 30, 2))
    motion = np.arange(20)[:, None, None] * np.array([factor, -1.0])
    assert jitter(factor * track, 80 * factor) == pytest.approx(jitter(track, 80.0))
    assert jitter(track + motion, 80.0) == pytest.approx(jitter(track, 80.0))
    assert jitter(SHAPE + motion, 80.0) < 1e-12


def test_frames_without_points_are_no_jitter() -> None:
    track = np.tile(SHAPE, (9, 1, 1))
    track[4] = np.nan
    track[5:] += 40
    assert jitter(track, 100.0) == 0
    assert np.isnan(jitter(track[3:6], 100.0)) and np.isnan(jitter(track[:2], 100.0))
    sizes = np.full(9, 100.0)
    sizes[2] = np.nan
    assert jitter(track, sizes) == 0


def test_still_and_moving_faces_are_told_apart_in_spite_of_jitter(rng: np.random.Generator) -> None:
    place = np.concatenate([np.zeros(40), np.arange(40) * 2.0])
    track = SHAPE + place[:, None, None] * [1, 0] + rng.normal(0, 1, (80, 30, 2))
    assert speeds(track, 100.0)[60] == pytest.approx(0.02, abs=0.003)
    still, moving = still_and_moving(track, 100.0)
    assert still[5:35].all() and not still[44:].any() and moving[46:75].all() and not (still & moving).any()
    assert not (still | moving)[[0, 3, -1]].any(), "no speed is known there"
    assert np.isnan(speeds(track[:8], 100.0)).all() and 0 < STILL < 0.02


@given(st.floats(-5, 5), st.integers(0, 30))
def test_a_delayed_signal_has_the_lag_of_its_delay(delay: float, seed: int) -> None:
    late, early = waves(300, delay, seed), waves(300, 0.0, seed)
    assert lag(late, early) == pytest.approx(delay, abs=0.05)
    assert lag(early, late) == pytest.approx(-lag(late, early), abs=1e-9)
    assert lag(3 * late + 7, early - 2) == pytest.approx(lag(late, early), abs=1e-9)


def test_the_lag_of_a_filter_is_its_group_delay() -> None:
    slow = np.sin(np.arange(2000) / 40) + 0.5 * np.sin(np.arange(2000) / 57)
    for share in (0.7, 0.5, 0.3):
        smooth = lfilter([share], [1, share - 1], slow)
        assert lag(smooth[200:], slow[200:]) == pytest.approx((1 - share) / share, abs=0.05)
    low = butter(2, 0.2)
    delay = group_delay(low, [1 / 40])[1][0]
    assert lag(lfilter(*low, slow)[200:], slow[200:]) == pytest.approx(delay, abs=0.05)


def test_channels_and_gaps_of_a_signal() -> None:
    both = (
        np.stack([waves(200, 1.3, 1), 10 * waves(200, 1.3, 2)], 1),
        np.stack([waves(200, 0, 1), 10 * waves(200, 0, 2)], 1),
    )
    assert lag(*both) == pytest.approx(1.3, abs=0.05)
    both[0][70:90] = np.nan
    assert lag(*both) == pytest.approx(1.3, abs=0.1)
    assert np.isnan(lag(np.zeros(50), waves(50))) and np.isnan(lag(np.arange(200.0), np.arange(200.0))), "no peak"
    assert correlation(both[1], -both[1]) == pytest.approx(-1) and np.isnan(correlation(np.zeros(9), np.arange(9)))


def test_openings_of_eyes_and_mouth(make_faces) -> None:  # type: ignore[no-untyped-def]
    scheme, faces = Scheme.open("68"), make_faces(1).repeat(3, 0)
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        faces[:, upper] = faces[:, lower] + [[0, 0], [0, -3], [4, 0]]
    corners = np.linalg.norm(faces[0, 36] - faces[0, 45])
    assert eye_opening(faces, scheme) == pytest.approx(np.array([0, 3, 4]) / corners)
    assert openings(faces, scheme).keys() == {"eyes", "mouth"}
    assert openings(np.zeros((2, 39, 2)), Scheme.open("39_left")) == {}


@given(st.lists(st.booleans(), min_size=3, max_size=30), st.integers(0, 99))
def test_sparse_labels_of_uniform_motion_are_found_exactly(kept: list[bool], seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.5, 2, len(kept)).cumsum()
    motion = SHAPE[:4] + times[:, None, None] * rng.normal(0, 9, (4, 2))
    sparse = motion.copy()
    sparse[~np.array(kept)] = np.nan
    full = interpolated(sparse, times)
    known = np.flatnonzero(kept)
    inside = np.zeros(len(kept), bool)
    if len(known):
        inside[known[0] : known[-1] + 1] = True
    np.testing.assert_allclose(full[inside], motion[inside], atol=1e-9)
    assert np.isnan(full[~inside]).all()
    np.testing.assert_array_equal(full[known], sparse[known])


def test_without_times_frames_are_equally_far_apart() -> None:
    sparse = np.full((5, 1, 2), np.nan)
    sparse[0], sparse[4] = (0, 8), (4, 0)
    assert interpolated(sparse)[1].tolist() == [[1, 6]]
