import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.evaluate.reliability import Curve
from canthus.evaluate.report import plots
from canthus.evaluate.result import Contour


@given(st.floats(1e-3, 1e3))
def test_ticks_are_few_round_and_inside(top):
    found = plots.ticks(top)
    assert 2 <= len(found) <= 6
    assert found[0] == 0 and top * 0.5 < found[-1] <= top * (1 + 1e-9)
    assert np.ptp(np.diff(found)) < 1e-6 * top


def test_ticks_of_nothing():
    assert plots.ticks(0) == plots.ticks(float("nan")) == [0]


def test_the_ramp_runs_from_the_first_colour_to_the_last():
    assert [plots.step_of(share) for share in (-1, 0, 0.5, 0.999, 1, 2)] == [0, 0, 5, 9, 9, 9]


def test_the_worst_point_is_the_largest_and_names_itself():
    mean = np.array([[0, 0], [1, 0], [0.5, 1]])
    plot = plots.plot_mean_face(mean, np.array([0.01, 0.05, np.nan]), ["a", "<b>", "c"], [(0, 1), (1, 2)])
    assert [dot.title for dot in plot.dots] == ["0 a: 1.00 %", "1 <b>: 5.00 %"]
    assert plot.dots[1].radius > plot.dots[0].radius and plot.dots[1].kind == "r9" and plot.dots[0].kind == "r0"
    assert (plot.least, plot.most) == (0.01, 0.05)
    assert plot.edges.count("M") == plot.edges.count("L") == 2


def test_bars_are_as_high_as_the_errors():
    contour = Contour(np.array([0.01, 0.02, 0.04]), np.array([0.02, np.nan, 0.02]))
    bars = plots.plot_contour(contour, ["a", "b", "c"]).bars
    heights = [bar.height for bar in bars if bar.kind == "bar c0"]
    assert heights[1] / heights[0] == pytest.approx(2, rel=0.01)
    assert heights[2] / heights[0] == pytest.approx(4, rel=0.01)
    assert [bar.title for bar in bars if bar.kind == "bar c1"] == ["a: 2.00 %", "c: 2.00 %"]


def test_scores_that_are_right_lie_on_the_diagonal():
    plot = plots.plot_reliability(Curve(np.array([0.2, 0.5, 0.8]), np.array([0.2, 0.5, 0.8]), np.array([4, 0, 16])))
    assert len(plot.dots) == 2 and plot.dots[0].radius < plot.dots[1].radius
    left, top, right, bottom = plot.area
    across, down = (plot.dots[1].x - left) / (right - left), (bottom - plot.dots[1].y) / (bottom - top)
    assert across == pytest.approx(0.8, abs=1e-3) and down == pytest.approx(0.8, abs=1e-3)


def test_errors_of_zero_have_bars_without_height():
    plot = plots.plot_contour(Contour(np.zeros(3), np.zeros(3)), ["a", "b", "c"])
    assert [bar.height for bar in plot.bars] == [0] * 6


def test_points_that_are_annotated_nowhere_are_not_drawn():
    mean = np.array([[0, 0], [1, 0], [np.nan, np.nan]])
    plot = plots.plot_mean_face(mean, np.array([0.01, 0.05, np.nan]), ["a", "b", "c"], [(0, 1), (1, 2)])
    assert len(plot.dots) == 2 and plot.edges.count("M") == 1 and "nan" not in plot.edges
