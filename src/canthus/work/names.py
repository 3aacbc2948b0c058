"""Names of results: no two images ever share one, and a name that is not text can still be written into a text file."""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from hashlib import blake2b
from pathlib import Path
from unicodedata import normalize


def text_of(path: Path) -> str:
    r"""A path as text that any file can hold: bytes that are not UTF-8 become `\xe9`; no two paths become one text."""
    distinct = re.sub(r"\\(?=x[0-9a-f]{2})", r"\\x5c", path.as_posix())
    return os.fsencode(distinct).decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    r"""A text without control characters, which a terminal would obey: they become `\x1b`; lines and tabs stay."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def names_of(image: Path) -> list[str]:
    """The names that results of an image may have, without their endings, from the shortest to the most explicit.

    Args:
        image: Relative path of the image.
    """
    mark = blake2b(os.fsencode(image.as_posix()), digest_size=4).hexdigest()
    return [image.with_suffix("").as_posix(), image.as_posix(), f"{image.as_posix()}-{mark}"]


def result_names(images: Collection[Path]) -> dict[Path, str]:
    """The name of the results of each image, without their endings: the first of `names_of` that is free.

    Names that differ only in case or in the composition of accents are one name, as in the file systems of Windows and
    macOS.

    Args:
        images: Relative paths of the images.
    """
    names = {image: names_of(image) for image in images}
    level = dict.fromkeys(names, 0)
    while clashing := _clashing({image: names[image][level[image]] for image in names}):
        lowest = min(level[image] for image in clashing)
        for image in clashing:
            level[image] = max(level[image], lowest + 1)
    return {image: names[image][level[image]] for image in names}


def alike(name: str) -> str:
    """The same text for all names that some file system takes for one."""
    return normalize("NFC", normalize("NFC", name).casefold())


def _clashing(names: Mapping[Path, str]) -> list[Path]:
    """Images whose name another image has as well."""
    keys = {image: alike(name) for image, name in names.items()}
    counts = Counter(keys.values())
    return [image for image, key in keys.items() if counts[key] > 1]
