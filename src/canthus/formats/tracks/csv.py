"""Tracks as .csv: one row per frame and face; a frame without a face has one row without a track.

Columns: frame, time, track, state, confidence, yaw, pitch, roll, x0, y0, ..., s0, ... (scores), scheme; 3D points have
z0, ... as well. An empty cell is NaN.
"""

import csv
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from canthus.errors import FormatError
from canthus.formats.csv import cells
from canthus.formats.record import number_at
from canthus.formats.tracks.moment import HEAD, Layout, Moment
from canthus.work.documents import read_rows

REMEDY = "write it again"


def load(path: Path) -> Iterator[Moment]:
    """The frames of a file; `table.load` documents the errors."""
    rows = read_rows(path, FormatError, REMEDY)
    header = next(rows, (1, []))[1]
    layout = Layout.of_columns(header, f"{path}:1")
    first = len(HEAD)
    for frame, group in groupby(rows, lambda row: row[1][0]):
        lines = list(group)
        place = f"{path}:{lines[0][0]}"
        for line, row in lines:
            if len(row) != len(header):
                raise FormatError(f"{path}:{line}: {len(row)} cells, but the header has {len(header)}")
        texts = [row for _, row in lines]
        tracks = [number_at(row[2], f"{path}:{line}") for line, row in lines if row[2]]
        if len(tracks) not in (0, len(lines)) or (not tracks and len(lines) > 1):
            raise FormatError(f"{place}: frame {frame} has a row without a track beside others; {REMEDY}")
        numbers = [[number_at(cell or "nan", place) for cell in row[first:-1]] for row in texts] if tracks else []
        scheme = texts[0][-1]
        yield Moment(
            _whole(frame, place),
            number_at(texts[0][1], place),
            layout.faces_of(numbers, tracks, scheme, place) if tracks else layout.empty(scheme),
            tuple(row[3] for row in texts) if tracks else (),
        )


def _whole(text: str, place: str) -> int:
    if not text.isdecimal():
        raise FormatError(f"{place}: {text!r} is not the number of a frame")
    return int(text)


def dump(path: Path, layout: Layout, moments: Iterable[Moment]) -> None:
    """Write frames to a file.

    Raises:
        ShapeError: a face has another layout.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(layout.columns)
        for moment in moments:
            rows.writerows(_rows_of(layout, moment))


def _rows_of(layout: Layout, moment: Moment) -> Iterator[list[str]]:
    start = [str(moment.frame), repr(float(moment.time))]
    if not moment.states:
        yield [*start, *[""] * (len(layout.numbers) + 2), layout.scheme]
    faces, numbers = moment.faces, layout.numbers_of(moment.faces)
    for track, state, row in zip(faces.identity, moment.states, numbers, strict=True):
        yield [*start, str(int(track)), state, *cells(row), layout.scheme]
