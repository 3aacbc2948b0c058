"""Runs over videos: results, parts, what an interruption and a kill leave, and how the next run goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from canthus.errors import InputError, OutputError
from canthus.formats.tracks.table import load
from canthus.track.tracker import Tracker
from canthus.types import Image
from canthus.video import run
from canthus.video.parts import HIDDEN
from canthus.video.results import Wanted
from canthus.video.run import Request, Summary, follow
from dots import picture
from dots import tracker as dot_tracker
from films import av, film

SHOWN = [
    *[picture((100 + at, 100)) for at in range(9)],
    *[picture()] * 3,
    *[picture((110, 100), (220, 60 + at)) for at in range(12)],
]
TIMES = [round(at * 0.04 + 0.3 * (at > 15), 3) for at in range(len(SHOWN))]
ALL = Wanted(("csv", "jsonl", "parquet", "pts"), overlay=True, log=True)


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "FRAMES", 5)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return film(tmp_path / "in.mkv", SHOWN, times=TIMES, codec="ffv1", pixels="bgr0", sound=True)


def tracker(smooth: str = "online") -> Tracker:
    return dot_tracker(every=5, smooth=smooth)


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in listing(folder) if not name.startswith(".")}


def times_of(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


class Stop(BaseException):
    """Stands for Ctrl-C, and for a kill."""


def stopped_after(frames: int) -> Any:
    def progress(summary: Summary) -> None:
        if summary.frames == frames:
            raise Stop

    return progress


def test_the_results_are_what_the_tracker_says(video: Path, tmp_path: Path) -> None:
    summary = follow(tracker(), Request(str(video), tmp_path / "out", ALL))
    assert (summary.frames, summary.resumed, summary.faces, summary.faults) == (24, 0, 2, [])
    one = tracker()
    steps = [one.step(image, time) for image, time in zip(SHOWN, TIMES, strict=True)]
    for name in ("tracks.csv", "tracks.jsonl", "tracks.parquet"):
        moments = load(tmp_path / "out" / name)
        assert [moment.frame for moment in moments] == [*range(24)]
        assert [moment.time for moment in moments] == pytest.approx(TIMES, abs=1e-9)
        for moment, step in zip(moments, steps, strict=True):
            assert moment.states == tuple(map(str, step.states))
            np.testing.assert_array_equal(moment.faces.identity, step.faces.identity)
            np.testing.assert_array_equal(moment.faces.points, step.faces.points)
    assert times_of(tmp_path / "out" / "overlay.mp4") == pytest.approx(TIMES, abs=1e-4)
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert (container.streams.video[0].width, container.streams.video[0].height) == (320, 240)
    log = (tmp_path / "out" / "tracks.log").read_text().splitlines()
    assert log == [str(event) for step in steps for event in step.events]
    assert log[0] == "frame 0, 0.00 s: face 1: new (detected, face score 1.00)"
    faces = [f"points/{at:06d}_{int(face)}.pts" for at, step in enumerate(steps) for face in step.faces.identity]
    hidden = [f"{HIDDEN}/done.json", f"{HIDDEN}/run.json"]
    tables = ["tracks.csv", "tracks.jsonl", "tracks.log", "tracks.parquet"]
    assert listing(tmp_path / "out") == sorted([*hidden, *faces, *tables, "overlay.mp4"])


@pytest.mark.parametrize("smooth", ["online", "offline"])
@pytest.mark.parametrize("frames", [1, 5, 8, 23])
def test_an_interrupted_run_has_whole_results_and_goes_on(
    video: Path, tmp_path: Path, frames: int, smooth: str
) -> None:
    folder = tmp_path / "out"
    follow(tracker(smooth=smooth), Request(str(video), tmp_path / "whole", ALL))
    for _ in range(2 if frames % 5 else 1):
        with pytest.raises(Stop):
            follow(tracker(smooth=smooth), Request(str(video), folder, ALL, resume=True), stopped_after(frames))
        found = load(folder / "tracks.csv")
        assert [moment.frame for moment in found] == [*range(frames)]
        if smooth == "online":
            assert times_of(folder / "overlay.mp4") == pytest.approx(TIMES[:frames], abs=1e-4)
            same = load(tmp_path / "whole" / "tracks.csv")[:frames]
            for one, two in zip(found, same, strict=True):
                np.testing.assert_array_equal(one.faces.points, two.faces.points)
    summary = follow(tracker(smooth=smooth), Request(str(video), folder, ALL, resume=True))
    assert (summary.frames, summary.resumed) == (24, frames // 5 * 5)
    assert contents(folder) == contents(tmp_path / "whole")


def test_a_killed_run_goes_on(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill writes no results, and may leave any file of the part that was being written."""
    folder = tmp_path / "out"
    follow(tracker(), Request(str(video), tmp_path / "whole", ALL))
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(run, "_write", lambda *_, **__: None)
        patch.setattr(run.Sink, "end_part", lambda sink, memory, start: memory and end_part(sink, memory, start))
        follow(tracker(), Request(str(video), folder, ALL), stopped_after(13))
    assert [name for name in listing(folder) if not name.startswith(".")] == []
    assert f"{HIDDEN}/000001.json" in listing(folder) and f"{HIDDEN}/000002.json" not in listing(folder)
    (folder / HIDDEN / "000002.jsonl").write_text("half")
    assert follow(tracker(), Request(str(video), folder, ALL, resume=True)).resumed == 10
    assert contents(folder) == contents(tmp_path / "whole")


end_part = run.Sink.end_part


def test_a_finished_run_is_not_run_again(video: Path, tmp_path: Path) -> None:
    request = Request(str(video), tmp_path / "out", resume=True)
    follow(tracker(), request)
    summary = follow(tracker(), request, stopped_after(1))
    assert (summary.frames, summary.resumed) == (24, 24)
    (tmp_path / "out" / "tracks.csv").unlink()
    assert follow(tracker(), request).resumed == 0, "its results are gone"
    with pytest.raises(OutputError, match=r"other settings \(smooth differ"):
        follow(tracker(smooth="off"), request)
    with pytest.raises(OutputError, match="content differ"):
        film(video, SHOWN[:9], codec="ffv1", pixels="bgr0")
        follow(tracker(), request)


def test_another_run_in_the_folder_leaves_nothing_of_the_first(video: Path, tmp_path: Path) -> None:
    follow(tracker(), Request(str(video), tmp_path / "out", ALL))
    follow(tracker(), Request(str(video), tmp_path / "out", Wanted(("jsonl",))))
    assert [*contents(tmp_path / "out")] == ["tracks.jsonl"]


def test_files_of_others_are_spared(video: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "tracks.csv").write_text("mine")
    for resume in (False, True):
        with pytest.raises(OutputError, match=r"tracks\.csv: exists, and canthus did not write it"):
            follow(tracker(), Request(str(video), tmp_path / "out", resume=resume))
    assert listing(tmp_path / "out") == ["tracks.csv"]
    source = video.rename(tmp_path / "overlay.mkv")
    with pytest.raises(OutputError, match="is the source"):
        follow(tracker(), Request(str(source), tmp_path, Wanted(overlay=True)))
    with pytest.raises(OutputError, match="csv, jsonl, parquet, pts, not as xml"):
        follow(tracker(), Request(str(source), tmp_path / "new", Wanted(("xml",))))


def test_images_as_frames(tmp_path: Path) -> None:
    for at, image in enumerate(SHOWN):
        (tmp_path / "in").mkdir(exist_ok=True)
        assert cv2.imwrite(str(tmp_path / "in" / f"{at}.png"), image[..., ::-1])
    (tmp_path / "in" / "4.png").write_bytes(b"no image")
    request = Request(str(tmp_path / "in"), tmp_path / "out", Wanted(overlay=True), rate=10.0, resume=True)
    with pytest.raises(Stop):
        follow(tracker(), request, stopped_after(17))
    summary = follow(tracker(), request)
    assert summary.frames == 24 and len(summary.faults) == 1 and "4.png" in summary.faults[0]
    found = load(tmp_path / "out")
    assert found[23].time == pytest.approx(2.3) and len(found[4].faces) == 0
    assert times_of(tmp_path / "out" / "overlay.mp4") == pytest.approx([at / 10 for at in range(24) if at != 4])


class Shown:
    """A window that is closed after so many pictures."""

    def __init__(self, most: int) -> None:
        self.most, self.images = most, list[Image]()

    def show(self, image: Image) -> bool:
        self.images.append(image)
        return len(self.images) < self.most


def test_a_window_shows_what_the_overlay_holds_and_ends_the_run(video: Path, tmp_path: Path) -> None:
    window = Shown(7)
    summary = follow(tracker(), Request(str(video), tmp_path / "out", Wanted(overlay=True)), window=window)
    assert summary.frames == 7 and (window.images[3] != SHOWN[3]).any()
    with av.open(str(tmp_path / "out" / "overlay.mp4")) as container:
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    strokes = (window.images[3] != SHOWN[3]).any(-1)
    far = [np.abs(back[3].astype(int) - image)[strokes].mean() for image in (window.images[3], SHOWN[3])]
    assert len(back) == 7 and far[0] < far[1] / 4


@pytest.fixture
def once(video: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The video on standard input."""
    with video.open("rb") as stream:
        monkeypatch.setattr("sys.stdin", type("Pipe", (), {"buffer": stream}))
        yield "-"


def test_frames_that_come_once(once: str, tmp_path: Path) -> None:
    """An interrupted run keeps what it has; resumed, it only writes that."""
    request = Request(once, tmp_path / "out", Wanted(overlay=True), resume=True)
    with pytest.raises(InputError, match="its frames come once"):
        follow(tracker(smooth="offline"), request)
    with pytest.raises(Stop):
        follow(tracker(), request, stopped_after(13))
    (tmp_path / "out" / "tracks.csv").unlink()
    assert follow(tracker(), request).frames == 13
    assert len(load(tmp_path / "out")) == len(times_of(tmp_path / "out" / "overlay.mp4")) == 13
