import numpy as np
import pytest
from scipy.io import savemat

from canthus.data.lp300w import read_300w_lp, read_aflw2000
from canthus.errors import DataError

POSE = np.array([[0.1, -0.5, 0.2, 220, 167, -100, 0.001]])


@pytest.fixture
def turned(tmp_path, picture, face):
    """Three pictures of 300W-LP; each label array has its own points, first pixel at 1."""
    truth = {}
    for part, name in (("AFW", "AFW_134212_1_0"), ("AFW", "AFW_134212_1_5"), ("AFW_Flip", "AFW_134212_1_0")):
        truth[part, name] = original, flat, solid = [face(68) for _ in range(3)]
        picture(tmp_path / part / f"{name}.jpg")
        savemat(tmp_path / part / f"{name}.mat", {"pt2d": original.T + 1, "Pose_Para": POSE, "roi": np.ones((1, 4))})
        (tmp_path / "landmarks" / part).mkdir(parents=True, exist_ok=True)
        savemat(tmp_path / f"landmarks/{part}/{name}_pts.mat", {"pts_2d": flat + 1, "pts_3d": solid + 1})
    for part in ("HELEN", "IBUG", "LFPW"):
        picture(tmp_path / part / f"{part}_image_1_0.jpg")
        savemat(tmp_path / part / f"{part}_image_1_0.mat", {"pt2d": np.ones((2, 68)), "Pose_Para": POSE})
    return tmp_path, truth


@pytest.mark.parametrize(("labels", "which"), [("original", 0), ("2d", 1), ("3d", 2)])
def test_the_three_labels_of_300w_lp(turned, labels, which):
    folder, truth = turned
    samples = read_300w_lp(folder, "afw", labels=labels)
    assert [sample.image.stem for sample in samples] == ["AFW_134212_1_0", "AFW_134212_1_5"]
    for sample in samples:
        assert np.allclose(sample.points, truth["AFW", sample.image.stem][which], atol=1e-4)
        assert np.allclose(sample.pose, np.degrees([-0.5, 0.1, 0.2]), atol=1e-4)
        assert (sample.scheme, sample.groups, sample.identity) == ("68", {"afw"}, "300w-lp:AFW_134212_1")


def test_the_splits_of_300w_lp(turned):
    folder, truth = turned
    assert len(read_300w_lp(folder, "train")) == 5
    for part in ("HELEN", "IBUG", "LFPW"):
        (folder / part).rename(folder / f"{part}_Flip")
    flipped = read_300w_lp(folder, "flipped")
    assert len(flipped) == 4
    assert flipped[0].groups == {"afw", "flipped"}
    assert flipped[0].identity == read_300w_lp(folder, "afw")[0].identity
    assert np.allclose(flipped[0].points, truth["AFW_Flip", "AFW_134212_1_0"][2], atol=1e-4)


def test_what_does_not_fit_in_300w_lp_is_named(turned):
    folder, truth = turned
    labels = folder / "landmarks/AFW/AFW_134212_1_0_pts.mat"
    savemat(labels, {"pts_2d": np.ones((68, 2)), "pts_3d": np.ones((66, 2))})
    with pytest.raises(DataError, match=r"1_0_pts\.mat: the points are \(66, 2\), but this set has 68"):
        read_300w_lp(folder, "afw")[0]
    broken = truth["AFW", "AFW_134212_1_0"][2]
    broken[3] = np.nan
    savemat(labels, {"pts_3d": broken})
    with pytest.raises(DataError, match=r"1_0_pts\.mat: point 3 is not a finite number"):
        read_300w_lp(folder, "afw")[0]
    with pytest.raises(DataError, match=r"1_0_pts\.mat: there is no variable 'pts_2d'"):
        read_300w_lp(folder, "afw", labels="2d")[0]
    labels.unlink()
    with pytest.raises(DataError, match=r"(?s)1_0_pts\.mat does not exist; expected\n.*landmarks/AFW/"):
        read_300w_lp(folder, "afw")[0]
    with pytest.raises(DataError, match=r"300W-LP has no labels '4d'; it has 3d, 2d, original"):
        read_300w_lp(folder, "afw", labels="4d")
    savemat(folder / "AFW/AFW_134212_1_0.mat", {"pt2d": np.ones((2, 68)), "Pose_Para": np.full((1, 7), np.nan)})
    with pytest.raises(DataError, match=r"1_0\.mat: Pose_Para is \[nan"):
        read_300w_lp(folder, "afw", labels="original")[0]
    (folder / "AFW/AFW_134212_1_0.mat").unlink()
    with pytest.raises(DataError, match=r"(?s)AFW_134212_1_0\.mat does not exist; expected"):
        read_300w_lp(folder, "afw")
    with pytest.raises(DataError, match=r"(?s)HELEN_Flip does not exist; expected\n"):
        read_300w_lp(folder, "flipped")
    (folder / "HELEN_Flip").mkdir()
    with pytest.raises(DataError, match=rf"(?s)HELEN_Flip holds no \.jpg; expected\n{folder}/\n"):
        read_300w_lp(folder, "flipped")


@pytest.fixture
def solid(tmp_path, picture, rng):
    """Three faces of AFLW2000-3D with all the files that 3DDFA adds; yaws 80, -10 and 45 in Pose_Para."""
    points = rng.uniform(2, 38, (3, 68, 3)).astype(np.float32)
    for index, (number, yaw) in enumerate(((2, 80), (4, -10), (6, 45))):
        picture(tmp_path / f"image{number:05}.jpg")
        pose = np.array([[0.1, np.radians(yaw), 0.2, 220, 167, -100, 0.001]])
        shifted = points[index] + np.float32([1, 1, 0])
        savemat(
            tmp_path / f"image{number:05}.mat", {"pt3d_68": shifted.T, "Pose_Para": pose, "pt2d": -np.ones((2, 21))}
        )
    again = rng.uniform(2, 38, (3, 68, 2)).astype(np.float32)
    np.save(tmp_path / "AFLW2000-3D-Reannotated.pts68.npy", again.transpose(0, 2, 1) + 1)
    np.save(tmp_path / "AFLW2000-3D.pose.npy", np.float32([-61, 30, 60]))
    np.save(tmp_path / "AFLW2000-3D-new.pose.npy", np.float32([30.5, 0, 114]))
    return tmp_path, points, again


def test_the_two_annotations_of_aflw2000(solid):
    folder, points, again = solid
    original, reannotated = read_aflw2000(folder, "test"), read_aflw2000(folder, "test", labels="reannotated")
    assert [sample.image.name for sample in original] == ["image00002.jpg", "image00004.jpg", "image00006.jpg"]
    assert np.allclose([sample.points for sample in original], points, atol=1e-4)
    assert np.allclose([sample.points for sample in reannotated], again, atol=1e-4)
    assert np.allclose(original[0].pose, [80, np.degrees(0.1), np.degrees(0.2)], atol=1e-3)
    assert original[0].picture().shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("yaw", "yaws", "bins"),
    [
        ("pose_para", [80, -10, 45], ["yaw-60-90", "yaw-0-30", "yaw-30-60"]),
        ("fitted", [-61, 30, 60], ["yaw-60-90", "yaw-0-30", "yaw-30-60"]),
        ("aflw", [30.5, 0, 114], ["yaw-30-60", "yaw-0-30", "yaw-60-90"]),
    ],
)
def test_the_three_yaws_of_aflw2000(solid, yaw, yaws, bins):
    samples = read_aflw2000(solid[0], "test", labels="reannotated", yaw=yaw)
    assert np.allclose([sample.pose[0] for sample in samples], yaws, atol=1e-3)
    assert [sample.groups for sample in samples] == [{name} for name in bins]
    assert np.isnan(samples[0].pose[1:]).all() == (yaw != "pose_para")


def test_what_does_not_fit_in_aflw2000_is_named(solid):
    folder, *_ = solid
    np.save(folder / "AFLW2000-3D.pose.npy", np.zeros(2000, np.float32))
    with pytest.raises(DataError, match=r"pose\.npy: shape \(2000,\), but 3 pictures need \(3,\)"):
        read_aflw2000(folder, "test", yaw="fitted")
    np.save(folder / "AFLW2000-3D-Reannotated.pts68.npy", np.zeros((3, 2, 21)))
    with pytest.raises(DataError, match=r"pts68\.npy: shape \(3, 2, 21\), but 3 pictures need \(3, 2 or 3, 68\)"):
        read_aflw2000(folder, "test", labels="reannotated")
    np.save(folder / "AFLW2000-3D-Reannotated.pts68.npy", np.full((3, 2, 68), np.nan))
    with pytest.raises(DataError, match=r"pts68\.npy, row 1: point 0 is not a finite number"):
        read_aflw2000(folder, "test", labels="reannotated")[1]
    savemat(folder / "image00002.mat", {"pt3d_68": np.ones((3, 21)), "Pose_Para": POSE})
    with pytest.raises(DataError, match=r"image00002\.mat: the points are \(21, 3\), but this set has 68"):
        read_aflw2000(folder, "test")[0]
    (folder / "AFLW2000-3D-new.pose.npy").unlink()
    with pytest.raises(DataError, match=r"(?s)AFLW2000-3D-new\.pose\.npy does not exist; expected\n.*cleardusk/3DDFA"):
        read_aflw2000(folder, "test", yaw="aflw")
    with pytest.raises(DataError, match=r"AFLW2000-3D has no yaw 'guess'; it has pose_para, fitted, aflw"):
        read_aflw2000(folder, "test", yaw="guess")
    (folder / "image00004.mat").unlink()
    with pytest.raises(DataError, match=r"image00004\.mat does not exist"):
        read_aflw2000(folder, "test")
