"""Overlap against cv2 and the laws of turned boxes."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from canthus.geometry.box import OUTLINE, overlaps, turned_box
from canthus.geometry.crop import box_of, crop_matrix
from canthus.geometry.transform import apply, similarity

whole = st.integers(0, 40)


@given(whole, whole, whole, whole)
def test_overlap_is_what_painted_pixels_say(x: int, y: int, u: int, v: int) -> None:
    sheets = []
    boxes = np.array([[x, y, x + 20, y + 11], [u, v, u + 13, v + 17]])
    for x0, y0, x1, y1 in boxes.tolist():
        sheet = np.zeros((80, 80), np.uint8)
        cv2.rectangle(sheet, (x0, y0), (x1 - 1, y1 - 1), 1, -1)
        sheets.append(sheet.astype(bool))
    wanted = (sheets[0] & sheets[1]).sum() / (sheets[0] | sheets[1]).sum()
    matrix = overlaps(boxes, boxes)
    np.testing.assert_allclose(matrix, [[1, wanted], [wanted, 1]])
    assert overlaps(boxes[:0], boxes).shape == (0, 2)


@given(st.floats(-180, 180), st.floats(20, 200), st.floats(-50, 50))
def test_the_mean_face_stands_upright_in_the_crop_of_its_turned_box(angle: float, side: float, shift: float) -> None:
    points = apply(similarity(side, angle, (100 + shift, 90 - shift)), OUTLINE)
    (square,) = turned_box(box_of(points)[None], np.array([angle]))
    seen = apply(crop_matrix(square, 96, 1.3, angle), points)
    np.testing.assert_allclose(seen, OUTLINE * 96 / 1.3 + 47.5, atol=0.01)


def test_a_roll_that_is_not_known_is_none() -> None:
    boxes = np.float32([[10, 20, 50, 80], [0, 0, 30, 10]])
    squares = turned_box(boxes, np.array([np.nan, 0]))
    np.testing.assert_allclose(squares, [[0, 20, 60, 80], [0, -10, 30, 20]], atol=1e-4)
    assert turned_box(boxes[:0], np.zeros(0)).shape == (0, 4)
