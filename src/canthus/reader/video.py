"""Single frames of annotated videos by their number, decoded by OpenCV; `reader.stream` reads whole videos.

No position is ever sought, because seeking is not exact to the frame. The number of frames in the header of a file is
not used, because it may be wrong; a file that was cut short therefore ends early, without an error.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from canthus.errors import ReadError
from canthus.types import Image


class Player:
    """A video file and the frame up to which it has been decoded.

    Attributes:
        path: The file.
        index: Number of the current frame, from 0; -1 = before the first.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            ReadError: there is no such file, or OpenCV cannot decode it.
        """
        if not path.is_file():
            raise ReadError(f"{path}: no such file")
        self.path, self.index = path, -1
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise ReadError(
                f"{path}: not a video that OpenCV decodes; convert it to an H.264 .mp4, or extract its frames as images"
            )

    def step(self) -> bool:
        """Go to the next frame; False where there is none."""
        if not self._capture.grab():
            return False
        self.index += 1
        return True

    def image(self) -> Image:
        """The current frame. Shape (H, W, 3).

        Raises:
            ReadError: it is damaged.
        """
        done, pixels = self._capture.retrieve()
        if not done:
            raise ReadError(f"{self.path}: frame {self.index + 1} is damaged; copy the video again")
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video, decoded when it is called: fast in order, while an earlier frame restarts the video.

    Attributes:
        video: The file.
        index: Number of the frame, from 0.
    """

    video: Path
    index: int

    def __call__(self) -> Image:
        """The frame. Shape (H, W, 3).

        Raises:
            ReadError: the video cannot be read, is too short, or the frame is damaged.
        """
        return _cursor(self.video).frame(self.index)


class _Cursor:
    """Goes to frames of one video by number, also from several threads."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._player: Player | None = None
        self._image: Image | None = None

    def frame(self, index: int) -> Image:
        """A copy of the frame of this number."""
        with self._lock:
            if self._player is None or index < self._player.index:
                self._player, self._image = Player(self._path), None
            while self._player.index < index:
                self._image = None
                if not self._player.step():
                    count, self._player = self._player.index + 1, None
                    raise ReadError(
                        f"{self._path}: ends after {count} frames, before frame {index + 1}; copy the video again"
                    )
            if self._image is None:
                self._image = self._player.image()
            return self._image.copy()


@lru_cache(maxsize=4)
def _cursor(path: Path) -> _Cursor:
    return _Cursor(path)
