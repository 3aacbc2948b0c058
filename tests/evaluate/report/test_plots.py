import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid

from canthus.evaluate import metrics
from canthus.evaluate.report import plots
from canthus.evaluate.result import Contour


@given(arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 0.2)), st.floats(0.01, 0.1))
def test_the_curve_drawn_has_the_area_that_is_printed(errors, threshold):
    x, y = plots.ced_curve(errors, threshold)
    assert trapezoid(y, x) / threshold == pytest.approx(metrics.auc(errors, threshold))
    assert (x[0], x[-1]) == (0, threshold)


def test_the_curve_of_many_faces_is_thinned_and_still_true(rng):
    errors = rng.gamma(4, 0.01, 100_000)
    x, y = plots.ced_curve(errors, 0.08)
    assert len(x) == 401
    assert trapezoid(y, x) / 0.08 == pytest.approx(metrics.auc(errors, 0.08), abs=1e-4)


@given(st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_inside(top):
    found = plots.ticks(top)
    assert 2 <= len(found) <= 6
    assert found[0] == 0 and top * 0.5 < found[-1] <= top * (1 + 1e-9)
    assert np.ptp(np.diff(found)) < 1e-6 * top


def test_ticks_of_nothing():
    assert plots.ticks(0) == plots.ticks(float("nan")) == [0]


def test_colours_run_from_the_first_to_the_last():
    assert plots.colour(0) == "#2f9e8f" and plots.colour(0.5) == "#f0b429" and plots.colour(1) == "#d6453d"
    assert plots.colour(-1) == plots.colour(0) and plots.colour(2) == plots.colour(1)


def circles(text: str) -> list[ElementTree.Element]:
    return [item for item in ElementTree.fromstring(text).iter() if item.tag == "circle"]


def test_the_worst_point_is_the_largest_and_names_itself():
    mean = np.array([[0, 0], [1, 0], [0.5, 1]])
    found = circles(plots.plot_mean_face(mean, np.array([0.01, 0.05, np.nan]), ["a", "<b>", "c"], [(0, 1), (1, 2)]))
    assert len(found) == 2
    worst = max(found, key=lambda item: float(item.get("r")))
    assert worst.find("title").text == "1 <b>: 5.00 %"
    assert worst.get("fill") == plots.colour(1)


def test_bars_are_as_high_as_the_errors():
    contour = Contour(np.array([0.01, 0.02, 0.04]), np.array([0.02, 0.02, 0.02]))
    text = plots.plot_contour(contour, ["a", "b", "c"])
    heights = [float(value) for value in re.findall(r'class="bar c0"[^>]* height="([\d.]+)"', text)]
    assert heights[1] / heights[0] == pytest.approx(2, rel=0.01)
    assert heights[2] / heights[0] == pytest.approx(4, rel=0.01)
    ElementTree.fromstring(text)


def test_plots_are_well_formed_with_the_subject_on_top(rng):
    text = plots.plot_ced([rng.random(9) * 0.1, rng.random(9) * 0.1], 0.08)
    lines = [item.get("class") for item in ElementTree.fromstring(text).iter() if item.tag == "polyline"]
    assert lines == ["curve c1", "curve c0"]
