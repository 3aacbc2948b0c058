import cv2
import numpy as np
import pytest

from canthus.synth.sheet import HIDDEN, SEEN, SIDE, mosaic, tile, write_sheet


def test_points_lie_where_they_belong_in_the_colour_of_their_visibility():
    image = np.full((64, 64, 3), 90, np.uint8)
    points = np.array([[15.5, 15.5, 3], [47.5, 15.5, 3], [np.nan, 0, 0], [9e9, 9e9, 0]])
    made = tile(image, points, np.array([True, False, True, True]), "")
    assert made.shape == (SIDE, SIDE, 3)
    found = {}
    for name, colour in {"seen": SEEN, "hidden": HIDDEN}.items():
        row, column = np.nonzero((made == colour).all(2))
        found[name] = (column.mean(), row.mean())
    assert found["seen"] == pytest.approx((31.5, 31.5), abs=0.6)
    assert found["hidden"] == pytest.approx((95.5, 31.5), abs=0.6)


def test_rows_of_twenty():
    tiles = [np.full((SIDE, SIDE, 3), shade, np.uint8) for shade in range(1, 24)]
    made = mosaic(tiles)
    assert made.shape == (2 * SIDE, 20 * SIDE, 3)
    assert made[SIDE, 0, 0] == 21 and made[SIDE, 3 * SIDE, 0] == 0
    assert mosaic(tiles[:3]).shape == (SIDE, 3 * SIDE, 3)
    assert mosaic(tiles, 10).shape == (3 * SIDE, 10 * SIDE, 3)


def test_two_hundred_of_a_run_by_azimuth(tmp_path, rng):
    count = 230
    for index in range(count):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((16, 16, 3), index, np.uint8))
    columns = {
        "images": np.array([f"{index}.png" for index in range(count)]),
        "azimuth": -np.arange(count, dtype=np.float32),
        "kind": np.full(count, ""),
        "points_68": np.full((count, 68, 3), np.nan),
        "visible_68": np.ones((count, 68), bool),
    }
    write_sheet(tmp_path / "sheet.png", tmp_path, columns)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (10 * SIDE, 20 * SIDE, 3)
    shades = sheet[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE, 0].ravel().astype(int)
    assert shades[0] == 229 and shades[-1] == 0 and (np.diff(shades) < 0).all()
