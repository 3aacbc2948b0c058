"""Landmarks of many files from Python: which files, what counts, and what a resumed run must redo."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.batch.folder import fingerprint, image_files, process_files
from canthus.detect.given import BoxFile
from canthus.errors import CanthusError
from canthus.pipeline import Pipeline
from canthus.types import Faces
from canthus.writer.images import ResultFolder


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.open(detector="none", passes=1)


@pytest.fixture
def photos(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Three pictures, one of which is damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (48, 48, 3), np.uint8))
    (folder / "broken.png").write_text("no picture")
    return folder


def test_counts_and_progress(pipeline: Pipeline, photos: Path) -> None:
    out = photos / "out"
    files, steps = image_files([str(photos)], out), []
    with ResultFolder(out, files, photos, ["json"]) as folder:
        summary = process_files(pipeline, files, folder, progress=lambda s: steps.append(s.images + len(s.failures)))
    assert (summary.images, summary.faces, summary.faceless, summary.skipped) == (2, 2, 0, 0)
    assert len(summary.failures) == 1 and "broken.png" in summary.failures[0]
    assert steps == [1, 2, 3] and summary.seconds > 0 and "images/s" in summary.rate
    with ResultFolder(out, files, photos, ["json"], resume=True) as folder:
        again = process_files(pipeline, files, folder)
    assert (again.images, again.skipped, len(again.failures)) == (0, 2, 1)


def test_given_boxes_may_be_none(pipeline: Pipeline, photos: Path) -> None:
    (photos / "boxes.csv").write_text("image,x0,y0,x1,y1\na.png,,,,\nb.png,4,4,40,40\nbroken.png,,,,\n")
    files = image_files([str(photos)], photos / "out")
    with ResultFolder(photos / "out", files, photos) as folder:
        summary = process_files(pipeline, files, folder, BoxFile.open(photos / "boxes.csv"))
    assert (summary.images, summary.faces, summary.faceless) == (2, 1, 1)


def test_results_in_a_folder_of_images_are_no_images(photos: Path) -> None:
    (photos / "out").mkdir()
    cv2.imwrite(str(photos / "out" / "overlay.jpg"), np.zeros((8, 8, 3), np.uint8))
    names = [file.name for file in image_files([str(photos)], photos / "out")]
    assert names == ["a.png", "b.png", "broken.png"]
    assert [file.name for file in image_files([str(photos / "out")], photos / "out")] == ["overlay.jpg"]


def test_a_fingerprint_changes_with_all_that_results_depend_on(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("one")
    first = fingerprint(None, [file, None], ["fp32", 2])
    assert first == fingerprint(None, [file, None], ["fp32", 2])
    others = [fingerprint(None, [None, file], ["fp32", 2]), fingerprint(None, [file, None], ["int8", 2])]
    file.write_text("two")
    others.append(fingerprint(None, [file, None], ["fp32", 2]))
    assert len({first, *others}) == 4
    with pytest.raises(CanthusError):
        fingerprint(tmp_path / "none.canthus", [], [])


def test_too_little_memory_to_write_fails_one_image(
    pipeline: Pipeline, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(self: ResultFolder, source: Path, image: np.ndarray, faces: Faces) -> None:
        if source.name == "a.png":
            raise MemoryError

    monkeypatch.setattr(ResultFolder, "write", write)
    files = image_files([str(photos)], photos / "out")
    with ResultFolder(photos / "out", files, photos) as folder:
        summary = process_files(pipeline, files, folder)
    assert summary.images == 1 and len(summary.failures) == 2
    assert "a.png: there is not enough memory to write its results" in summary.failures[0]
