import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canthus.data.menpo3d import read_menpo3d
from canthus.data.vw300 import CATEGORIES, read_300vw
from canthus.errors import InputError, OutputError, SchemeError, ShapeError
from canthus.formats.table import load
from canthus.synth.video import scene as module
from canthus.synth.video.scene import FASTEST, FPS, SceneJob, drift, random_motion, scene, write_scene
from canthus.work.files import part_of


@pytest.fixture
def job(toy):
    return SceneJob(toy.path, frames=4, size=48)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_reader_of_300vw_reads_it_back(job, toy, tmp_path):
    names = CATEGORIES["category3"].split()
    assert write_scene(job, tmp_path, names[0], seed=3)
    for name in names[1:]:
        shutil.copytree(tmp_path / names[0], tmp_path / name)
    samples = read_300vw(tmp_path, "category3")
    assert len(samples) == 4 * len(names)
    for index, frame in enumerate(scene(toy.model, 3, 4, 48)):
        sample = samples[index]
        assert sample.scheme == "68" and sample.frame == index
        assert sample.points == pytest.approx(frame.labels["68"][:, :2], abs=1e-3)
        assert np.abs(sample.picture().astype(float) - frame.image).mean() < 6  # what JPEG loses of a small picture


def test_the_truth_lies_beside(job, toy, tmp_path):
    write_scene(job, tmp_path, "one", seed=3)
    frames = list(scene(toy.model, 3, 4, 48))
    records = load(tmp_path / "one" / "annot3d.npz")
    assert [record.image for record in records] == ["000001", "000002", "000003", "000004"]
    with np.load(tmp_path / "one" / "annot3d.npz") as truth:
        assert int(truth["seed"]) == 3
        for record, frame, index in zip(records, frames, range(4), strict=True):
            assert record.scheme == "68" and record.points.shape == (68, 3)
            assert record.points == pytest.approx(frame.points["68"])
            assert record.pose == pytest.approx(frame.pose)
            for scheme in toy.model.landmarks.points:
                assert truth[f"points_{scheme}"][index] == pytest.approx(frame.points[scheme])
                assert np.array_equal(truth[f"visible_{scheme}"][index], frame.visible[scheme])
            assert truth["outline_68"][index] == pytest.approx(frame.labels["68"])


def test_other_schemes_are_the_projected_points(toy, tmp_path):
    write_scene(SceneJob(toy.path, scheme="29", frames=2, size=48), tmp_path, "few", seed=1)
    for number, frame in enumerate(scene(toy.model, 1, 2, 48), 1):
        points = load(tmp_path / "few" / "annot" / f"{number:06d}.pts")[0].points
        assert points == pytest.approx(frame.points["29"][:, :2], abs=1e-3)


def test_the_same_seed_makes_the_same_files(job, tmp_path):
    for name in ("a", "b"):
        write_scene(job, tmp_path, name, seed=9)
    write_scene(job, tmp_path, "c", seed=10)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    for name in files(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "vid.avi").read_bytes() != (tmp_path / "c" / "vid.avi").read_bytes()


def test_a_whole_sequence_is_left_and_another_refused(job, tmp_path):
    assert write_scene(job, tmp_path, "one", seed=3)
    before = (tmp_path / "one" / "vid.avi").stat().st_mtime_ns
    assert not write_scene(job, tmp_path, "one", seed=3)
    assert (tmp_path / "one" / "vid.avi").stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="another sequence"):
        write_scene(job, tmp_path, "one", seed=4)
    (tmp_path / "mine").mkdir()
    with pytest.raises(OutputError, match="is no sequence made by"):
        write_scene(job, tmp_path, "mine", seed=3)


def test_what_a_killed_run_left_is_made_anew(job, tmp_path):
    left = part_of(tmp_path / "one") / "annot"
    left.mkdir(parents=True)
    (left / "000099.pts").write_text("half")
    assert write_scene(job, tmp_path, "one", seed=3)
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert len(list((tmp_path / "one" / "annot").iterdir())) == 4


def test_a_sequence_is_whole_or_not_there(job, toy, tmp_path, monkeypatch):
    missing = SceneJob(toy.path, frames=2, size=48, backgrounds=(tmp_path / "none.png",))
    with pytest.raises(InputError, match=r"none\.png"):
        write_scene(missing, tmp_path / "out", "one", seed=1)
    monkeypatch.setattr(module, "scene", lambda *given: list(scene(*given))[:-1])
    with pytest.raises(OutputError, match="holds 3 of 4 frames"):
        write_scene(job, tmp_path / "out", "one", seed=1)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_photograph_can_be_the_background(toy, tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((90, 120, 3), (200, 40, 10), np.uint8))
    job = SceneJob(toy.path, frames=1, size=48, backgrounds=(tmp_path / "wall.png",))
    write_scene(job, tmp_path, "one", seed=2)
    frame = cv2.VideoCapture(str(tmp_path / "one" / "vid.avi")).read()[1]
    assert frame[0, 0].astype(float) == pytest.approx([200, 40, 10], abs=12)


def test_what_cannot_be_made_is_refused(toy, tmp_path):
    with pytest.raises(ShapeError, match="at least 1 frame"):
        SceneJob(toy.path, frames=0)
    with pytest.raises(SchemeError, match="98"):
        write_scene(SceneJob(toy.path, scheme="98", frames=1), tmp_path, "one", seed=1)
    with pytest.raises(InputError, match="no such face model"):
        write_scene(SceneJob(tmp_path / "none.npz"), tmp_path, "one", seed=1)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_scene(SceneJob(toy.path, frames=1), tmp_path / "file", "one", seed=1)


@given(st.integers(0, 2**32), st.integers(1, 60), st.floats(0.05, 3))
@settings(max_examples=25)
def test_drift_is_bounded_and_smooth(seed, frames, fastest):
    course = drift(np.random.default_rng(seed), frames, 3, fastest)
    assert course.shape == (frames, 3)
    assert np.abs(course).max() <= 1 + 1e-9
    assert np.abs(np.diff(course, axis=0)).max(initial=0) <= 2 * np.pi * fastest / FPS + 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_motion_stays_within_its_limits(toy, seed):
    motion = random_motion(toy.model, np.random.default_rng(seed), 100, 200)
    pose = np.stack([view.pose for view in motion.views])
    weights = np.stack([view.expression for view in motion.views])
    assert np.abs(pose[:, 0]).max() <= 75 and np.abs(pose[:, 1:]).max() <= 30
    assert np.abs(np.diff(pose, axis=0)).max() <= 75 * 2 * np.pi * FASTEST / FPS
    assert weights.min() >= 0 and weights.max() <= 1
    assert not weights[:, toy.model.expression_names.index("eyeLookUp_L")].any()  # the gaze does that
    right, left = (weights[:, toy.model.expression_names.index(f"mouthSmile_{side}")] for side in "RL")
    assert np.abs(right - left).max() <= 0.45 * max(right.max(), left.max()) + 1e-9
    assert all(np.linalg.norm(light.direction) == pytest.approx(1) for light in motion.lights)
    assert motion.pan.min() >= 0 and motion.pan.max() <= 1


@pytest.mark.data
def test_the_reader_of_menpo3d_reads_84_points(face_model, tmp_path):
    job = SceneJob(face_model.path, scheme="84", frames=40, size=32)
    write_scene(job, tmp_path / "test", "001", seed=4)
    samples = read_menpo3d(tmp_path, "test")
    assert len(samples) == 40 and samples[0].points.shape == (84, 2)
    assert samples[39].picture().shape == (32, 32, 3)


@pytest.mark.data
def test_eyes_blink_in_ten_seconds(face_model):
    motion = random_motion(face_model, np.random.default_rng(2), 10 * FPS, 64)
    blink = [at for at, name in enumerate(face_model.expression_names) if name.startswith("eyeBlink")]
    closed = np.stack([view.expression[blink].min() for view in motion.views])
    assert closed.max() > 0.9 and np.median(closed) < 0.5
