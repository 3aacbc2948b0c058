"""Frames of a camera, read by OpenCV."""

from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import cv2
import numpy as np

from canthus.errors import ReadError
from canthus.reader.frame import Frame


class Camera:
    """A camera; its frames have the times at which they arrived."""

    live = True
    start: float | None = None
    count: int | None = None

    def __init__(self, name: str) -> None:
        """Open a camera.

        Args:
            name: Its number, as "0", or its device, as "/dev/video0".

        Raises:
            ReadError: there is no such camera, or another program uses it.
        """
        self.source = Path(f"camera {name}")
        self._capture = cv2.VideoCapture(int(name) if name.isdecimal() else name)
        if not self._capture.isOpened():
            raise ReadError(f"{self.source}: cannot be opened; connect it, and close other programs that use it")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # or frames would wait
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate: float | None = rate if rate > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        """Frames until the camera gives no more; then one with an error, unless `close` has ended it."""
        start, index = 0.0, 0
        while True:
            done, pixels = self._capture.read()
            if not self._capture.isOpened():
                return
            if not done:
                yield Frame(
                    self.source, index, error=ReadError(f"{self.source}: gives no more pictures; connect it again")
                )
                return
            start = start or monotonic()
            image = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
            yield Frame(self.source, index, monotonic() - start, image)
            index += 1

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()
