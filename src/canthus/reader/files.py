"""Image files in folders and patterns."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from canthus.errors import ReadError

SUFFIXES = frozenset({".bmp", ".gif", ".png", ".apng", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
SUFFIXES |= {".jpg", ".jpeg", ".jpe", ".jfif"}
"""What `find` takes from a folder for an image."""


def find(paths: Sequence[str | Path]) -> list[Path]:
    """List image files.

    Args:
        paths: Files, whatever their name; folders, searched with all below them for `SUFFIXES`, names that begin with a
            dot left out; patterns as "set/**/*.png".

    Returns:
        Sorted, each file once. A file that was named and does not exist is listed: reading it says so.

    Raises:
        ReadError: a folder or a pattern leads to no image.
    """
    found: set[str] = set()
    for path in map(str, paths):
        listed: list[str] = [path]
        if Path(path).is_dir():
            listed = [str(file) for file in _images_below(Path(path))]
        elif glob.has_magic(path) and not Path(path).exists():
            listed = [match for match in glob.glob(path, recursive=True) if _is_image(Path(match))]  # noqa: PTH207
        if not listed:
            raise ReadError(f"{path}: no image there; canthus looks for {' '.join(sorted(SUFFIXES))}")
        found.update(map(os.path.normpath, listed))
    return sorted(map(Path, found))


def root_of(paths: Sequence[str | Path]) -> Path:
    """The folder from which the paths of what `find` finds are kept: of one folder itself, of several what they share.

    Args:
        paths: As for `find`.
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
