"""Boxes by argument and from files."""

from pathlib import Path

import numpy as np
import pytest

from canthus.detect.detector import DETECTORS, Detector
from canthus.detect.given import BoxFile, GivenBoxes
from canthus.errors import FormatError, InputError, ShapeError
from canthus.formats.record import Record
from canthus.formats.table import dump

IMAGE = np.zeros((50, 100, 3), np.uint8)


def test_given_boxes() -> None:
    boxes = [[1, 2, 30, 40], [-5, -5, 10, 10]]
    faces = Detector.open("given", boxes=boxes).detect(IMAGE)
    np.testing.assert_array_equal(faces.boxes, boxes)
    assert faces.points.shape == (2, 0, 2) and np.isnan(faces.confidence).all()
    assert len(GivenBoxes([]).detect(IMAGE)) == 0


@pytest.mark.parametrize("box", [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], [5, 5, 5, 9], [9, 9, 1, 1], [1, 2, 3]])
def test_boxes_that_are_none(box: list[float]) -> None:
    with pytest.raises(ShapeError, match="box"):
        GivenBoxes(box)


@pytest.mark.parametrize("box", [[100, 0, 120, 20], [0, 50, 20, 70], [-20, 0, 0, 20], [0, -20, 20, 0]])
def test_box_outside_the_image(box: list[float]) -> None:
    with pytest.raises(ShapeError, match=r"box 1, .* lies outside the image of 100 x 50 pixels"):
        GivenBoxes([[0, 0, 9, 9], box]).detect(IMAGE)


def test_unknown_detector() -> None:
    with pytest.raises(InputError, match=", ".join(DETECTORS)):
        Detector.open("hal")


def table(folder: Path, text: str, name: str = "boxes.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_csv_of_boxes(tmp_path: Path) -> None:
    path = table(tmp_path, "image,x0,y0,x1,y1\na.jpg,1,2,3,4\nb.jpg,,,,\na.jpg,5,6,7,8.5\n")
    boxes = BoxFile.open(path)
    np.testing.assert_array_equal(boxes.of("any/where/a.jpg").boxes, [[1, 2, 3, 4], [5, 6, 7, 8.5]])
    assert len(boxes.of("b.jpg")) == 0


def test_chosen_columns(tmp_path: Path) -> None:
    header = "image,tight_x0,tight_y0,tight_x1,tight_y1,jitter_x0,jitter_y0,jitter_x1,jitter_y1"
    path = table(tmp_path, f"{header}\ntest/a.jpg,1,2,3,4,5,6,7,8\n")
    np.testing.assert_array_equal(BoxFile.open(path, "jitter_").of("images/test/a.jpg").boxes, [[5, 6, 7, 8]])
    with pytest.raises(FormatError, match=r"boxes\.csv:1: no column 'x0'; its boxes begin with 'tight_', 'jitter_'"):
        BoxFile.open(path)
    with pytest.raises(FormatError, match="no column 'loose_x0'"):
        BoxFile.open(path, "loose_")


@pytest.mark.parametrize("extension", [".json", ".csv"])
def test_results_of_canthus_give_their_boxes(extension: str, tmp_path: Path) -> None:
    points, box = np.array([[1, 2], [9, 4], [5, 12]], np.float32), np.array([0, 1, 10, 20], np.float32)
    records = [
        Record("a.jpg", points, "", box=box),
        Record("b.jpg", size=(4, 5)),
        Record("a.jpg", points, "", box=box + 1),
    ]
    dump(tmp_path / f"faces{extension}", records)
    boxes = BoxFile.open(tmp_path / f"faces{extension}")
    np.testing.assert_array_equal(boxes.of("a.jpg").boxes, [box, box + 1])
    assert len(boxes.of("b.jpg")) == 0


@pytest.mark.parametrize("extension", [".json", ".csv"])
def test_landmarks_give_the_box_of_the_points(extension: str, tmp_path: Path) -> None:
    points = np.array([[1, 2], [9, 4], [np.nan, np.nan], [5, 12]], np.float32)
    dump(tmp_path / f"points{extension}", [Record("a.jpg", points)])
    np.testing.assert_array_equal(BoxFile.open(tmp_path / f"points{extension}").of("a.jpg").boxes, [[1, 2, 9, 12]])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,1,2,nan,4", r"boxes\.csv:2: a\.jpg: the box has a value that is not a finite number"),
        ("a.jpg,1,2,,4", "not a finite number"),
        ("a.jpg,1,2,inf,4", "not a finite number"),
        ("a.jpg,5,2,1,4", "has no area"),
        ("a.jpg,1,2,three,4", r"boxes\.csv:2: 'three' is not a number"),
        ("a.jpg,1,2", r"boxes\.csv:2: 3 cells, but the header has 5"),
    ],
)
def test_boxes_of_a_file_that_are_none(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=message):
        BoxFile.open(table(tmp_path, f"image,x0,y0,x1,y1\n{row}\n"))


def test_nan_box_in_json(tmp_path: Path) -> None:
    face = '{"box": [1, null, 3, 4], "points": []}'
    path = table(tmp_path, f'{{"images": [{{"image": "a.jpg", "faces": [{face}]}}]}}', "a.json")
    with pytest.raises(FormatError, match=r"a\.json: a\.jpg: the box has a value that is not a finite number"):
        BoxFile.open(path)


def test_longest_name_wins(tmp_path: Path) -> None:
    path = table(tmp_path, "image,x0,y0,x1,y1\na.jpg,1,1,2,2\nx/a.jpg,3,3,4,4\n")
    boxes = BoxFile.open(path)
    np.testing.assert_array_equal(boxes.of("data/x/a.jpg").boxes, [[3, 3, 4, 4]])
    np.testing.assert_array_equal(boxes.of("data/y/a.jpg").boxes, [[1, 1, 2, 2]])
    np.testing.assert_array_equal(boxes.of(Path("data/y/a.jpg").absolute()).boxes, [[1, 1, 2, 2]])


def test_a_name_for_two_images_is_refused(tmp_path: Path) -> None:
    boxes = BoxFile.open(table(tmp_path, "image,x0,y0,x1,y1\na.jpg,1,1,2,2\n"))
    boxes.of("x/a.jpg")
    with pytest.raises(InputError, match=r"y/a\.jpg: a\.jpg in .*boxes\.csv may mean it or .*x/a\.jpg"):
        boxes.of("y/a.jpg")


def test_unknown_image(tmp_path: Path) -> None:
    boxes = BoxFile.open(table(tmp_path, "image,x0,y0,x1,y1\nx/a.jpg,1,1,2,2\n"))
    with pytest.raises(InputError, match=r"a\.jpg: no boxes in .*boxes\.csv; add a row"):
        boxes.of("y/a.jpg")


def test_no_file_of_boxes(tmp_path: Path) -> None:
    for name in ("gone.csv", "gone.json"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read"):
            BoxFile.open(tmp_path / name)
    with pytest.raises(InputError, match="a folder"):
        BoxFile.open(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"image,x0,y0,x1,y1\n\xff\xfe\x00")
    with pytest.raises(FormatError, match=r"binary\.csv: not a text file"):
        BoxFile.open(tmp_path / "binary.csv")
    with pytest.raises(FormatError, match="points are stored in"):
        BoxFile.open(table(tmp_path, "", "boxes.txt"))


@pytest.mark.data
def test_shared_boxes(data_root: Path) -> None:
    boxes = BoxFile.open(data_root / "wild68" / "test_boxes.csv", "tight_")
    found = [boxes.of(path) for path in sorted((data_root / "wild68" / "images" / "test").iterdir())]
    assert [len(faces) for faces in found] == [1] * 224
