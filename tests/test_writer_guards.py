"""What the writer never touches: files of others, forged journals, links, and names that collide or cannot be."""

import json
import os
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from canthus.errors import InputError, OutputError
from canthus.formats.table import load
from canthus.work.files import part_of
from canthus.work.journal import JOURNAL
from canthus.writer.images import TABLES, ResultFolder
from written import IMAGE, faces_of, image_files, listing, run, write_jpeg


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    return image_files(tmp_path)


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


def test_a_journal_that_is_removed_during_the_run_is_an_error(images: list[Path], tmp_path: Path) -> None:
    """The table of all faces is made of it."""
    sink = ResultFolder(tmp_path / "out", images, tmp_path / "in", ("csv",))
    with pytest.raises(OutputError, match=r"canthus\.jsonl: was changed or removed during the run"), sink:
        sink.write(images[0], IMAGE, faces_of(1))
        sink._journal.flush()
        (tmp_path / "out" / JOURNAL).unlink()
