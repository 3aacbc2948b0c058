import pickle

import cv2
import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.data.menpo3d import read_menpo3d
from canthus.data.scenes import read_scenes
from canthus.data.vw300 import read_300vw
from canthus.errors import DataError


@pytest.fixture
def made(tmp_path, rng):
    """Two sequences of three frames, and what a killed run left."""
    truth = {}
    for name in ("001", "002"):
        folder = tmp_path / "run" / name
        folder.mkdir(parents=True)
        writer = cv2.VideoWriter(str(folder / "vid.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
        for grey in (20, 120, 220):
            writer.write(np.full((48, 64, 3), grey, np.uint8))
        writer.release()
        truth[name] = {f"points_{count}": rng.uniform(0, 48, (3, count, 3)).astype(np.float32) for count in (68, 84)}
        truth[name]["outline_68"] = rng.uniform(0, 48, (3, 68, 3)).astype(np.float32)
        truth[name] |= {f"visible_{count}": rng.random((3, count)) < 0.5 for count in (68, 84)}
        truth[name]["pose"] = rng.uniform(-40, 40, (3, 3)).astype(np.float32)
        np.savez(folder / "annot3d.npz", **truth[name])
    (tmp_path / "run" / ".003.part" / "annot").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    return tmp_path / "run", truth


@pytest.mark.parametrize(
    ("reader", "scheme", "labels", "column", "size"),
    [
        (read_300vw, "68", {}, "outline_68", 2),
        (read_300vw, "68", {"labels": "2d"}, "points_68", 2),
        (read_300vw, "68", {"labels": "3d"}, "points_68", 3),
        (read_menpo3d, "84", {}, "points_84", 2),
        (read_menpo3d, "84", {"labels": "3d"}, "points_84", 3),
    ],
)
def test_both_readers_read_one_run(made, reader, scheme, labels, column, size):
    folder, truth = made
    samples = pickle.loads(pickle.dumps(reader(folder, "synth", **labels)))
    assert [(sample.identity, sample.frame) for sample in samples] == [
        (f"run/{name}", frame) for name in ("001", "002") for frame in range(3)
    ]
    for sample, grey in zip(samples, (20, 120, 220) * 2, strict=True):
        arrays = truth[sample.identity[-3:]]
        assert sample.scheme == scheme
        assert np.array_equal(sample.points, arrays[column][sample.frame, :, :size])
        assert np.array_equal(sample.visible, arrays[f"visible_{scheme}"][sample.frame])
        assert np.array_equal(sample.pose, arrays["pose"][sample.frame])
        assert float(sample.picture().mean()) == pytest.approx(grey, abs=3)


def test_what_does_not_fit_is_told(made, tmp_path):
    folder, _ = made
    with pytest.raises(DataError, match=r"001 \(outline\) has no scheme '84'; it has 68"):
        read_menpo3d(folder, "synth", "outline")
    with pytest.raises(DataError, match="has no labels '4d'; it has 2d, 3d, outline"):
        read_300vw(folder, "synth", "4d")
    with pytest.raises(DataError, match=r"300-VW \(train\) has no labels '3d'"):
        read_300vw(folder, "train", "3d")
    with pytest.raises(DataError, match=r"Menpo-3D \(test\) has no labels '3d'"):
        open_set("menpo3d:run", tmp_path, "test", labels="3d")
    (folder / "002" / "vid.avi").unlink()
    with pytest.raises(DataError, match=r"(?s)002.vid\.avi does not exist; expected\n.*canthus synth video"):
        read_scenes(folder, "68", "2d")
    (folder / "002" / "annot3d.npz").unlink()
    (folder / "002" / "vid.avi").touch()
    with pytest.raises(DataError, match=r"002.annot3d\.npz: is missing or damaged"):
        read_scenes(folder, "68", "2d")


def test_a_folder_without_sequences(tmp_path):
    (tmp_path / ".001.part").mkdir()
    with pytest.raises(DataError, match=r"(?s)holds no sequence; expected\n.*annot3d\.npz"):
        read_scenes(tmp_path, "68", "2d")
    with pytest.raises(DataError, match="does not exist"):
        read_scenes(tmp_path / "none", "68", "2d")
