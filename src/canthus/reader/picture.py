"""The pictures that a pipeline takes: arrays, files, and images of Pillow."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from canthus.reader.image import read
from canthus.types import Image, as_image

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Picture: TypeAlias = "Image | str | Path | PillowImage"
"""An array (H, W, 3) uint8 RGB, an image file, or a Pillow image."""


def as_pixels(picture: Picture) -> Image:
    """The pixels of a picture, read as `read` does: upright, and transparent pixels blended with white.

    Args:
        picture: An array, a file or a Pillow image.

    Returns:
        Shape (H, W, 3), uint8, RGB.

    Raises:
        ReadError: the file cannot be read.
        ShapeError: the array is not an image.
    """
    if isinstance(picture, str | Path):
        return read(picture)
    if isinstance(picture, np.ndarray) or not type(picture).__module__.startswith("PIL."):
        return as_image(picture)  # type: ignore[arg-type]
    from PIL import Image as pillow
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        upright = pillow.alpha_composite(pillow.new("RGBA", clear.size, "white"), clear)
    return as_image(np.array(upright.convert("RGB")))
