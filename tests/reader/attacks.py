"""Small image files that ask for a lot of memory, made by code."""

import io
import re
import struct
import zlib

from PIL import Image as Pillow

SIDE = 30000


def encoded(image: Pillow.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def huge(form: str) -> bytes:
    """A whole small file whose header promises 30000 x 30000 pixels; of a WebP the 13616 x 13616 that it can."""
    data = bytearray(encoded(Pillow.new("RGB", (41, 30)), form, **({"lossless": True} if form == "WEBP" else {})))
    if form == "PNG":
        data[16:24] = struct.pack(">II", SIDE, SIDE)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif form == "JPEG":
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", SIDE, SIDE)
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", SIDE, SIDE)
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", SIDE, -SIDE)
    elif form == "WEBP":
        data[21:25] = struct.pack("<I", (SIDE - 1) & 0x3FFF | ((SIDE - 1) & 0x3FFF) << 14)
    elif form == "TIFF":
        at, count = directory(data)
        for entry in range(at, at + 12 * count, 12):
            tag, kind = struct.unpack_from("<HH", data, entry)
            if tag in (256, 257):
                struct.pack_into("<H" if kind == 3 else "<I", data, entry + 8, SIDE)
    elif form in ("AVIF", "HEIF"):
        for found in re.finditer(b"ispe", bytes(data)):
            struct.pack_into(">II", data, found.start() + 8, SIDE, SIDE)
    else:
        data[: data.index(b"41 30") + 5] = b"P6 # huge\n30000 30000"
    return bytes(data)


def directory(tiff: bytes | bytearray) -> tuple[int, int]:
    """Where the entries of a little-endian TIFF begin, and their number."""
    (at,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, at)
    return at + 2, count


def jpeg_with_two_frames() -> bytes:
    """The header says 30000 x 30000; a second one behind the start of the pixels says 8 x 8."""
    data = huge("JPEG")
    start = data.index(b"\xff\xc0")
    second = bytearray(data[start : start + 19])
    second[5:9] = struct.pack(">HH", 8, 8)
    return data[:-2] + bytes(second) + data[-2:]


def tiff_with_doubled_tags(first: int, second: int) -> bytes:
    """Width and height stand twice in the directory; decoders disagree on which of the two they take."""
    data = encoded(Pillow.new("RGB", (8, 8)), "TIFF", compression="tiff_lzw")
    at, count = directory(data)
    entries = [data[at + 12 * index : at + 12 * index + 12] for index in range(count)]
    rest = [entry for entry in entries if struct.unpack("<H", entry[:2])[0] not in (256, 257)]
    sizes = [struct.pack("<HHII", tag, 4, 1, side) for tag in (256, 257) for side in (first, second)]
    listing = struct.pack("<H", len(rest) + 4) + b"".join(sizes + rest) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + listing


def png_with_two_headers() -> bytes:
    """The first header chunk says 30000 x 30000, the second one 41 x 30."""
    small = encoded(Pillow.new("RGB", (41, 30)), "PNG")
    return huge("PNG")[:33] + small[8:33] + small[33:]


def deep_png(width: int, height: int) -> bytes:
    """A black, transparent PNG of four channels of 16 bits, compressed a thousandfold."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    pack = zlib.compressobj(1)
    row = bytes(1 + 8 * width)
    pixels = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = struct.pack(">IIBBBBB", width, height, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def animated_webp(width: int, height: int) -> bytes:
    """Two frames of 8 x 8 pixels on a canvas of any size."""
    frames = [Pillow.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = bytearray(encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    data[24:30] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return bytes(data)


def jpeg_of_many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded(Pillow.new("L", (side, side), 90), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]
