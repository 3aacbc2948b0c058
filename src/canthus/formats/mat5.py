"""Checks the elements of MATLAB files of version 5 to 7 before SciPy reads them, which crashes on damaged ones.

SciPy takes the types of elements for indices without a check. A file is a row of variables, each compressed or not; a
variable is a row of elements: flags with its class, axes, name, then its values. The format is described in "MAT-File
Format", The MathWorks.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from canthus.work.archive import DamagedError, unpacked_limit

HEADER = 128
"""Length of the header of a file, in bytes; its last two tell the order of bytes."""
BLOCK = 1 << 16
"""Number of compressed bytes that are unpacked at a time."""
BYTES, AXES, FLAGS, VARIABLE, COMPRESSED, UTF8 = 1, 5, 6, 14, 15, 16
"""Types of elements: names, axes, flags, variables within variables, compressed variables, text."""
NUMBERS = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13})
"""Types of elements that hold numbers."""
LETTERS = frozenset({1, 2, 3, 4, 16, 17, 18})
"""Types of elements that hold text."""
CELL, STRUCT, OBJECT, TEXT, OPAQUE = 1, 2, 3, 4, 17
"""Classes of variables; those from 5 to 15 are numbers."""
INSIDE = {CELL: frozenset({VARIABLE}), STRUCT: frozenset({BYTES, AXES, VARIABLE}), TEXT: LETTERS}
INSIDE |= {OBJECT: INSIDE[STRUCT], **dict.fromkeys(range(5, 16), NUMBERS), 16: INSIDE[CELL]}
"""Types of the elements that a variable of each class may hold after its name."""
MOST_AXES = 32
"""Largest number of axes of an array of NumPy."""


class Element(NamedTuple):
    """An element: its type, and its content as a part of the bytes."""

    kind: int
    start: int
    length: int


def check_file(path: Path) -> None:
    """Check the elements of a file of version 5 to 7; a file of version 4 has none.

    Raises:
        DamagedError: an element cannot be, or the file unpacks to more than its size allows.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    left = unpacked_limit(size)
    with path.open("rb") as stream:
        head = stream.read(HEADER)
        if len(head) < HEADER or 0 in head[:4]:
            return
        order = ">" if head[126:] == b"MI" else "<"
        while len(tag := stream.read(8)) == 8:
            kind, length = struct.unpack(f"{order}II", tag)
            if length > size - stream.tell():
                raise DamagedError(f"an element of {length} bytes, which is more than there is")
            data = tag + stream.read(length) if kind != COMPRESSED else _unpacked(stream, length, left)
            left -= len(data)
            _check_variables(data, order)


def _unpacked(stream: IO[bytes], length: int, limit: int) -> bytes:
    unpacker, end, blocks = zlib.decompressobj(), stream.tell() + length, []
    while block := stream.read(min(BLOCK, end - stream.tell())):
        try:
            blocks.append(unpacker.decompress(block))
        except zlib.error as error:
            raise DamagedError(str(error)) from error
        limit -= len(blocks[-1])
        if limit < 0:
            raise DamagedError("it unpacks to more than a file of this size may")
    return b"".join(blocks)


def _check_variables(data: bytes, order: str) -> None:
    """Check a row of variables, and the variables within them."""
    waiting = list(_elements(data, 0, len(data), order))
    while waiting:
        kind, start, length = waiting.pop()
        if kind != VARIABLE:
            raise DamagedError(f"an element of type {kind} stands where a variable should")
        if length:  # an empty place in a cell has nothing
            inside = list(_elements(data, start, start + length, order))
            waiting += [element for element in inside[_check_one(data, inside, order) :] if element.kind == VARIABLE]


def _check_one(data: bytes, inside: list[Element], order: str) -> int:
    """Check the elements of a variable; returns how many stand before its values."""
    if not inside or (inside[0].kind, inside[0].length) != (FLAGS, 8):
        raise DamagedError("a variable has no flags")
    (flags,) = struct.unpack_from(f"{order}I", data, inside[0].start)
    group = flags & 0xFF
    if group == OPAQUE:
        return 1
    if len(inside) < 3 or inside[1].kind not in (AXES, FLAGS) or inside[2].kind not in (BYTES, UTF8):
        raise DamagedError("a variable has no axes or no name")  # some programs write them as FLAGS and UTF8
    if inside[1].length % 4 or not 8 <= inside[1].length <= 4 * MOST_AXES:
        raise DamagedError("a variable has axes that cannot be")
    for element in inside[3:]:
        if element.kind not in INSIDE.get(group, ()):
            raise DamagedError(f"a variable of class {group} has an element of type {element.kind}")
    return 3


def _elements(data: bytes, at: int, end: int, order: str) -> Iterator[Element]:
    """The elements from one position to another."""
    while at + 8 <= end:
        kind, length = struct.unpack_from(f"{order}II", data, at)
        if short := kind >> 16:  # up to four bytes, which stand beside the tag
            kind, length, start, after = kind & 0xFFFF, short, at + 4, at + 8
        else:
            start = at + 8
            after = start + -(-length // 8) * 8
        if (short and length > 4) or start + length > end:
            raise DamagedError(f"an element of {length} bytes, which is more than there is")
        yield Element(kind, start, length)
        at = after
