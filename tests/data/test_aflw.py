import sqlite3
from contextlib import closing

import numpy as np
import pytest
from scipy.io import savemat

from canthus.data import aflw
from canthus.data.aflw import read_aflw, read_aflw19
from canthus.errors import DataError

TABLES = """
CREATE TABLE Faces (face_id INTEGER PRIMARY KEY, file_id TEXT, db_id TEXT);
CREATE TABLE FaceImages (image_id INTEGER, db_id TEXT, file_id TEXT, filepath TEXT, bw INTEGER,
    width INTEGER, height INTEGER);
CREATE TABLE FaceRect (face_id INTEGER, x INTEGER, y INTEGER, w INTEGER, h INTEGER, annot_type_id INTEGER);
CREATE TABLE FacePose (face_id INTEGER, roll REAL, pitch REAL, yaw REAL, annot_type_id INTEGER);
CREATE TABLE FeatureCoordTypes (feature_id INTEGER, descr TEXT, code TEXT, x REAL, y REAL, z REAL);
CREATE TABLE FeatureCoords (face_id INTEGER, feature_id INTEGER, x REAL, y REAL, annot_type_id INTEGER);
INSERT INTO Faces VALUES (39341, 'image00002.jpg', 'aflw'), (39342, 'image00002.jpg', 'aflw'),
    (39343, 'image00004.jpg', 'aflw');
INSERT INTO FaceImages VALUES (1, 'aflw', 'image00002.jpg', '0/image00002.jpg', 0, 60, 40),
    (2, 'aflw', 'image00004.jpg', '2/image00004.jpg', 0, 60, 40);
INSERT INTO FaceRect VALUES (39341, 3, 4, 20, 22, 1), (39343, 5, 6, 10, 12, 1);
INSERT INTO FacePose VALUES (39341, 0.1, 0.2, -0.5, 1), (39343, 0, 0, 0, 1);
INSERT INTO FeatureCoords VALUES (39341, 15, 12.5, 14.25, 1), (39341, 1, 3, 5, 1), (39341, 21, 13, 30, 1),
    (39342, 8, 7, 9, 1);
"""


@pytest.fixture
def made(tmp_path, picture):
    for name in ("0/image00002.jpg", "2/image00004.jpg"):
        picture(tmp_path / "flickr" / name)
    change(tmp_path, TABLES)
    return tmp_path


def change(folder, commands):
    with closing(sqlite3.connect(folder / "aflw.sqlite")) as database:
        database.executescript(commands)


def test_what_is_not_visible_has_no_point(made):
    first, second = read_aflw(made, "all")
    assert first.points.shape == (21, 2)
    assert np.flatnonzero(first.visible).tolist() == [0, 14, 20]
    assert first.points[[0, 14, 20]].tolist() == [[3, 5], [12.5, 14.25], [13, 30]]
    assert np.isnan(first.points[~first.visible]).all()
    assert np.allclose(first.pose, np.degrees([-0.5, 0.2, 0.1]), atol=1e-4)
    assert first.boxed("set").box.tolist() == [3, 4, 23, 26]
    assert (first.scheme, first.identity) == ("21", "0/image00002.jpg")
    assert first.picture().shape == (40, 60, 3)
    assert (second.identity, second.pose, second.boxes) == (first.identity, None, {})


def test_faces_without_a_point_are_left_out(made):
    assert len(read_aflw(made, "all")) == 2
    change(made, "INSERT INTO FeatureCoords VALUES (39343, 2, 1, 1, 1)")
    assert read_aflw(made, "all")[2].identity == "2/image00004.jpg"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "INSERT INTO FeatureCoords VALUES (39342, 22, 1, 1, 1)",
            r"face 39342 has a point 22, but AFLW numbers them 1 to 21",
        ),
        ("INSERT INTO FeatureCoords VALUES (39342, 2, NULL, 1, 1)", r"point 2 of face 39342 has no coordinates"),
        ("DROP TABLE FacePose", r"aflw\.sqlite: not the database of AFLW \(no such table: FacePose\)"),
        (
            "UPDATE FaceImages SET filepath = '3/none.jpg'",
            r"(?s)flickr/3/none\.jpg does not exist; expected\n.*aflw\.sqlite",
        ),
    ],
)
def test_what_does_not_fit_is_named(made, command, message):
    change(made, command)
    with pytest.raises(DataError, match=message):
        read_aflw(made, "all")


def test_a_missing_or_broken_database_is_named(tmp_path):
    with pytest.raises(DataError, match=r"AFLW has no split 'test'; it has all"):
        read_aflw(tmp_path, "test")
    with pytest.raises(DataError, match=r"(?s)aflw\.sqlite does not exist; expected\n.*flickr/0/"):
        read_aflw(tmp_path, "all")
    assert not list(tmp_path.iterdir())
    (tmp_path / "aflw.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="file is not a database"):
        read_aflw(tmp_path, "all")


@pytest.fixture
def made19(made, rng, monkeypatch):
    """Five faces; the first three of the order 4 1 5 3 2 are for training."""
    monkeypatch.setattr(aflw, "TRAIN_19", 3)
    names = np.empty((5, 1), object)
    names[:, 0] = ["0/image00002.jpg"] * 4 + ["2/image00004.jpg"]
    mask = np.ones((5, 19))
    mask[1, 4] = 0
    found = {
        "nameList": names,
        "data": rng.uniform(2, 38, (5, 38)),
        "mask_new": mask,
        "bbox": np.array([[1.0, 11, 2, 22]] * 5),
        "ra": np.array([[4, 1, 5, 3, 2]]),
    }
    savemat(made / "AFLWinfo_release.mat", found)
    return made, found


def test_19_points(made19):
    folder, found = made19
    train, full, frontal = (read_aflw19(folder, split) for split in ("train", "full", "frontal"))
    assert (len(train), len(full), len(frontal)) == (3, 2, 1)
    for sample, index in zip(train + full + frontal, (3, 0, 4, 2, 1, 2), strict=True):
        assert np.allclose(sample.points[:, 0], found["data"][index, :19])
        assert np.allclose(sample.points[:, 1], found["data"][index, 19:])
        assert sample.visible.tolist() == found["mask_new"][index].astype(bool).tolist()
        assert sample.boxed("set").box.tolist() == [1, 2, 11, 22]
        assert (sample.scheme, sample.identity) == ("19", found["nameList"][index, 0])
    assert train[0].picture().shape == (40, 60, 3)


def test_what_does_not_fit_in_19_is_named(made19):
    folder, found = made19

    def write(**values):
        savemat(folder / "AFLWinfo_release.mat", found | values)

    write(data=found["data"][:, :36])
    with pytest.raises(DataError, match=r"AFLWinfo_release\.mat: data is \(5, 36\), not \(5, 38\)"):
        read_aflw19(folder, "train")
    broken = found["data"].copy()
    broken[0, 19 + 7] = np.nan
    write(data=broken)
    with pytest.raises(DataError, match=r"0/image00002\.jpg: point 7 is not a finite number"):
        read_aflw19(folder, "train")
    write(ra=np.array([[1, 2, 3, 4, 4]]))
    with pytest.raises(DataError, match=r"ra is not a permutation of 5 faces"):
        read_aflw19(folder, "train")
    write()
    (folder / "flickr/2/image00004.jpg").unlink()
    with pytest.raises(DataError, match=r"(?s)image00004\.jpg does not exist; expected\n.*AFLWinfo_release\.mat"):
        read_aflw19(folder, "train")
    (folder / "AFLWinfo_release.mat").unlink()
    with pytest.raises(DataError, match=r"(?s)AFLWinfo_release\.mat does not exist; expected\n"):
        read_aflw19(folder, "train")
