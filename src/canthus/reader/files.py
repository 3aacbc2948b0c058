"""Finds image files in folders and by patterns."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from canthus.errors import ReadError

SUFFIXES = frozenset({".bmp", ".gif", ".png", ".apng", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".webp"})
SUFFIXES |= {".jpg", ".jpeg", ".jpe", ".jfif", ".avif", ".heic", ".heif", ".hif"}
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


def skipped(paths: Sequence[str | Path], results: Path | None = None) -> Counter[str]:
    """Count the files in folders that `find` does not list.

    Args:
        paths: Files, folders and patterns, as for `find`; only folders are searched.
        results: Folder whose files are not counted; None = all are.

    Returns:
        Number of files by their extension in lower case; "hidden" for names that begin with a dot, "no extension" for
        names without one.
    """
    counts: Counter[str] = Counter()
    for folder in {Path(path) for path in paths if Path(path).is_dir()}:
        for file in folder.rglob("*"):
            listed = _is_image(file) and not _hidden(file, folder)
            if not listed and file.is_file() and not (results is not None and file.is_relative_to(results)):
                counts["hidden" if _hidden(file, folder) else file.suffix.lower() or "no extension"] += 1
    return counts


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
    return [file for file in folder.rglob("*") if _is_image(file) and not _hidden(file, folder)]


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()
