"""`canthus track` from arguments to files, messages and exit codes; the tracker sees dots, and once faces."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from canthus.formats.tracks.table import load
from canthus.track.tracker import Tracker
from command import run
from dots import picture, tracker
from films import av, film

ASTRONAUT = Path(__file__).parents[2] / "examples" / "astronaut.jpg"


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options with which the tracker is opened; it sees dots."""
    given: dict[str, Any] = {}

    def open_tracker(*args: Any, **options: Any) -> Tracker:
        given.update(options, model=args[0])
        return tracker(**{name: options[name] for name in ("smooth", "every", "max_faces")})

    monkeypatch.setattr(Tracker, "open", open_tracker)
    return given


@pytest.fixture
def video(tmp_path: Path) -> Path:
    images = [*[picture((100 + at, 100)) for at in range(8)], *[picture()] * 12, *[picture((110, 100))] * 6]
    return film(tmp_path / "in.mkv", images, codec="ffv1", pixels="bgr0")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_video(video: Path, tmp_path: Path, dots: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    options = ["--format", "csv, jsonl", "--smooth", "off", "--every", 4, "--max-faces", 3, "--threads", 2]
    assert run("track", video, "-o", out, "--overlay", "--log", *map(str, options)) == 0
    assert (dots["smooth"], dots["every"], dots["max_faces"], dots["threads"]) == ("off", 4, 3, 2)
    text = said(capsys)
    assert "frames 26, 1.0 s of video faces 1 time" in text and "results " in text
    assert "frame 0, 0.00 s: face 1: new (detected, face score 1.00)" in text
    assert "uncertain -> lost" in text and "lost -> found again (a detection fits its place" in text
    files = ["overlay.mp4", "tracks.csv", "tracks.jsonl", "tracks.log"]
    assert sorted(path.name for path in out.iterdir() if path.is_file()) == files
    assert len(load(out)) == 26
    assert run("track", video, "-o", out, "--resume", "--overlay", "--log", *map(str, options)) == 0
    assert "frames 26, 1.0 s of video, 26 of them by an earlier run" in said(capsys)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["none.mp4"], 3, "canthus: none.mp4: no such file, folder or camera"),
        ([ASTRONAUT], 3, "astronaut.jpg: an image, not a video; canthus detect finds its faces"),
        (["VIDEO", "--format", "xml"], 2, "choose one or several of csv"),
        (["VIDEO", "--every", "0"], 2, "--every"),
        (["VIDEO", "--detector", "none"], 2, "a video needs a detector that finds faces"),
        (["-", "--overlay", "--smooth", "offline"], 3, "choose --smooth online, or leave --overlay out"),
        (["77"], 3, "camera 77: cannot be opened; connect it, and close other programs that use it"),
    ],
)
def test_what_is_refused(
    video: Path,
    tmp_path: Path,
    dots: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    words = [str(video) if word == "VIDEO" else str(word) for word in words]
    assert run("track", *words, "-o", tmp_path / "out") == code
    assert says in said(capsys)
    assert not [*tmp_path.glob("out/[!.]*")]


def test_a_window_needs_a_display(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert run("track", video, "-o", tmp_path / "out", "--show") == 3
    assert "no window can be shown: " in (text := said(capsys)) and "or omit --show" in text
    assert not (tmp_path / "out").exists()


def test_detect_says_what_to_use_for_a_video(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = video.rename(tmp_path / "in.mkv")
    assert run("detect", path, "-o", tmp_path / "out") == 1
    assert "in.mkv: a video; canthus track follows the faces in it" in said(capsys)


def portrait(count: int, side: int = 160) -> list[Any]:
    """A face that moves to the right by a pixel a frame."""
    face = cv2.resize(cv2.imread(str(ASTRONAUT))[:300, 80:380], (side, side), interpolation=cv2.INTER_AREA)[..., ::-1]
    shifts = [np.array([[1, 0, at % 20], [0, 1, 0]], np.float32) for at in range(count)]
    return [cv2.warpAffine(face, shift, (side, side), borderMode=cv2.BORDER_REPLICATE) for shift in shifts]


def test_the_models_of_the_package_follow_a_face(tmp_path: Path) -> None:
    path = film(tmp_path / "in.mp4", portrait(12, 240))
    assert run("track", path, "-o", tmp_path / "out", "--smooth", "off") == 0
    found = load(tmp_path / "out")
    assert [moment.faces.identity.tolist() for moment in found] == [[1.0]] * 12
    moved = found[11].faces.points[0] - found[1].faces.points[0]
    assert moved.shape == (68, 2) and moved.mean(0) == pytest.approx([10, 0], abs=0.7)


def test_ctrl_c_leaves_a_playable_video_and_a_whole_table(tmp_path: Path) -> None:
    path = film(tmp_path / "in.mp4", portrait(3000), sound=True)
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-m", "canthus", "track", path, "-o", out, "--overlay"],
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        limit = time.monotonic() + 60
        while not (out / ".canthus-track" / "000000.json").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, text = process.communicate()
    assert process.returncode == 130 and b"canthus: interrupted" in text
    frames = len(load(out / "tracks.csv"))
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames and container.streams.audio
    assert 500 <= frames < 3000
