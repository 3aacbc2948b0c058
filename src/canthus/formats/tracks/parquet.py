"""Tracks as .parquet: the columns and rows of the .csv; needs the extra `parquet`. A missing value is null."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from canthus.errors import FormatError
from canthus.formats.arrow import arrow
from canthus.formats.tracks.moment import HEAD, TAIL, Layout, Moment

FRAMES = 1000
"""Number of frames that are written at once."""
LARGEST, GROWTH = 2**26, 64
"""A file may claim this many numbers, and this many for each of its bytes."""


def load(path: Path) -> Iterator[Moment]:
    """The frames of a file; `table.load` documents the errors."""
    pyarrow, parquet = arrow()
    with path.open("rb") as stream:
        try:
            file = parquet.ParquetFile(stream)
            found = file.metadata
            if found.num_rows * found.num_columns > max(LARGEST, GROWTH * path.stat().st_size):
                raise FormatError(f"{path}: claims {found.num_rows:,} rows; the file is damaged")
            layout = Layout.of_columns(file.schema_arrow.names, str(path))
            table = file.read()
        except (pyarrow.ArrowException, OSError) as error:
            raise FormatError(f"{path}: not a Parquet file, or damaged: {str(error).splitlines()[0]}") from error
    yield from _moments(table, layout, path)


def _moments(table: Any, layout: Layout, path: Path) -> Iterator[Moment]:
    """The frames of a table of pyarrow."""
    try:
        columns = [np.asarray(table.column(name).to_numpy(), np.float64) for name in ("frame", "time", "track")]
        numbers = np.column_stack([np.asarray(table.column(name).to_numpy(), np.float64) for name in layout.numbers])
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}: a column of numbers holds something else: {error}") from error
    states, schemes = table.column("state").to_pylist(), table.column(TAIL).to_pylist()
    frames, times, tracks = columns
    if not np.isfinite(frames).all() or not np.isfinite(times).all():
        raise FormatError(f"{path}: a row has no frame or no time")
    starts = np.flatnonzero(np.diff(frames, prepend=np.nan) != 0).tolist()
    for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
        place, some = f"{path}: row {start + 1}", slice(start, stop)
        scheme, head = str(schemes[start] or ""), (int(frames[start]), float(times[start]))
        if np.isnan(tracks[some]).all() and stop == start + 1:
            yield Moment(*head, layout.empty(scheme), ())
            continue
        if np.isnan(tracks[some]).any():
            raise FormatError(f"{place}: frame {head[0]} has a row without a track beside others; write it again")
        faces = layout.faces_of(numbers[some], tracks[some].tolist(), scheme, place)
        yield Moment(*head, faces, tuple(str(state or "") for state in states[some]))


def dump(path: Path, layout: Layout, moments: Iterable[Moment]) -> None:
    """Write frames to a file.

    Raises:
        ShapeError: a face has another layout.
        ExtraMissingError: pyarrow is not installed.
    """
    pyarrow, parquet = arrow()
    kinds = dict(zip(HEAD, (pyarrow.int64(), pyarrow.float64(), pyarrow.int32(), pyarrow.string()), strict=True))
    fields = kinds | dict.fromkeys(layout.numbers, pyarrow.float32()) | {TAIL: pyarrow.string()}
    schema, left = pyarrow.schema([*fields.items()]), iter(moments)
    with parquet.ParquetWriter(path, schema) as writer:
        while some := [*islice(left, FRAMES)]:
            writer.write_table(pyarrow.table(_arrays(layout, some), schema=schema))


def _arrays(layout: Layout, moments: list[Moment]) -> list[Any]:
    """The columns of some frames."""
    pyarrow, _ = arrow()
    blocks: list[Any] = []
    head: list[tuple[Any, ...]] = []
    for moment in moments:
        numbers = layout.numbers_of(moment.faces) if moment.states else np.full((1, len(layout.numbers)), np.nan)
        blocks.append(numbers)
        tracks: list[int | None] = [int(track) for track in moment.faces.identity] or [None]
        for track, state in zip(tracks, moment.states or (None,), strict=True):
            head.append((moment.frame, float(moment.time), track, state))
    values = np.concatenate(blocks).astype(np.float32)
    columns = [pyarrow.array(np.ascontiguousarray(column), from_pandas=True) for column in values.T]
    starts = [[row[at] for row in head] for at in range(len(HEAD))]
    return [*starts, *columns, [layout.scheme] * len(head)]
