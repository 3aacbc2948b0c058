import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.geometry.pose import rotation
from canthus.synth.turn.profile import FRONTAL, ProfileOptions, prepare, view
from canthus.synth.turn.turned import BINS, COMMON, FARTHEST, Views, bin_of, choose_views


@settings(max_examples=25)
@given(st.integers(0, 999), st.integers(0, 6))
def test_bins_are_filled_as_wanted_by_turns_that_go_further(seed, each):
    rng = np.random.default_rng(seed)
    azimuth = np.concatenate([rng.uniform(-60, 60, 60), [-45, -5, 5, 45]])
    chosen = choose_views(azimuth, np.full(BINS, each), np.zeros((2, 64), bool), np.zeros(64), rng)
    faces, turns = np.array([face for face, _ in chosen], int), np.array([turn for _, turn in chosen])
    after = azimuth[faces] + turns
    assert np.histogram(after, np.linspace(-90, 90, BINS + 1))[0].tolist() == [each] * BINS
    assert [bin_of(place) for place in after] == np.digitize(after, np.linspace(-90, 90, BINS + 1)[1:-1]).tolist()
    assert (np.abs(turns) <= FARTHEST).all()
    assert ((turns * azimuth[faces] >= 0) | (np.abs(azimuth[faces]) <= FRONTAL)).all()


def test_far_rotations_are_few_and_photographs_used_equally():
    rng = np.random.default_rng(0)
    azimuth = rng.uniform(-50, 50, 300)
    chosen = choose_views(azimuth, np.full(BINS, 50), np.zeros((2, 300), bool), np.zeros(300), rng)
    turns = np.abs([turn for _, turn in chosen])
    assert 0 < (turns > COMMON).mean() < 0.3
    assert np.bincount([face for face, _ in chosen], minlength=300).max() <= 12


def test_barred_photographs_are_not_rotated_to_that_side():
    azimuth, barred = np.array([-3.0, 4.0]), np.array([[True, False], [False, True]])
    chosen = choose_views(azimuth, np.full(BINS, 1), barred, np.zeros(2), np.random.default_rng(1))
    assert {(face, turn > 0) for face, turn in chosen} == {(0, True), (1, False)}
    assert len(chosen) < BINS  # nobody reaches the profiles


def test_a_refused_photograph_is_replaced(toy, studio):
    order = Views(toy.path, studio.table, studio.folder, 45, options=ProfileOptions(size=64, spacing=6))
    first = order.plan({})
    assert len(first) == 45
    outcomes = dict.fromkeys(first, "")
    outcomes[first[0]] = "ugly"
    (again,) = order.plan(outcomes)
    assert again.number == 45 and (again.face, again.turn > 0) != (first[0].face, first[0].turn > 0)
    azimuth = order.faces.azimuth
    assert bin_of(azimuth[again.face] + again.turn) == bin_of(azimuth[first[0].face] + first[0].turn)
    assert order.plan(dict.fromkeys(first, "")) == []


def test_a_bad_fit_is_no_photograph(toy, studio):
    order = Views(toy.path, studio.table, studio.folder, 36, options=ProfileOptions(residual=0.0))
    assert order.plan({}) == []


def test_what_a_view_would_be_worth_nothing_for(toy, studio):
    order = Views(toy.path, studio.table, studio.folder, 36, options=ProfileOptions(size=64, stray=-1.0))
    reason = order.make(order.plan({})[0])
    assert isinstance(reason, str) and "cheek look unlike skin" in reason


def test_pose_of_a_view_is_that_of_the_photograph_turned(toy, studio):
    order = Views(toy.path, studio.table, studio.folder, 36, options=ProfileOptions(size=64, spacing=6))
    for task in order.plan({})[::9]:
        row = order.make(task).row
        assert row["azimuth"] == pytest.approx(
            studio.poses[task.face, 0] + task.turn, abs=6
        )  # as well as it was fitted
        assert row["pose"][0] == pytest.approx(row["azimuth"], abs=4)


def test_points_are_those_of_the_view_with_the_bias_of_the_set(toy, studio, tmp_path):
    options = ProfileOptions(size=64, spacing=6)
    order = Views(toy.path, studio.table, studio.folder, 36, options=options)
    tasks = order.plan({})[::6]
    bias = np.zeros((68, 3))
    bias[30] = (0.0, 0.0, -1.0)  # the tip of the nose, 1 cm towards where the face looks
    np.savez(tmp_path / "fits.npz", **{**np.load(studio.table), "annotation_bias": bias})
    biased = Views(toy.path, tmp_path / "fits.npz", studio.folder, 36, options=options)
    for task in tasks:
        relief = prepare(order.faces.picture(task.face), toy.model, order.faces.fit(task.face), options=options)
        made, row = view(relief, toy.model, task.turn), order.make(task).row
        for scheme, points in made.points.items():
            assert row[f"points_{scheme}"] == pytest.approx(points, abs=1e-2)
        if made.outlines:
            assert row["outline_68"] == pytest.approx(made.outlines["68"], abs=1e-2)
        else:
            assert np.isnan(row["outline_68"]).all()
        moved = biased.make(task).row["points_68"] - row["points_68"]
        forward = relief.scale * rotation(made.pose.astype(float)) @ (0, 0, -1)
        assert moved[30] == pytest.approx(forward, abs=1e-2)
        assert np.delete(moved, 30, 0) == pytest.approx(0, abs=1e-4)
