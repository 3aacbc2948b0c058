"""Sources and disks that fail: what was done is kept, messages name the file and the remedy, exit codes tell."""

import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from canthus.errors import OutputError
from canthus.formats.tracks.table import load
from canthus.reader.stream import open_stream
from canthus.track.tracker import Tracker
from canthus.video import run as runs
from command import run
from dots import picture, tracker
from films import av, film, greys


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tracks dots, in short parts."""
    monkeypatch.setattr(Tracker, "open", lambda *_, **options: tracker(every=options["every"]))
    monkeypatch.setattr(runs, "FRAMES", 10)


def track(source: object, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and message of the command with an overlay."""
    code = run("track", str(source), "-o", folder, "--overlay")
    return code, " ".join(capsys.readouterr().err.split())


def frames_of(folder: Path) -> list[Any]:
    """The pictures of the overlay; there are as many as rows in the table."""
    with av.open(str(folder / "overlay.mp4")) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(load(folder / "tracks.csv")) == len(images)
    return images


def test_a_video_that_is_cut_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(3).integers(0, 190, (60, 48, 64, 3), dtype=np.uint8)
    path = film(tmp_path / "in.mkv", list(noise))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    whole = sum(frame.image is not None for frame in open_stream(path))
    code, text = track(path, tmp_path / "out", capsys)
    assert code == 1 and "in.mkv: " in text and "copy it again, or convert it to an H.264 .mp4" in text
    assert len(frames_of(tmp_path / "out")) == whole > 20


def test_a_damaged_part_in_the_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "in.avi", [picture((100, 100))] * 30, codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    at = [n for n in range(len(data) - 2) if data[n : n + 3] == b"\xff\xd8\xff"][12]
    data[at : at + 600] = bytes(600)
    path.write_bytes(data)
    code, text = track(path, tmp_path / "out", capsys)
    assert code == 1 and "failed 1" in text and "in.avi: after frame 12: a part is damaged" in text
    assert len(frames_of(tmp_path / "out")) == 29


def test_a_video_without_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, damaged = tmp_path / "header.mp4", film(tmp_path / "damaged.mp4", greys(4))
    with av.open(str(header), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = 48, 64
        container.start_encoding()
    data = damaged.read_bytes()
    start, size = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 :][:4], "big") - 8
    damaged.write_bytes(data[:start] + b"\xff" * size + data[start + size :])
    for path, says in ((header, "holds no pictures"), (damaged, "no frame can be decoded; copy it again, or convert")):
        code, text = track(path, tmp_path / "out", capsys)
        assert code == 3 and f"{path.name}: {says}" in text
        assert not [*tmp_path.glob("out/[!.]*")]


class Unplugged:
    """A camera of OpenCV that gives 14 pictures."""

    def __init__(self, _: object) -> None:
        self.left = 14

    def isOpened(self) -> bool:
        return True

    def set(self, *_: object) -> None: ...

    def get(self, _: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, Any]:
        self.left -= 1
        return (True, picture((100, 100))) if self.left >= 0 else (False, None)

    def release(self) -> None: ...


def test_a_camera_that_vanishes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Unplugged)
    code, text = track("0", tmp_path / "out", capsys)
    assert code == 1 and "camera 0: gives no more pictures; connect it again" in text
    assert len(frames_of(tmp_path / "out")) == 14


def test_a_picture_that_changes_its_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = film(tmp_path / "a.ts", greys(12, 48, 64))
    second = film(tmp_path / "b.ts", [np.full((96, 96, 3), 180, np.uint8)] * 13)
    path = tmp_path / "in.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    shapes = [frame.image.shape for frame in open_stream(path) if frame.image is not None]
    assert (48, 64, 3) in shapes and (96, 96, 3) in shapes
    code, _ = track(path, tmp_path / "out", capsys)
    images = frames_of(tmp_path / "out")
    assert code == 0 and {image.shape for image in images} == {(48, 64, 3)} and len(images) == len(shapes)
    assert abs(int(images[-1][24, 32, 0]) - 180) < 6 and images[-1][24, 2].max() < 20, "fitted, not stretched"


@pytest.mark.parametrize(
    ("size", "codec", "pixels"),
    [((47, 65), "ffv1", "yuv444p"), ((48, 64), "libx264", "yuv420p10le"), ((48, 64), "libx264", "yuv420p")],
)
def test_odd_sizes_ten_bits_and_no_sound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: tuple[int, int], codec: str, pixels: str
) -> None:
    path = film(tmp_path / "in.mkv", greys(12, *size), codec=codec, pixels=pixels)
    code, _ = track(path, tmp_path / "out", capsys)
    images = frames_of(tmp_path / "out")
    assert code == 0 and images[0].shape == (48, 66 if size[1] == 65 else 64, 3)
    assert [image[..., 1].mean() for image in images] == pytest.approx([40 + 4 * n for n in range(12)], abs=5)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p" and not container.streams.audio


FULL = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from canthus.cli import main
from canthus.track.tracker import Tracker
from canthus.video import run
from dots import tracker
Tracker.open = lambda *_, **options: tracker(every=options["every"])
run.FRAMES = 10
main()
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: the system gives another error number in the same place."""

    def limit(size: int) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    quiet, noise = [picture((100, 100))] * 20, np.random.default_rng(0).integers(0, 199, (20, 240, 320, 3), np.uint8)
    path, out = film(tmp_path / "in.mkv", [*quiet, *noise], codec="ffv1", pixels="bgr0"), tmp_path / "out"
    script = FULL.format(tests=str(Path(__file__).parents[1]))
    words = [sys.executable, "-c", script, "track", str(path), "-o", str(out), "--overlay"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, preexec_fn=lambda: limit(300_000))
    said = " ".join(done.stderr.split())
    assert done.returncode == 3, said
    assert "000002.mp4: cannot be written: File too large; free some space, or choose another folder" in said
    assert said.endswith("; then go on with --resume")
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "frames 40, 1.6 s of video, 20 of them by an earlier run" in " ".join(
        done.stderr.split()
    )
    assert len(frames_of(out)) == 40


def test_a_table_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The parts stay, and the next run writes the table."""
    path = film(tmp_path / "in.mkv", [picture((100, 100))] * 25, codec="ffv1", pixels="bgr0")
    (tmp_path / "out").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs.results, "dump_stream", full)
        code, text = track(path, tmp_path / "out", capsys)
    assert code == 3 and "tracks.csv: cannot be written" in text
    assert run("track", path, "-o", tmp_path / "out", "--overlay", "--resume") == 0
    assert len(frames_of(tmp_path / "out")) == 25


def full(path: Path, *_: object) -> None:
    raise OutputError(f"{path}: cannot be written: No space left on device; free some space")
