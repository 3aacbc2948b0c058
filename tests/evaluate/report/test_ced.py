import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid

from canthus.evaluate import metrics
from canthus.evaluate.report.ced import GAP, HEIGHT, UNITS, ced_curve, plot_ced, spread


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 0.2)), st.floats(0.01, 0.1))
def test_the_curve_drawn_has_the_area_that_is_printed(errors, threshold):
    x, y = ced_curve(errors, threshold)
    assert trapezoid(y, x) / threshold == pytest.approx(metrics.auc(errors, threshold))
    assert (x[0], x[-1]) == (0, threshold)


def test_the_curve_of_many_faces_is_thinned_and_still_true(rng):
    errors = rng.gamma(4, 0.01, 100_000)
    x, y = ced_curve(errors, 0.08)
    assert len(x) == 401
    assert trapezoid(y, x) / 0.08 == pytest.approx(metrics.auc(errors, 0.08), abs=1e-4)


@given(st.lists(st.floats(0, 330), min_size=1, max_size=8).map(sorted))
def test_labels_do_not_overlap_and_stay_inside(targets):
    places = spread(targets, 20, 10, 320)
    assert (np.diff(places) >= 19.9).all()
    assert places[0] >= 10 and places[-1] <= 320


def test_labels_that_do_not_meet_stay_and_those_that_do_share_the_shift():
    assert spread([20, 60, 200], 20, 10, 320) == [20, 60, 200]
    assert spread([100, 100], 20, 10, 320) == [90, 110]
    assert spread([100, 100, 300], 20, 10, 320) == [90, 110, 300]


def test_too_many_labels_share_the_height():
    assert spread([0, 0, 0], 20, 0, 10) == [0, 5, 10]


def test_the_subject_is_drawn_on_top_and_labels_follow_the_ends_of_the_curves(make_study):
    entries = make_study().entries[:2]
    plot = plot_ced(entries, 0.08)
    assert [line.kind for line in plot.lines] == ["curve c1", "curve c0"]
    assert [end.number for end in sorted(plot.ends, key=lambda end: end.end)] == [end.number for end in plot.ends]
    for end in plot.ends:
        share = np.mean(entries[end.number].result.errors <= 0.08)
        assert end.end == pytest.approx(HEIGHT * (1 - share), abs=0.1)
    assert np.diff([end.label for end in plot.ends]) >= GAP
    last = [float(value) for value in plot.lines[1].points.split()[-1].split(",")]
    assert last == pytest.approx([UNITS, UNITS * (1 - np.mean(entries[0].result.errors <= 0.08))], abs=0.1)
    assert [tick.at for tick in plot.x] == [0, 25, 50, 75, 100]
