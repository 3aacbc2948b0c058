"""Files that are complete or do not exist, also after a crash."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from canthus.errors import OutputError


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write to: it replaces `path` when the block succeeds and is removed when it fails.

    The hidden file has the extension of `path`; the folder is created.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; choose another folder") from error
    finally:
        with suppress(OSError):
            part.unlink()
