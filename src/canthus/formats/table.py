"""Landmark files: the formats by extension, and how to load and dump any of them.

Law (tested): `load(dump(records))` returns the records bit for bit, in all fields that the format holds.
.ljson holds the points only, and .pts the points rounded to 1/10000 px.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from canthus.errors import FormatError, InputError, OutputError, ShapeError
from canthus.formats import csv, json, ljson, mat, npz, pts
from canthus.formats.extension import format_of
from canthus.formats.record import Record
from canthus.work.files import replace_whole
from canthus.work.journal import JOURNAL


@dataclass(frozen=True)
class Format:
    """How files of one format are loaded and dumped."""

    load: Callable[[Path], list[Record]]
    dump: Callable[[Path, Sequence[Record]], None]


FORMATS: dict[str, Format] = {
    ".pts": Format(pts.load, pts.dump),
    ".csv": Format(csv.load, csv.dump),
    ".json": Format(json.load, json.dump),
    ".npz": Format(npz.load, npz.dump),
    ".mat": Format(mat.load, mat.dump),
    ".ljson": Format(ljson.load, ljson.dump),
}


def load(path: Path) -> list[Record]:
    """The faces in a file or a folder.

    Of a folder that `canthus detect` wrote, faces.csv is read, else its .json files, else its .pts files; of any other
    folder its .pts files, whose `image` is their path there without extension.

    Raises:
        FormatError: the file is not in the format its extension promises; the message names file and line.
        InputError: the file is missing or cannot be read.
        ExtraMissingError: a .mat file, and SciPy or h5py is not installed.
    """
    if path.is_dir():
        return _load_folder(path)
    if not path.suffix and not path.exists():  # a folder that is not there, or a mistyped name
        raise InputError(f"{path}: cannot be read: No such file or folder; check the path")
    handler = format_of(path, FORMATS, "points", FormatError)
    try:
        return handler.load(path)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a text file in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def dump(path: Path, records: Sequence[Record]) -> None:
    """Write faces to a file, which is complete or does not exist.

    Raises:
        OutputError: the format cannot hold these records, or the file cannot be written.
        ExtraMissingError: a .mat file, and SciPy or h5py is not installed.
    """
    handler = format_of(path, FORMATS, "points", OutputError)
    with replace_whole(path) as part:
        try:
            handler.dump(part, records)
        except ShapeError as error:
            raise OutputError(f"{path}: {error}") from error


def _load_folder(folder: Path) -> list[Record]:
    results = (folder / JOURNAL).is_file()
    if results and (folder / "faces.csv").is_file():
        return load(folder / "faces.csv")
    if results and (found := _inside(folder, ".json")):
        return [record for path in found for record in load(path)]
    found = _inside(folder, ".pts")
    if not found:
        raise FormatError(
            f"{folder}: holds no .pts file; give a folder of .pts files or of results of canthus detect, or one file"
        )
    return [Record(_image_of(path, folder, results), record.points) for path in found for record in load(path)]


def _inside(folder: Path, suffix: str) -> list[Path]:
    """The files of one kind in a folder and below it, without hidden ones, sorted."""
    inside = ((path, path.relative_to(folder).parts) for path in folder.rglob(f"*{suffix}"))
    return sorted(path for path, parts in inside if not any(part.startswith(".") for part in parts))


def _image_of(path: Path, folder: Path, numbered: bool) -> str:
    """Name of the image of a .pts file: its path without extension, and without the number of the face."""
    name = path.relative_to(folder).with_suffix("").as_posix()
    return re.sub(r"_\d+$", "", name) if numbered else name
