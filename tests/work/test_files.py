"""A file is whole or does not exist, whatever its name and whatever lies where it is written first."""

from pathlib import Path

import pytest

from canthus.errors import OutputError
from canthus.work.files import PART, clear_parts, part_of, replace_whole


def test_a_file_is_replaced_or_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    with replace_whole(path) as part:
        part.write_text("first")
    with pytest.raises(ZeroDivisionError), replace_whole(path) as part:
        part.write_text("second")
        raise ZeroDivisionError
    assert [file.name for file in path.parent.iterdir()] == ["a.json"] and path.read_text() == "first"


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "caf\udce9.json", "a", ".hidden"])
def test_hidden_names_are_short_and_keep_the_extension(name: str, tmp_path: Path) -> None:
    part = part_of(tmp_path / name)
    assert PART.fullmatch(part.name) and part.suffix in (Path(name).suffix, ".part") and len(part.name) < 40
    with replace_whole(tmp_path / name, sync=False) as part:
        part.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"


def test_a_link_of_the_hidden_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    part_of(tmp_path / "a.txt").symlink_to(tmp_path / "victim")
    with replace_whole(tmp_path / "a.txt") as part:
        part.write_text("result")
    assert ((tmp_path / "victim").read_text(), (tmp_path / "a.txt").read_text()) == ("mine", "result")


def test_a_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    failing = pytest.raises(OutputError, match=r"a\.txt: cannot be written: Input/output error")
    with failing, replace_whole(tmp_path / "a.txt") as part:
        part.write_text("lost")
    assert list(tmp_path.iterdir()) == []


def test_half_written_files_are_removed_in_one_folder_or_below(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    halves = [part_of(tmp_path / "a.txt"), part_of(tmp_path / "b" / "a.txt")]
    kept = [tmp_path / ".canthus-1.part.txt", tmp_path / f"{halves[0].name}~", tmp_path / ".a.part.txt"]
    for path in (*halves, *kept):
        path.write_text("")
    clear_parts(tmp_path)
    assert [path.exists() for path in halves] == [False, True]
    clear_parts(tmp_path, below=True)
    assert not any(path.exists() for path in halves) and all(path.exists() for path in kept)
