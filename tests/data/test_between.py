from pathlib import Path

import numpy as np
import pytest

from canthus.data.sample import Sample
from canthus.data.video import filled, videos_of
from canthus.errors import DataError
from canthus.reader.video import VideoFrame


def sample(folder: Path, frame: int | None, name: str = "a") -> Sample:
    value = 0 if frame is None else frame
    points = np.column_stack([np.arange(5.0) + 3 * value, 10 - 2.0 * value + np.zeros(5)])
    return Sample(folder / f"{value + 1:06}.png", points, "5", name, frame=frame, visible=np.ones(5, np.bool_))


def test_labels_between_frames_lie_on_a_line(tmp_path: Path) -> None:
    for number in range(1, 8):
        (tmp_path / f"{number:06}.png").touch()
    full = filled([sample(tmp_path, frame) for frame in (0, 1, 5, 6)])
    assert [one.frame for one in full] == list(range(7))
    for one in full:
        assert one.image == tmp_path / f"{one.frame + 1:06}.png"
        assert np.allclose(one.points, sample(tmp_path, one.frame).points)  # which moves at a constant speed
        assert (one.visible is None) == (one.frame in (2, 3, 4))


def test_frames_of_a_video_are_decoded_by_their_number(tmp_path: Path) -> None:
    ends = [
        Sample(tmp_path / "vid.avi" / f"{n + 1:06}", np.zeros((5, 2)), "5", "a", frame=n,
               pixels=VideoFrame(tmp_path / "vid.avi", n))
        for n in (2, 5)
    ]  # fmt: skip
    full = filled(ends)
    assert [one.pixels for one in full] == [VideoFrame(tmp_path / "vid.avi", n) for n in (2, 3, 4, 5)]
    assert [one.image.name for one in full] == ["000003", "000004", "000005", "000006"]


def test_videos_are_told_apart_and_put_in_order(tmp_path: Path) -> None:
    mixed = [sample(tmp_path, 3, "b"), sample(tmp_path, 1), sample(tmp_path, 0, "b"), sample(tmp_path, 0)]
    assert {name: [one.frame for one in some] for name, some in videos_of(mixed).items()} == {"a": [0, 1], "b": [0, 3]}


def test_what_cannot_be_followed_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a still; faces can only be followed in videos"):
        videos_of([sample(tmp_path, None)])
    with pytest.raises(DataError, match="a: a frame has two faces"):
        videos_of([sample(tmp_path, 2), sample(tmp_path, 2)])
    with pytest.raises(DataError, match=r"000002\.png: no picture of frame 2"):
        filled([sample(tmp_path, 0), sample(tmp_path, 2)])
