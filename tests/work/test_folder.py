import json
from pathlib import Path

import pytest

from canthus.errors import InputError, OutputError
from canthus.work.files import part_of
from canthus.work.folder import claim, digest, megabytes


def test_a_folder_is_claimed_once_and_again(tmp_path: Path) -> None:
    out = tmp_path / "a" / "run"
    for _ in range(2):
        claim(out, {"seed": 3, "kind": "x", "slide": (0.5, 1)})
    assert json.loads((out / "run.json").read_text()) == {"seed": 3, "kind": "x", "slide": [0.5, 1]}
    with pytest.raises(OutputError, match=r"holds a run with other settings \(kind, seed differ, see run\.json\)"):
        claim(out, {"seed": 4, "slide": (0.5, 1)})
    with pytest.raises(OutputError, match=r"holds no run \(recipe\.json is missing\)"):
        claim(out, {"seed": 3}, "recipe.json")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_damaged_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(OutputError, match=r"run\.json: is damaged.*remove the folder"):
        claim(tmp_path, {})


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    part_of(tmp_path / "run.json").write_text("{")
    claim(tmp_path, {})
    folder = part_of(tmp_path / "001") / "annot"
    folder.mkdir(parents=True)
    part_of(folder / "000001.pts").write_text("half")
    (tmp_path / "images").mkdir()
    part_of(tmp_path / "images" / "1.jpg").write_text("half")
    (tmp_path / "images" / "1.jpg").write_text("whole")
    (tmp_path / "images" / ".mine.part.jpg").write_text("a file of the user's own")
    claim(tmp_path, {})
    left = [".mine.part.jpg", "1.jpg", "images", "run.json"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == left


def test_what_a_link_leads_to_is_not_removed(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    claim(run, {})
    for folder in (other, other / part_of(Path("a")), other / "b"):
        folder.mkdir()
        part_of(folder / "c.json").write_text("made by another run")
    (run / "linked").symlink_to(other)
    (run / part_of(Path("a"))).symlink_to(other / part_of(Path("a")))
    claim(run, {})
    assert len([path for path in other.rglob("*") if path.is_file()]) == 3


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="is not empty and holds no run"):
        claim(tmp_path, {})
    with pytest.raises(OutputError, match="cannot be written"):
        claim(tmp_path / "mine.txt" / "run", {})


def test_files_are_told_apart(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")
    assert megabytes(tmp_path) == pytest.approx(3e-6)
    with pytest.raises(InputError, match="cannot be read"):
        digest(tmp_path / "none")
