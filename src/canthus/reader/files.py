"""Finds image files in folders and by patterns."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from canthus.errors import ReadError

SUFFIXES = frozenset({".bmp", ".gif", ".png", ".apng", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
SUFFIXES |= {".jpg", ".jpeg", ".jpe", ".jfif"}
"""Extensions of the files in a folder that `find` lists as images."""


def find(paths: Sequence[str | Path]) -> list[Path]:
    """List image files.

    Args:
        paths: Files with any extension; folders, which are searched recursively for files with one of `SUFFIXES`,
            without names that begin with a dot; and patterns, as "set/**/*.png".

    Returns:
        The files, sorted, each once. A named file that does not exist is listed as well; reading it raises the error.

    Raises:
        ReadError: a folder or a pattern contains no image.
    """
    found: set[str] = set()
    for path in map(str, paths):
        listed: list[str] = [path]
        if Path(path).is_dir():
            listed = [str(file) for file in _images_below(Path(path))]
        elif glob.has_magic(path) and not Path(path).exists():
            listed = [match for match in glob.glob(path, recursive=True) if _is_image(Path(match))]  # noqa: PTH207
        if not listed:
            raise ReadError(f"{path}: no image found; canthus looks for {' '.join(sorted(SUFFIXES))}")
        found.update(map(os.path.normpath, listed))
    return sorted(map(Path, found))


def root_of(paths: Sequence[str | Path]) -> Path:
    """The folder that the paths of results are relative to: the given folder, or the common parent of several.

    Args:
        paths: Files, folders and patterns, as for `find`.
    """
    folders = []
    for path in map(Path, paths):
        fixed = path if path.exists() else next(part for part in (path, *path.parents) if not glob.has_magic(str(part)))
        folders.append(os.path.abspath(fixed if fixed.is_dir() else fixed.parent))  # noqa: PTH100 - links stay
    return Path(os.path.commonpath(folders))


def _images_below(folder: Path) -> list[Path]:
    return [
        file
        for file in folder.rglob("*")
        if _is_image(file) and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
