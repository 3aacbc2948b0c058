"""The format of a file by its extension."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from canthus.errors import FormatError, OutputError

Format = TypeVar("Format")


def format_of(
    path: Path, formats: Mapping[str, Format], content: str, error: type[FormatError] | type[OutputError]
) -> Format:
    """How the files with the extension of `path` are loaded and dumped.

    Args:
        path: The file.
        formats: The formats by extension, as ".csv".
        content: What such files hold, in the plural, as "points"; for the message.
        error: Kind of error.

    Raises:
        FormatError: no format has this extension, and `error` is this kind.
        OutputError: the same, and `error` is this kind.
    """
    known = formats.get(path.suffix.lower())
    if known is None:
        raise error(
            f"{path}: {content} are stored in {', '.join(formats)} files, not in {path.suffix or 'no extension'!r}"
        )
    return known
