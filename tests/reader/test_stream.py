"""Streams of frames: their order, times and orientation, and what becomes of damaged ones."""

import gc
import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from canthus.errors import ExtraMissingError, ReadError
from canthus.reader.ahead import in_background
from canthus.reader.camera import Camera
from canthus.reader.decode import upright
from canthus.reader.frame import Frame
from canthus.reader.image import read
from canthus.reader.stream import open_stream
from films import av, film, greys


def frames_of(path: Path) -> list[Frame]:
    stream = open_stream(path)
    try:
        return list(stream)
    finally:
        stream.close()


def levels(frames: list[Frame]) -> list[float]:
    return [float(frame.image[..., 1].mean()) for frame in frames if frame.image is not None]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_frames_in_order_with_their_times(tmp_path: Path, name: str) -> None:
    codec = "mpeg4" if name == "a.avi" else "libx264"
    stream = open_stream(film(tmp_path / name, greys(12), 10, codec=codec))
    frames = list(stream)
    assert [(frame.source.name, frame.index, frame.error) for frame in frames] == [(name, n, None) for n in range(12)]
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(12)], abs=2e-3)
    assert levels(frames) == pytest.approx([40 + 4 * n for n in range(12)], abs=3)
    assert frames[0].image is not None and frames[0].image[..., 0].mean() > frames[0].image[..., 2].mean() + 10
    assert (stream.count, stream.rate, stream.live) == (12, pytest.approx(10, rel=0.02), False)


def test_a_variable_frame_rate_is_kept(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.5, 0.52, 1.3]
    frames = frames_of(film(tmp_path / "a.mkv", greys(6), 25, times))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=2e-3)


@pytest.mark.parametrize(("height", "width"), [(47, 65), (31, 33)])
def test_odd_sizes(tmp_path: Path, height: int, width: int) -> None:
    (first, *_) = frames_of(film(tmp_path / "a.mkv", greys(3, height, width), codec="ffv1", pixels="yuv444p"))
    assert first.image is not None and first.image.shape == (height, width, 3)
    assert np.ptp(first.image[..., 1].astype(int)) <= 2, "no column at the border is left out"


def test_ten_bits(tmp_path: Path) -> None:
    frames = frames_of(film(tmp_path / "a.mkv", greys(4), pixels="yuv420p10le"))
    assert levels(frames) == pytest.approx([40, 44, 48, 52], abs=3)


def _turned(path: Path, matrix: tuple[int, ...]) -> None:
    """Set the display matrix of an MP4 file, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (65536 * value for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),  # a phone held upright: 90 degrees clockwise
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((1, 0, 0, 1), lambda image: image),
    ],
)
def test_a_rotation_flag_is_obeyed(tmp_path: Path, matrix: tuple[int, ...], turn: Any) -> None:
    marked = np.full((48, 64, 3), 60, np.uint8)
    marked[:16, :16] = 220
    path = film(tmp_path / "a.mp4", [marked] * 3)
    _turned(path, matrix)
    (frame, *_) = frames_of(path)
    assert frame.image is not None
    assert np.abs(frame.image.astype(int) - turn(marked)).mean() < 4


def test_another_rotation_is_refused() -> None:
    with pytest.raises(ReadError, match="no quarter turn"):
        upright(np.zeros((4, 6, 3), np.uint8), np.array([[46341, 46341, 0], [-46341, 46341, 0], [0, 0, 1]], np.int32))


def test_an_edit_list_cuts_the_beginning(tmp_path: Path) -> None:
    """A copy without encoding anew begins at a key frame before the cut, which players must not show."""
    whole = film(tmp_path / "whole.mp4", greys(20))
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        video = source.streams.video[0]
        out = target.add_stream_from_template(video)
        shift = round(Fraction(5, 25) / video.time_base)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, out
                target.mux(packet)
    frames = frames_of(tmp_path / "cut.mp4")
    assert levels(frames) == pytest.approx([40 + 4 * n for n in range(5, 20)], abs=3)
    assert frames[0].time == 0 and frames[-1].error is None


def test_a_video_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(tmp_path / "a.mkv", greys(6)).read_bytes()

    class Pipe:
        buffer = type("Once", (), {"read": io.BytesIO(data).read})()

    monkeypatch.setattr("sys.stdin", Pipe)
    frames = frames_of(Path("-"))
    assert levels(frames) == pytest.approx([40 + 4 * n for n in range(6)], abs=3)


def test_a_video_that_is_cut_short_keeps_what_is_there(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (60, 48, 64, 3), dtype=np.uint8)
    for name in ("a.mkv", "a.avi"):
        path = film(tmp_path / name, list(noise), codec="mpeg4" if name == "a.avi" else "libx264")
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
        *frames, last = frames_of(path)
        assert 20 < len(frames) < 60 and all(frame.error is None for frame in frames[:-1])
        assert last.image is None and "copy it again" in str(last.error), name


@pytest.mark.parametrize("content", [b"", b"no video at all", b"RIFF"])
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"a\.mp4: not a video, or damaged at its beginning.*convert it"):
        open_stream(path)


def test_an_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", greys(30))
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ReadError, match=r"a\.mp4: not a video, or damaged"):
        open_stream(path)


def test_no_pictures_and_no_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        voice = container.add_stream("pcm_s16le", rate=8000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        block.sample_rate = 8000
        container.mux(voice.encode(block))
    with pytest.raises(ReadError, match="holds no pictures"):
        open_stream(tmp_path / "a.wav")
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = 48, 64
        container.start_encoding()
    with pytest.raises(ReadError, match="holds no pictures"):
        open_stream(tmp_path / "a.mp4")
    path = film(tmp_path / "b.mp4", greys(4))
    data = path.read_bytes()
    start, size = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 :][:4], "big") - 8
    path.write_bytes(data[:start] + b"\xff" * size + data[start + size :])
    frames = frames_of(path)
    assert all(frame.image is None for frame in frames)
    assert "b.mp4: no frame can be decoded; copy it again" in str(frames[-1].error)


def test_images_as_a_video_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        cv2.imwrite(str(tmp_path / f"f{number}.png"), np.full((8, 8, 3), number, np.uint8))
    (tmp_path / "f3.png").write_bytes(b"damaged")
    stream = open_stream(tmp_path, 10)
    frames = list(stream)
    assert [frame.source.name for frame in frames] == ["f1.png", "f2.png", "f3.png", "f10.png"]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert frames[2].error is not None and levels(frames) == [1, 2, 10]
    assert [frame.index for frame in open_stream(f"{tmp_path}/*.png")] == [0, 1, 2, 3]
    assert (stream.count, stream.rate) == (4, 10)


def test_images_and_videos_are_told_apart(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ReadError, match="canthus detect finds its faces"):
        open_stream(tmp_path / "a.png")
    with pytest.raises(ReadError, match=r"a\.mp4: a video; canthus track follows"):
        read(tmp_path / "a.mp4")
    with pytest.raises(ReadError, match=r"gone\.mp4: no such file"):
        open_stream(tmp_path / "gone.mp4")


def test_without_pyav_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", greys(2))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[video\]'"):
        open_stream(path)


class FakeCamera:
    """A camera that is pulled out after three pictures."""

    left = 3

    def __init__(self, name: int | str) -> None:
        self.open = name == 0

    def isOpened(self) -> bool:
        return self.open

    def set(self, code: int, value: float) -> None: ...

    def get(self, code: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return (True, np.full((8, 8, 3), (1, 2, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.open = False


def test_a_camera_that_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    stream = open_stream("0")
    *frames, last = stream
    assert isinstance(stream, Camera) and stream.live and len(frames) == 3
    assert frames[0].image is not None and frames[0].image[0, 0].tolist() == [3, 2, 1]
    times = [frame.time for frame in frames if frame.time is not None]
    assert times == sorted(times) and len(times) == 3
    assert last.image is None and str(last.error) == "camera 0: gives no more pictures; connect it again"
    with pytest.raises(ReadError, match="camera 1: cannot be opened; connect it"):
        open_stream("1")


def test_a_camera_that_is_closed_ends_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    stream = open_stream("0")
    frames = iter(stream)
    next(frames)
    stream.close()
    assert list(frames) == []


def test_frames_from_a_thread() -> None:
    source = [Frame(Path("a"), n) for n in range(30)]
    assert list(in_background(source, 3)) == source
    some = in_background(source, 3)
    assert next(some) is source[0]
    some.close()

    def broken() -> Any:
        yield source[0]
        raise ReadError("gone")

    with pytest.raises(ReadError, match="gone"):
        list(in_background(broken()))


def test_frames_that_are_passed_over_keep_numbers_and_times(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", greys(8), times=[0, 0.1, 0.2, 0.6, 0.8, 1.0, 1.1, 1.2])
    (tmp_path / "seq").mkdir()
    for number, image in enumerate(greys(8)):
        assert cv2.imwrite(str(tmp_path / "seq" / f"{number}.png"), image)
    for source in (path, tmp_path / "seq"):
        every, some = list(open_stream(source)), list(open_stream(source, skip=3))
        assert [frame.index for frame in some] == [3, 4, 5, 6, 7]
        for before, after in zip(every[3:], some, strict=True):
            assert before.time == after.time and np.array_equal(before.image, after.image)  # type: ignore[arg-type]
    assert list(open_stream(path, skip=20)) == []


def test_where_the_first_frame_is_in_its_file(tmp_path: Path) -> None:
    stream = open_stream(film(tmp_path / "a.mkv", greys(3), times=[0.4, 0.5, 0.6]))
    assert stream.start is None and [frame.time for frame in stream] == pytest.approx([0, 0.1, 0.2], abs=2e-3)
    assert stream.start == pytest.approx(0.4, abs=2e-3)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by /proc")
def test_frames_leave_no_threads_behind(tmp_path: Path) -> None:
    """PyAV gives each frame that is converted threads of its own, which live as long as the frame."""
    path = film(tmp_path / "a.mp4", greys(60))
    gc.disable()
    try:
        frames_of(path)
        assert len([*Path("/proc/self/task").iterdir()]) < 30
    finally:
        gc.enable()
