"""Many image files by several processes: the same files as by one, and a picture that kills fails alone."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from canthus.batch import shared
from canthus.batch.folder import process_files
from canthus.batch.setup import Setup
from canthus.batch.shared import MANY, Found, Task, find, process_shared, processes_for
from canthus.reader.files import find as image_files
from canthus.work.crew import ENDED, Report
from canthus.writer.images import ResultFolder

SETUP = Setup(detector="none", passes=1)


def finding(task: Task, files: Sequence[Path], report: Report) -> list[Found]:
    """`find`, but a picture called "deadly" ends the process."""
    if any("deadly" in file.name for file in files):
        os._exit(9)
    return find(task, files, report)


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("[!.]*") if path.is_file()}


def test_the_same_files_as_by_one_process(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "find", finding)
    files = [*image_files([photos]), tmp_path / "deadly.png"]
    files[-1].write_bytes(files[0].read_bytes())
    root, kinds, steps = Path(os.path.commonpath(files)), ["json", "csv", "pts"], []
    with ResultFolder(tmp_path / "several", files, root, kinds, overlay=True) as folder:
        task = Task(SETUP, overlay=True)
        several = process_shared(task, files, folder, 1, lambda some: steps.append(some.images + len(some.failures)))
    with ResultFolder(tmp_path / "one", files[:-1], root, kinds, overlay=True) as folder:
        one = process_files(SETUP.open(), files[:-1], folder)
    assert (several.images, several.faces, several.faceless) == (one.images, one.faces, one.faceless) == (39, 39, 0)
    assert sorted(several.failures) == sorted([*one.failures, f"{files[-1]}: {ENDED}"])
    assert steps == list(range(1, 42))
    assert outputs(tmp_path / "several") == outputs(tmp_path / "one")
    with ResultFolder(tmp_path / "several", files, root, kinds, overlay=True, resume=True) as folder:
        assert process_shared(task, files[:6], folder, 1).skipped == 6


def test_boxes_and_an_error_of_the_whole_run(photos: Path, tmp_path: Path) -> None:
    files = image_files([photos / "0"])
    (tmp_path / "boxes.csv").write_text("image,x0,y0,x1,y1\n" + "".join(f"{file.name},4,4,40,40\n" for file in files))
    found = find(Task(SETUP, tmp_path / "boxes.csv"), files, print)
    assert [result.faces.boxes.shape for result in found] == [(1, 4)] * len(files)
    with pytest.raises(Exception, match="no such model bundle"):
        find(Task(Setup(model=tmp_path / "gone.canthus")), files, print)


@pytest.mark.parametrize(
    ("threads", "device", "count", "expected"),
    [(3, "cpu", MANY, 3), (3, "cpu", MANY - 1, 0), (1, "cpu", MANY, 0), (3, "cuda", MANY, 0)],
)
def test_when_there_are_processes(threads: int, device: str, count: int, expected: int, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(count)]
    setup = Setup(threads=threads, device=device)  # type: ignore[arg-type]
    with ResultFolder(tmp_path / "out", files, tmp_path) as folder:
        assert processes_for(setup, files, folder) == expected
    cores = partial(processes_for, Setup(threads=0), files)
    with ResultFolder(tmp_path / "out", files, tmp_path) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared, "cores", lambda: 5)
        assert cores(folder) == (5 if count >= MANY else 0)
