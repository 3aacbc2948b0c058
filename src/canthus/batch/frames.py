"""Frames of pictures and videos by their entries: files, bytes in the rows of Parquet tables, and frames of videos."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from canthus.batch.inputs import Entry, open_table
from canthus.errors import CanthusError, ReadError
from canthus.reader.ahead import in_background, load_ahead
from canthus.reader.frame import Frame
from canthus.reader.image import decode, read
from canthus.reader.stream import open_stream

TOGETHER = 16
"""Number of rows of a table that are read at once."""


class _Item(NamedTuple):
    """A picture and what it is loaded from: its file, or the value of a cell."""

    entry: Entry
    value: Any = None


def frames_of(entries: Sequence[Entry], column: str | None = None) -> Iterator[Frame]:
    """The frames of pictures, one each and in their order, read ahead.

    Args:
        entries: The pictures.
        column: Column of the tables that hold pictures; None = the only one that may.

    Yields:
        Frames; their index is the row in the table, and 0 for a file. One that cannot be read has an error.
    """
    return load_ahead(_items(entries, column), _load)


def frames_of_video(path: str) -> Iterator[Frame]:
    """The frames of a video; one that cannot be opened gives one frame with an error."""
    try:
        stream = open_stream(path)
    except CanthusError as error:
        yield Frame(Path(path), 0, error=error)
        return
    try:
        yield from in_background(stream)
    finally:
        stream.close()


def _items(entries: Sequence[Entry], column: str | None) -> Iterator[_Item]:
    for (path, in_table), group in groupby(entries, lambda entry: (entry.path, entry.row >= 0)):
        some = list(group)
        if not in_table:
            yield from map(_Item, some)
            continue
        try:
            yield from _cells(some, Path(path), column)
        except CanthusError as error:
            yield from (_Item(entry, error) for entry in some)


def _cells(entries: Sequence[Entry], path: Path, column: str | None) -> Iterator[_Item]:
    """Rows of one table, in order; only the row groups that hold them are read."""
    file, name, _ = open_table(path, column)
    wanted, first = {entry.row: entry for entry in entries}, 0
    with file:
        for group in range(file.num_row_groups):
            row, first = first, first + file.metadata.row_group(group).num_rows
            if first <= entries[0].row or row > entries[-1].row:
                continue
            for batch in file.iter_batches(TOGETHER, row_groups=[group], columns=[name]):
                if row + len(batch) > entries[0].row and row <= entries[-1].row:
                    values = batch.column(0).to_pylist()
                    yield from (_Item(wanted[row + at], value) for at, value in enumerate(values) if row + at in wanted)
                row += len(batch)


def _load(item: _Item) -> Frame:
    path, row, value = Path(item.entry.path), item.entry.row, item.value
    try:
        if row < 0:
            return Frame(path, 0, image=read(path))
        if isinstance(value, CanthusError):
            raise value
        if isinstance(value, dict):
            if value["bytes"] is None and value.get("path"):
                return Frame(path, row, image=read(path.parent / value["path"]))
            value = value["bytes"]
        if not value or isinstance(value, str):
            raise ReadError(f"{path}: row {row}: holds no picture")
        return Frame(path, row, image=decode(value, f"{path}: row {row}"))
    except CanthusError as error:
        return Frame(path, max(row, 0), error=error)
