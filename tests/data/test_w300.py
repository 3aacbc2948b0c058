import numpy as np
import pytest
from scipy.io import savemat

from canthus.data.w300 import read_300w, read_300w_private
from canthus.errors import DataError

PUBLIC = (
    "afw/1051618982_1.jpg",
    "afw/1051618982_2.jpg",
    "helen/trainset/100032540_1.jpg",
    "helen/testset/296814969_3.jpg",
    "lfpw/trainset/image_0001.png",
    "lfpw/testset/image_0001.png",
    "lfpw/testset/image_0003.png",
    "ibug/image_003_1.jpg",
    "ibug/image_092 _01.jpg",
)


@pytest.fixture
def public(tmp_path, labelled_face):
    return tmp_path, {name: labelled_face(tmp_path / name) for name in PUBLIC}


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", [0, 1, 2, 4]),
        ("test", [3, 5, 6, 7, 8]),
        ("full", [3, 5, 6, 7, 8]),
        ("common", [3, 5, 6]),
        ("challenging", [7, 8]),
        ("helen", [3]),
        ("lfpw", [5, 6]),
    ],
)
def test_the_splits(public, split, names):
    folder, truth = public
    samples = read_300w(folder, split)
    assert [str(sample.image.relative_to(folder)) for sample in samples] == [PUBLIC[index] for index in names]
    for sample in samples:
        assert sample.scheme == "68"
        assert np.allclose(sample.points, truth[str(sample.image.relative_to(folder))], atol=1e-4)
        assert sample.picture().shape == (40, 60, 3)


def test_the_groups_and_the_source_pictures(public):
    found = {sample.image.name: sample for sample in read_300w(public[0], "test")}
    assert found["image_0003.png"].groups == {"common", "lfpw"}
    assert found["296814969_3.jpg"].groups == {"common", "helen"}
    assert found["image_003_1.jpg"].groups == {"challenging", "ibug"}
    assert found["image_092 _01.jpg"].identity == "ibug:image_092"
    train = [sample.identity for sample in read_300w(public[0], "train")]
    assert train == ["afw:1051618982", "afw:1051618982", "helen/trainset:100032540", "lfpw/trainset:image_0001"]
    assert found["image_0003.png"].identity != found["image_0001.png"].identity


def test_the_owners_boxes(public):
    folder, _ = public
    (folder / "Bounding Boxes").mkdir()
    boxes = np.empty((1, 1), object)
    boxes[0, 0] = {
        "imgName": "image_003_1.jpg",
        "bb_detector": np.array([[11.0, 21, 31, 41]]),
        "bb_ground_truth": np.array([[12.0, 22, 32, 42]]),
    }
    savemat(folder / "Bounding Boxes/bounding_boxes_ibug.mat", {"bounding_boxes": boxes})
    with_box, without = read_300w(folder, "challenging")
    assert with_box.boxed("set").box.tolist() == [10, 20, 30, 40]
    assert with_box.boxed("ground-truth").box.tolist() == [11, 21, 31, 41]
    with pytest.raises(DataError, match="no box is called 'set'"):
        without.boxed("set")
    with pytest.raises(DataError, match=r"bounding_boxes_helen_testset\.mat does not exist"):
        read_300w(folder, "common")


def test_what_is_missing_or_broken_is_named(public, pts, face):
    folder, truth = public
    with pytest.raises(DataError, match=r"300-W has no split 'val'; it has train, test"):
        read_300w(folder, "val")
    pts(folder / "ibug/image_003_1.pts", face(51))
    with pytest.raises(DataError, match=r"image_003_1\.pts: the points are \(51, 2\), but this set has 68"):
        list(read_300w(folder, "challenging"))
    points = truth["ibug/image_003_1.jpg"]
    points[8, 1] = np.nan
    pts(folder / "ibug/image_003_1.pts", points)
    with pytest.raises(DataError, match=r"image_003_1\.pts: point 8 is not a finite number"):
        list(read_300w(folder, "challenging"))
    (folder / "ibug/image_003_1.pts").unlink()
    with pytest.raises(DataError, match=r"image_003_1\.jpg has no labels beside it"):
        read_300w(folder, "challenging")
    (folder / "ibug").rename(folder / "iBUG")
    with pytest.raises(DataError, match=r"(?s)ibug does not exist; expected\n.*lfpw/testset/"):
        read_300w(folder, "test")


def test_the_private_pictures(tmp_path, labelled_face):
    names = ("01_Indoor/indoor_001.png", "01_Indoor/indoor_002.png", "02_Outdoor/outdoor_001.png")
    truth = [labelled_face(tmp_path / name) for name in names]
    samples = read_300w_private(tmp_path, "test")
    assert [sample.identity for sample in samples] == ["indoor_001", "indoor_002", "outdoor_001"]
    assert [sample.groups for sample in samples] == [{"indoor"}, {"indoor"}, {"outdoor"}]
    assert all(np.allclose(sample.points, points, atol=1e-4) for sample, points in zip(samples, truth, strict=True))
    assert (len(read_300w_private(tmp_path, "indoor")), len(read_300w_private(tmp_path, "outdoor"))) == (2, 1)
    (tmp_path / "02_Outdoor/outdoor_001.png").unlink()
    with pytest.raises(DataError, match=r"outdoor_001\.pts has no picture"):
        read_300w_private(tmp_path, "test")
    with pytest.raises(DataError, match=r"(?s)01_Indoor does not exist; expected\n.*indoor_001\.pts"):
        read_300w_private(tmp_path / "elsewhere", "indoor")
