"""The default detector: faces at any rotation, by the network of `nets/detection/detector.py`.

The network runs on an image pyramid, whose first level follows from the smallest faces that are searched for. Levels
differ by at most the factor `STEP`; large ones are split into overlapping tiles. A face that crosses the inner border
of a tile is found in the neighbouring tile, and one that is larger than the overlap of tiles in the next level.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.box import overlaps
from canthus.runtime.bundle import Precision, open_system
from canthus.runtime.session import Device, open_network
from canthus.types import Backend, FaceDetector, Faces, Floats, Image, as_image

SMALLEST = 20
"""Longer side of the smallest box that the network finds, in pixels of its input."""
SHARE, SHOWN = 0.03, 24
"""Longer side of the smallest box that is searched for by default: over the longer side of the image, and in pixels of
the network's input, where it is larger than `SMALLEST` because the smallest faces are found less often."""
STRIDES = (8, 16, 32)
"""Strides of the maps of the network, in pixels of its input."""
UNIT = 32
"""The sides of the network's input are multiples of this number."""
GREY = 127
"""Value of padding."""
TILE, SHARED = 1280, 192
"""Largest side of a tile, and overlap of two tiles, in pixels."""
STEP = 4.0
"""Ratio between one level of the pyramid and the next."""
WHOLE, LAST = 448, 224
"""A level whose longer side is at most `WHOLE` is the last; after a larger one it has at least `LAST` pixels."""
BATCH_PIXELS = 4_000_000
"""Largest number of pixels of the tiles in one batch."""
MOST = 2000
"""Largest number of candidates per image before suppression, most confident first."""


class Candidates(NamedTuple):
    """Detections of single cells, arrays with one row per cell.

    Attributes:
        boxes: Bounding boxes, x0 y0 x1 y1, pixels. Shape (N, 4).
        scores: Confidence, 0..1. Shape (N,).
        points: The five points, pixels. Shape (N, 5, 2).
        rolls: Rotation of the heads, degrees clockwise on the screen. Shape (N,).
    """

    boxes: Floats
    scores: Floats
    points: Floats
    rolls: Floats


class Tile(NamedTuple):
    """A part of a level of the pyramid.

    Attributes:
        image: Index of the image.
        pixels: Padded pixels. Shape (H, W, 3).
        corner: Position of its first pixel in the level, (x, y).
        scale: Pixels of the level per pixel of the image, (x, y).
        inner: Left, top, right, bottom border to a neighbouring tile, in pixels of the tile; infinite = no neighbour.
        last: Whether this is the last level, with the largest faces.
    """

    image: int
    pixels: Image
    corner: tuple[int, int]
    scale: tuple[float, float]
    inner: tuple[float, float, float, float]
    last: bool


class OwnDetector(FaceDetector):
    """Finds faces with their five points and their roll."""

    def __init__(
        self,
        network: Backend,
        *,
        min_face: float | None = None,
        threshold: float = 0.5,
        max_faces: int | None = None,
        max_side: int = 1920,
        overlap: float = 0.4,
    ) -> None:
        """Take an engine.

        Args:
            network: Engine that computes the maps of a batch of images.
            min_face: Longer side of the smallest box, in pixels of the image; the larger it is, the more the image is
                reduced first, which is faster. None = `SHARE` of the longer side of the image, at least `SMALLEST`.
            threshold: Minimum confidence, 0..1.
            max_faces: Largest number of faces per image, most confident first; None = all.
            max_side: Longer side to which larger images are reduced first, in pixels.
            overlap: Intersection over union above which two boxes are of one face.

        Raises:
            ShapeError: an option is out of its range.
        """
        if (min_face is not None and min_face < 1) or not (0 <= threshold <= 1 and 0 < overlap <= 1) or max_side < UNIT:
            raise ShapeError(
                "a detector needs min_face >= 1, threshold and overlap in 0..1 and max_side >= 32, not"
                f" {min_face}, {threshold}, {overlap} and {max_side}"
            )
        if max_faces is not None and max_faces < 1:
            raise ShapeError(f"a detector needs max_faces >= 1, not {max_faces}")
        self.network = network
        self.min_face, self.threshold, self.max_faces = min_face, threshold, max_faces
        self.max_side, self.overlap = max_side, overlap

    def detect(self, image: Image) -> Faces:
        """The faces of an image (H, W, 3), most confident first: boxes, confidence, five points, roll."""
        return self.detect_many([image])[0]

    def detect_many(self, images: Sequence[Image]) -> list[Faces]:
        """The faces of several images; tiles of equal size go through the network together."""
        tiles = [tile for index, image in enumerate(images) for tile in self._tiles(index, as_image(image))]
        found: list[list[Candidates]] = [[] for _ in images]
        shapes: dict[tuple[int, ...], list[Tile]] = {}
        for tile in tiles:
            shapes.setdefault(tile.pixels.shape, []).append(tile)
        for shape, some in shapes.items():
            batch = max(1, BATCH_PIXELS // (shape[0] * shape[1]))
            for start in range(0, len(some), batch):
                chosen = some[start : start + batch]
                maps = self.network.run(np.stack([tile.pixels for tile in chosen]))
                for row, tile in enumerate(chosen):
                    cells = decode([maps[f"maps{stride}"][row] for stride in STRIDES], self.threshold)
                    found[tile.image].append(_in_picture(cells, tile))
        return [self._chosen(some) for some in found]

    def _tiles(self, index: int, image: Image) -> Iterator[Tile]:
        """The tiles of the pyramid of an image, from the largest level."""
        height, width = image.shape[:2]
        longer = max(height, width)
        first = SMALLEST / self.min_face if self.min_face else SHOWN / (SHARE * longer)
        factor = min(1.0, self.max_side / longer, first)
        level = image
        while True:
            size = max(1, round(width * factor)), max(1, round(height * factor))
            level = _reduced(level, size)
            last = max(size) <= WHOLE
            scale = size[0] / width, size[1] / height
            for y0, y1 in _spans(size[1]):
                for x0, x1 in _spans(size[0]):
                    inner = (
                        0.0 if x0 else -np.inf,
                        0.0 if y0 else -np.inf,
                        x1 - x0 - 1 if x1 < size[0] else np.inf,
                        y1 - y0 - 1 if y1 < size[1] else np.inf,
                    )
                    yield Tile(index, padded(level[y0:y1, x0:x1]), (x0, y0), scale, inner, last)
            if last:
                return
            factor = max(factor / STEP, min(factor, LAST / longer))

    def _chosen(self, parts: Sequence[Candidates]) -> Faces:
        boxes, scores, points, rolls = (np.concatenate(column) for column in zip(*parts, strict=True))
        large = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= (self.min_face or SMALLEST)
        kept = np.flatnonzero(large)
        kept = kept[suppress(boxes[kept], scores[kept], self.overlap)][: self.max_faces]
        pose = np.full((len(kept), 3), np.nan, np.float32)
        pose[:, 2] = rolls[kept]
        return Faces(points[kept], boxes[kept], confidence=scores[kept], pose=pose, scheme="5")


def open_own(
    *,
    bundle: str | Path | None = None,
    device: Device = "cpu",
    threads: int = 1,
    precision: Precision = "fp32",
    **options: Any,
) -> OwnDetector:
    """Load the detector.

    Args:
        bundle: Bundle exported from a run of the recipe detector; None = the one in the package.
        device: "cpu", "cuda" or "openvino".
        threads: Number of CPU threads; 0 = all cores.
        precision: "fp32", or "int8" where the bundle has it.
        **options: Options of `OwnDetector`.

    Raises:
        BundleError: the bundle is missing or damaged, or holds another system.
        ShapeError: an option is out of its range.
    """
    opened = open_system("detector", bundle)
    return OwnDetector(open_network(opened, opened.card.stages[0], "detector", precision, device, threads), **options)


def padded(image: Image) -> Image:
    """An image padded on the right and at the bottom to multiples of `UNIT`."""
    height, width = image.shape[:2]
    below, right = -height % UNIT, -width % UNIT
    whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
    return whole.astype(np.uint8, copy=False)


def decode(maps: Sequence[NDArray[Any]], threshold: float) -> Candidates:
    """Detections in the maps of one image, whose channels `nets/detection/detector.py` defines.

    Args:
        maps: Maps of each stride, each (17, H, W).
        threshold: Minimum confidence, 0..1.
    """
    parts = []
    for stride, one in zip(STRIDES, maps, strict=True):
        scores = 1 / (1 + np.exp(-np.clip(one[0].astype(np.float64), -60, 60)))
        rows, columns = np.nonzero(scores >= threshold)
        cell = one[1:, rows, columns].T.astype(np.float64)  # (N, 16)
        centre = np.stack([columns, rows], 1) * stride + (stride - 1) / 2
        sides = stride * np.exp(np.minimum(cell[:, :4], 6))
        boxes = np.concatenate([centre - sides[:, :2], centre + sides[:, 2:]], 1)
        points = cell[:, 4:14].reshape(-1, 5, 2) * stride + centre[:, None]
        rolls = np.degrees(np.arctan2(cell[:, 14], cell[:, 15]))
        parts.append((boxes, scores[rows, columns], points, rolls))
    return Candidates(*(np.concatenate(column).astype(np.float32) for column in zip(*parts, strict=True)))


def suppress(boxes: NDArray[Any], scores: NDArray[Any], overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes that no more confident box overlaps, most confident first.

    Args:
        boxes: Bounding boxes, x0 y0 x1 y1. Shape (N, 4).
        scores: Confidence. Shape (N,).
        overlap: Intersection over union above which the less confident of two boxes is removed.
    """
    left = np.argsort(-scores, kind="stable")[:MOST]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][overlaps(boxes[left[:1]], boxes[left[1:]])[0] <= overlap]
    return np.array(kept, np.intp)


def _in_picture(cells: Candidates, tile: Tile) -> Candidates:
    """Candidates of a tile in pixels of the image, without those that another tile or level finds."""
    inner = np.array(tile.inner)
    boxes = cells.boxes
    own = (boxes[:, :2] > inner[:2]).all(1) & (boxes[:, 2:] < inner[2:]).all(1)
    if not tile.last:
        own &= (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) <= SHARED
    corner, scale = np.array(tile.corner), np.array(tile.scale)

    def back(places: Floats) -> Floats:
        moved: Floats = ((places + corner + 0.5) / scale - 0.5).astype(np.float32)
        return moved

    return Candidates(
        back(boxes[own].reshape(-1, 2, 2)).reshape(-1, 4), cells.scores[own], back(cells.points[own]), cells.rolls[own]
    )


def _reduced(image: Image, size: tuple[int, int]) -> Image:
    """An image in a smaller size (width, height): halved by means of 2x2 pixels, which is fast, then interpolated."""
    while image.shape[1] >= 2 * size[0] and image.shape[0] >= 2 * size[1]:
        half = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, half, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    if image.shape[1::-1] == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _spans(length: int) -> list[tuple[int, int]]:
    """Start and end of the tiles along a side."""
    if length <= TILE:
        return [(0, length)]
    count = -(-(length - SHARED) // (TILE - SHARED))
    starts = np.linspace(0, length - TILE, count).round().astype(int).tolist()
    return [(start, start + TILE) for start in starts]
