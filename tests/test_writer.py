"""Files that are written and read back; the state that a stopped run leaves, and how the next run resumes."""

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from canthus.errors import ExtraMissingError, InputError, OutputError
from canthus.formats.table import load
from canthus.reader.image import read
from canthus.types import Faces
from canthus.work.files import part_of
from canthus.work.journal import JOURNAL
from canthus.writer.images import TABLES, ResultFolder, overlay_of
from written import IMAGE, faces_of, image_files, listing, run, write_jpeg


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return image_files(tmp_path)


def test_files(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "out", images, [1, 2, 0, 3], overlay=True)
    of_a = ["a.jpg.jpg", "a.jpg.json", "a.jpg_0.pts", "a.png.jpg", "a.png.json", "a.png_0.pts", "a.png_1.pts"]
    below = ["sub/a.jpg", "sub/a.json", "sub/a_0.pts", "sub/a_1.pts", "sub/a_2.pts"]
    assert listing(tmp_path / "out") == [JOURNAL, *of_a, "b.jpg", "b.json", TABLES["csv"], *below]


def test_what_is_written_is_what_was_found(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path, images, [1, 2, 0, 3])
    stems = {"a.jpg": "a.jpg", "a.png": "a.png", "b.jpg": "b", "sub/a.jpg": "sub/a"}
    for number, (count, image) in enumerate(zip([1, 2, 0, 3], stems, strict=True)):
        faces, name = faces_of(count, number), stems[image]
        json = load(tmp_path / f"{name}.json")
        table = [record for record in load(tmp_path / TABLES["csv"]) if record.image == image]
        assert json[0].size == (80, 60)
        for records in (json, table):
            assert [record.empty for record in records] == ([False] * count or [True])
            for record, face in zip(records, faces, strict=False):
                np.testing.assert_array_equal(record.points, face.points)
                np.testing.assert_array_equal(record.box, face.box)
                np.testing.assert_array_equal(record.scores, face.scores)
                assert (record.scheme, record.confidence) == ("5", 0.75)
                assert (record.pose is None) == bool(np.isnan(face.pose).all())
        for index, face in enumerate(faces):
            np.testing.assert_allclose(load(tmp_path / f"{name}_{index}.pts")[0].points, face.points, atol=1e-4)
    assert [record.image for record in load(tmp_path / TABLES["csv"])] == [
        "a.jpg",
        "a.png",
        "a.png",
        "b.jpg",
        *["sub/a.jpg"] * 3,
    ]


def hidden_faces(count: int, seed: int) -> Faces:
    """Faces with depth, hidden points, raw points and views."""
    rng, plain = np.random.default_rng(seed), faces_of(count, seed)
    points = np.dstack([plain.points, rng.uniform(size=(count, 5))])
    occluded, raw = rng.uniform(size=(count, 5)), rng.uniform(0, 9, (count, 5, 2))
    return replace(plain, points=points, occluded=occluded, raw=raw, view=np.full(count, 2))


@pytest.mark.parametrize("resumed", [False, True])
def test_depth_and_hidden_points_are_kept(images: list[Path], tmp_path: Path, resumed: bool) -> None:
    kinds = ("json", "csv", "npz", "mat", "pts")
    for resume in (False, True) if resumed else (False,):  # then all tables come from the journal
        with ResultFolder(tmp_path, images[:2], images[0].parent, kinds, resume=resume) as sink:
            for number, file in enumerate(images[:2]):
                if resume:
                    assert sink.done(file)
                else:
                    sink.write(file, IMAGE, hidden_faces(2 * number, number))
    faces = hidden_faces(2, 1)
    np.testing.assert_allclose(load(tmp_path / "a.png_0.pts")[0].points, faces.points[0], atol=1e-4)
    for name in ("a.png.json", *TABLES.values()):
        records = [record for record in load(tmp_path / name) if not record.empty]
        for record, face in zip(records, faces, strict=True):
            for part in ("points", "box", "scores", "occluded", "raw", "view"):
                np.testing.assert_array_equal(getattr(record, part), getattr(face, part))


def test_files_of_menpo(images: list[Path], tmp_path: Path) -> None:
    with ResultFolder(tmp_path / "out", images[2:3], images[0].parent, ["ljson"]) as sink:
        sink.write(images[2], IMAGE, faces_of(2))
    assert listing(tmp_path / "out") == [JOURNAL, "b_0.ljson", "b_1.ljson"]
    np.testing.assert_array_equal(load(tmp_path / "out" / "b_1.ljson")[0].points, faces_of(2).points[1])


def test_mat_files_without_scipy_fail_before_the_run(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ExtraMissingError, match=r"pip install 'canthus\[report\]'"):
        ResultFolder(tmp_path / "out", images, images[0].parent, ["mat"])
    ResultFolder(tmp_path / "out", images, images[0].parent, ["npz"])


@pytest.mark.parametrize(
    ("shape", "face", "zoom"),
    [
        ((60, 80), 0, 8),
        ((60, 80), 20, 12),
        ((500, 300), 0, 2),
        ((500, 300), 80, 3),
        ((500, 300), 20, 3),
        ((500, 1700), 20, 1),
        ((2000, 100), 500, 1),
    ],
)
def test_overlays_of_small_images_and_faces_are_enlarged(shape: tuple[int, int], face: int, zoom: int) -> None:
    faces = Faces.of_boxes([[0, 0, face, face / 2]]) if face else Faces.empty()
    assert overlay_of(np.zeros((*shape, 3), np.uint8), faces).shape == (zoom * shape[0], zoom * shape[1], 3)


def test_overlay_shows_the_faces(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path, images, [1, 0, 0, 0], overlay=True)
    assert np.ptp(read(tmp_path / "a.jpg.jpg")) > 100 > np.ptp(read(tmp_path / "b.jpg"))


def test_resume_skips_what_is_whole(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path, images[:2], [1, 2])
    sink = run(tmp_path, images, [5, 5, 1, 1], resume=True)
    assert [sink.done(file) for file in images] == [True] * 4
    assert [record.image for record in load(tmp_path / TABLES["csv"])] == [
        "a.jpg",
        "a.png",
        "a.png",
        "b.jpg",
        "sub/a.jpg",
    ]
    np.testing.assert_array_equal(load(tmp_path / TABLES["csv"])[0].points, faces_of(1, 0).points[0])


def test_without_resume_all_is_done_again(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path, images, [3, 2, 1, 0])
    run(tmp_path, images, [0, 1, 1, 1])
    assert [name for name in listing(tmp_path) if name.endswith(".pts") and "/" not in name] == [
        "a.png_0.pts",
        "b_0.pts",
    ]
    assert [record.empty for record in load(tmp_path / TABLES["csv"])] == [True, False, False, False]


def spoil_output(images: list[Path], folder: Path) -> None:
    (folder / "b_0.pts").unlink()


def empty_output(images: list[Path], folder: Path) -> None:
    (folder / "b.json").write_bytes(b"")


def shorten_output(images: list[Path], folder: Path) -> None:
    (folder / "b_0.pts").write_bytes((folder / "b_0.pts").read_bytes()[:-1])


def link_output(images: list[Path], folder: Path) -> None:
    (folder / "b.json").replace(folder / "c.json")
    (folder / "b.json").symlink_to("c.json")


def forget_output(images: list[Path], folder: Path) -> None:
    lines = (folder / JOURNAL).read_text().splitlines()
    values = json.loads(lines[2])
    values["files"] = {}
    (folder / JOURNAL).write_text("\n".join([*lines[:2], json.dumps(values), lines[3], ""]))


def spoil_image(images: list[Path], folder: Path) -> None:
    images[2].write_bytes(images[2].read_bytes() + b"more")


def spoil_journal(images: list[Path], folder: Path) -> None:
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    assert b'"b.jpg"' in lines[2]
    (folder / JOURNAL).write_bytes(b"".join(lines[:2]) + lines[3] + lines[2][:-40])


def remove_image(images: list[Path], folder: Path) -> None:
    images[2].unlink()


SPOILT = (spoil_output, empty_output, shorten_output, link_output, forget_output)


@pytest.mark.parametrize("spoil", [*SPOILT, spoil_image, spoil_journal, remove_image])
def test_what_has_changed_is_not_done(spoil, images: list[Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "out"
    run(folder, images, [1] * 4)
    spoil(images, folder)
    with ResultFolder(folder, images, images[0].parent, ("json", "csv", "pts"), resume=True) as sink:
        assert [sink.done(file) for file in images] == [True, True, False, True]


@pytest.mark.parametrize("change", [{"settings": "another model"}, {"overlay": True}, {"resume": False}])
def test_other_settings_are_not_done(change: dict[str, object], images: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "out", images, [1] * 4, settings="a model")
    options = {"settings": "a model", "resume": True, **change}
    with ResultFolder(tmp_path / "out", images, images[0].parent, ("json", "csv", "pts"), **options) as sink:  # type: ignore[arg-type]
        assert not any(sink.done(file) for file in images)


def test_what_a_killed_run_left_is_cleared_away(images: list[Path], tmp_path: Path) -> None:
    half = [part_of(tmp_path / name) for name in ("b.json", "sub/a_0.pts")]
    mine = [tmp_path / name for name in (".mine.json", ".mine.part.json", "sub/.a.part.pts", "other/.b.part.npz")]
    mine.append(part_of(tmp_path / "other" / "b.json"))  # of another run
    for path in (*half, *mine):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    with ResultFolder(tmp_path, images, images[0].parent):
        pass
    assert not any(path.exists() for path in half) and all(path.exists() for path in mine)


def test_table_is_written_when_the_run_is_interrupted(images: list[Path], tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        ResultFolder(tmp_path, images, images[0].parent, ["csv"]) as sink,
    ):
        sink.write(images[0], IMAGE, faces_of(2))
        raise KeyboardInterrupt
    assert len(load(tmp_path / TABLES["csv"])) == 2
    assert listing(tmp_path) == [
        JOURNAL,
        TABLES["csv"],
        *sorted(image.relative_to(tmp_path).as_posix() for image in images),
    ]


def test_full_disk(images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    with (
        pytest.raises(OutputError, match=r"b\.json: cannot be written: No space left on device"),
        ResultFolder(folder, images, images[0].parent, ["json", "csv"]) as sink,
    ):
        sink.write(images[0], IMAGE, faces_of(1))
        monkeypatch.setattr(Path, "write_text", lambda path, *_, **__: open_full(path))
        sink.write(images[2], IMAGE, faces_of(1))
    assert listing(folder) == [JOURNAL, "a.jpg.json"]
    monkeypatch.undo()
    with ResultFolder(folder, images, images[0].parent, ["json", "csv"], resume=True) as sink:
        assert [sink.done(file) for file in images] == [True, False, False, False]


def open_full(path: Path) -> None:
    path.touch()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["file/below", "/proc/canthus"])
def test_unwritable_folder(place: str, images: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(OutputError, match=r"cannot be written to: .*; choose another folder"),
        ResultFolder(tmp_path / place, images, images[0].parent),
    ):
        raise AssertionError("it was opened")


def test_overlay_never_replaces_an_image(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"in/b\.jpg: a picture of .* would replace an image"):
        ResultFolder(tmp_path / "in", images, tmp_path / "in", overlay=True)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    with pytest.raises(OutputError, match="would replace an image"):
        ResultFolder(tmp_path / "link", images, tmp_path / "in", overlay=True)
    ResultFolder(tmp_path / "in", images, tmp_path / "in")


def test_unknown_kind(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="json, csv, pts, ljson, npz, mat, not as xml"):
        ResultFolder(tmp_path, images, tmp_path, ["json", "xml"])


def test_image_too_long_for_an_overlay(images: list[Path], tmp_path: Path) -> None:
    long = np.zeros((1, 65501, 3), np.uint8)
    with ResultFolder(tmp_path / "out", images, images[0].parent, overlay=True) as sink:
        with pytest.raises(InputError, match=r"b\.jpg: 65501 x 1 pixels do not fit into a JPEG"):
            sink.write(images[2], long, Faces.empty())
        assert listing(tmp_path / "out") == [JOURNAL]
        sink.write(images[0], IMAGE, faces_of(1))
    assert "a.jpg.json" in listing(tmp_path / "out")


def test_jpeg(tmp_path: Path) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (50, 70, 3)).astype(np.uint8), (0, 0), 9)
    image[..., 0] = 200
    write_jpeg(tmp_path / "a.jpg", image)
    assert np.abs(read(tmp_path / "a.jpg").astype(int) - image).max() < 8
