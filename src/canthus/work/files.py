"""Files that are complete or do not exist, also after a crash."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, EINVAL, ENOENT, ENOSPC, ENOTSUP
from hashlib import blake2b
from pathlib import Path

from canthus.errors import OutputError

PART = re.compile(r"\.canthus-[0-9a-f]{16}\.part(\.\w+)?")
"""Hidden names of files and folders that are being written; nothing else is ever removed as half-written."""
SYNCED_AT_ONCE = 8
"""Number of files that are forced to the disk at the same time; a file system commits them together."""

FULL = (ENOSPC, EDQUOT, EFBIG)
"""Errors of the system that mean that there is no space."""


def part_of(path: Path) -> Path:
    """The hidden name beside `path` under which it is written: short, the same in each run, with the same extension."""
    return path.with_name(f".canthus-{blake2b(os.fsencode(path.name), digest_size=8).hexdigest()}.part{path.suffix}")


@contextmanager
def replace_whole(path: Path, sync: bool = True) -> Iterator[Path]:
    """A hidden file beside `path` to write to: it replaces `path` when the block succeeds and is removed when it fails.

    The folder is created. A link of the hidden name is replaced, never followed.

    Args:
        path: The file.
        sync: Whether the content is forced to the disk before it gets its name, so that the file is whole also after
            a power failure.

    Raises:
        OutputError: the folder or the file cannot be written; its cause is the error of the system.
    """
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        yield part
        if sync:
            _sync(part)
        part.replace(path)
    except OSError as error:
        remedy = "free some space, or choose another folder" if error.errno in FULL else "choose another folder"
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; {remedy}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def sync_all(files: Iterable[Path]) -> None:
    """Force files and the entries of their folders to the disk.

    Raises:
        OSError: the disk is full or fails.
    """
    chosen = list(files)
    with ThreadPoolExecutor(SYNCED_AT_ONCE, thread_name_prefix="canthus-sync") as pool:
        list(pool.map(_sync, chosen))
        if os.name == "posix":  # elsewhere a folder cannot be opened
            list(pool.map(_sync, {file.parent for file in chosen}))


def _sync(path: Path) -> None:
    """Force a file or folder to the disk, if it still exists and its file system can."""
    try:
        handle = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (ENOENT, EINVAL, ENOTSUP):
            raise


def clear_parts(folder: Path, below: bool = False) -> None:
    """Remove what killed runs left half-written in a folder; symbolic links are not followed.

    Args:
        folder: The folder.
        below: Whether its subfolders are searched as well.

    Raises:
        OSError: something cannot be removed.
    """
    for place, folders, files in os.walk(folder):
        for name in filter(PART.fullmatch, files):
            Path(place, name).unlink(missing_ok=True)
        for name in filter(PART.fullmatch, folders):
            if not Path(place, name).is_symlink():
                shutil.rmtree(Path(place, name))
        if not below:
            return
