"""Files that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from canthus.errors import OutputError


@contextmanager
def replace_whole(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write to, which takes its place when the block ends well and vanishes when not.

    The hidden file has the extension of `path`; the folder is made.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; choose another place") from error
    finally:
        with suppress(OSError):
            part.unlink()
