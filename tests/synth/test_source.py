from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.errors import DataError, FormatError, ReadError, SchemeError
from canthus.formats.record import Record
from canthus.formats.table import dump
from canthus.synth.source import open_faces, read_faces


def test_a_data_set(drawn):
    faces = open_faces("wild68", drawn, "train")
    assert faces.points.shape == (8, 68, 2)
    assert faces.scheme == "68"
    assert faces.images[0] == "images/train/0.png"
    assert faces.identities[3] == "persontrain3"
    assert faces.sizes.tolist() == [[120, 120]] * 8
    with pytest.raises(DataError):
        open_faces("wild68", drawn, "nothing")


def test_a_damaged_picture(drawn, tmp_path):
    (tmp_path / "wild68" / "images" / "val").mkdir(parents=True)
    table = (drawn / "wild68" / "val.csv").read_text()
    (tmp_path / "wild68" / "val.csv").write_text(table)
    for index in range(4):
        (tmp_path / "wild68" / "images" / "val" / f"{index}.png").write_bytes(b"")
    with pytest.raises(ReadError, match=r"0\.png"):
        open_faces("wild68", tmp_path, "val")


def test_turned_pictures_and_sets_of_loose_files(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.jpg"), np.zeros((20, 30, 3), np.uint8))
        dump(folder / f"{name}.pts", [Record(name, np.random.default_rng(1).uniform(0, 9, (68, 2)))])
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(whole[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + whole[2:])
    faces = open_faces("pts:mine", tmp_path, "")
    assert faces.images == ("a.jpg", "b.jpg")
    assert faces.sizes.tolist() == [[30, 20], [20, 30]]


def test_a_file_of_landmarks(tmp_path, rng):
    points = rng.uniform(0, 99, (3, 68, 3)).astype(np.float32)
    records = [Record(f"{index}.png", face, identity="me", size=(64, 48)) for index, face in enumerate(points)]
    dump(tmp_path / "faces.json", [*records, Record("empty.png")])
    faces = read_faces(tmp_path / "faces.json")
    assert faces.points == pytest.approx(points[..., :2])
    assert faces.images == ("0.png", "1.png", "2.png")
    assert faces.sizes.tolist() == [[64, 48]] * 3
    assert faces.scheme == "68"
    assert read_faces(tmp_path / "faces.json", "84").scheme == "84"
    dump(tmp_path / "faces.csv", records)
    assert np.isnan(read_faces(tmp_path / "faces.csv").sizes).all()
    dump(tmp_path / "none.json", [Record("empty.png")])
    with pytest.raises(DataError, match="no points"):
        read_faces(tmp_path / "none.json")
    dump(tmp_path / "two.json", [*records, Record("x.png", points[0, :5])])
    with pytest.raises(DataError, match="5, 68"):
        read_faces(tmp_path / "two.json")
    with pytest.raises(FormatError):
        read_faces(tmp_path / "faces.txt")


def test_thinned(drawn):
    faces = open_faces("wild68", drawn, "train")
    few = faces.thinned(3)
    assert few.images == tuple(faces.images[index] for index in (0, 4, 7))
    assert few.points.tolist() == faces.points[[0, 4, 7]].tolist()
    assert faces.thinned(8) is faces
    assert faces.thinned(None) is faces


def test_the_scheme_of_a_file_of_points_is_a_name_or_a_file(tmp_path: Path) -> None:
    dump(tmp_path / "faces.csv", [Record("a.png", np.ones((5, 2)))])
    example = Path(__file__).parents[2] / "examples" / "corners5.yaml"
    schemes = [read_faces(tmp_path / "faces.csv", scheme).scheme for scheme in (None, "5", str(example))]
    assert schemes == ["5", "5", "corners5"]
    with pytest.raises(SchemeError, match="no landmark scheme 'mine'"):
        read_faces(tmp_path / "faces.csv", "mine")
