"""Tables of tracks: the faces of every frame of a video, with their identities; the formats by extension.

Law (tested): `load(dump(moments))` gives back frames, times, states, identities, points, scores, poses and confidences
bit for bit, in each format.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from canthus.errors import FormatError, InputError, OutputError, ShapeError
from canthus.formats.extension import format_of
from canthus.formats.tracks import csv, jsonl, parquet
from canthus.formats.tracks.moment import Layout, Moment, in_order
from canthus.work.files import replace_whole

NAME = "tracks"
"""Name of the tables of a run, without their extension."""


@dataclass(frozen=True)
class Format:
    """How files of one format are loaded and dumped."""

    load: Callable[[Path], Iterator[Moment]]
    dump: Callable[[Path, Layout, Iterable[Moment]], None]


FORMATS: dict[str, Format] = {
    ".csv": Format(csv.load, csv.dump),
    ".jsonl": Format(jsonl.load, jsonl.dump),
    ".parquet": Format(parquet.load, parquet.dump),
}


def load(path: Path) -> list[Moment]:
    """The frames of a table of tracks, in order; those without a face among them.

    Args:
        path: The file, or the folder of a run of `canthus track`, of which a table is taken.

    Raises:
        FormatError: the file is not in the format its extension promises; the message names file and line.
        InputError: the file is missing or cannot be read.
        ExtraMissingError: a .parquet file, and pyarrow is not installed.
    """
    if path.is_dir():
        found = [path / (NAME + ending) for ending in FORMATS if (path / (NAME + ending)).is_file()]
        if not found:
            raise FormatError(
                f"{path}: holds no {NAME}.csv, .jsonl or .parquet; give a folder that canthus track wrote"
            )
        path = found[0]
    try:
        moments = list(in_order(format_of(path, FORMATS, "tracks", FormatError).load(path)))
        layout = Layout.of(moments)
    except ShapeError as error:
        raise FormatError(f"{path}: {error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if wrong := next((moment for moment in moments if not isfinite(moment.time)), None):
        raise FormatError(f"{path}: frame {wrong.frame} has no time")
    return [m if len(m.faces) else replace(m, faces=layout.empty(layout.scheme)) for m in moments]


def dump(path: Path, moments: Sequence[Moment]) -> None:
    """Write frames to a file, which is complete or does not exist.

    Raises:
        OutputError: no such format, the frames are not in order, their faces differ in scheme or shape, or the file
            cannot be written.
        ExtraMissingError: a .parquet file, and pyarrow is not installed.
    """
    try:
        layout = Layout.of(moments)
    except ShapeError as error:
        raise OutputError(f"{path}: {error}") from error
    dump_stream(path, layout, moments)


def dump_stream(path: Path, layout: Layout, moments: Iterable[Moment]) -> None:
    """As `dump`, for frames that are not all in memory."""
    handler = format_of(path, FORMATS, "tracks", OutputError)
    with replace_whole(path) as part:
        try:
            handler.dump(part, layout, in_order(moments))
        except ShapeError as error:
            raise OutputError(f"{path}: {error}") from error
