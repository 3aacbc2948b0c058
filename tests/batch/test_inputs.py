"""What a user names becomes pictures and videos, and these become frames."""

from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from canthus.batch.frames import frames_of, frames_of_video
from canthus.batch.inputs import Entry, entries
from canthus.errors import InputError, ReadError
from canthus.reader.image import read


def listed(*inputs: Path | str, out: Path = Path("none"), column: str | None = None) -> list[Entry]:
    return list(entries([str(text) for text in inputs], out, column))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jpg", "a.PNG", "a/z.webp", "a/film.mp4", "a/notes.doc", ".hidden.jpg", ".cache/c.jpg", "out/o.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def test_a_folder_is_searched_without_its_results_and_hidden_names(folder: Path) -> None:
    names = ["a.PNG", "b.jpg", "a/film.mp4", "a/z.webp"]
    assert listed(folder, out=folder / "out") == [Entry(str(folder / name)) for name in names]
    assert [entry.video for entry in listed(folder, out=folder / "out")] == [False, False, True, False]
    assert listed(folder / "out", out=folder / "out") == [Entry(str(folder / "out/o.jpg"))]


def test_files_come_in_the_order_in_which_they_are_named_as_often_as_they_are(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"# faces\nb.jpg\n\n/abs/\xff.png\nb.jpg\n")
    assert [Path(entry.path).name for entry in listed(folder / "*.jpg", folder / "a.PNG")] == ["b.jpg", "a.PNG"]
    paths = [str(folder / "b.jpg"), "/abs/\udcff.png", str(folder / "b.jpg")]
    assert [entry.path for entry in listed(folder / "list.txt")] == paths


def test_what_leads_nowhere_is_an_error(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").write_text("# nothing\n")
    for name in ("empty", "empty.txt", "*.tiff"):
        with pytest.raises(ReadError, match="no picture or video found"):
            listed(folder / name)
    with pytest.raises(ReadError, match=r"photoz: no such file or folder"):
        listed(folder / "photoz")


def save(path: Path, **columns: object) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
    return path


def test_a_table_of_paths(folder: Path) -> None:
    table = save(folder / "t.parquet", name=["b.jpg", None, "a.PNG"], width=[1, 2, 3])
    expected = [Entry(str(folder / "b.jpg")), Entry(str(table), 1), Entry(str(folder / "a.PNG"))]
    assert listed(table) == expected
    assert str(list(frames_of(expected))[1].error) == f"{table}: row 1: holds no picture"


@pytest.mark.parametrize("form", ["bytes", "dictionary", "structure"])
def test_a_table_of_pictures(form: str, photos: Path, tmp_path: Path) -> None:
    """Rows of several row groups, of which a part takes some; a row may hold nothing."""
    files = sorted(photos.rglob("*.png"))[:20]
    cells = [file.read_bytes() for file in files]
    values: object = cells
    if form == "dictionary":
        values = pyarrow.array(cells).dictionary_encode()
    if form == "structure":  # as tables of pictures are often published
        values = [{"bytes": cell, "path": None} for cell in cells[:-1]] + [{"bytes": None, "path": str(files[-1])}]
    table = save(tmp_path / "t.parquet", picture=values, size=list(range(20)))
    all_of_them = listed(table)
    assert all_of_them == [Entry(str(table), row) for row in range(20)]
    for start, stop in ((0, 20), (5, 9), (13, 14), (14, 20)):
        frames = list(frames_of(all_of_them[start:stop]))
        assert [(frame.source, frame.index) for frame in frames] == [(table, row) for row in range(start, stop)]
        for frame, file in zip(frames, files[start:stop], strict=True):
            if file.name == "07.png":
                assert "row" in str(frame.error)
            else:
                np.testing.assert_array_equal(frame.image, read(file))


def test_a_table_needs_one_column(tmp_path: Path) -> None:
    table = save(tmp_path / "t.parquet", one=["a.jpg"], two=["b.jpg"], size=[1])
    assert listed(table, column="two") == [Entry(str(tmp_path / "b.jpg"))]
    with pytest.raises(InputError, match=r"t\.parquet: 2 columns of paths or bytes; name one of one, two, size"):
        listed(table)
    for name in ("size", "three"):
        with pytest.raises(InputError, match=f"no column '{name}' of paths or bytes"):
            listed(table, column=name)
    (tmp_path / "bad.parquet").write_text("PAR1")
    with pytest.raises(InputError, match=r"bad\.parquet: not a Parquet file"):
        listed(tmp_path / "bad.parquet")


def test_what_cannot_be_opened_is_a_frame_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    (frame,) = frames_of_video(str(tmp_path / "a.mp4"))
    assert "not a video" in str(frame.error) and frame.image is None
    gone = Entry(str(tmp_path / "gone.parquet"), 3)
    (frame,) = frames_of([gone])
    assert "gone.parquet" in str(frame.error) and frame.index == 3
