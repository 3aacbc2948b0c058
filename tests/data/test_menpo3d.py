import json

import numpy as np
import pytest

from canthus.data.menpo3d import read_menpo3d
from canthus.errors import DataError


def write(path, points):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"landmarks": {"points": points[:, ::-1].tolist()}}))


@pytest.fixture
def made(tmp_path, labelled_face, picture, face, pts):
    truth = {}
    for frame in (1, 2):
        truth["001", frame] = face(84)
        write(tmp_path / f"projected_image_space/001/{frame:06}.ljson", truth["001", frame])
        picture(tmp_path / f"train/001/frames/{frame:06}.png")
        truth["clip", frame] = face(84)
        pts(tmp_path / f"test/clip/annot/{frame:06}.pts", truth["clip", frame])
        picture(tmp_path / f"test/clip/frames/{frame:06}.png")
    return tmp_path, truth


@pytest.mark.parametrize(("split", "name"), [("train", "001"), ("test", "clip")])
def test_points_of_every_frame(made, split, name):
    folder, truth = made
    samples = read_menpo3d(folder, split)
    assert [(sample.identity, sample.frame) for sample in samples] == [(f"menpo3d:{name}", 0), (f"menpo3d:{name}", 1)]
    for sample in samples:
        assert sample.scheme == "84"
        assert np.allclose(sample.points, truth[name, sample.frame + 1], atol=1e-4)
        assert sample.picture().shape == (40, 60, 3)


def test_what_a_killed_run_left_is_no_video(made):
    folder, _ = made
    for home in ("projected_image_space", "test"):
        (folder / home / ".clip.part" / "annot").mkdir(parents=True)
    assert len(read_menpo3d(folder, "train")) == len(read_menpo3d(folder, "test")) == 2


def test_what_does_not_fit_is_named(made, face, pts):
    folder, truth = made
    pts(folder / "test/clip/annot/000001.pts", face(68))
    with pytest.raises(DataError, match=r"000001\.pts: the points are \(68, 2\), but this set has 84"):
        read_menpo3d(folder, "test")[0]
    broken = truth["001", 1]
    broken[80] = np.nan
    write(folder / "projected_image_space/001/000001.ljson", broken)
    with pytest.raises(DataError, match=r"000001\.ljson: point 80 is not a finite number"):
        read_menpo3d(folder, "train")[0]
    (folder / "train").rename(folder / "videos")
    with pytest.raises(DataError, match=r"(?s)train/001/vid\.avi does not exist; expected\n.*300-VW"):
        read_menpo3d(folder, "train")
    with pytest.raises(DataError, match=r"(?s)projected_image_space does not exist; expected"):
        read_menpo3d(folder / "elsewhere", "train")
