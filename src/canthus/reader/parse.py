"""Opens image files with Pillow up to their pixels: format, size, orientation, and the limits that a file must keep.

The size must be known before decoding, so that a small file cannot request gigabytes of memory. Pillow reads it as the
decoders do: it decodes most formats itself, into memory of the size that it has read.
"""

import re
import struct
from collections.abc import Callable
from io import BytesIO

from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError, Exif
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from canthus.errors import CanthusError, KindError, ReadError, SizeError, need

MAX_PIXELS = 178_000_000
"""Largest size of an image that is decoded, in pixels."""
MAX_MEMORY = 1_600_000_000
"""Largest memory that decoding an image may take, in bytes, by the estimates of `PIXEL_BYTES`."""
MAX_FILE = 3 * MAX_PIXELS
"""Largest image file that is read, in bytes: 8 bits for each of three channels of `MAX_PIXELS`."""
MAX_SCANS = 20
"""Largest number of scans of a progressive JPEG of `MAX_PIXELS`; a smaller one may have more."""
PIXEL_BYTES = {
    "JPEG": 6,
    "progressive JPEG": 12,
    "PNG": 8,
    "WebP": 11,
    "animated WebP": 19,
    "GIF": 7,
    "BMP": 7,
    "TIFF": 11,
    "PNM": 13,
    "AVIF": 23,
    "HEIC": 23,
}
"""Bytes of memory per pixel while an image of a kind is decoded and converted, at the most."""


def open_image(data: bytes, most: int = MAX_PIXELS) -> tuple[ImageFile, str]:
    """Open the content of an image file without decoding its pixels.

    Args:
        data: Content of the file.
        most: Largest size of the image in pixels; never above the limit of its kind.

    Returns:
        The image, and its kind, a key of `PIXEL_BYTES`. `load` of the image decodes it; of an animation or several
        pages the first frame or page.

    Raises:
        KindError: not an image in a format that canthus reads.
        SizeError: over a limit.
        ReadError: damaged or cut short. No message names the file.
        ExtraMissingError: a HEIC file, and pillow-heif is not installed.
    """
    image, kind = _opened(data)
    width, height = _stored_size(data) if kind == "HEIC" else image.size
    limit = min(most, MAX_PIXELS, MAX_MEMORY // PIXEL_BYTES[kind])
    if width * height > limit:
        raise SizeError(
            f"{width} x {height} pixels are more than {limit:,}, the limit for {kind} files; shrink the image first"
        )
    start = image.fp.tell() if image.fp is not None else 0  # the pixels of a JPEG or PNG begin here
    if data.find(_END.get(kind, b""), start) < 0 or (data[8:12] == b"WEBP" and len(data) < _riff_length(data)):
        raise ReadError(f"the {kind} file is cut short; copy or download it again")
    if kind == "progressive JPEG" and data.count(b"\xff\xda", start) * width * height > MAX_SCANS * MAX_PIXELS:
        raise SizeError("the progressive JPEG has too many scans for its size; save it again as a usual JPEG")
    return image, kind


def orientation_of(image: ImageFile) -> int:
    """Orientation of the stored pixels, 1 to 8 [EXIF 2.3, tag 274]; 1 = upright, unknown, or corrected by the decoder.

    Args:
        image: Image as from `open_image`; a PNG must be loaded, because its orientation may follow its pixels.
    """
    if image.format in ("TIFF", "HEIF"):
        return 1
    exif = Exif()
    try:
        exif.load(image.info.get("exif", b""))
        value = exif.get(274, 1)
    except Exception:  # whatever Pillow raises on damaged EXIF data
        return 1
    return int(value) if value in range(1, 9) else 1


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of the upright image in the content of a file.

    Raises:
        CanthusError: as for `open_image`.
    """
    image, kind = open_image(data)
    if kind == "PNG":
        load(image)
    width, height = image.size
    return (height, width) if orientation_of(image) >= 5 else (width, height)


def load(image: ImageFile) -> None:
    """Decode the pixels of an opened image.

    Raises:
        ReadError: they are damaged, or there is not enough memory. The message does not name the file.
    """
    size = image.size
    try:
        image.load()
    except MemoryError as error:
        raise ReadError("there is not enough memory to decode it; shrink the image first") from error
    except Exception as error:  # Pillow's decoders raise any exception on damaged files
        raise ReadError(f"Pillow cannot decode it: {error}; save it again as JPEG or PNG") from error
    agree(size, image.size)


def agree(header: tuple[int, int], decoded: tuple[int, int]) -> None:
    """Check that an image was decoded to the size (width, height) that its header gives.

    Raises:
        ReadError: the sizes differ.
    """
    if header != decoded:
        raise ReadError(
            f"its header gives {header[0]} x {header[1]} pixels, and {decoded[0]} x {decoded[1]} were decoded;"
            " the file is damaged"
        )


_END = {"JPEG": b"\xff\xd9", "progressive JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB\x60\x82"}


def _opened(data: bytes) -> tuple[ImageFile, str]:
    """An image and its kind, without any check of its size."""
    for magic, (kind, opener) in _FORMATS.items():
        if not magic.match(data):
            continue
        try:
            image = opener(BytesIO(data))
        except CanthusError:
            raise
        except MemoryError as error:
            raise ReadError("there is not enough memory to open it; shrink the image first") from error
        except DecompressionBombError as error:  # raised by those that allocate memory when they open a file
            raise SizeError(f"its pixels are more than {MAX_PIXELS:,}; shrink the image first") from error
        except Exception as error:  # Pillow's parsers raise any exception on damaged files
            raise ReadError(f"the header is damaged or cut short ({len(data)} bytes): {error}") from error
        if kind == "JPEG" and image.info.get("progressive"):
            return image, "progressive JPEG"
        return image, "animated WebP" if kind == "WebP" and _animated(data) else kind
    if not data:
        raise ReadError("the file is empty")
    raise KindError(f"not an image that canthus reads ({READ})")


def _stored_size(heic: bytes) -> tuple[int, int]:
    """Width and height of the largest image in a HEIC file; the decoder crops it to the visible size afterwards."""
    sizes = [struct.unpack(">II", box[1]) for box in _EXTENT.finditer(heic)]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _animated(webp: bytes) -> bool:
    return webp[12:16] == b"VP8X" and bool(webp[20] & 2)


def _riff_length(data: bytes) -> int:
    return 8 + int.from_bytes(data[4:8], "little")


def _open_heif(stream: BytesIO) -> ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise need("heif") from error
    opener: Callable[[BytesIO], ImageFile] = HeifImageFile
    return opener(stream)


_EXTENT = re.compile(rb"\0\0\0\x14ispe\0{4}(.{8})", re.DOTALL)
"""The box that gives the size of a stored image [ISO/IEC 23008-12, 6.5.3]."""
_FORMATS: dict[re.Pattern[bytes], tuple[str, Callable[[BytesIO], ImageFile]]] = {
    re.compile(rb"\xff\xd8\xff"): ("JPEG", JpegImageFile),
    re.compile(rb"\x89PNG\r\n\x1a\n"): ("PNG", PngImageFile),
    re.compile(rb"RIFF.{4}WEBP", re.DOTALL): ("WebP", WebPImageFile),
    re.compile(rb"GIF8[79]a"): ("GIF", GifImageFile),
    re.compile(rb"BM"): ("BMP", BmpImageFile),
    re.compile(rb"II[*+]\0|MM\0[*+]"): ("TIFF", TiffImageFile),
    re.compile(rb"P[1-6][\s#]"): ("PNM", PpmImageFile),
    re.compile(rb".{4}ftyp(avi[fs]|(mif1|msf1).{0,60}?avi[fs])", re.DOTALL): ("AVIF", AvifImageFile),
    re.compile(rb".{4}ftyp(he[iv][cxms]|mif1|msf1)", re.DOTALL): ("HEIC", _open_heif),
}
READ = ", ".join(kind for kind, _ in _FORMATS.values())
"""Formats that are read, in words."""
