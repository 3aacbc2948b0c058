from pathlib import Path

import numpy as np
import pytest

from canthus.data.audit import audit
from canthus.data.sample import Lazy, Sample
from canthus.errors import DataError

WHITE = np.full((40, 60, 3), 255, np.uint8)


def sample(points, **values) -> Sample:
    return Sample(Path("a.jpg"), np.array(points, np.float32), "4", "a", **{"pixels": lambda: WHITE, **values})


SQUARE = [(-0.5, -0.5), (59.5, -0.5), (59.5, 39.5), (-0.5, 39.5)]


def test_a_face_up_to_the_very_border_is_fine():
    assert list(audit([sample(SQUARE)])) == []


@pytest.mark.parametrize(
    ("points", "finding"),
    [
        ([(5, 5), (61.5, 8), (20, 20), (8, 39.75)], "2 points lie outside the picture (60 x 40), point 1 by 2.0 px"),
        ([(5, 5), (-1.5, 8), (20, 20), (8, 30)], "1 points lie outside the picture (60 x 40), point 1 by 1.0 px"),
        ([(5, 5), (9, -4.5), (20, 20), (8, 30)], "1 points lie outside the picture (60 x 40), point 1 by 4.0 px"),
        (
            [(65, 45), (70, 46), (64, 47), (70, 42)],
            "the whole face lies outside the picture (60 x 40); the label is broken",
        ),
        ([(5, 5), (np.nan, np.nan), (20, 20), (np.nan, 3)], "2 of 4 points are not annotated"),
        ([(np.nan, np.nan)] * 4, "4 of 4 points are not annotated"),
        ([(5, 5)] * 4, "the face has no area"),
        ([(5, 5), (6, 5), (7, 5), (8, 5)], "the face has no area"),
        (
            [(5, 5, 900), (61.5, 8, 0), (20, 20, 0), (8, 30, 0)],
            "1 points lie outside the picture (60 x 40), point 1 by 2.0 px",
        ),
    ],
)
def test_what_is_odd_is_told(points, finding):
    assert list(audit([sample(points)])) == [f"a.jpg: {finding}"]


def test_it_goes_on_after_what_cannot_be_read():
    def load(index: int) -> Sample:
        if index == 1:
            raise DataError("1.pts: broken")
        return sample(SQUARE, **({"pixels": None} if index == 2 else {}))

    label, picture = audit(Lazy(range(4), load))
    assert label == "1.pts: broken"
    assert picture.startswith("a.jpg: ")
