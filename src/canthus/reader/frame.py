"""One image of a source, or the reason why it cannot be read."""

from dataclasses import dataclass
from pathlib import Path

from canthus.errors import CanthusError
from canthus.types import Image


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One image of a source.

    Attributes:
        source: File that the image comes from.
        index: Position of the image in its source, from 0: of a file in a list of files, of a frame in a video.
        time: Time of the frame in its video, in seconds; None = not a video, or not known.
        image: Pixels, shape (H, W, 3); None where it cannot be read.
        error: Reason why it cannot be read; None where it can.
    """

    source: Path
    index: int
    time: float | None = None
    image: Image | None = None
    error: CanthusError | None = None
