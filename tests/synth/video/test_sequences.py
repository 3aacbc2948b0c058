import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from canthus.data.catalogue import open_set
from canthus.errors import DataError, InputError, OutputError, ShapeError
from canthus.face3d.morphable import MorphableModel
from canthus.geometry.pose import rotation
from canthus.synth.sheet import SIDE
from canthus.synth.video.scene import SceneJob, scene
from canthus.synth.video.sequences import Sequences, produce_sequences
from canthus.work.files import part_of


@pytest.fixture(scope="module")
def landmarks(toy, tmp_path_factory):
    """The toy's landmarks with 84 points: the 68, and 16 of them again."""
    path = tmp_path_factory.mktemp("landmarks") / "landmarks.json"
    sets = toy.tree["sets"]
    path.write_text(json.dumps({**toy.tree, "sets": {**sets, "menpo3d84": sets["ibug68_3d"] + sets["ibug68_3d"][:16]}}))
    return path


@pytest.fixture(scope="module")
def order(toy, landmarks):
    return Sequences(SceneJob(toy.path, landmarks, frames=4, size=48), 3, 7)


@pytest.fixture(scope="module")
def model(toy, landmarks):
    return MorphableModel.open(toy.path, landmarks)


@pytest.fixture(scope="module")
def run(order, tmp_path_factory):
    """A run in one process, and its index."""
    out = tmp_path_factory.mktemp("data") / "videos"
    return out, produce_sequences(order, out)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_index_tells_of_every_frame(run, order, model):
    out, index = run
    with np.load(out / "index.npz") as written:
        assert sorted(written.files) == sorted(index)
        assert all(np.array_equal(written[name], index[name]) for name in index)
    assert index["videos"].tolist() == ["001", "002", "003"] == list(order.seeds)
    assert index["pose"].shape == (3, 4, 3) and index["visible_84"].shape == (3, 4, 84)
    for row, seed in enumerate(index["seeds"].tolist()):
        for at, frame in enumerate(scene(model, seed, 4, 48)):
            assert index["pose"][row, at] == pytest.approx(frame.pose)
            assert np.array_equal(index["visible_68"][row, at], frame.visible["68"])


def test_one_run_is_read_with_68_and_with_84_points(run, model):
    out, index = run
    for name, scheme, flat in (("300vw", "68", "outline"), ("menpo3d", "84", "2d")):
        plain = open_set(f"{name}:videos", out.parent, "synth")
        deep = open_set(f"{name}:videos", out.parent, "synth", labels="3d")
        assert len(plain) == len(deep) == 12
        for row, seed in enumerate(index["seeds"].tolist()):
            for at, frame in enumerate(scene(model, seed, 4, 48)):
                one, other = deep[4 * row + at], plain[4 * row + at]
                labels = frame.labels if flat == "outline" else frame.points
                assert one.scheme == other.scheme == scheme and one.frame == at
                assert one.points == pytest.approx(frame.points[scheme])
                assert other.points == pytest.approx(labels[scheme][:, :2])
                assert np.array_equal(one.visible, frame.visible[scheme])
                assert one.pose == pytest.approx(frame.pose)
                assert np.abs(one.picture().astype(float) - frame.image).mean() < 6
                assert one.identity == f"videos/{row + 1:03d}"


def test_depth_turns_with_the_head(run):
    """Two frames of one neutral inner face differ by the rotation between their poses."""
    samples = open_set("300vw:videos", run[0].parent, "synth", labels="3d")
    for one, other in ((samples[0], samples[3]), (samples[4], samples[7])):
        heads = [(sample.points - sample.points.mean(0)) @ rotation(sample.pose) for sample in (one, other)]
        sizes = [np.linalg.norm(head[27:36]) for head in heads]  # the nose, which no expression of the toy moves
        noses = [(head[27:36] - head[27:36].mean(0)) / size for head, size in zip(heads, sizes, strict=True)]
        assert noses[0] == pytest.approx(noses[1], abs=0.01)


def test_the_same_run_over_any_processes(run, order, tmp_path):
    produce_sequences(order, tmp_path / "videos", workers=2)
    assert contents(tmp_path / "videos") == contents(run[0])


def test_a_killed_run_goes_on(run, order, tmp_path):
    def kill(_):
        raise KeyboardInterrupt

    out = tmp_path / "videos"
    with pytest.raises(KeyboardInterrupt):
        produce_sequences(order, out, tick=kill)
    assert sorted(path.name for path in out.iterdir()) == ["001", "run.json"]
    before = (out / "001" / "vid.avi").stat().st_mtime_ns
    (part_of(out / "002") / "annot").mkdir(parents=True)
    (part_of(out / "002") / "annot" / "000001.pts").write_text("half")
    assert len(open_set("300vw:videos", tmp_path, "synth")) == 4
    ticks = []
    produce_sequences(order, out, tick=ticks.append)
    assert ticks == [1, 1, 1]
    assert (out / "001" / "vid.avi").stat().st_mtime_ns == before
    assert contents(out) == contents(run[0])
    produce_sequences(order, out)
    assert contents(out) == contents(run[0])


def test_more_sequences_begin_with_the_same(order):
    assert list(replace(order, count=9).seeds.items())[:3] == list(order.seeds.items())
    assert len(set(replace(order, count=200).seeds.values())) == 200
    assert not set(replace(order, seed=8).seeds.values()) & set(order.seeds.values())


def test_the_sheet_shows_time_to_the_right(run):
    sheet = cv2.imread(str(run[0] / "sheet.png"))
    assert sheet.shape == (3 * SIDE, 4 * SIDE, 3)
    for row in range(3):
        frame = cv2.VideoCapture(str(run[0] / f"00{row + 1}" / "vid.avi")).read()[1]
        shown = sheet[row * SIDE : (row + 1) * SIDE, :SIDE]
        assert np.abs(cv2.resize(frame, (SIDE, SIDE)).astype(int) - shown)[:20].mean() < 25


def test_a_folder_of_something_else_is_left_alone(run, order, tmp_path):
    before = contents(run[0])
    for other in (replace(order, seed=1), replace(order, count=4), replace(order, job=replace(order.job, frames=5))):
        with pytest.raises(OutputError, match="other settings"):
            produce_sequences(other, run[0])
    assert contents(run[0]) == before
    (tmp_path / "001").mkdir()
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        produce_sequences(order, tmp_path)


def test_what_cannot_be_made(order, toy, tmp_path):
    with pytest.raises(ShapeError, match="at least one sequence"):
        replace(order, count=0)
    with pytest.raises(InputError, match=r"none\.npz"):
        produce_sequences(replace(order, job=replace(order.job, model=tmp_path / "none.npz")), tmp_path / "run")
    with pytest.raises(InputError, match=r"wall\.png"):
        produce_sequences(
            replace(order, job=replace(order.job, backgrounds=(tmp_path / "wall.png",))), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_damaged_labels_are_named(run, tmp_path):
    shutil.copytree(run[0], tmp_path / "videos")
    (tmp_path / "videos" / "002" / "annot3d.npz").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"002.annot3d\.npz: is missing or damaged"):
        open_set("300vw:videos", tmp_path, "synth")
