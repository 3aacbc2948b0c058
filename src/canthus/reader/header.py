"""Headers of image files: format, size, EXIF orientation, and whether the file is complete, before it is decoded.

The size must be known before decoding, so that a small file cannot request gigabytes of memory; OpenCV reports it only
afterwards.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

from canthus.errors import ReadError


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an image file.

    Attributes:
        kind: Format: "JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF" or "PNM".
        width: Width as stored, in pixels; of an animation that of the canvas.
        height: Height as stored, in pixels.
        orientation: Orientation as stored, 1 to 8 [EXIF 2.3, tag 274]; 1 = upright, or corrected by the decoder.
        whole: Whether the file is complete; False = its end is missing.
    """

    kind: str
    width: int
    height: int
    orientation: int = 1
    whole: bool = True


def header_of(data: bytes) -> Header:
    """Read the header of an image file.

    Args:
        data: Content of the file.

    Raises:
        ReadError: not an image in a format that canthus reads, or a damaged header. The message does not name the file.
    """
    for magic, parse in PARSERS.items():
        if magic.match(data):
            try:
                return parse(data)
            except (struct.error, IndexError, KeyError) as error:
                raise ReadError(f"the header is damaged or cut short ({len(data)} bytes)") from error
    raise ReadError(
        "the file is empty" if not data else "not an image that canthus reads (JPEG, PNG, WebP, GIF, BMP, TIFF, PNM)"
    )


_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # markers followed by a length, and the end of the image
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(data: bytes) -> Header:
    width, height, orientation, at = 0, 0, 1, 2
    whole = False
    while marker := _MARKER.search(data, at):
        code, at = data[marker.start() + 1], marker.end()
        if code == 0xD9:
            whole = True
            break
        (length,) = struct.unpack_from(">H", data, at)
        if code in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 3)
        elif code == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0":
            orientation = _orientation(data[at + 8 : at + length])
        at += length
    return Header("JPEG", width, height, orientation, whole)


def _png(data: bytes) -> Header:
    width, height = struct.unpack_from(">II", data, 16)
    orientation, whole, at = 1, False, 8
    while not whole and at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"eXIf":
            orientation = _orientation(data[at + 8 : at + 8 + length])
        whole = name == b"IEND"
        at += 12 + length
    return Header("PNG", width, height, orientation, whole)


def _webp(data: bytes) -> Header:
    orientation, at = 1, 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            orientation = _orientation(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    whole = len(data) >= 8 + struct.unpack_from("<I", data, 4)[0]
    form = data[12:16]
    if form == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        width, height = low_width + (high_width << 16) + 1, low_height + (high_height << 16) + 1
    elif form == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    return Header("WebP", width, height, orientation, whole)


def _gif(data: bytes) -> Header:
    return Header("GIF", *struct.unpack_from("<HH", data, 6))


def _bmp(data: bytes) -> Header:
    (length,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if length == 12 else "<ii", data, 18)
    return Header("BMP", abs(width), abs(height))


def _tiff(data: bytes) -> Header:
    tags = _directory(data)
    return Header("TIFF", tags[256], tags[257])  # the decoder applies the orientation of a TIFF itself


def _pnm(data: bytes) -> Header:
    size = _PNM.match(data)
    if size is None:
        raise IndexError
    return Header("PNM", int(size[1]), int(size[2]))


def _orientation(exif: bytes) -> int:
    """The orientation in an EXIF block; 1 where the block is damaged."""
    try:
        value = _directory(exif).get(274, 1)
    except (struct.error, KeyError):
        return 1
    return value if 1 <= value <= 8 else 1


def _directory(data: bytes) -> dict[int, int]:
    """The short and long integers of the first directory of a TIFF block, by tag."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, form = struct.unpack_from(order + "HH", data, entry)
        if form in (3, 4):
            (tags[tag],) = struct.unpack_from(order + ("H" if form == 3 else "I"), data, entry + 8)
    return tags


_PNM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")

PARSERS: dict[re.Pattern[bytes], Callable[[bytes], Header]] = {
    re.compile(rb"\xff\xd8\xff"): _jpeg,
    re.compile(rb"\x89PNG\r\n\x1a\n"): _png,
    re.compile(rb"RIFF.{4}WEBPVP8[ LX]", re.DOTALL): _webp,
    re.compile(rb"GIF8[79]a"): _gif,
    re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL): _bmp,
    re.compile(rb"II\*\0|MM\0\*"): _tiff,
    re.compile(rb"P[1-6][\s#]"): _pnm,
}
