import csv

import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.listed.landmarks_csv import read_csv
from canthus.errors import DataError, InputError
from canthus.formats.record import Record
from canthus.formats.table import dump


@pytest.fixture
def tiny(tmp_path, face, picture):
    """Three faces of two people, with boxes for the split "test"."""
    truth = {name: face(5) for name in ("test/a_1.png", "test/a_2.png", "test/b_1.png")}
    for name in truth:
        picture(tmp_path / "images" / name)
    rows = [["image", "identity", *(f"{axis}{index}" for index in range(5) for axis in "xy")]]
    rows += [[name, name[5], *map(str, points.ravel())] for name, points in truth.items()]
    write(tmp_path / "test.csv", rows)
    names = [f"{box}_{side}" for box in ("tight", "jitter") for side in ("x0", "y0", "x1", "y1")]
    write(tmp_path / "test_boxes.csv", [["image", *names], *([name, *range(8)] for name in reversed(truth))])
    return tmp_path, truth


def write(path, rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def test_rows_become_samples(tiny):
    folder, truth = tiny
    samples = read_csv(folder, "test")
    assert [sample.image for sample in samples] == [folder / "images" / name for name in truth]
    assert [sample.identity for sample in samples] == ["a", "a", "b"]
    assert {sample.scheme for sample in samples} == {"5"}
    for sample, points in zip(samples, truth.values(), strict=True):
        assert np.array_equal(sample.points, points)
        assert sample.picture().shape == (40, 60, 3)
    assert samples[0].boxed("tight").box.tolist() == [0, 1, 2, 3]
    assert samples[0].boxed("jitter").box.tolist() == [4, 5, 6, 7]


def test_boxes_are_optional_but_whole(tiny):
    folder, _ = tiny
    table = (folder / "test_boxes.csv").read_text()
    (folder / "test_boxes.csv").write_text(table.replace("test/b_1.png", "test/c_1.png"))
    with pytest.raises(DataError, match=r"test_boxes\.csv .*no row for test/b_1\.png"):
        read_csv(folder, "test")
    (folder / "test_boxes.csv").write_text(table.replace("jitter_y1", "jitter"))
    with pytest.raises(DataError, match=r"test_boxes\.csv: the header is image,NAME_x0"):
        read_csv(folder, "test")
    (folder / "test_boxes.csv").unlink()
    assert read_csv(folder, "test")[0].boxes == {}


def test_an_empty_cell_is_a_missing_point(tiny):
    folder, truth = tiny
    first = truth["test/a_1.png"]
    text = (folder / "test.csv").read_text()
    cell = ",{},{},".format(*map(str, first[2]))
    assert cell in text
    (folder / "test.csv").write_text(text.replace(cell, ",,,"))
    assert np.isnan(read_csv(folder, "test")[0].points).all(1).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image,identity,x0,y0", "image,identity,x0,why", r"test\.csv:1: the column 'y0' is missing"),
        ("image,identity,x0,y0", "image,person,x0,y0", r"test\.csv: no points or no identities; the header is image,"),
        ("image,identity,x0,y0", "name,identity,x0,y0", r"test\.csv:1: there is no column 'image'"),
        ("test/a_2.png,a,", "test/a_2.png,a,7,", r"test\.csv:3: 13 cells, but the header has 12"),
        ("test/a_2.png,a,", "test/a_2.png,a,left", r"test\.csv:3: 'left.*' is not a number"),
        ("test/a_2.png,a,", "test/none.png,a,", r"test\.csv: .*none\.png does not exist; expected\n.*images/"),
    ],
)
def test_what_does_not_fit_is_named(tiny, old, new, message):
    folder, _ = tiny
    text = (folder / "test.csv").read_text()
    assert old in text
    (folder / "test.csv").write_text(text.replace(old, new))
    with pytest.raises(InputError, match="(?s)" + message):
        read_csv(folder, "test")


def test_points_that_are_missing_are_named(tiny):
    folder, _ = tiny
    (folder / "val.csv").write_text("image,identity\ntest/a_1.png,a\n")
    with pytest.raises(DataError, match=r"val\.csv: no points or no identities"):
        read_csv(folder, "val")


def test_depth_hidden_points_and_pose_are_read(tiny, rng):
    """All that results of canthus hold; an image without a face is no sample."""
    folder, truth = tiny
    hidden = np.array([0, 0.25, 0.5, 0.75, 1])
    records = [
        Record(
            name, rng.normal(size=(5, 3)), "39_left", "ann", rng.normal(size=4), pose=rng.normal(size=3), occluded=flags
        )
        for name, flags in zip(list(truth)[:2], (hidden, [*hidden[:4], np.nan]), strict=True)
    ]
    dump(folder / "val.csv", [*records, Record("test/b_1.png")])
    samples = read_csv(folder, "val")
    for sample, record in zip(samples, records, strict=True):
        assert np.array_equal(sample.points, record.points) and np.array_equal(sample.pose, record.pose)
        assert (sample.scheme, sample.identity) == ("39_left", "ann")
        assert np.array_equal(sample.boxed("set").box, record.box)
    assert samples[0].visible.tolist() == [True, True, False, False, False]
    assert samples[1].visible is None


def test_a_missing_split_shows_the_tree(tmp_path):
    with pytest.raises(DataError, match=r"(?s)val\.csv does not exist; expected\n.*train\.csv, val\.csv, test\.csv"):
        read_csv(tmp_path, "val")


@pytest.mark.data
@pytest.mark.parametrize(("name", "sizes"), [("wild68", (1769, 170, 224)), ("ytf68", (2872, 301, 490))])
def test_the_shared_sets(data_root, name, sizes):
    splits = [open_set(name, data_root, split) for split in ("train", "val", "test")]
    assert tuple(map(len, splits)) == sizes
    people = [{sample.identity for sample in split} for split in splits]
    assert sum(map(len, people)) == len(set().union(*people))
    assert all(sample.points.shape == (68, 2) for split in splits for sample in split)
    assert all(set(sample.boxes) == {"tight", "jitter"} for sample in splits[2])


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "a\0.png"])
def test_a_name_that_no_file_can_have(tiny, name):
    folder, _ = tiny
    table = (folder / "test.csv").read_text()
    (folder / "test.csv").write_text(table.replace("test/a_1.png", name))
    with pytest.raises(DataError, match=r"(?s)test\.csv: .* does not exist; expected"):
        read_csv(folder, "test")


def test_a_box_beside_that_is_infinite(tiny):
    folder, _ = tiny
    table = (folder / "test_boxes.csv").read_text()
    (folder / "test_boxes.csv").write_text(table.replace(",7", ",1e400"))
    with pytest.raises(DataError, match=r"test_boxes\.csv, line 2: a number is infinite"):
        read_csv(folder, "test")
