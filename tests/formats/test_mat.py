import h5py
import numpy as np
import pytest
from scipy.io import savemat

from canthus.errors import FormatError
from canthus.formats.mat import load_mat


@pytest.fixture
def points(rng):
    return rng.uniform(0, 100, (3, 68, 2)).astype(np.float32)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_any_order_of_axes_in_version_5(tmp_path, points, axes):
    savemat(tmp_path / "p.mat", {"points": points.transpose(axes), "note": "mine"})
    assert (load_mat(tmp_path / "p.mat", 68) == points).all()


def test_version_7_3_as_matlab_writes_it(tmp_path, points):
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file["shapes"] = points.transpose(1, 2, 0).T  # MATLAB's (68, 2, 3), stored with its axes turned round
        file["count"] = 3.0
    assert (load_mat(tmp_path / "p.mat", 68) == points).all()


def test_the_only_array_that_fits_is_taken_and_one_face_is_a_face(tmp_path, points):
    savemat(tmp_path / "p.mat", {"pts": points[0].astype(np.float64), "boxes": np.zeros((3, 4))})
    assert (load_mat(tmp_path / "p.mat", 68) == points[:1]).all()


def test_as_it_stands_goes_before_turned(tmp_path, rng):
    square = rng.uniform(0, 9, (5, 5, 2)).astype(np.float32)
    savemat(tmp_path / "p.mat", {"points": square})
    assert (load_mat(tmp_path / "p.mat", 5) == square).all()


def test_what_cannot_be_told_is_refused(tmp_path, points):
    savemat(tmp_path / "two.mat", {"a": points, "b": points})
    with pytest.raises(
        FormatError, match=r"two.mat: needs one array 'points' of shape \(F, 68, 2\), has a \(3, 68, 2\), b"
    ):
        load_mat(tmp_path / "two.mat", 68)
    savemat(tmp_path / "wrong.mat", {"points": points[:, :51]})
    with pytest.raises(FormatError, match=r"points \(3, 51, 2\)"):
        load_mat(tmp_path / "wrong.mat", 68)
    (tmp_path / "text.mat").write_text("nothing of the kind")
    with pytest.raises(FormatError, match=r"text.mat: not a .mat file"):
        load_mat(tmp_path / "text.mat", 68)
