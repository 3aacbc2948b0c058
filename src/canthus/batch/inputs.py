"""Pictures and videos by what the user names: files, folders, patterns, lists and Parquet tables.

They are listed one by one, so that there may be millions of them, in an order that is the same in each run.
"""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from canthus.errors import InputError, ReadError
from canthus.formats.arrow import arrow
from canthus.reader.files import SUFFIXES
from canthus.reader.image import VIDEOS

LISTS = frozenset({".txt", ".lst", ".list"})
"""Extensions of lists: text files with a path a line."""
TABLES = frozenset({".parquet", ".pq"})
"""Extensions of Parquet tables."""
TOGETHER = 1000
"""Number of rows of a table of paths that are read at once."""


class Entry(NamedTuple):
    """A picture or a video.

    Attributes:
        path: The file, or the table that holds the bytes of the picture.
        row: Row of the table, from 0; -1 = `path` is the picture or video itself.
    """

    path: str
    row: int = -1

    @property
    def video(self) -> bool:
        """Whether it is a video, by its extension."""
        return self.row < 0 and f".{self.path.rpartition('.')[2].lower()}" in VIDEOS


def entries(inputs: Sequence[str], out: Path, column: str | None = None) -> Iterator[Entry]:
    """List the pictures and videos.

    Args:
        inputs: Files; folders, which are searched recursively for pictures and videos, without names that begin with a
            dot; quoted patterns; lists (`LISTS`), whose relative paths start at the folder of the list; Parquet tables
            (`TABLES`) of paths or of the bytes of pictures.
        out: Folder of the results, which is not searched.
        column: Column of the tables; None = the only one that holds text or bytes.

    Yields:
        Each in the order in which it is named; one that is named twice comes twice.

    Raises:
        ReadError: an input does not exist, or leads to no picture.
        InputError: a table has no such column, or several that may be meant.
        ExtraMissingError: there is a table, and pyarrow is not installed.
    """
    results = os.path.realpath(out)
    for text in inputs:
        found = False
        for entry in _entries_of(text, results, column):
            found = True
            yield entry
        if not found:
            raise ReadError(f"{text}: no picture or video found")


def _entries_of(text: str, results: str, column: str | None) -> Iterator[Entry]:
    path = Path(text)
    if path.is_dir():
        yield from map(Entry, _below(text, results))
    elif not path.exists() and glob.has_magic(text):
        for match in sorted(glob.iglob(text, recursive=True)):  # noqa: PTH207
            if Path(match).is_file():
                yield from _entries_of(match, results, column)
    elif not path.exists():
        raise ReadError(f"{text}: no such file or folder")
    elif path.suffix.lower() in LISTS:
        yield from map(Entry, _listed(path))
    elif path.suffix.lower() in TABLES:
        yield from _in_table(path, column)
    else:
        yield Entry(text)


def _below(folder: str, results: str) -> Iterator[str]:
    """Pictures and videos in a folder, sorted; first those that lie in it, then those of its folders."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name[0] != "." and os.path.realpath(Path(place, name)) != results
        )
        for name in sorted(files):
            if name[0] != "." and Path(name).suffix.lower() in SUFFIXES | VIDEOS:
                yield str(Path(place, name))


def _listed(path: Path) -> Iterator[str]:
    """Paths of a list; empty lines, and those that begin with #, are left out."""
    with path.open("rb") as stream:
        for line in stream:
            name = os.fsdecode(line.strip())
            if name and name[0] != "#":
                yield str(path.parent / name)


def _in_table(path: Path, column: str | None) -> Iterator[Entry]:
    """Rows of a table: paths, or pictures themselves; a row without a path is one that fails."""
    file, name, paths = open_table(path, column)
    with file:
        if not paths:
            yield from (Entry(str(path), row) for row in range(file.metadata.num_rows))
            return
        row = 0
        for batch in file.iter_batches(TOGETHER, columns=[name]):
            for value in batch.column(0).to_pylist():
                yield Entry(str(path.parent / value)) if value else Entry(str(path), row)
                row += 1


def open_table(path: Path, column: str | None) -> tuple[Any, str, bool]:
    """A Parquet table, the name of its column of pictures, and whether this holds paths.

    Args:
        path: The file.
        column: Name of the column; None = the only one that holds text, bytes, or structures with `bytes`.

    Raises:
        InputError: the file is no table, or has no such column, or several that may be meant.
        ExtraMissingError: pyarrow is not installed.
    """
    pyarrow, parquet = arrow()
    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file, or damaged: {str(error).splitlines()[0]}") from error
    kinds = {field.name: _kind(field.type) for field in file.schema_arrow}
    names = [name for name, kind in kinds.items() if kind and column in (None, name)]
    if len(names) != 1:
        known = ", ".join(kinds)
        wanted = f"no column {column!r} of paths or bytes" if column else f"{len(names)} columns of paths or bytes"
        file.close()
        raise InputError(f"{path}: {wanted}; name one of {known} with --column")
    return file, names[0], kinds[names[0]] == "paths"


def _kind(of: Any) -> str:
    """What a column of this type may hold: "paths", "bytes" or nothing."""
    pyarrow, _ = arrow()
    types = pyarrow.types
    if types.is_dictionary(of):
        return _kind(of.value_type)
    if types.is_string(of) or types.is_large_string(of):
        return "paths"
    if types.is_binary(of) or types.is_large_binary(of):
        return "bytes"
    return "bytes" if types.is_struct(of) and of.get_field_index("bytes") >= 0 else ""
