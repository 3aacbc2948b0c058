"""Lists of pictures without landmarks, in the form of fairface and backdrops, and portraits with five points."""

import numpy as np
import pytest

from canthus.data.audit import audit
from canthus.data.catalogue import open_set
from canthus.data.sample import NO_POINTS
from canthus.errors import DataError, InputError
from canthus.schemes.scheme import Scheme


@pytest.fixture
def unlabelled(tmp_path, picture):
    """Two faces as FairFace has them, and a backdrop."""
    for name in ("fairface/images/train_1.png", "fairface/images/train_2.png", "backdrops/images/bsds_1.png"):
        picture(tmp_path / name)
    rows = "train_1.png,03-Sep,Male,East Asian\ntrain_2.png,more than 70,Female,Latino_Hispanic\n"
    (tmp_path / "fairface/list.csv").write_text(f"image,age,gender,race\n{rows}")
    (tmp_path / "backdrops/train.csv").write_text("image\nbsds_1.png\n")
    return tmp_path


def test_a_backdrop_is_a_picture_and_nothing_else(unlabelled):
    (sample,) = open_set("backdrops", unlabelled, "train")
    assert (sample.scheme, sample.points.shape, sample.box, sample.groups) == (NO_POINTS, (0, 2), None, {"empty"})
    assert sample.picture().shape == (40, 60, 3)
    assert list(audit([sample])) == []


def test_an_unlabelled_face_has_a_box_and_groups(unlabelled):
    first, second = open_set("fairface", unlabelled, "list")
    assert first.groups == {"age-3-9", "gender-male", "race-east-asian"}  # the age that a spreadsheet took for a date
    assert second.groups == {"age-more-than-70", "gender-female", "race-latino-hispanic"}
    assert first.points.shape == (0, 2)
    np.testing.assert_allclose(first.box, [5.5, 5.9, 53.5, 37.5], atol=1e-4)  # of 60 x 40 pixels
    (only,) = open_set("fairface", unlabelled, "list/gender-female")
    assert only.identity == "train_2.png"


def test_any_list_of_pictures(unlabelled):
    (sample,) = open_set("pictures:backdrops", unlabelled, "train")
    assert (sample.identity, sample.groups) == ("bsds_1.png", frozenset())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("train_2.png", "train_3.png", r"(?s)list\.csv, line 3: .*train_3\.png does not exist; expected\n.*list\.csv"),
        ("image,", "name,", r"list\.csv: the header is image,NAME,\.\.\., not name,age,gender,race"),
        (",Male", "", r"list\.csv, line 2: 3 cells, but the header has 4"),
    ],
)
def test_what_does_not_fit_a_list_is_named(unlabelled, old, new, message):
    path = unlabelled / "fairface/list.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        open_set("fairface", unlabelled, "list")


def test_a_damaged_picture_is_named_when_its_box_is_needed(unlabelled):
    (unlabelled / "fairface/images/train_2.png").write_bytes(b"no picture")
    faces = open_set("fairface", unlabelled, "list")
    with pytest.raises(DataError, match=r"train_2\.png: .*; restore the picture"):
        faces[1]


@pytest.fixture
def portraits(tmp_path, face, picture):
    """A profile and a frontal face of one picture."""
    header = ",".join(f"{axis}{index}" for index in range(5) for axis in "xy")
    rows = []
    for name, rest in (("_-60_12_0.jpg", "1,2,1,1"), ("_-60_12_1.jpg", "2,1,2,3")):
        picture(tmp_path / "portraits5/images" / name)
        rows.append(f"{name},{','.join(map(str, face(5).ravel()))},{rest}\n")
    (tmp_path / "portraits5/train.csv").write_text(f"image,{header},gender,smile,glasses,pose\n{''.join(rows)}")
    return tmp_path


def test_portraits_have_five_points_and_groups(portraits):
    first, second = open_set("portraits5", portraits, "train")
    assert (first.scheme, first.points.shape) == ("5", (5, 2))
    assert first.identity == second.identity == "portraits5:_-60_12"
    assert first.groups == {"profile", "profile_left", "gender-male", "smile-no", "glasses-yes"}
    assert second.groups == {"front", "gender-female", "smile-yes", "glasses-no"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",glasses,", ",hat,", r"train\.csv: the header is image,x0,y0,\.\.\.,x4,y4,gender,smile,glasses,pose, not"),
        ("1,2,1,1", "1,2,1,6", r"train\.csv, line 2: pose is '6', not one of 1, 2, 3, 4, 5"),
        ("1,2,1,1", "3,2,1,1", r"train\.csv, line 2: gender is '3', not one of 1, 2"),
        ("_-60_12_0.jpg,", "_-60_12_0.jpg,left", r"train\.csv:2: 'left.*' is not a number"),
        ("_-60_12_0.jpg,", "none.jpg,", r"(?s)none\.jpg does not exist; expected\n.*gender,smile,glasses,pose"),
    ],
)
def test_what_does_not_fit_the_portraits_is_named(portraits, old, new, message):
    path = portraits / "portraits5/train.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        open_set("portraits5", portraits, "train")


@pytest.mark.data
def test_the_shared_sets(data_root):
    assert len(open_set("fairface", data_root, "list")) == 4000
    assert len(open_set("fairface", data_root, "list/age-10-19")) == 462
    assert [len(open_set("backdrops", data_root, split)) for split in ("train", "test")] == [604, 300]
    people = [len(open_set("backdrops", data_root, f"{split}/people")) for split in ("train", "test")]
    assert people == [39, 19]
    portraits = open_set("portraits5", data_root, "train")
    assert len(portraits) == 1391
    assert sum("profile" in sample.groups for sample in portraits) == 291
    assert all(np.isfinite(sample.points).all() for sample in portraits)


@pytest.mark.data
def test_left_and_right_of_the_portraits(data_root):
    """The order is that of the scheme, and the nose of a profile points away from the visible half."""
    assert Scheme.open("5").names[:2] == ("eye_right_centre", "eye_left_centre")
    samples = open_set("portraits5", data_root, "train")
    points = np.stack([sample.points for sample in samples])
    eyes, mouth = points[:, 1] - points[:, 0], points[:, 4] - points[:, 3]
    assert (eyes[:, 0] > 0).all() and (mouth[:, 0] > 0).all()  # the subject's right lies left in the picture
    nose = (points[:, 2] - points[:, :2].mean(1))[:, 0]
    for group, sign in (("profile_left", -1), ("profile_right", 1)):
        chosen = np.array([group in sample.groups for sample in samples])
        assert (np.sign(nose[chosen]) == sign).all()
