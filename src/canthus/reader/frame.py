"""A picture and where it came from."""

from dataclasses import dataclass
from pathlib import Path

from canthus.types import Image


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """An image and the file it came from.

    Attributes:
        path: The file.
        image: Shape (H, W, 3).
    """

    path: Path
    image: Image
