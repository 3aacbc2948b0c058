"""Which files are images, in folders and by patterns, and which are skipped."""

from pathlib import Path

import pytest

from canthus.errors import ReadError
from canthus.reader.files import find, skipped


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ["b.jpg", "a.PNG", "sub/deep/c.webp", "sub/notes.txt", ".hidden/d.jpg", "sub/._e.jpg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_find_in_folders(tree: Path) -> None:
    assert find([tree]) == [tree / "a.PNG", tree / "b.jpg", tree / "sub/deep/c.webp"]


def test_find_takes_each_file_once(tree: Path) -> None:
    assert find([tree / "b.jpg", tree / "sub" / ".." / "b.jpg", tree]) == find([tree])


def test_find_by_pattern(tree: Path) -> None:
    assert find([f"{tree}/**/*.webp", f"{tree}/*"]) == find([tree])


def test_find_takes_a_named_file_whatever_its_name(tree: Path) -> None:
    assert find([tree / "sub/notes.txt", tree / "gone.jpg"]) == [tree / "gone.jpg", tree / "sub/notes.txt"]


def test_find_takes_brackets_literally_where_the_file_exists(tree: Path) -> None:
    (tree / "x[1].jpg").write_bytes(b"")
    assert find([tree / "x[1].jpg"]) == [tree / "x[1].jpg"]


@pytest.mark.parametrize("place", ["empty", "*.tiff"])
def test_find_says_where_no_image_is(place: str, tree: Path) -> None:
    (tree / "empty").mkdir()
    with pytest.raises(ReadError, match=r"no image found; canthus looks for \.apng"):
        find([tree, f"{tree}/{place}"])


def test_files_that_are_skipped_in_folders_are_counted(tree: Path) -> None:
    (tree / "out").mkdir()
    for name in ["out/a.json", "b.MOV", "README", "e.heic", "f.avif"]:
        (tree / name).write_bytes(b"")
    assert skipped([tree, f"{tree}/*", tree / "b.jpg"], tree / "out") == {
        ".txt": 1,
        "hidden": 2,
        ".mov": 1,
        "no extension": 1,
    }
    assert skipped([tree])[".json"] == 1
    assert {tree / "e.heic", tree / "f.avif"} <= set(find([tree]))
