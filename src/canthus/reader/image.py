"""Reads image files: JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, AVIF and, with the extra `heif`, HEIC.

Pillow reads every header. OpenCV decodes what it decodes faster: JPEG, WebP without animation, BMP and PNM; Pillow
decodes the rest. The EXIF orientation is applied; 16 bits are scaled to 8; grey becomes RGB; transparent pixels are
blended with white; CMYK is converted without a colour profile; of an animation or several pages the first is read.
Files that are damaged, cut short or over the limits of `canthus.reader.parse` are refused.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture
from PIL.Image import fromarray, new
from PIL.ImageFile import ImageFile

from canthus.errors import CanthusError, ReadError
from canthus.reader.parse import MAX_FILE, MAX_PIXELS, agree, load, open_image, orientation_of
from canthus.types import Image

OPENCV = ("JPEG", "progressive JPEG", "WebP", "BMP", "PNM")
"""Kinds of files that OpenCV decodes."""
VIDEOS = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".3gp", ".ogv"}
)
"""Extensions of videos, which are no images."""
STRIP = 500_000
"""Number of pixels that are converted at once."""
_FLIP = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""EXIF orientation -> argument of cv2.flip; 5 to 8 are transposed first."""
_WIDE = {"F": "float32", "I": "int32"}
"""Modes of Pillow that are refused, and the type of their samples."""


def read(path: str | Path) -> Image:
    """Read an image file.

    Args:
        path: The file.

    Returns:
        Shape (H, W, 3), uint8, RGB, upright.

    Raises:
        ReadError: no such file, not an image, damaged, cut short, or over a limit of `canthus.reader.parse`.
        ExtraMissingError: a HEIC file, and pillow-heif is not installed.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise ReadError(f"{path}: a folder; canthus.reader.files.find lists its images")
        if path.suffix.lower() in VIDEOS:
            raise ReadError(f"{path}: a video; canthus track follows the faces in it")
        if path.exists() and not path.is_file():
            raise ReadError(f"{path}: not a regular file")
        if (size := path.stat().st_size) > MAX_FILE:
            raise ReadError(f"{path}: a file of {size:,} bytes; canthus reads up to {MAX_FILE:,}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a ValueError for a name with a null byte
        raise ReadError(f"{path}: {(getattr(error, 'strerror', None) or str(error)).lower()}") from error
    except MemoryError as error:
        raise ReadError(f"{path}: there is not enough memory to read it") from error
    return decode(data, str(path))


def decode(data: bytes, name: str, most: int = MAX_PIXELS) -> Image:
    """Decode the content of an image file.

    Args:
        data: Content of the file.
        name: Name of the file in errors.
        most: Largest size of the image in pixels.

    Returns:
        Shape (H, W, 3), uint8, RGB, upright.

    Raises:
        ReadError: as for `read`; a `KindError` or `SizeError` where the content is no image, or over a limit.
        ExtraMissingError: as for `read`.
    """
    try:
        image, kind = open_image(data, most)
        pixels = _by_opencv(data, image, kind) if kind in OPENCV else _by_pillow(image)
        return _upright(pixels, orientation_of(image))
    except MemoryError as error:
        raise ReadError(f"{name}: there is not enough memory to decode it; shrink the image first") from error
    except CanthusError as error:
        raise type(error)(f"{name}: {error}") from error


def _by_opencv(data: bytes, image: ImageFile, kind: str) -> Image:
    """The pixels that OpenCV decodes, as stored. Shape (H, W, 3)."""
    if image.mode == "F":
        raise ReadError(f"its samples are {_WIDE['F']}; save it with 8 or 16 bits a channel")
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ReadError(f"OpenCV cannot decode it: {error.err}") from error
    if stored is None:
        raise ReadError(
            f"the {kind} file is damaged, or in a variant that OpenCV {cv2.__version__} does not decode;"
            " save it again as JPEG or PNG"
        )
    agree(image.size, (stored.shape[1], stored.shape[0]))
    usual = stored.dtype == np.uint8 and stored.shape[2:] == (3,)
    pixels = stored.astype(np.uint8, copy=False) if usual else np.empty((*stored.shape[:2], 3), np.uint8)
    for rows in _strips(stored.shape[0], stored.shape[1]):
        strip = _eight_bits(stored[rows])
        if strip.ndim == 2:
            cv2.cvtColor(strip, cv2.COLOR_GRAY2RGB, dst=pixels[rows])
        elif strip.shape[2] == 3:
            cv2.cvtColor(strip, cv2.COLOR_BGR2RGB, dst=pixels[rows])
        else:
            pixels[rows] = _on_white(fromarray(cv2.cvtColor(strip, cv2.COLOR_BGRA2RGBA)))
    return pixels


def _by_pillow(image: ImageFile) -> Image:
    """The pixels that Pillow decodes; upright where Pillow applies the orientation. Shape (H, W, 3)."""
    if image.mode in _WIDE:
        raise ReadError(f"its samples are {_WIDE[image.mode]}; save it with 8 or 16 bits a channel")
    load(image)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for rows in _strips(height, width):
        strip = image.crop((0, rows.start, width, rows.stop))
        if strip.mode.startswith("I;16"):
            pixels[rows] = _eight_bits(np.asarray(strip).astype(np.uint16))[..., None]
        elif strip.has_transparency_data:
            pixels[rows] = _on_white(strip.convert("RGBA"))
        else:
            pixels[rows] = np.asarray(strip.convert("RGB"))
    return pixels


def _strips(height: int, width: int) -> list[slice]:
    """Slices of rows that have about `STRIP` pixels each."""
    step = max(1, STRIP // width)
    return [slice(start, min(start + step, height)) for start in range(0, height, step)]


def _eight_bits(samples: NDArray[Any]) -> NDArray[Any]:
    """8 or 16 bit samples as 8 bits, rounded."""
    if samples.dtype == np.uint16:
        return cv2.convertScaleAbs(samples, alpha=1 / 257)
    if samples.dtype != np.uint8:
        raise ReadError(f"its samples are {samples.dtype}; save it with 8 or 16 bits a channel")
    return samples


def _on_white(image: Picture) -> Image:
    """RGBA blended with white. Shape (H, W, 3)."""
    white = new("RGB", image.size, "white")
    white.paste(image, mask=image)
    return np.asarray(white)


def _upright(image: Image, orientation: int) -> Image:
    if orientation >= 5:
        image = cv2.transpose(image).astype(np.uint8, copy=False)
    if orientation in _FLIP:
        image = cv2.flip(image, _FLIP[orientation]).astype(np.uint8, copy=False)
    return image
