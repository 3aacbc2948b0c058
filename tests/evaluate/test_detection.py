"""Figures of detections against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from canthus.evaluate.detection import Detections, best_threshold, match, matched, roc, roc_area
from canthus.types import Faces

scored = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=40)


@given(scored)
def test_curves_are_those_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    scores, true = np.array([row[0] / 8 for row in rows]), np.array([row[1] for row in rows])
    if true.any():
        found = Detections(scores, true, int(true.sum()), 1)
        assert found.average_precision() == pytest.approx(metrics.average_precision_score(true, scores))
        assert found.recall(0.5) == pytest.approx(metrics.recall_score(true, scores >= 0.5))
        if (scores >= 0.5).any():
            assert found.precision(0.5) == pytest.approx(metrics.precision_score(true, scores >= 0.5))
    if true.any() and not true.all():
        assert roc_area(scores, true) == pytest.approx(metrics.roc_auc_score(true, scores))
        false_rate, true_rate, thresholds = metrics.roc_curve(true, scores, drop_intermediate=False)
        ours = roc(scores, true)
        np.testing.assert_allclose(ours[0], false_rate[1:])
        np.testing.assert_allclose(ours[1], true_rate[1:])
        np.testing.assert_allclose(ours[2], thresholds[1:])
        best = best_threshold(scores, true)
        gain = (scores[true] >= best).mean() - (scores[~true] >= best).mean()
        assert gain == pytest.approx((true_rate - false_rate).max(), abs=1e-9) or gain <= 0


def test_a_face_is_found_once() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], float)
    boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [21, 20, 41, 40], [50, 50, 60, 60]], float)
    faces = Faces.of_boxes(boxes, [0.9, 0.8, 0.3, 0.7])
    np.testing.assert_array_equal(matched(faces, truth), [0, -1, 1, -1])
    found = match([faces, Faces.empty()], [truth, truth[:1]])
    assert (found.faces, found.pictures) == (3, 2)
    assert found.recall() == pytest.approx(2 / 3) and found.precision() == pytest.approx(1 / 2)
    assert found.recall(0.5) == pytest.approx(1 / 3) and found.precision(0.5) == pytest.approx(1 / 3)
    assert found.false_per_picture(0.75) == pytest.approx(1 / 2)


def test_nothing() -> None:
    found = match([Faces.empty()], [np.zeros((0, 4))])
    assert np.isnan(found.recall()) and found.precision() == 1 and found.average_precision() == 0
