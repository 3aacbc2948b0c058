import sys

import numpy as np
import pytest
from scipy.io import savemat

from canthus.data.files import checked, choose, expect, from_corner, labelled, read_mat, read_points
from canthus.errors import DataError, ExtraMissingError, FormatError


def test_what_is_missing_is_told_with_the_tree(tmp_path):
    with pytest.raises(DataError) as caught:
        expect(tmp_path / "a.csv", tmp_path, "{folder}/\n  a.csv")
    assert str(caught.value) == f"{tmp_path}/a.csv does not exist; expected\n{tmp_path}/\n  a.csv"


def test_an_unknown_split_is_told_with_the_known_ones():
    with pytest.raises(DataError, match="WFLW has no split 'val'; it has train, test"):
        choose({"train": 1, "test": 2}, "val", "WFLW")


def test_labels_come_with_their_pictures(tmp_path, labelled_face):
    for name in ("b.png", "a.jpg", "below/c.png"):
        labelled_face(tmp_path / name)
    pairs = [(tmp_path / "a.pts", tmp_path / "a.jpg"), (tmp_path / "b.pts", tmp_path / "b.png")]
    assert labelled(tmp_path) == pairs
    assert labelled(tmp_path, deep=True) == [*pairs, (tmp_path / "below/c.pts", tmp_path / "below/c.png")]


def test_a_lone_picture_or_label_is_named(tmp_path, labelled_face, picture):
    with pytest.raises(DataError, match=r"holds no \.pts file"):
        labelled(tmp_path)
    labelled_face(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png has no labels.*b\.pts"):
        labelled(tmp_path)
    assert len(labelled(tmp_path, complete=False)) == 1
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.pts has no picture"):
        labelled(tmp_path, complete=False)


def test_pts_count_pixels_from_one(tmp_path, labelled_face):
    points = labelled_face(tmp_path / "a.png")
    assert np.allclose(read_points(tmp_path / "a.pts", 39, 68), points, atol=1e-4)


def test_points_that_do_not_fit_are_refused(tmp_path, labelled_face, pts, face):
    labelled_face(tmp_path / "a.png", 67)
    with pytest.raises(DataError, match=r"a\.pts: the points are \(67, 2\), but this set has 39 or 68 points"):
        read_points(tmp_path / "a.pts", 39, 68)
    points = face(68)
    points[5] = np.nan
    pts(tmp_path / "a.pts", points)
    with pytest.raises(DataError, match=r"a\.pts: point 5 is not a finite number"):
        read_points(tmp_path / "a.pts", 68)
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 68\n{\n1 2\n")
    with pytest.raises(FormatError, match=r"a\.pts"):
        read_points(tmp_path / "a.pts", 68)
    with pytest.raises(DataError, match=r"\(68,\)"):
        checked(np.zeros(68), "here", 68)


def test_mat_files_that_do_not_fit_are_refused(tmp_path):
    savemat(tmp_path / "a.mat", {"here": np.eye(2)})
    assert np.array_equal(read_mat(tmp_path / "a.mat", ["here"])["here"], np.eye(2))
    with pytest.raises(DataError, match=r"a\.mat: there is no variable 'there'"):
        read_mat(tmp_path / "a.mat", ["here", "there"])
    (tmp_path / "b.mat").write_bytes(b"no MATLAB at all" * 20)
    with pytest.raises(DataError, match=r"b\.mat: not a MATLAB file"):
        read_mat(tmp_path / "b.mat", ["here"])
    (tmp_path / "c.mat").write_bytes(b"")
    with pytest.raises(DataError, match=r"c\.mat: not a MATLAB file"):
        read_mat(tmp_path / "c.mat", ["here"])


def test_without_scipy_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[report\]'"):
        read_mat(tmp_path / "a.mat", ["here"])


def test_a_box_of_corner_and_size():
    assert from_corner([[11, 21, 30, 40]], 1).tolist() == [10, 20, 40, 60]
