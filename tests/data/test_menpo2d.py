import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canthus.data.menpo2d import profile_side, read_menpo2d
from canthus.errors import DataError


def profile() -> np.ndarray:
    """A face that looks to the right of the picture (the subject's right half is seen), drawn by hand."""
    jaw = [
        (0, 0),
        (1, 8),
        (3, 16),
        (6, 23),
        (10, 29),
        (15, 34),
        (21, 37),
        (27, 39),
        (31, 40),
        (33, 37),
        (33, 35),
        (32, 33),
    ]
    brow = [(16, -10), (20, -13), (25, -13), (29, -11)]
    nose = [(31, -4), (34, 3), (37, 9), (39, 13), (34, 18), (30, 17)]
    eye = [(27, -4), (25, -6), (21, -3), (25, -2), (27, -2)]
    mouth = [(34, 23), (31, 24), (28, 24), (25, 26), (28, 29), (31, 30), (33, 30), (33, 25), (30, 26), (26, 26)]
    inner = [(30, 27), (33, 27)]
    return np.array(jaw + brow + nose[:5] + eye + [nose[5]] + mouth[:7] + mouth[7:] + inner, float)[:39] * 2 + (40, 60)


def test_the_drawing_has_39_points():
    assert profile().shape == (39, 2)


@given(st.floats(-60, 60), st.floats(0.2, 5), st.booleans(), st.booleans())
def test_the_side_of_a_profile(angle, scale, mirrored, jaw_reversed):
    points = profile()
    if mirrored:
        points[:, 0] *= -1
    if jaw_reversed:
        points[:12] = points[11::-1]
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert profile_side(scale * points @ rotation.T) == ("left" if mirrored else "right")


@pytest.mark.data
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("yaw", [60, 75, 90])
@pytest.mark.parametrize("roll", [-40, 0, 40])
def test_the_side_of_a_real_head(data_root, side, yaw, roll):
    """The 39 points on the mean head of ICT-FaceKit, turned until the named half is seen."""
    vertices = np.load(data_root / "ict_facekit/ict_facekit.npz")["mean"]
    chosen = json.loads((data_root / "ict_facekit/landmarks.json").read_text())["sets"][f"menpo39_{side}"]
    turn, tilt = np.radians(yaw * (-1 if side == "left" else 1)), np.radians(roll)
    x, y, z = vertices[chosen].T  # x to the subject's left, y up, z to the viewer
    flat = np.stack([x * np.cos(turn) + z * np.sin(turn), -y], 1)
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    assert profile_side(flat @ rotation.T) == side


@pytest.fixture
def made(tmp_path, labelled_face, picture, pts):
    folder = tmp_path / "menpo_train_release"
    truth = {"aflw__face_39351": labelled_face(folder / "aflw__face_39351.jpg")}
    for name, points in (("aflw__face_40000", profile()), ("aflw__face_40001", profile() * (-1, 1) + (160, 0))):
        picture(folder / f"{name}.jpg")
        pts(folder / f"{name}.pts", points)
        truth[name] = points
    labelled_face(tmp_path / "Menpo2D-Test-Semifrontal/a.jpg")
    picture(tmp_path / "Menpo2D-Test-Profile/b.jpg")
    pts(tmp_path / "Menpo2D-Test-Profile/b.pts", profile())
    return tmp_path, truth


def test_both_schemes(made):
    folder, truth = made
    samples = read_menpo2d(folder, "train")
    assert [sample.scheme for sample in samples] == ["68", "39_right", "39_left"]
    assert [sample.groups for sample in samples] == [{"semifrontal"}, {"profile"}, {"profile"}]
    assert all(np.allclose(sample.points, truth[sample.identity], atol=1e-4) for sample in samples)
    assert [sample.scheme for sample in read_menpo2d(folder, "test")] == ["68", "39_right"]
    assert [sample.scheme for sample in read_menpo2d(folder, "profile")] == ["39_right"]
    assert [sample.scheme for sample in read_menpo2d(folder, "semifrontal")] == ["68"]


def test_what_does_not_fit_is_named(made, pts, face):
    folder, truth = made
    labels = folder / "menpo_train_release/aflw__face_39351.pts"
    pts(labels, face(21))
    with pytest.raises(DataError, match=r"39351\.pts: the points are \(21, 2\), but this set has 68 or 39"):
        read_menpo2d(folder, "train")[0]
    points = truth["aflw__face_39351"]
    points[0] = np.nan
    pts(labels, points)
    with pytest.raises(DataError, match=r"39351\.pts: point 0 is not a finite number"):
        read_menpo2d(folder, "train")[0]
    labels.unlink()
    with pytest.raises(DataError, match=r"39351\.jpg has no labels"):
        read_menpo2d(folder, "train")
    with pytest.raises(DataError, match=r"(?s)does not exist; expected\n.*menpo_train_release/"):
        read_menpo2d(folder / "elsewhere", "train")
