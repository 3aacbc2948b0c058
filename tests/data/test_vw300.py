import numpy as np
import pytest

from canthus.data.vw300 import CATEGORIES, SPLITS, TRAIN, read_300vw
from canthus.errors import DataError


@pytest.fixture
def made(tmp_path, labelled_face):
    """One frame of each of the 114 videos, extracted."""
    truth = {}
    for name in {**SPLITS, "all": f"{TRAIN} {SPLITS['test']}"}["all"].split():
        truth[name] = labelled_face(tmp_path / name / "frames/000001.png")
        (tmp_path / name / "annot").mkdir()
        (tmp_path / name / "frames/000001.pts").rename(tmp_path / name / "annot/000001.pts")
    return tmp_path, truth


def test_the_published_numbers_of_videos(made):
    folder, truth = made
    sizes = {split: len(read_300vw(folder, split)) for split in SPLITS}
    assert sizes == {"train": 50, "test": 64, "category1": 31, "category2": 19, "category3": 14}
    assert len(truth) == 114
    sample = read_300vw(folder, "category3")[0]
    assert np.allclose(sample.points, truth["410"], atol=1e-4)
    assert (sample.identity, sample.scheme, sample.frame, sample.groups) == ("300vw:410", "68", 0, {"category3"})
    assert read_300vw(folder, "train")[0].groups == frozenset()
    assert sorted(name for names in CATEGORIES.values() for name in names.split()) == sorted(SPLITS["test"].split())


def test_what_does_not_fit_is_named(made, pts, face):
    folder, truth = made
    labels = folder / "114/annot/000001.pts"
    pts(labels, face(49))
    with pytest.raises(DataError, match=r"114/annot/000001\.pts: the points are \(49, 2\), but this set has 68"):
        read_300vw(folder, "category1")[0]
    truth["114"][30] = np.nan
    pts(labels, truth["114"])
    with pytest.raises(DataError, match=r"114/annot/000001\.pts: point 30 is not a finite number"):
        read_300vw(folder, "category1")[0]
    (folder / "124").rename(folder / "other")
    with pytest.raises(DataError, match=r"(?s)124/annot does not exist; expected\n.*001/vid\.avi"):
        read_300vw(folder, "category1")
