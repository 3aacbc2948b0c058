import numpy as np
import pytest

from canthus.data.pts_folder import read_pts_folder
from canthus.errors import DataError


def test_every_labelled_picture_below_the_folder(tmp_path, labelled_face, picture):
    truth = {name: labelled_face(tmp_path / f"{name}.png", count) for name, count in [("train/ann", 68), ("val/bo", 5)]}
    picture(tmp_path / "train/unlabelled.png")
    samples = read_pts_folder(tmp_path)
    assert [(sample.identity, sample.scheme) for sample in samples] == [("train/ann", "68"), ("val/bo", "5")]
    for sample in samples:
        assert np.allclose(sample.points, truth[sample.identity], atol=1e-4)
        assert sample.picture().shape == (40, 60, 3)
    assert [sample.identity for sample in read_pts_folder(tmp_path, "val")] == ["val/bo"]


def test_what_a_killed_run_left_is_left_out(tmp_path, labelled_face, pts, face):
    labelled_face(tmp_path / "ann.png", 68)
    (tmp_path / ".bo.part").mkdir()
    pts(tmp_path / ".bo.part" / "000001.pts", face(68))
    assert [sample.identity for sample in read_pts_folder(tmp_path)] == ["ann"]


def test_a_missing_folder_shows_the_tree(tmp_path):
    with pytest.raises(DataError, match=r"(?s)test does not exist; expected\n.*name\.pts"):
        read_pts_folder(tmp_path, "test")
