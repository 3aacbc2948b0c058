"""A batch from its inputs to its tables, resumed after kills, with pictures that kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from batches import Here, Mined
from canthus.batch import run as module
from canthus.batch.inputs import Entry
from canthus.batch.plan import Part
from canthus.batch.processes import Processes
from canthus.batch.run import Progress, Request, Summary, run
from canthus.batch.setup import Setup
from canthus.batch.workshop import FACES, HIDDEN, PIECES, Workshop
from canthus.errors import CanthusError, InputError, OutputError
from canthus.reader.image import read
from canthus.reader.stream import open_stream
from canthus.work.crew import ENDED, KilledError
from canthus.work.files import PART
from films import film

SETUP = Setup(detector="none", passes=1)


def rows(folder: Path, table: str = FACES) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parquet.read_table(folder / table).sort_by("picture").to_pylist()
    return found


def result(inputs: Sequence[Path | str], out: Path, engine: Any = None, **options: Any) -> Summary:
    return run(Request(tuple(map(str, inputs)), out, options.pop("setup", SETUP), **options), engine or Here())


@pytest.fixture(scope="module")
def whole(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of all photographs, twice."""
    out = tmp_path_factory.mktemp("whole") / "out"
    summary = result([photos, photos], out)
    assert (summary.pictures, summary.faces, summary.faceless, summary.failed) == (78, 78, 0, 2)
    assert summary.failures[0].startswith(f"{photos}/1/07.png: ") and len(summary.failures) == 2
    return out


def test_a_row_holds_what_the_pipeline_finds(whole: Path, photos: Path) -> None:
    pipeline, files = SETUP.open(), [*sorted(photos.rglob("*.png"))]
    pictures = rows(whole, "pictures")
    assert [row["picture"] for row in pictures] == list(range(80))
    assert [row["source"] for row in pictures] == [str(file) for file in files] * 2
    assert [row["faces"] for row in pictures] == [int("07" not in str(file)) for file in files] * 2
    assert {(row["error"] is None, row["width"] is None) for row in pictures} == {(True, False), (False, True)}
    for row in rows(whole)[::7]:
        image = read(row["source"])
        (face,) = pipeline(image)
        head = {"index": 0, "time": None, "face": 0, "scheme": "68", "model": SETUP.model_hash, "confidence": None}
        assert {name: row[name] for name in head} == head | {"confidence": row["confidence"]}
        assert (pictures[row["picture"]]["width"], pictures[row["picture"]]["height"]) == image.shape[1::-1]
        for name, value in {"points": face.points, "box": face.box, "scores": face.scores, "pose": face.pose}.items():
            np.testing.assert_allclose(np.array(row[name], np.float32), value, atol=1e-3)


def test_processes_write_the_same_rows_and_a_picture_that_kills_fails_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Workshop", Mined)
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    files = [photos / "0" / "00.png", tmp_path / "deadly.png", photos / "1" / "01.png"]
    (tmp_path / "deadly.png").write_bytes(files[0].read_bytes())
    steps: list[int] = []
    request = Request(tuple(map(str, files)), tmp_path / "out", SETUP)
    summary = run(request, Processes(1), lambda progress: steps.append(progress.done))
    assert (summary.pictures, summary.failed, summary.failures) == (2, 1, [f"{files[1]}: {ENDED}"])
    assert steps[-1] == 3 and summary.progress.frames >= 2
    result([files[0], files[2]], tmp_path / "others")
    for row, other in zip(rows(tmp_path / "out"), rows(tmp_path / "others"), strict=True):
        assert row | {"picture": 0} == other | {"picture": 0}
    assert [row["error"] is None for row in rows(tmp_path / "out", "pictures")] == [True, False, True]


def test_what_ends_once_is_made_in_pieces_and_gives_the_same_tables(whole: Path, photos: Path, tmp_path: Path) -> None:
    lost: list[str] = []

    def once(part: Part) -> bool:
        """Part 1 the first time, part 2 twice, and one picture of part 2 the first time."""
        allowed = {"part-000001": 1, "part-000002": 2, "part-000002-000000032": 1}
        lost.append(part.name)
        return lost.count(part.name) <= allowed.get(part.name, 0)

    engine = Here(once)
    assert result([photos, photos], tmp_path / "out", engine).failed == 2
    assert sum(name.startswith("part-000002-") for name in engine.made) == 16
    assert sorted(set(engine.made) - {part.name for part in Part(2, 32, 48).pieces}) == [
        f"part-00000{number}" for number in (0, 1, 3, 4)
    ]
    for table in ("faces", "pictures"):
        found, expected = (parquet.read_table(out / table) for out in (tmp_path / "out", whole))
        assert found.drop_columns(["points", "scores", "box", "pose", "confidence"] * (table == "faces")).equals(
            expected.drop_columns(["points", "scores", "box", "pose", "confidence"] * (table == "faces"))
        )
    for row, other in zip(rows(tmp_path / "out"), rows(whole), strict=True):
        np.testing.assert_allclose(row["points"], other["points"], atol=1e-3)
    assert not (tmp_path / "out" / HIDDEN / PIECES).exists()


def test_a_run_in_which_everything_is_killed_ends(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(KilledError, match=r"8 processes were killed one after the other.*fewer --workers"):
        result([photos] * 10, tmp_path / "out", Here(lambda part: True))
    assert not list((tmp_path / "out").rglob("part-*"))


def test_a_run_that_was_stopped_goes_on(whole: Path, photos: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done >= 32:
            raise SystemExit(143)

    request, engine = Request((str(photos), str(photos)), tmp_path / "out", SETUP), Here()
    with pytest.raises(SystemExit):
        run(request, engine, stop)
    done = len(engine.made)
    progress = run(request, engine).progress
    assert (progress.resumed, progress.done, progress.total) == (16 * done, 80, 80)
    assert len(engine.made) == len(set(engine.made)) == 5
    assert contents(tmp_path / "out") == contents(whole)
    assert run(request, engine).progress.rate == 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("part-*.parquet")}


def test_a_driver_that_was_killed_leaves_nothing_half_and_is_resumed(photos: Path, tmp_path: Path) -> None:
    """The processes end with it, in the middle of a part; the picture that it was slow about is fast then."""
    slow = tmp_path / "slow.png"
    slow.write_bytes((photos / "0" / "00.png").read_bytes())
    out, names = tmp_path / "out", [str(photos), str(slow)]
    program = (
        "from pathlib import Path\nfrom canthus.batch import run\nfrom canthus.batch.processes import Processes\n"
        "from canthus.batch.setup import Setup\nfrom batches import Mined\nrun.Workshop = Mined\n"
        f"if __name__ == '__main__':\n    request = run.Request({tuple(names)!r}, Path({str(out)!r}), "
        "Setup(detector='none', passes=1))\n    run.run(request, Processes(1))"
    )
    script = tmp_path / "driver.py"
    script.write_text(program)
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": path}) as driver:
        while len(contents(out)) < 4:
            assert driver.poll() is None
            time.sleep(0.05)
        driver.send_signal(signal.SIGKILL)
    before = contents(out)
    assert len(before) == 4, "two parts of three, and both tables of each"
    summary = result(names, out)
    assert (summary.progress.resumed, summary.pictures, summary.failed) == (32, 40, 1)
    assert before.items() <= contents(out).items()
    assert [row["picture"] for row in rows(out, "pictures")] == list(range(41))
    assert not [path for path in out.rglob("*") if PART.fullmatch(path.name)]


def test_frames_of_a_video_and_pictures_in_one_run(photos: Path, tmp_path: Path) -> None:
    images = [np.full((48, 64, 3), shade, np.uint8) for shade in range(0, 250, 25)]
    source = film(tmp_path / "film.mp4", images)
    picture = photos / "0" / "00.png"
    summary = result([source, picture], tmp_path / "out", overlay=True)
    assert (summary.pictures, summary.progress.total, summary.progress.frames) == (11, 2, 11)
    found = sorted(rows(tmp_path / "out"), key=lambda row: (row["picture"], row["index"]))
    times = [frame.time for frame in open_stream(source)]
    expected = [(0, str(picture), 0, None), *((1, str(source), at, time) for at, time in enumerate(times))]
    assert [(row["picture"], row["source"], row["index"], row["time"]) for row in found] == expected
    drawn = sorted(path.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("*.jpg"))
    assert drawn[:2] == ["overlays/part-000000/000000000.jpg", "overlays/part-000001/000000001-000000.jpg"]
    assert len(drawn) == 11 and read(tmp_path / "out" / drawn[0]).shape[1] >= 640


def test_what_a_run_began_with_cannot_change(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result([photos], out)
    with pytest.raises(OutputError, match=r"other settings .*settings differ"):
        result([photos], out, setup=replace(SETUP, passes=2))
    (photos / "0" / "more.png").write_bytes(b"")
    try:
        with pytest.raises(OutputError, match="its run began with 40 pictures and 0 videos, and now there are 41"):
            result([photos], out)
    finally:
        (photos / "0" / "more.png").unlink()
    for name in ("gone", "gone.png"):
        with pytest.raises(CanthusError, match="no such file"):
            result([photos, photos / name], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_machine_with_another_model_is_found_out(tmp_path: Path) -> None:
    """On a cluster the name of a bundle may lead to another file."""
    with pytest.raises(InputError, match="the default model: is another file here than where the run was started"):
        Workshop(tmp_path, SETUP, "another").make(Part(0, 0, 1), [Entry("a.png")], print)
