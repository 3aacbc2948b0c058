"""Files that are written and read back; the state that a stopped run leaves, and how the next run resumes."""

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pytest

from canthus.errors import ExtraMissingError, InputError, OutputError
from canthus.formats.table import load
from canthus.reader.image import read
from canthus.types import Faces
from canthus.work.files import part_of
from canthus.work.journal import JOURNAL
from canthus.writer import TABLES, ResultFolder, overlay_of, write_jpeg

IMAGE = np.full((60, 80, 3), 90, np.uint8)


def faces_of(count: int, seed: int = 0) -> Faces:
    rng = np.random.default_rng(seed)
    points = rng.uniform(10, 50, (count, 5, 2))
    pose = rng.normal(0, 20, (count, 3))
    if count > 1:
        points[1, 3] = np.nan
        pose[1] = np.nan
    boxes = np.tile([10, 10, 50, 55], (count, 1))
    return Faces(points, boxes, rng.uniform(size=(count, 5)), np.full(count, 0.75), pose, "5")


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Some with one stem, in one folder and in two."""
    files = [tmp_path / "in" / name for name in ["a.jpg", "a.png", "b.jpg", "sub/a.jpg"]]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_jpeg(file.with_suffix(".jpg"), IMAGE)
        file.with_suffix(".jpg").replace(file)
    write_jpeg(files[0], IMAGE)
    return files


def run(folder: Path, images: list[Path], counts: list[int], **options: object) -> ResultFolder:
    sink = ResultFolder(folder, images, images[0].parent, ("json", "csv", "pts"), **options)  # type: ignore[arg-type]
    with sink:
        for number, (file, count) in enumerate(zip(images, counts, strict=True)):
            if not sink.done(file):
                sink.write(file, IMAGE, faces_of(count, number))
    return sink


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


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


def forged(folder: Path, images: list[Path], **changes: object) -> None:
    """A folder with the results of all images, and a journal whose lines are changed."""
    run(folder, images, [1] * len(images))
    lines = [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]
    (folder / JOURNAL).write_text("".join(json.dumps({**line, **changes}) + "\n" for line in lines))


MARK = (5, crc32(b"mine\n"))


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"files": ["../victim.txt", "/victim.txt"]},
        {"files": {"/../../victim.txt": MARK, "/../victim.txt": MARK}},
        {"name": "../victim", "files": {".txt": MARK, ".json": MARK, "_0.pts": MARK}},
        {"name": "/victim", "files": {".json": MARK}},
        {"name": "mine", "files": {".json": MARK, "_0.pts": MARK}},
        {"files": {"_7.pts": (5, 1), "_8.pts": (6, crc32(b"mine\n")), ".txt": MARK}},
    ],
)
def test_a_forged_journal_removes_nothing(
    changes: dict[str, object], resume: bool, images: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    mine = [tmp_path / name for name in ("victim.txt", "victim.json", "victim_0.pts")]
    mine += [out / name for name in ("mine.json", "mine_0.pts", "a.jpg_7.pts", "b_8.pts", "b.txt")]
    forged(out, images, **changes)
    for path in mine:
        path.write_text("mine\n")
    run(out, images, [0] * 4, resume=resume)
    assert [path.read_text() for path in mine] == ["mine\n"] * len(mine)


def test_a_result_that_the_user_has_changed_is_not_removed(images: list[Path], tmp_path: Path) -> None:
    run(tmp_path / "out", images, [3] * 4)
    (tmp_path / "out" / "b_2.pts").write_text("corrected by hand")
    run(tmp_path / "out", images, [1] * 4)
    names = [name for name in listing(tmp_path / "out") if name.endswith("_2.pts")]
    assert names == ["b_2.pts"]


def test_links_out_of_the_folder_are_not_followed(images: list[Path], tmp_path: Path) -> None:
    """Neither written through, nor is anything removed behind them; the other images go on."""
    out, other = tmp_path / "out", tmp_path / "other"
    run(out, images, [2] * 4)
    (out / "sub").rename(other)
    (out / "sub").symlink_to(other)
    half = part_of(other / "a.json")
    half.write_text("half")
    before = {path: path.read_bytes() for path in other.iterdir()}
    (out / "b.json").unlink()
    (out / "b.json").symlink_to(tmp_path / "victim.txt")
    (tmp_path / "victim.txt").write_text("mine")
    with ResultFolder(out, images, images[0].parent, ("json", "pts"), resume=True) as sink:
        sink.write(images[2], IMAGE, faces_of(1))
        with pytest.raises(InputError, match=r"out/sub leads out of .*out by a symbolic link; remove the link"):
            sink.write(images[3], IMAGE, faces_of(1))
    assert {path: path.read_bytes() for path in other.iterdir()} == before
    assert (tmp_path / "victim.txt").read_text() == "mine" and load(out / "b.json")


def test_files_that_canthus_did_not_write_are_spared(images: list[Path], tmp_path: Path) -> None:
    """As the labels of another program beside the pictures."""
    for name in ("b.json", TABLES["csv"], "sub/a_0.pts"):
        out = tmp_path / name.replace("/", "_")
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        with pytest.raises(OutputError, match=f"{name}: exists, and canthus did not write it; choose another folder"):
            run(out, images, [1] * 4)
        assert listing(out) == [name] and (out / name).read_text() == "mine"


def test_an_image_outside_the_root_is_refused(images: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"in/a\.jpg: lies outside .*sub"):
        ResultFolder(tmp_path / "out", images, tmp_path / "in" / "sub")


def test_names_of_results_never_collide(images: list[Path], tmp_path: Path) -> None:
    files = [images[0].with_name(name) for name in ("a.jpg", "a.png", "a.jpg.png", "A.jpg", "a.JPG")]
    for file in files:
        write_jpeg(file.with_suffix(".jpg"), IMAGE)
        file.with_suffix(".jpg").replace(file)
    write_jpeg(files[0], IMAGE)
    run(tmp_path / "out", files, [1] * 5, overlay=True)
    names = [name for name in listing(tmp_path / "out") if not name.startswith((".", "faces"))]
    assert len({name.lower() for name in names}) == 15
    assert {"a.png.json", "a.jpg.png.json"} <= set(names)
    images_of = {name: load(tmp_path / "out" / name)[0].image for name in names if name.endswith(".json")}
    assert sorted(images_of.values()) == sorted(file.name for file in files)


def test_the_results_of_another_image_under_the_same_name_are_replaced(images: list[Path], tmp_path: Path) -> None:
    """First a.jpg and a.png, which become a.jpg.json and a.png.json; then an image that is called a.jpg.png."""
    out, third = tmp_path / "out", images[0].with_name("a.jpg.png")
    images[0].replace(third)
    write_jpeg(images[0], IMAGE)
    run(out, images[:2], [3, 1])
    run(out, [third], [1], resume=True)
    assert [name for name in listing(out) if name.startswith("a.jpg")] == ["a.jpg.json", "a.jpg_0.pts"]
    with ResultFolder(out, images[:2], images[0].parent, ("json", "csv", "pts"), resume=True) as sink:
        assert [sink.done(file) for file in images[:2]] == [False, True]


ODD = ("caf\udce9.png", "new\nline.png", "x" * 245 + ".png", "[b].png")


def test_odd_names(images: list[Path], tmp_path: Path) -> None:
    files = [images[0].with_name(name) for name in ODD]
    for file in files:
        os.link(images[1], file)
    for resume in (False, True):
        sink = ResultFolder(tmp_path / "out", files, images[0].parent, ("json", "csv", "npz", "mat"), resume=resume)
        with sink:
            assert [sink.done(file) for file in files] == [resume] * 4
            for number, file in enumerate([] if resume else files):
                sink.write(file, IMAGE, faces_of(1, number))
        shown = ["caf\\xe9.png", *ODD[1:]]
        for name in TABLES.values():
            assert [record.image for record in load(tmp_path / "out" / name)] == shown
        for number, (file, text) in enumerate(zip(files, shown, strict=True)):
            (record,) = load(tmp_path / "out" / f"{file.stem}.json")
            assert record.image == text
            np.testing.assert_array_equal(record.points, faces_of(1, number).points[0])


@pytest.mark.parametrize("stem", ["y" * 251, "y" * 250])
def test_a_name_that_is_too_long_concerns_one_image(stem: str, images: list[Path], tmp_path: Path) -> None:
    file = images[0].with_name(f"{stem}.png"[-255:])
    os.link(images[1], file)
    with ResultFolder(tmp_path / "out", [file, images[2]], images[0].parent, ("json", "pts")) as sink:
        with pytest.raises(
            InputError, match=r"y\.png: its results cannot have its name: File name too long; rename it"
        ):
            sink.write(file, IMAGE, faces_of(1))
        sink.write(images[2], IMAGE, faces_of(1))
    assert {"b.json", "b_0.pts"} <= set(listing(tmp_path / "out"))


def test_a_folder_where_a_file_should_be_concerns_one_image(images: list[Path], tmp_path: Path) -> None:
    with ResultFolder(tmp_path / "out", images, images[0].parent) as sink:
        (tmp_path / "out" / "b.json").mkdir()
        (tmp_path / "out" / "sub").write_text("")
        for file in images[2:]:
            with pytest.raises(InputError, match="its results cannot have its name"):
                sink.write(file, IMAGE, faces_of(1))
        sink.write(images[0], IMAGE, faces_of(1))


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
    with pytest.raises(OutputError, match=r"in/b\.jpg: the overlay of .* would replace an image"):
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
