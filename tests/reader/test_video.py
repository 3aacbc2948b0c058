"""Video files: frames in order and at random, their times, and files that are damaged."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.errors import ReadError
from canthus.reader.video import Player, VideoFrame, read_video
from canthus.types import Image

GREYS = (20, 70, 120, 170, 220)


@pytest.fixture(params=["vid.avi", "vid.mp4"])
def video(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Five frames, each of one grey; the red channel is 20 higher."""
    path = tmp_path / request.param
    code = {"vid.avi": "MJPG", "vid.mp4": "mp4v"}[path.name]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 12.5, (64, 48))
    for grey in GREYS:
        writer.write(np.full((48, 64, 3), (grey, grey, grey + 20), np.uint8))
    writer.release()
    return path


def grey(image: Image | None) -> float:
    assert image is not None and image.shape == (48, 64, 3) and image.dtype == np.uint8
    assert image[..., 0].mean() > image[..., 2].mean() + 10, "the order is RGB"
    return float(image[..., 2].mean())


def test_frames_in_order_with_their_times(video: Path) -> None:
    frames = list(read_video(video))
    assert [(frame.source, frame.index, frame.error) for frame in frames] == [(video, n, None) for n in range(5)]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24, 0.32])
    assert [grey(frame.image) for frame in frames] == pytest.approx(GREYS, abs=3)


def test_the_number_of_frames_in_the_header_is_not_used(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = cv2.VideoCapture

    class Watched:
        def __init__(self, path: str) -> None:
            self.capture = real(path)

        def __getattr__(self, name: str) -> object:
            return getattr(self.capture, name)

        def get(self, code: int) -> float:
            asked.append(code)
            return 0.0 if code == cv2.CAP_PROP_POS_MSEC else self.capture.get(code)

    monkeypatch.setattr(cv2, "VideoCapture", Watched)
    frames = list(read_video(video))
    assert len(frames) == 5 and cv2.CAP_PROP_FRAME_COUNT not in asked
    assert frames[3].time == pytest.approx(0.24), "without times, by the frame rate"


def test_a_damaged_frame_does_not_end_the_video(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Player.image

    def broken(player: Player) -> Image:
        if player.index == 2:
            raise ReadError(f"{player.path}: frame 3 is damaged")
        return image(player)

    monkeypatch.setattr(Player, "image", broken)
    frames = list(read_video(video))
    assert [frame.index for frame in frames if frame.error is None] == [0, 1, 3, 4]
    assert frames[2].image is None and frames[2].time == pytest.approx(0.16)


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.8])
def test_a_file_that_is_cut_short_is_named_or_ends_early(video: Path, share: float) -> None:
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * share)])
    frames = list(read_video(video))
    assert 1 <= len(frames) <= 5
    if share < 0.5:
        (frame,) = frames
        assert frame.image is None
        assert str(frame.error).startswith(f"{video}: not a video that OpenCV decodes; convert it")


def test_a_missing_file_and_one_without_frames(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (frame,) = read_video(tmp_path / "gone.mp4")
    assert str(frame.error) == f"{tmp_path}/gone.mp4: no such file"
    monkeypatch.setattr(Player, "step", lambda _: False)
    (frame,) = read_video(video)
    assert str(frame.error).startswith(f"{video}: no frame can be decoded; copy the video again")


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 0, 2, 2, 1), (3, 3, 0)])
def test_frames_in_any_order(video: Path, order: tuple[int, ...]) -> None:
    assert [grey(VideoFrame(video, index)()) for index in order] == pytest.approx([GREYS[n] for n in order], abs=3)


def test_a_frame_is_the_callers_own(video: Path) -> None:
    VideoFrame(video, 1)()[:] = 0
    assert grey(VideoFrame(video, 1)()) == pytest.approx(GREYS[1], abs=3)


def test_a_frame_beyond_the_end_and_a_broken_video_are_named(video: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match=r"vid\.\w+: ends after 5 frames, before frame 6; copy the video again"):
        VideoFrame(video, 5)()
    assert grey(VideoFrame(video, 4)()) == pytest.approx(GREYS[4], abs=3)
    (tmp_path / "broken.avi").write_bytes(b"RIFF no video")
    with pytest.raises(ReadError, match=r"broken\.avi: not a video .*extract its frames"):
        VideoFrame(tmp_path / "broken.avi", 0)()
