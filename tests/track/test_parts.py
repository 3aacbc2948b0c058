"""Parts of tracking: the state machine, filters, placements, matching, cuts, smoothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.geometry.transform import apply, scale_of, similarity
from canthus.track.cuts import CutFinder
from canthus.track.filters import Cutoff, OneEuro
from canthus.track.match import OTHER_SCENE, SAME_SCENE, Known, assign, cost_of, doubles, strangeness
from canthus.track.motion import Placement, shape_distance
from canthus.track.past import AHEAD, NEWEST, Past
from canthus.track.smooth import PointSmoother, Smoothing, smooth_both_ways
from canthus.track.state import SEEN, Rules, State, advance

SHAPE = np.random.default_rng(4).uniform(-1, 1, (20, 2)).astype(np.float32)
similarities = st.builds(
    similarity, st.floats(0.3, 300), st.floats(-179, 179), st.tuples(st.floats(-500, 500), st.floats(-500, 500))
)


@pytest.mark.parametrize(
    ("state", "failure", "frames", "spent", "after"),
    [
        (State.NEW, "", 2, 0.1, State.NEW),
        (State.NEW, "", 3, 0.1, State.TRACKED),
        (State.NEW, "no face", 2, 0.1, State.ENDED),
        (State.TRACKED, "", 9, 0.1, State.TRACKED),
        (State.TRACKED, "no face", 9, 0.1, State.UNCERTAIN),
        (State.UNCERTAIN, "", 2, 0.1, State.TRACKED),
        (State.UNCERTAIN, "no face", 2, 0.1, State.UNCERTAIN),
        (State.UNCERTAIN, "no face", 9, 0.3, State.LOST),
        (State.LOST, "not detected", 9, 4.9, State.LOST),
        (State.LOST, "", 9, 4.9, State.FOUND),
        (State.LOST, "not detected", 9, 5.1, State.ENDED),
        (State.FOUND, "", 2, 0.1, State.TRACKED),
        (State.FOUND, "no face", 2, 0.1, State.UNCERTAIN),
        (State.ENDED, "", 2, 0.1, State.ENDED),
    ],
)
def test_the_life_of_a_face(state: State, failure: str, frames: int, spent: float, after: State) -> None:
    found, reason = advance(state, failure, frames, spent, Rules())
    assert found is after
    assert bool(reason) == (found is not state), "a change has a reason, and nothing else has"
    assert not failure or found in (state, State.LOST, State.ENDED) or failure in reason


def test_every_state_can_be_left_and_only_seen_faces_are_reported() -> None:
    ways = {(state, advance(state, failure, 99, 99, Rules())[0]) for state in State for failure in ("", "gone")}
    left = {before for before, after in ways if before is not after}
    assert left == set(State) - {State.ENDED}
    assert State.LOST not in SEEN and State.ENDED not in SEEN


def test_a_filter_is_still_at_rest_open_in_motion_and_off_without_limit() -> None:
    steady = OneEuro(Cutoff(1, 10, 1))
    assert all((steady(np.array([[3.0, 4.0]]), 0.04) == (3, 4)).all() for _ in range(5))
    free = OneEuro(Cutoff(1e12, 0, 1))
    assert [round(float(free(np.array([[value]]), 0.04)[0, 0]), 6) for value in (0.0, 5.0, -2.0)] == [0, 5, -2]
    noise = np.random.default_rng(1).normal(0, 0.01, 200)
    slow, quick = OneEuro(Cutoff(1, 0)), OneEuro(Cutoff(1, 10))
    still = [float(quick(np.array([[value]]), 0.04)[0, 0]) for value in noise]
    assert np.std(np.diff(still[20:])) < 0.5 * np.std(np.diff(noise[20:]))
    jump = np.r_[np.zeros(20), np.ones(20)]
    late = [float(slow(np.array([[value]]), 0.04)[0, 0]) for value in jump]
    soon = [float(quick(np.array([[value]]), 0.04)[0, 0]) for value in jump]
    assert soon[20] > 2 * late[20]


@given(st.floats(-50, 50), st.floats(0.5, 5), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0.02, 0.1))
def test_a_trend_takes_its_share_of_the_lag_behind_uniform_motion(
    pace: float, rest: float, trend: float, step: float
) -> None:
    smooth = OneEuro(Cutoff(rest, 0, trend))
    for at in range(400):
        value = float(smooth(np.array([[pace * at * step]]), step)[0, 0])
    share = 1 / (1 + 1 / (2 * np.pi * rest * step))
    lag = (1 - share) / share * step  # of an exponential average
    assert pace * at * step - value == pytest.approx((1 - trend) * lag * pace, rel=1e-3, abs=1e-6)


@given(similarities)
def test_a_placement_moves_with_its_points(moved: np.ndarray) -> None:
    turn = float(np.degrees(np.arctan2(moved[1, 0], moved[0, 0])))
    before, after = Placement.of(SHAPE, 10.0), Placement.of(apply(moved, SHAPE.astype(float)), 10.0 + turn)
    np.testing.assert_allclose(after.centre, apply(moved, before.centre[None])[0], rtol=1e-4, atol=1e-3)
    assert after.size == pytest.approx(before.size * float(scale_of(moved)), rel=1e-4)
    box = apply(after.frame, apply(moved, SHAPE.astype(float)))
    assert float(np.ptp(box, axis=0).max()) == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose((box.min(0) + box.max(0)) / 2, 0, atol=1e-4)


@given(similarities, similarities)
def test_the_distance_of_shapes_is_free_of_similarities(one: np.ndarray, two: np.ndarray) -> None:
    other = SHAPE + np.float32(0.1) * SHAPE[::-1]
    plain = shape_distance(SHAPE, other)
    assert shape_distance(apply(one, SHAPE.astype(float)), other) == pytest.approx(plain, rel=1e-4)
    assert shape_distance(apply(one, SHAPE.astype(float)), apply(two, SHAPE.astype(float))) < 1e-5
    assert shape_distance(SHAPE[:2], SHAPE[:2]) == float("inf")


def test_the_cheapest_pairs_come_first() -> None:
    inf = np.inf
    assert sorted(assign(np.array([[0.5, 0.1], [0.2, inf]]))) == [(0, 1), (1, 0)]
    assert assign(np.array([[inf, inf]])) == [] and assign(np.zeros((0, 3))) == []


def test_a_face_is_known_by_place_size_and_shape() -> None:
    points = 50 * SHAPE + 100
    known = Known(place := Placement.of(points, 0), place.centre, points, 0.0, SAME_SCENE)

    def cost(moved: np.ndarray, away: float = 0.0, limits: object = SAME_SCENE, ahead: float = 0.0) -> float:
        seen = Known(known.placement, place.centre + ahead, points, away, limits)  # type: ignore[arg-type]
        return cost_of(seen, Placement.of(moved, 0), moved)

    assert cost(points) == pytest.approx(0, abs=1e-6)
    assert cost(points + 90) == np.inf and cost(points + 90, away=2.0) < np.inf, "it may go farther in more time"
    assert cost(points + 90, ahead=85) < 1 and cost(points, ahead=85) == 0, "where it went, or where it was"
    assert cost(points * 2 - 100) == np.inf, "too large"
    assert cost(points[::-1]) == np.inf, "another shape"
    assert cost(points + 35) < np.inf and cost(points + 35, away=2.0, limits=OTHER_SCENE) == np.inf


def test_what_a_face_would_not_do_is_strange() -> None:
    points = 50 * SHAPE + 100
    placement = Placement.of(points, 0)
    going = Known(placement, placement.centre + 40, points, 0.1, SAME_SCENE)

    def strange(moved: np.ndarray) -> float:
        return strangeness(going, Placement.of(moved, 0), moved)

    assert strange(points + 40) == pytest.approx(0, abs=1e-5) and strange(points + 500) < np.inf
    assert strange(points + 40) < strange(points) < strange(points - 40) < strange(points[::-1] - 40)


@given(st.floats(-200, 200), st.floats(-200, 200), st.floats(0.02, 0.06))
def test_a_face_that_moves_uniformly_is_where_it_is_expected(x: float, y: float, step: float) -> None:
    past = Past()
    for at in range(60):
        past.add(at * step, np.array([x, y]) * at * step, at * SHAPE)
    last = 59 * step
    for later in (0.0, 0.04, 0.5):
        np.testing.assert_allclose(past.ahead(last + later), np.array([x, y]) * (last + later), atol=1e-6)
    np.testing.assert_allclose(past.ahead(last + 9), past.ahead(last + AHEAD), err_msg="not for ever")
    shown = round(float(past.points[0, 0] / SHAPE[0, 0]))
    assert NEWEST <= (59 - shown) * step + 1e-9 < NEWEST + 1.01 * step


def test_the_newest_sightings_do_not_tell_where_a_face_goes() -> None:
    past = Past()
    for at in range(20):
        past.add(at / 25, np.array([4.0 * min(at, 16), 0]), SHAPE)  # it is dragged to a halt
    assert past.ahead(19 / 25)[0] == pytest.approx(76)
    past.clear()
    past.add(1.0, np.array([5.0, 5.0]), SHAPE)
    assert past.ahead(1.2).tolist() == [5, 5] and past.points is SHAPE


def test_doubles() -> None:
    points = 50 * SHAPE
    assert doubles([points, points + 2, points + 60], [100, 100, 100]) == [(0, 1)]


def test_cuts_and_no_cuts(rng: np.random.Generator) -> None:
    def scene(seed: int) -> np.ndarray:
        small = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        return np.kron(small, np.ones((40, 40, 1), np.uint8))

    finder, one, two = CutFinder(), scene(1), scene(2)
    pan = [finder(np.roll(one, 3 * step, 1)) for step in range(10)]
    dark = [finder((np.roll(one, 27, 1) * factor).astype(np.uint8)) for factor in (0.8, 0.6, 0.9)]
    assert not any(pan) and not any(dark)
    assert finder(two) and finder.scene is not None and finder.shows(finder.scene)
    shot = finder.scene
    assert [finder(two), finder(one), finder(one)] == [False, True, False]
    assert not finder.shows(shot) and finder(np.roll(two, 10, 1)) and finder.shows(shot)


def test_smoothing_keeps_what_stands_still_and_halves_noise(rng: np.random.Generator) -> None:
    points = (80 * SHAPE + 200).astype(np.float32)
    scores = np.ones(20, np.float32)
    smoother = PointSmoother()
    for frame in range(5):
        np.testing.assert_allclose(smoother(points, scores, frame / 25), points, atol=1e-3)
    noisy = points + rng.normal(0, 0.4, (100, 20, 2)).astype(np.float32)
    online = np.stack([PointSmoother.__call__(smoother, row, scores, 1 + at / 25) for at, row in enumerate(noisy)])
    offline = np.stack(smooth_both_ways(list(noisy), [scores] * 100, [at / 25 for at in range(100)]))
    shaken = [float(np.std(np.diff(track, axis=0))) for track in (noisy, online, offline)]
    assert shaken[1] < 0.6 * shaken[0] and shaken[2] < shaken[1]


def test_smoothing_hardly_lags_and_both_ways_not_at_all() -> None:
    course = np.sin(np.arange(100) / 6)[:, None, None] * np.float32([30, 0])
    track = list((80 * SHAPE + 200 + course).astype(np.float32))
    times, scores = [at / 25 for at in range(100)], [np.ones(20, np.float32)] * 100
    smoother, velocity = PointSmoother(), np.gradient(np.stack(track).mean(1)[:, 0])[10:-10]
    online = [smoother(*row) for row in zip(track, scores, times, strict=True)]
    for smooth, most in ((online, 0.35), (smooth_both_ways(track, scores, times), 0.05)):
        behind = (np.stack(track) - np.stack(smooth)).mean(1)[10:-10, 0]
        assert abs(float((behind * velocity).sum() / (velocity**2).sum())) < most, "frames"


def test_a_turn_through_half_a_circle_and_a_gap() -> None:
    smoother, points = PointSmoother(), (80 * SHAPE).astype(np.float32)
    scores = np.full(20, np.nan, np.float32)
    for frame, angle in enumerate(range(150, 211, 3)):
        turned = apply(similarity(angle=angle, shift=(200, 200)), points)
        assert np.abs(smoother(turned, scores, frame / 25) - turned).max() < 12
    moved = points + 900
    np.testing.assert_allclose(smoother(moved, scores, 60.0), moved, atol=1e-2, err_msg="after a gap it starts anew")


def test_eyelids_and_lips_are_smoothed_less_than_the_nose(rng: np.random.Generator) -> None:
    smoothing = Smoothing.of("68")
    assert len(smoothing.factors) == 68 and Smoothing.of("5").factors[2] < 1 < Smoothing.of("5").factors[0]
    points = rng.uniform(100, 200, (68, 2))
    noisy = points + rng.normal(0, 0.3, (200, 68, 2))
    smoother, scores = PointSmoother(smoothing), np.ones(68, np.float32)
    steady = np.stack([smoother(row.astype(np.float32), scores, at / 25) for at, row in enumerate(noisy)])
    left = np.diff(steady, axis=0).std((0, 2)) / np.diff(noisy, axis=0).std((0, 2))
    assert left[:36].mean() < 0.7 * left[36:].mean()
