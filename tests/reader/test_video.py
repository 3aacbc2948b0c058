"""Single frames of annotated videos, by number."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.errors import ReadError
from canthus.reader.video import VideoFrame
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
