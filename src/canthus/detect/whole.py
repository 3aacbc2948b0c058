"""The picture is the face: for pictures that were cut around one face already."""

import numpy as np

from canthus.types import FaceDetector, Faces, Image, as_image


class WholePicture(FaceDetector):
    """The detector that looks for nothing: one face, as large as the picture."""

    def detect(self, image: Image) -> Faces:
        """One box, of the middles of the outermost pixels."""
        height, width = as_image(image).shape[:2]
        return Faces.of_boxes(np.array([[-0.5, -0.5, width - 0.5, height - 0.5]], np.float32))
