import h5py
import numpy as np
import pytest
from scipy.io import savemat

from canthus.errors import FormatError
from canthus.formats import hdf5
from canthus.formats.mat import load, points_of, read_arrays
from canthus.formats.matlab import read_variables


@pytest.fixture
def points(rng):
    return rng.uniform(0, 100, (4, 68, 2)).astype(np.float32)


def load_mat(path, count):
    return points_of(read_arrays(path), count, path)


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_any_order_of_axes_in_version_5(tmp_path, points, axes):
    savemat(tmp_path / "p.mat", {"points": points.transpose(axes), "note": "mine"})
    assert (load_mat(tmp_path / "p.mat", 68) == points).all()


def test_version_7_3_as_matlab_writes_it(tmp_path, points):
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file["shapes"] = points.transpose(1, 2, 0).T  # MATLAB's (68, 2, 4), stored with its axes turned round
        file["count"] = 3.0
    assert (load_mat(tmp_path / "p.mat", 68) == points).all()


def test_the_only_array_that_fits_is_taken_and_one_face_is_a_face(tmp_path, points):
    savemat(tmp_path / "p.mat", {"pts": points[0].astype(np.float64), "boxes": np.zeros((3, 4))})
    assert (load_mat(tmp_path / "p.mat", 68) == points[:1]).all()


def test_as_it_stands_goes_before_turned(tmp_path, rng):
    square = rng.uniform(0, 9, (5, 5, 2)).astype(np.float32)
    savemat(tmp_path / "p.mat", {"points": square})
    assert (load_mat(tmp_path / "p.mat", 5) == square).all()


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_points_with_depth(tmp_path, rng, axes):
    deep = rng.uniform(0, 9, (4, 68, 3)).astype(np.float32)
    savemat(tmp_path / "p.mat", {"points": deep.transpose(axes)})
    assert (load_mat(tmp_path / "p.mat", 68) == deep).all()


def test_three_faces_in_the_plane_or_two_with_depth(tmp_path, rng):
    three = rng.uniform(0, 9, (3, 68, 2)).astype(np.float32)
    savemat(tmp_path / "p.mat", {"points": three})
    assert (load_mat(tmp_path / "p.mat", 68) == three).all()
    savemat(tmp_path / "p.mat", {"points": three.transpose(1, 2, 0)})
    with pytest.raises(FormatError, match=r"needs one array 'points' of shape \(F, 68, 2\), has points \(68, 2, 3\)"):
        load_mat(tmp_path / "p.mat", 68)


def test_text_of_version_7_3(tmp_path, points):
    """As MATLAB stores it: characters as numbers, a cell as references to them."""
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file["points"] = points[:2].T
        for name, text in {"scheme": "68", "#refs#/a": "x/ä.jpg", "#refs#/b": "y.jpg"}.items():
            file[name] = np.array([[ord(letter)] for letter in text], np.uint16)
            file[name].attrs["MATLAB_class"] = np.bytes_("char")
        cell = np.array([[file["#refs#/a"].ref], [file["#refs#/b"].ref]], h5py.ref_dtype)
        file.create_dataset("images", data=cell)
        file["images"].attrs["MATLAB_class"] = np.bytes_("cell")
    faces = load(tmp_path / "p.mat")
    assert [(face.image, face.scheme) for face in faces] == [("x/ä.jpg", "68"), ("y.jpg", "68")]
    assert (np.stack([face.points for face in faces]) == points[:2]).all()


def test_what_cannot_be_told_is_refused(tmp_path, points):
    savemat(tmp_path / "two.mat", {"a": points, "b": points})
    with pytest.raises(
        FormatError, match=r"two.mat: needs one array 'points' of shape \(F, 68, 2\), has a \(4, 68, 2\), b"
    ):
        load_mat(tmp_path / "two.mat", 68)
    savemat(tmp_path / "wrong.mat", {"points": points[:, :51]})
    with pytest.raises(FormatError, match=r"points \(4, 51, 2\)"):
        load_mat(tmp_path / "wrong.mat", 68)
    (tmp_path / "text.mat").write_text("nothing of the kind")
    with pytest.raises(FormatError, match=r"text.mat: not a .mat file"):
        load_mat(tmp_path / "text.mat", 68)


def test_other_files_are_not_read(tmp_path, points):
    """What version 7.3 takes from elsewhere: data sets of bytes of any file, and links to other files."""
    (tmp_path / "secret").write_bytes(points.tobytes())
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file.create_dataset("points", points.shape, "f4", external=[(str(tmp_path / "secret"), 0, points.nbytes)])
    with pytest.raises(FormatError, match=r"p\.mat: .*points lies in another file"):
        read_arrays(tmp_path / "p.mat")
    with h5py.File(tmp_path / "other.mat", "w") as file:
        file["points"] = points
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file["points"] = h5py.ExternalLink(str(tmp_path / "other.mat"), "/points")
    assert read_arrays(tmp_path / "p.mat") == {}


def test_what_unpacks_to_far_more_than_its_size(tmp_path):
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file.create_dataset("points", (10**9, 68, 2), "f4")  # 544 GB of zeros that the file does not store
    with pytest.raises(FormatError, match=r"p\.mat: .*unpacks to more than a file of this size may"):
        read_arrays(tmp_path / "p.mat")
    savemat(tmp_path / "p.mat", {"points": np.zeros(70 << 20, np.uint8)}, do_compression=True)
    with pytest.raises(FormatError, match=r"p\.mat: .*unpacks to more than a file of this size may"):
        read_arrays(tmp_path / "p.mat")


def test_a_damaged_file_of_every_version(tmp_path, points):
    savemat(tmp_path / "5.mat", {"points": points}, do_compression=True)
    savemat(tmp_path / "4.mat", {"points": points[0]}, format="4")
    with h5py.File(tmp_path / "7.mat", "w") as file:
        file["points"] = points
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(FormatError, match=rf"{path.name}: not a \.mat file, or a damaged one"):
            load_mat(path, 68)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (64, 255, "a variable of class 7 has an element of type 255"),
        (64, 14, "a variable of class 7 has an element of type 14"),
        (64, 0x5000001, "more than there is"),
        (68, 10**6, "more than there is"),
        (28, 10, "a variable has axes that cannot be"),
        (24, 9, "a variable has no axes or no name"),
        (48, 7, "a variable has no axes or no name"),
        (8, 1, "a variable has no flags"),
        (0, 13, "an element of type 13 stands where a variable should"),
    ],
)
def test_elements_on_which_scipy_crashes_do_not_reach_it(tmp_path, points, place, value, says):
    path = tmp_path / "p.mat"
    savemat(path, {"points": points})
    data = bytearray(path.read_bytes())
    data[128 + place : 132 + place] = value.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(FormatError, match=rf"p\.mat: not a \.mat file, or a damaged one: .*{says}"):
        read_arrays(path)


def test_variables_of_every_class_reach_scipy(tmp_path):
    cell = np.array([[np.array([1.0]), np.zeros((0, 0)), "text"]], object)
    some = {
        "a": np.zeros((2, 3)),
        "b": np.zeros(2) + 1j,
        "c": {"x": 1, "y": "t"},
        "d": cell,
        "e": "ü",
        "f": np.eye(3) > 0,
    }
    for compress in (False, True):
        savemat(tmp_path / "p.mat", some, do_compression=compress)
        assert read_variables(tmp_path / "p.mat").keys() == some.keys()


def test_hdf5_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    """HDF5 loops on some damaged files; the process that reads them has a limited time."""
    with h5py.File(tmp_path / "p.mat", "w") as file:
        file["points"] = np.zeros((1, 68, 2))
    for loop, seconds in (
        ("import time; time.sleep(60)", 0.5),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 60),
    ):
        monkeypatch.setattr(hdf5, "_CHILD", loop + " # {path}")
        monkeypatch.setattr(hdf5, "LONGEST", seconds)
        with pytest.raises(FormatError, match=r"p\.mat: .*HDF5 does not finish reading it"):
            read_arrays(tmp_path / "p.mat")
