"""The journal survives damage: what can be read is kept, the rest is dropped."""

import json
from pathlib import Path

import numpy as np
import pytest

from canthus.errors import OutputError
from canthus.types import Faces
from canthus.work.journal import Entry, Journal, packed


def faces_of(count: int) -> Faces:
    rng = np.random.default_rng(0)
    points = rng.uniform(-10, 50, (count, 5, 2))
    points[:, 3] = np.nan
    boxes = np.tile([10, 10, 50, 55], (count, 1))
    pose, view = np.full((count, 3), np.nan), np.full(count, 2)
    return Faces(points, boxes, rng.uniform(size=(count, 5)), np.full(count, 0.1), pose, "5", points[..., 0], view=view)


def entry_of(image: str, count: int = 2) -> Entry:
    return Entry(image, (3, 4), "settings", ("a.json", "a_0.pts"), (80, 60), "5", packed(faces_of(count)))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_entries_come_back_bit_for_bit(count: int, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a", count))
    with Journal(tmp_path / "journal") as journal:
        entry = journal.entries["a"]
        assert (entry.stamp, entry.settings, entry.size) == ((3, 4), "settings", (80, 60))
        assert entry.files == ("a.json", "a_0.pts")
        for name in (*Faces.arrays(), "scheme"):
            np.testing.assert_array_equal(getattr(entry.faces, name), getattr(faces_of(count), name))


def test_what_is_not_known_takes_no_space(tmp_path: Path) -> None:
    raw, view = (entry_of("a").arrays[name] for name in ("raw", "view"))
    assert raw == ((2, 5, 2), "") and len(view[1]) > 0


def test_a_line_of_a_version_with_fewer_fields_is_dropped(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a"))
        journal.add(entry_of("b"))
    lines = (tmp_path / "journal").read_text().splitlines()
    old = json.loads(lines[0])
    del old["arrays"]["occluded"]
    (tmp_path / "journal").write_text(f"{json.dumps(old)}\n{lines[1]}\n")
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"b"}


def test_the_last_entry_of_an_image_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for image, count in (("a", 1), ("b", 1), ("a", 3)):
            journal.add(entry_of(image, count))
    with Journal(tmp_path / "journal") as journal:
        assert {image: len(entry.faces) for image, entry in journal.entries.items()} == {"a": 3, "b": 1}
    assert len((tmp_path / "journal").read_text().splitlines()) == 2


@pytest.mark.parametrize("tail", [b'{"image": "c", "sta', b"\xff\xfe\n", b"[]\n", b'{"image": "c"}\n', b"\n"])
def test_damaged_lines_are_dropped(tail: bytes, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a"))
    whole = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(whole + tail)
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"a"}
        journal.add(entry_of("b"))
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"a", "b"}
    assert (tmp_path / "journal").read_bytes().startswith(whole)


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path / "journal") as journal:
        full = open("/dev/full", "w", buffering=1)  # noqa: PTH123, SIM115
        monkeypatch.setattr(journal, "_stream", full)
        with pytest.raises(OutputError, match="journal: cannot be written: No space left on device"):
            journal.add(entry_of("a"))
        with pytest.raises(OSError):
            full.close()
        monkeypatch.undo()
    assert journal.entries == {}


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(OutputError, match="journal: cannot be"), Journal(tmp_path / "journal"):
        pass
