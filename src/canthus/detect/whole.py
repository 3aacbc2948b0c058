"""The whole image as one face: for images that are crops of one face already."""

import numpy as np

from canthus.types import FaceDetector, Faces, Image, as_image


class WholePicture(FaceDetector):
    """Returns one face, as large as the image, without detection."""

    def detect(self, image: Image) -> Faces:
        """One box: the borders of the image (H, W, 3)."""
        height, width = as_image(image).shape[:2]
        return Faces.of_boxes(np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], np.float32))
