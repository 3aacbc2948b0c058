import numpy as np
import pytest

from canthus.synth.faces import LabelledFaces, open_labelled
from canthus.synth.gallery import FACE, SIDE, choose, gallery


@pytest.fixture(scope="module")
def table(studio):
    return open_labelled(studio.table, studio.folder)


def test_rows_of_schemes_and_columns_of_azimuths(table):
    sheet, notes = gallery(table, ["68", "5"], [0, 40, 80])
    assert sheet.shape == (2 * SIDE, 3 * SIDE, 3)
    assert [note.rpartition(": ")[0] for note in notes] == [f"{s} at {a}" for s in ("68", "5") for a in (0, 40, 80)]
    assert notes[2].endswith("no picture") and notes[5].endswith("no picture")
    assert not sheet[: SIDE - 40, 2 * SIDE :].any()  # black
    tile = sheet[: SIDE - 40, :SIDE].astype(int)
    marks = np.argwhere((abs(tile - (70, 225, 165)).sum(-1) < 30) | (abs(tile - (232, 48, 60)).sum(-1) < 30))
    low, high = marks.min(0), marks.max(0)
    assert max(high - low) == pytest.approx(FACE, abs=12)
    assert (low + high) / 2 == pytest.approx((SIDE / 2, SIDE / 2), abs=8)


def test_the_best_fitted_picture_near_the_azimuth(table):
    face = choose(table, "68", 40)
    away = np.abs(np.abs(table.azimuth) - 40)
    assert away[face] <= 10
    assert table.columns["error"][face] == table.columns["error"][away <= 10].min()
    assert choose(table, "68", 85) is None
    half = np.zeros((12, 39), bool)
    half[np.argmin(table.azimuth)] = True
    added = {"visible_39_left": half, "points_39_left": np.zeros((12, 39, 3))}
    only = LabelledFaces(table.path, {**table.columns, **added})
    assert choose(only, "39_left", abs(table.azimuth.min())) == np.argmin(table.azimuth)
    assert choose(only, "39_left", 0) is None
