import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap

from canthus.errors import ShapeError
from canthus.evaluate.compare import bootstrap_interval, compare_points
from canthus.evaluate.protocol import Protocol, ProtocolError
from canthus.evaluate.result import Labels
from canthus.schemes.scheme import Scheme


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


def test_the_better_one_wins(make_faces, rng):
    truth = make_faces(60)
    noise = rng.normal(0, 2, truth.shape)
    good, bad = truth + noise, truth + 1.3 * noise
    bad[:, 60:] = good[:, 60:]
    found = compare_points(truth, good, bad, Protocol())
    assert found.total.difference == pytest.approx(found.total.a - found.total.b)
    assert found.total.low <= found.total.difference <= found.total.high < 0
    assert found.total.wins == 1 and found.total.decided
    contour, mouth = ({row.name: row for row in found.regions}[name] for name in ("contour", "mouth"))
    assert contour.a / contour.b == pytest.approx(1 / 1.3)
    assert mouth.b / mouth.a < 1.3
    assert (found.faces, found.units) == (60, "faces")
    assert found.as_dict()["rows"][0]["name"] == "all"


@pytest.mark.parametrize("mask", ["visible", "annotated"])
def test_regions_under_a_mask_are_over_the_points_that_are_scored(make_faces, rng, mask):
    truth, scheme = make_faces(40), Scheme.open("68")
    noise = rng.normal(0, 2, truth.shape)
    visible = rng.random(truth.shape[:2]) < 0.7
    visible[:, list(scheme.groups["mouth"])] = False  # no face shows its mouth
    visible[:20, list(scheme.contour)] = False  # half of the faces show no contour
    visible[:, [36, 45]] = True
    first, second = truth + noise, np.where(visible[..., None], truth + 2 * noise, truth)
    if mask == "annotated":
        truth = np.where(visible[..., None], truth, np.nan)
    found = compare_points(truth, first, second, Protocol(mask=mask), Labels(visible=visible))
    rows = {row.name: row for row in found.regions}
    assert "mouth" not in rows and rows.keys() >= {"contour", "inner", "nose"}
    for row in rows.values():
        assert row.b / row.a == pytest.approx(2) and row.wins == 1 and row.high < 0
    unit = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)
    far = np.where(visible, np.linalg.norm(noise, axis=-1), np.nan)[20:, list(scheme.contour)]
    assert rows["contour"].a == pytest.approx((np.nanmean(far, 1) / unit[20:]).mean())


def test_equals_are_undecided_and_tie(make_faces):
    truth = make_faces(10)
    found = compare_points(truth, truth + 1, truth + 1, Protocol(), identities=("a",) * 5 + ("b",) * 5)
    assert found.total.wins == 0.5
    assert not found.total.decided
    assert found.units == "identities"
    assert compare_points(truth, truth, truth + 1, Protocol(), identities=tuple("abcdefghij")).units == "faces"


def test_a_comparison_needs_every_face(make_faces):
    truth = make_faces(5)
    lost = truth.copy()
    lost[2] = np.nan
    with pytest.raises(ProtocolError, match="no prediction"):
        compare_points(truth, truth, lost, Protocol())
