"""COFW as MATLAB 7.3 writes it: HDF5 with references for cells and reversed axes."""

import pickle
import sys

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from canthus.data.cofw import read_cofw, read_cofw68
from canthus.errors import DataError, ExtraMissingError
from canthus.formats import hdf5


def write(path, ending, pictures, phis, boxes):
    with h5py.File(path, "w") as stored:
        cells = stored.create_dataset(f"Is{ending}", (1, len(pictures)), h5py.ref_dtype)
        for index, pixels in enumerate(pictures):
            cells[0, index] = stored.create_dataset(f"#refs#/{index}", data=pixels.T).ref
        stored[f"phis{ending}"] = phis.T
        stored[f"bboxes{ending}"] = boxes.T


@pytest.fixture
def made(tmp_path, rng):
    """Two faces, one grey and one in colour; points as in the file, first pixel at 1."""
    pictures = [rng.integers(0, 255, shape, np.uint8) for shape in ((40, 60), (30, 50, 3))]
    points = np.round(rng.uniform(2, 28, (2, 29, 2)), 1)
    hidden = rng.integers(0, 2, (2, 29))
    phis = np.concatenate([points[..., 0], points[..., 1], hidden], 1).astype(float)
    boxes = np.array([[3.0, 4, 20, 22], [1, 2, 10, 12]])
    for ending, name in (("Tr", "train"), ("T", "test")):
        write(tmp_path / f"COFW_{name}.mat", ending, pictures, phis, boxes)
    return tmp_path, pictures, points, hidden, phis, boxes


@pytest.mark.parametrize("split", ["train", "test"])
def test_29_points(made, split):
    folder, pictures, points, hidden, _, _ = made
    samples = read_cofw(folder, split)
    assert [sample.identity for sample in samples] == [f"COFW_{split}:1", f"COFW_{split}:2"]
    for index, sample in enumerate(samples):
        assert sample.scheme == "29"
        assert np.allclose(sample.points, points[index] - 1, atol=1e-5)
        assert sample.visible.tolist() == (hidden[index] == 0).tolist()
    assert samples[0].boxed("set").box.tolist() == [2, 3, 22, 25]
    assert np.array_equal(samples[0].picture(), np.stack([pictures[0]] * 3, 2))
    assert np.array_equal(pickle.loads(pickle.dumps(samples[1])).picture(), pictures[1])


def test_colour_is_preferred(made):
    folder, pictures, _, _, phis, boxes = made
    write(folder / "COFW_test_color.mat", "T", [pictures[1]] * 2, phis, boxes)
    assert np.array_equal(read_cofw(folder, "test")[0].picture(), pictures[1])


def test_what_does_not_fit_is_named(made):
    folder, pictures, _, _, phis, boxes = made
    path = folder / "COFW_test.mat"
    with pytest.raises(DataError, match="COFW has no split 'val'; it has train, test"):
        read_cofw(folder, "val")
    write(path, "T", pictures, phis[:, :-3], boxes)
    with pytest.raises(DataError, match=r"COFW_test\.mat: phisT is \(2, 84\), not \(F, 87\)"):
        read_cofw(folder, "test")
    phis[1, 29 + 4] = np.nan
    write(path, "T", pictures, phis, boxes)
    with pytest.raises(DataError, match=r"COFW_test\.mat, face 2: point 4 is not a finite number"):
        read_cofw(folder, "test")
    write(path, "T", pictures[:1], phis, boxes)
    with pytest.raises(DataError, match=r"1 pictures, 2 faces, boxes \(2, 4\)"):
        read_cofw(folder, "test")
    write(path, "Tr", pictures, phis, boxes)
    with pytest.raises(DataError, match=r"COFW_test\.mat: there is no variable 'phisT'"):
        read_cofw(folder, "test")
    write(path, "T", [pixels / 255 for pixels in pictures], np.nan_to_num(phis), boxes)
    with pytest.raises(DataError, match=r"IsT\[0\] is not a picture: float64"):
        read_cofw(folder, "test")[0].picture()
    path.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(DataError, match=r"COFW_test\.mat: not a MATLAB file of version 7\.3"):
        read_cofw(folder, "test")
    path.unlink()
    with pytest.raises(DataError, match=r"(?s)COFW_test\.mat does not exist; expected\n.*COFW_train\.mat"):
        read_cofw(folder, "test")


def test_without_h5py_the_extra_is_named(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ExtraMissingError, match=r"canthus\[report\]"):
        read_cofw(made[0], "test")


@pytest.fixture
def made68(made, rng):
    folder, pictures, *_ = made
    points = np.round(rng.uniform(2, 28, (2, 68, 2)), 1)
    hidden = rng.integers(0, 2, (2, 68), np.uint8)
    (folder / "test_annotations").mkdir()
    for index in range(2):
        labels = {"Points": points[index], "Occ": hidden[index : index + 1]}
        savemat(folder / f"test_annotations/{index + 1}_points.mat", labels)
    savemat(folder / "cofw68_test_bboxes.mat", {"bboxes": np.array([[3.0, 4, 20, 22], [1, 2, 10, 12]])})
    return folder, pictures, points, hidden


def test_68_points(made68):
    folder, pictures, points, hidden = made68
    samples = read_cofw68(folder, "test")
    assert len(samples) == 2
    for index, sample in enumerate(samples):
        assert sample.scheme == "68"
        assert np.allclose(sample.points, points[index] - 1, atol=1e-5)
        assert sample.visible.tolist() == (hidden[index] == 0).tolist()
    assert samples[1].boxed("set").box.tolist() == [0, 1, 10, 13]
    assert np.array_equal(samples[1].picture(), pictures[1])


def test_what_does_not_fit_in_68_is_named(made68):
    folder, _, points, hidden = made68
    labels = folder / "test_annotations/2_points.mat"
    savemat(labels, {"Points": points[1][:29], "Occ": hidden[1]})
    with pytest.raises(DataError, match=r"2_points\.mat: the points are \(29, 2\), but this set has 68"):
        read_cofw68(folder, "test")[1]
    savemat(labels, {"Points": points[1], "Occ": hidden[1][:67]})
    with pytest.raises(DataError, match=r"2_points\.mat: Occ has 67 flags"):
        read_cofw68(folder, "test")[1]
    broken = points[1].copy()
    broken[67] = np.nan
    savemat(labels, {"Points": broken, "Occ": hidden[1]})
    with pytest.raises(DataError, match=r"2_points\.mat: point 67 is not a finite number"):
        read_cofw68(folder, "test")[1]
    labels.unlink()
    with pytest.raises(DataError, match=r"(?s)2_points\.mat does not exist; expected\n.*cofw68_test_bboxes\.mat"):
        read_cofw68(folder, "test")
    savemat(folder / "cofw68_test_bboxes.mat", {"bboxes": np.zeros((507, 4))})
    with pytest.raises(DataError, match=r"2 pictures, but the boxes are \(507, 4\)"):
        read_cofw68(folder, "test")


def test_a_file_from_which_hdf5_never_returns_is_refused(made, monkeypatch):
    """All pictures are read once in a process whose time is limited, before they are read here."""
    folder = made[0]
    monkeypatch.setattr(hdf5, "_CHILD", "import time; time.sleep(60) # {path}")
    monkeypatch.setattr(hdf5, "LONGEST", 0.5)
    with pytest.raises(DataError, match=r"COFW_test\.mat: .*HDF5 does not finish reading it"):
        read_cofw(folder, "test")


def test_a_damaged_picture_concerns_itself_alone(made):
    folder, pictures, *_ = made
    with h5py.File(folder / "COFW_test.mat", "a") as stored:
        stored["IsT"][0, 0] = h5py.Reference()  # to nothing
    first, second = read_cofw(folder, "test")
    assert np.array_equal(second.picture(), pictures[1])
    with pytest.raises(DataError, match=r"COFW_test\.mat: "):
        first.picture()
    readable = hdf5.read_hdf5(folder / "COFW_test.mat", ["IsT"])["IsT"]
    assert readable.tolist() == [False, True]
