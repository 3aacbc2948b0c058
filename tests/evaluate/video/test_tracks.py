"""Identities over time and the figures of tracked videos, by hand-made tracks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.errors import ShapeError
from canthus.evaluate.video.identities import Gap, gaps, identities, shared, switches
from canthus.evaluate.video.score import Track, score_tracks
from canthus.types import Faces

NAN = np.nan
SHAPE = np.random.default_rng(8).uniform(0, 80, (68, 2)) + 100
TIMES = np.arange(100) / 25


def faces(*places: tuple[float, float]) -> Faces:
    """Faces (number, x) of 50 pixels."""
    boxes = np.array([[x, 0, x + 50, 50] for _, x in places], np.float32).reshape(-1, 4)
    return Faces(
        boxes=boxes,
        scheme="5",
        confidence=np.ones(len(places), np.float32),
        points=np.zeros((len(places), 5, 2), np.float32),
        scores=np.ones((len(places), 5), np.float32),
        pose=np.zeros((len(places), 3), np.float32),
        identity=np.array([number for number, _ in places], np.float32),
    )


def test_identities_follow_the_boxes() -> None:
    truth = np.array([[[0, 0, 50, 50], [200, 0, 250, 50]]] * 3, float)
    truth[2, 0] = NAN
    seen = [faces((1, 2), (2, 199)), faces((2, 201)), faces((7, 0), (3, 200))]
    np.testing.assert_array_equal(identities(seen, truth), [[1, 2], [NAN, 2], [NAN, 3]])
    with pytest.raises(ShapeError, match="not the same video"):
        identities(seen[:2], truth)


def test_switches_and_gaps() -> None:
    numbers = np.array([[NAN, 1, 1, NAN, NAN, 1, 4, NAN, 4, NAN]]).T
    present = np.array([[1, 1, 1, 1, 1, 1, 1, 0, 1, 1]], bool).T
    assert switches(numbers) == 1
    assert gaps(numbers, present, np.arange(10) / 10) == [
        Gap(0, 0, 0.0, 0.1, None),
        Gap(0, 3, pytest.approx(0.3), 0.5, True),
        Gap(0, 9, pytest.approx(0.9), None, None),
    ]
    assert gaps(numbers, present, np.arange(10) / 10)[2].seconds == float("inf")
    assert gaps(np.array([[1.0], [NAN], [2.0]]), np.ones((3, 1), bool), np.arange(3))[0].kept is False


@given(st.lists(st.sampled_from([NAN, 1.0, 2.0, 3.0]), min_size=1, max_size=30))
def test_names_of_the_numbers_do_not_matter(column: list[float]) -> None:
    numbers = np.array(column)[:, None]
    assert switches(numbers) == switches(7 - 2 * numbers)
    assert switches(np.where(np.isfinite(numbers), 5.0, NAN)) == 0
    both = np.concatenate([numbers, numbers + 10], 1)
    assert shared(both) == 0 and shared(numbers) == 0
    assert shared(np.concatenate([both, numbers[::-1]], 1)) == len(set(column) - {NAN})


def track(noise: float = 0.0, late: int = 0, seed: int = 0) -> Track:
    """A face that moves from frame 50 on, with noise and lag."""

    def course(delay: int) -> np.ndarray:
        at = np.maximum(np.arange(100) - 50 - delay, 0)
        return SHAPE + 40 * np.sin(at / 8)[:, None, None] * [1, 0.5]

    found = course(late) + np.random.default_rng(seed).normal(0, noise, (100, 68, 2))
    return Track("a", found, course(0), np.ones(100), TIMES)


def test_a_perfect_track() -> None:
    score = score_tracks([track()])
    assert (score.error, score.auc, score.failure_rate, score.jitter, score.switches, score.lost) == (0, 1, 0, 0, 0, 0)
    assert score.lag == pytest.approx(0, abs=1e-6) and score.longest == 0
    assert score.as_dict()["frames"] == 100 and "rms" not in score.as_dict() and score.sequences == 1


def test_noise_and_lag_and_failures_are_measured() -> None:
    wide, high = np.ptp(SHAPE, axis=0)
    score = score_tracks([track(noise=0.5), track(noise=0.5, seed=1)])
    noise = 0.5 * np.sqrt(2)
    assert score.error == pytest.approx(noise / np.hypot(wide, high), rel=0.02)
    assert score.jitter == pytest.approx(noise / np.sqrt(wide * high), rel=0.02)
    assert score.jitter_still == pytest.approx(score.jitter, rel=0.05)
    assert score.jitter_moving == pytest.approx(score.jitter, rel=0.05)
    assert score_tracks([track(late=2)]).lag == pytest.approx(2, abs=0.1)
    one = track()
    one.found[10:20], one.identity[10:20], one.identity[20:] = NAN, NAN, 2
    one.found[30] += 50
    score = score_tracks([one])
    assert score.failure_rate == pytest.approx(0.11) and score.switches == 1
    assert (score.lost, score.regained, score.longest) == (1, 0, pytest.approx(0.4))
    assert score.auc == pytest.approx(0.89)


def test_a_track_is_found_among_all_faces() -> None:
    truth = np.tile(SHAPE, (3, 1, 1))
    truth[2] = NAN
    far = SHAPE + 400
    both = [Faces.of_boxes(np.zeros((0, 4), np.float32), np.zeros(0))] + [_of_points([SHAPE, far])] * 2
    found = Track.of("a", both, truth, TIMES[:3])
    assert found.identity.tolist()[1] == 1 and np.isnan(found.identity[[0, 2]]).all()
    np.testing.assert_allclose(found.found[1], SHAPE, atol=1e-4)
    score = score_tracks([found])
    assert score.failure_rate == 0.5 and len(score.errors) == 2, "frames without the face are not scored"


def _of_points(points: list[np.ndarray]) -> Faces:
    count = len(points)
    stacked = np.stack(points).astype(np.float32)
    return Faces(
        boxes=np.concatenate([stacked.min(1), stacked.max(1)], 1),
        scheme="68",
        confidence=np.ones(count, np.float32),
        points=stacked,
        scores=np.ones((count, 68), np.float32),
        pose=np.zeros((count, 3), np.float32),
        identity=np.arange(1, count + 1, dtype=np.float32),
    )


def test_what_does_not_fit_together_is_refused() -> None:
    one = track()
    with pytest.raises(ShapeError, match="are not the same"):
        Track("a", one.found[:9], one.truth, one.identity, one.times)
    with pytest.raises(ShapeError, match="100 frames, 9 identities"):
        Track("a", one.found, one.truth, one.identity[:9], one.times)
    with pytest.raises(ShapeError, match="no video"):
        score_tracks([])
