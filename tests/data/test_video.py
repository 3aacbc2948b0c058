import json
import pickle

import cv2
import numpy as np
import pytest

from canthus.data.files import read_points
from canthus.data.video import Clip, read_clips
from canthus.errors import DataError, FormatError

GREYS = (20, 70, 120, 170, 220)


@pytest.fixture
def video(tmp_path):
    """Five frames, each of one grey."""
    path = tmp_path / "001/vid.avi"
    path.parent.mkdir()
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for grey in GREYS:
        writer.write(np.full((48, 64, 3), grey, np.uint8))
    writer.release()
    return path


def grey(image):
    assert image.shape == (48, 64, 3)
    return float(image.mean())


@pytest.fixture
def clip(video, pts, face):
    truth = [face(68) for _ in GREYS]
    for index, points in enumerate(truth):
        pts(video.parent / f"annot/{index + 1:06}.pts", points)
    return Clip("set:001", video, video.parent / "annot", 68, frozenset({"easy"})), truth


def test_labelled_frames_of_a_video(clip, tmp_path):
    one, truth = clip
    samples = pickle.loads(pickle.dumps(read_clips([one], tmp_path, "{folder}")))
    assert [sample.frame for sample in samples] == [0, 1, 2, 3, 4]
    for sample, points, tone in zip(samples, truth, GREYS, strict=True):
        assert np.allclose(sample.points, points, atol=1e-4)
        assert grey(sample.picture()) == pytest.approx(tone, abs=3)
        assert (sample.identity, sample.scheme, sample.groups) == ("set:001", "68", {"easy"})
    assert len({sample.image for sample in samples}) == 5


def test_extracted_frames_are_taken_instead(clip, tmp_path, picture):
    one, _ = clip
    one.video.unlink()
    pixels = [picture(tmp_path / f"001/frames/{index + 1:04}.png") for index in range(5)]
    samples = read_clips([one], tmp_path, "{folder}")
    assert np.array_equal(samples[3].picture(), pixels[3])
    assert (samples[3].pixels, samples[3].frame) == (None, 3)
    (tmp_path / "001/frames/0002.png").unlink()
    with pytest.raises(DataError, match=r"frames: no picture for .*000002\.pts; extract every frame of vid\.avi"):
        read_clips([one], tmp_path, "{folder}")


def test_what_is_missing_is_named(clip, tmp_path):
    one, _ = clip
    (one.labels / "notes.pts").touch()
    with pytest.raises(DataError, match=r"notes\.pts: its name does not end in the number of a frame"):
        read_clips([one], tmp_path, "{folder}")
    for path in one.labels.iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"(?s)annot holds no labels; expected\nthe tree"):
        read_clips([one], tmp_path, "the tree")
    one.labels.rmdir()
    with pytest.raises(DataError, match=r"(?s)annot does not exist; expected\nthe tree"):
        read_clips([one], tmp_path, "the tree")


def test_a_missing_video_is_named(clip, tmp_path):
    clip[0].video.unlink()
    with pytest.raises(DataError, match=r"(?s)vid\.avi does not exist; expected\nthe tree"):
        read_clips([clip[0]], tmp_path, "the tree")


def test_ljson_is_y_x_from_zero(tmp_path, face):
    points = face(84)
    tree = {"version": 2, "labels": [], "landmarks": {"points": points[:, ::-1].tolist(), "connectivity": []}}
    (tmp_path / "1.ljson").write_text(json.dumps(tree))
    assert np.array_equal(read_points(tmp_path / "1.ljson", 84), points)


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        ({"landmarks": {"points": [[1, 2]] * 68}}, DataError, r"the points are \(68, 2\), but this set has 84"),
        ({"landmarks": {"points": [[1, 2]] * 83 + [[None, None]]}}, DataError, "point 83 is not a finite number"),
        ({"landmarks": {"points": [[1, 2, 3]] * 84}}, FormatError, "take `projected_image_space`"),
        ({"groups": []}, FormatError, "no Menpo landmarks"),
        ("points", FormatError, "no Menpo landmarks"),
    ],
)
def test_ljson_that_does_not_fit_is_named(tmp_path, tree, error, message):
    (tmp_path / "1.ljson").write_text(json.dumps(tree))
    with pytest.raises(error, match=r"1\.ljson: .*" + message):
        read_points(tmp_path / "1.ljson", 84)
