"""Scene cuts: frames that have little in common with the frame before; and scenes that are shown again.

A frame is reduced to a small grey picture. Two pictures of one scene are strongly correlated, also when the light
changes; where the correlation falls far below what it was between the frames before, the scene has changed.
"""

import cv2
import numpy as np

from canthus.types import Floats, Image

SIDE = 32
"""Side of the small grey picture, pixels."""
LOOSE = 0.5
"""Correlation below which two frames may be of two scenes."""
USUAL = 4.0
"""A cut changes the picture by this factor more than the frames before have changed it."""
AGAIN = 0.7
"""Correlation from which a picture shows a scene again, as when the cuts go to and fro between two cameras."""
MEMORY = 0.8
"""Weight of the past in the average change of the picture."""


class CutFinder:
    """Compares each frame with the one before.

    Attributes:
        scene: The last frame as a small grey picture; None = there was none. Shape (SIDE, SIDE).
    """

    def __init__(self) -> None:
        self.scene: Floats | None = None
        self._usual = 0.0

    def __call__(self, image: Image) -> bool:
        """Whether the scene of an image (H, W, 3) is another than that of the image before."""
        small, before = _small(image), self.scene
        self.scene = small
        if before is None:
            return False
        change = 1 - float((small * before).mean())
        cut = change > max(1 - LOOSE, USUAL * self._usual)
        self._usual = 0.0 if cut else MEMORY * self._usual + (1 - MEMORY) * change
        return cut

    def shows(self, scene: Floats) -> bool:
        """Whether the last frame shows a scene that an earlier `scene` showed."""
        return self.scene is not None and float((self.scene * scene).mean()) > AGAIN


def _small(image: Image) -> Floats:
    """The green channel in SIDE x SIDE pixels, with mean 0 and variance 1."""
    step = max(1, min(image.shape[:2]) // (4 * SIDE))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    small = cv2.resize(green, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    small -= small.mean()
    normal: Floats = small / max(float(small.std()), 1.0)
    return normal
