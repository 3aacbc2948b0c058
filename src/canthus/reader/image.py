"""Reads image files: JPEG, PNG, WebP, GIF, BMP, TIFF and PNM.

The EXIF orientation is applied; 16 bits are scaled to 8; grey becomes RGB; transparent pixels are blended with white;
CMYK is converted by OpenCV without a colour profile; of an animation or several pages the first is read. Files that are
damaged, cut short or larger than `MAX_PIXELS` are refused.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ReadError
from canthus.reader.header import Header, header_of
from canthus.types import Image

MAX_PIXELS = 178_000_000
"""Largest size of an image that is decoded, in pixels."""
_FLIP = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""EXIF orientation -> argument of cv2.flip; 5 to 8 are transposed first."""


def read(path: str | Path) -> Image:
    """Read an image file.

    Args:
        path: The file.

    Returns:
        Shape (H, W, 3), uint8, RGB, upright.

    Raises:
        ReadError: no such file, not an image, damaged, cut short, or more than `MAX_PIXELS` pixels.
    """
    path = Path(path)
    if path.is_dir():
        raise ReadError(f"{path}: a folder; canthus.reader.files.find lists its images")
    if path.exists() and not path.is_file():
        raise ReadError(f"{path}: not a regular file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    return decode(data, str(path))


def decode(data: bytes, name: str) -> Image:
    """Decode the content of an image file.

    Args:
        data: Content of the file.
        name: Name of the file in errors.

    Returns:
        Shape (H, W, 3), uint8, RGB, upright.

    Raises:
        ReadError: as for `read`.
    """
    try:
        header = header_of(data)
    except ReadError as error:
        raise ReadError(f"{name}: {error}") from error
    if header.width < 1 or header.height < 1:
        raise ReadError(f"{name}: its header gives the size {header.width} x {header.height}; the file is damaged")
    if header.width * header.height > MAX_PIXELS:
        raise ReadError(
            f"{name}: {header.width} x {header.height} pixels are more than {MAX_PIXELS:,}; shrink the image first"
        )
    if not header.whole:
        raise ReadError(f"{name}: the {header.kind} file is cut short; copy or download it again")
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ReadError(f"{name}: OpenCV cannot decode it: {error.err}") from error
    if stored is None:
        raise ReadError(
            f"{name}: the {header.kind} file is damaged, or in a variant that OpenCV {cv2.__version__} does not decode;"
            " save it again as JPEG or PNG"
        )
    if stored.dtype not in (np.uint8, np.uint16):
        raise ReadError(f"{name}: its samples are {stored.dtype}; save it with 8 or 16 bits a channel")
    return _upright(_rgb(stored, header), header.orientation)


def _rgb(stored: NDArray[Any], header: Header) -> Image:
    """8 or 16 bit grey, BGR or BGRA as OpenCV decodes it -> (H, W, 3) uint8 RGB."""
    deep = stored.dtype == np.uint16
    pixels = cv2.convertScaleAbs(stored, alpha=1 / 257) if deep else stored
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    rgb = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB).astype(np.uint8, copy=False)
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return rgb
    if header.kind == "TIFF" and not deep:  # libtiff has multiplied the colours by alpha already
        return cv2.add(rgb, np.repeat(255 - alpha, 3, 2)).astype(np.uint8, copy=False)
    opaque = alpha.astype(np.uint16)
    return ((rgb * opaque + 255 * (255 - opaque) + 127) // 255).astype(np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    if orientation >= 5:
        image = cv2.transpose(image).astype(np.uint8, copy=False)
    if orientation in _FLIP:
        image = cv2.flip(image, _FLIP[orientation]).astype(np.uint8, copy=False)
    return image
