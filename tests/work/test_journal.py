"""The journal survives damage: what can be read is kept, the rest is dropped."""

import gc
import json
import os
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import asdict, replace
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from canthus.errors import OutputError
from canthus.types import Faces
from canthus.work.files import sync_all
from canthus.work.journal import BATCH, Entry, Journal, packed


def faces_of(count: int) -> Faces:
    rng = np.random.default_rng(0)
    points = rng.uniform(-10, 50, (count, 5, 2))
    points[:, 3] = np.nan
    boxes = np.tile([10, 10, 50, 55], (count, 1))
    pose, view = np.full((count, 3), np.nan), np.full(count, 2)
    return Faces(points, boxes, rng.uniform(size=(count, 5)), np.full(count, 0.1), pose, "5", points[..., 0], view=view)


def entry_of(image: str, count: int = 2) -> Entry:
    files = {".json": (200, 7), "_0.pts": (90, 8)}
    return Entry(image, (3, 4), "settings", image, files, (80, 60), "5", packed(faces_of(count)))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_entries_come_back_bit_for_bit(count: int, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a", count), [])
    with Journal(tmp_path / "journal") as journal:
        entry = journal.entries["a"]
        assert (entry.stamp, entry.settings, entry.size) == ((3, 4), "settings", (80, 60))
        assert (entry.name, entry.files) == ("a", {".json": (200, 7), "_0.pts": (90, 8)})
        for name in (*Faces.arrays(), "scheme"):
            np.testing.assert_array_equal(getattr(entry.faces, name), getattr(faces_of(count), name))


def test_what_is_not_known_takes_no_space(tmp_path: Path) -> None:
    raw, view = (entry_of("a").arrays[name] for name in ("raw", "view"))
    assert raw == ((2, 5, 2), "") and len(view[1]) > 0


def test_a_line_of_a_version_with_fewer_fields_is_dropped(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a"), [])
        journal.add(entry_of("b"), [])
    lines = (tmp_path / "journal").read_text().splitlines()
    old = json.loads(lines[0])
    del old["arrays"]["occluded"]
    (tmp_path / "journal").write_text(f"{json.dumps(old)}\n{lines[1]}\n")
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"b"}


def test_the_last_entry_of_an_image_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        for image, count in (("a", 1), ("b", 1), ("a", 3)):
            journal.add(entry_of(image, count), [])
    with Journal(tmp_path / "journal") as journal:
        assert {image: len(entry.faces) for image, entry in journal.entries.items()} == {"a": 3, "b": 1}
    assert len((tmp_path / "journal").read_text().splitlines()) == 2


def line_of(image: str = "c", **changes: object) -> bytes:
    """A line of the journal with some fields changed."""
    entry = asdict(entry_of(image))
    arrays = {name: changes.pop(name, value) for name, value in entry["arrays"].items()}
    return (json.dumps({**entry, "arrays": arrays, **changes}) + "\n").encode()


DAMAGED = {
    "cut short": line_of()[:40],
    "not text": b"\xff\xfe\n",
    "a list": b"[]\n",
    "too few fields": b'{"image": "c"}\n',
    "empty": b"\n",
    "nested": b"[" * 100_000 + b"\n",
    "a huge number": line_of(stamp=(1, 1)).replace(b'"stamp": [1', b'"stamp": [1e400'),
    "long digits": line_of(stamp=(1, 1)).replace(b'"stamp": [1', b'"stamp": [' + b"9" * 5000),
    "no mapping": line_of(arrays=[]),
    "files of the format before": line_of(files=["../victim.txt"]),
    "an array that is a number": line_of(points=5),
    "an array of another shape": line_of(points=((2, 7, 2), "AAAA")),
    "an array that fills the memory": line_of(raw=((2, 10**12, 2), "")),
    "an axis below zero": line_of(raw=((2, -5, 2), "")),
    "faces that disagree": line_of(boxes=((3, 4), "")),
    "not base64": line_of(points=((2, 5, 2), "!")),
    "an infinite point": line_of(points=((2, 5, 2), b64encode(np.full(20, np.inf, "<f4")).decode())),
    "a lone surrogate": line_of("\udce9"),
}


@pytest.mark.parametrize("tail", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_lines_are_dropped(tail: bytes, tmp_path: Path) -> None:
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a"), [])
    whole = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(whole + tail)
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"a"}
        journal.add(entry_of("b"), [])
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"a", "b"}
    assert (tmp_path / "journal").read_bytes().startswith(whole)


def test_an_undamaged_line_is_kept(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(line_of())
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries == {"c": entry_of("c")}


def test_finished_images_take_no_memory(tmp_path: Path) -> None:
    """Their points are in the file alone, also after a resume; a run may have millions of images."""

    def in_memory() -> int:
        return sum(type(each) is Entry for each in gc.get_objects())

    with Journal(tmp_path / "journal") as journal:
        for number in range(3 * BATCH):
            journal.add(entry_of(str(number)), [])
        journal.flush()
        assert in_memory() == 0 and len(journal.entries) == 3 * BATCH
        assert journal.entries["7"] == entry_of("7")
    with Journal(tmp_path / "journal") as journal:
        assert in_memory() == 0 and list(journal.entries) == list(map(str, range(3 * BATCH)))
        assert journal.entries["100"] == entry_of("100")
        (tmp_path / "journal").unlink()
        assert journal.entries.get("100") is None


def test_a_name_of_results_has_one_owner(tmp_path: Path) -> None:
    """Names that differ only in case are one."""
    with Journal(tmp_path / "journal") as journal:
        for image, name in (("a", "x"), ("b", "y"), ("c", "X"), ("b", "z")):
            journal.add(replace(entry_of(image), name=name), [])
        assert journal.entries.keys() == {"c", "b"}
        owners = {name: journal.owner(name) for name in "xyzX"}
        assert [owners[name] and owners[name].image for name in "xyzX"] == ["c", None, "b", "c"]
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"c", "b"}


def test_lines_are_written_after_the_files_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    lines: list[int] = []

    def sync(files: Iterable[Path]) -> None:
        synced.extend(files)
        lines.append(len((tmp_path / "journal").read_bytes().splitlines()))

    monkeypatch.setattr("canthus.work.journal.sync_all", sync)
    monkeypatch.setattr("canthus.work.journal.BATCH", 2)
    monkeypatch.setattr("canthus.work.journal.PERIOD", 1e9)
    with Journal(tmp_path / "journal") as journal:
        for number in range(5):
            journal.add(entry_of(str(number)), [tmp_path / f"{number}.json"])
        assert lines == [0, 2]
    assert lines == [0, 2, 4] and synced == [tmp_path / f"{number}.json" for number in range(5)]
    assert len((tmp_path / "journal").read_bytes().splitlines()) == 5


def test_files_reach_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    sync_all([tmp_path / "a", tmp_path / "gone"])


def fill(journal: Journal) -> None:
    """Make the disk full."""
    assert journal._stream is not None
    journal._stream.close()
    journal._stream = FileIO("/dev/full", "ab")


def test_full_disk(tmp_path: Path) -> None:
    """The error is one of canthus, also where the block ends by another one, and the journal is closed."""
    full = pytest.raises(OutputError, match="journal: cannot be written: No space left on device")
    with full, Journal(tmp_path / "journal") as journal:
        fill(journal)
        journal.add(entry_of("a"), [])
    assert journal.entries == {}
    with pytest.raises(OutputError, match="results: cannot be written"), Journal(tmp_path / "journal") as journal:
        fill(journal)
        journal.add(entry_of("a"), [])
        raise OutputError("results: cannot be written")


def test_a_disk_that_takes_a_part(tmp_path: Path) -> None:
    class Slow(FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            return super().write(data[:100])

    with Journal(tmp_path / "journal") as journal:
        assert journal._stream is not None
        journal._stream.close()
        journal._stream = Slow(tmp_path / "journal", "ab")
        journal.add(entry_of("a"), [])
    with Journal(tmp_path / "journal") as journal:
        assert journal.entries.keys() == {"a"}


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_no_file_is_replaced(kind: str, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine\n")
    if kind == "link":
        (tmp_path / "journal").symlink_to(tmp_path / "victim")
    else:
        os.mkfifo(tmp_path / "journal")
    with Journal(tmp_path / "journal") as journal:
        journal.add(entry_of("a"), [])
    assert (tmp_path / "victim").read_text() == "mine\n"
    assert len((tmp_path / "journal").read_bytes().splitlines()) == 1


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(OutputError, match="journal: cannot be"), Journal(tmp_path / "journal"):
        pass
