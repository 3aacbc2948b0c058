"""Faces at any rotation by canthus's own network (`nets/detector.py`) over an engine.

A picture is looked at on a pyramid whose levels are `STEP` apart, large levels in tiles. What lies across the inner
border of a tile, or is larger than the tiles share, is left to the neighbour or to the next level.
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
from canthus.runtime.session import Device, Session
from canthus.types import Backend, FaceDetector, Faces, Floats, Image, as_image

SMALLEST = 20
"""Longer side of the smallest box that the network finds, in pixels of what it sees."""
STRIDES = (8, 16, 32)
UNIT = 32
"""Sides of what the network sees are multiples of it."""
GREY = 127
"""What fills the rest."""
TILE, SHARED = 1280, 192
"""Largest side of what the network sees at once, and how far two tiles overlap."""
STEP = 4.0
"""From one level of the pyramid to the next."""
WHOLE = 448
"""A level with no longer side is the last one."""
BATCH_PIXELS = 4_000_000
"""Tiles go through the network together up to so many pixels."""
MOST = 2000
"""Candidates of a picture that suppression looks at, the most certain."""


class Candidates(NamedTuple):
    """What cells say, arrays aligned by cell.

    Attributes:
        boxes: x0 y0 x1 y1, pixels. Shape (N, 4).
        scores: 0..1. Shape (N,).
        points: The five points. Shape (N, 5, 2).
        rolls: Degrees clockwise on the screen. Shape (N,).
    """

    boxes: Floats
    scores: Floats
    points: Floats
    rolls: Floats


class Tile(NamedTuple):
    """A part of a level of the pyramid.

    Attributes:
        image: Index of the picture.
        pixels: Shape (H, W, 3), padded.
        corner: Its first pixel in the level, (x, y).
        scale: Level pixels a picture pixel, (x, y).
        inner: Left, top, right, bottom border in pixels of the tile where a neighbour goes on; infinite = none does.
        last: Nothing follows that finds larger faces.
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
        min_face: float = SMALLEST,
        threshold: float = 0.6,
        max_faces: int | None = None,
        max_side: int = 1920,
        overlap: float = 0.4,
    ) -> None:
        """Take an engine.

        Args:
            network: Runs the maps of a batch of pictures.
            min_face: Longer side of the smallest box, in pixels of the picture; larger pictures of which only large
                faces are wanted are shrunk.
            threshold: Score from which a face counts, 0..1.
            max_faces: Keep that many, the most certain; None = all.
            max_side: A picture whose longer side has more pixels is shrunk to it first.
            overlap: Intersection over union from which two boxes are of one face.

        Raises:
            ShapeError: an option is out of its range.
        """
        if min_face < 1 or not (0 <= threshold <= 1 and 0 < overlap <= 1) or max_side < UNIT:
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
        """The faces of an image (H, W, 3), the most certain first: boxes, confidence, five points, roll."""
        return self.detect_many([image])[0]

    def detect_many(self, images: Sequence[Image]) -> list[Faces]:
        """The faces of several images; parts of equal size share a batch."""
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
        """The pyramid of a picture, from the finest level."""
        height, width = image.shape[:2]
        factor = min(1.0, self.max_side / max(height, width), SMALLEST / self.min_face)
        while True:
            size = max(1, round(width * factor)), max(1, round(height * factor))
            level = image if factor == 1 else _resized(image, size)
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
            factor = max(factor / STEP, min(factor, WHOLE / max(height, width) * 0.7))

    def _chosen(self, parts: Sequence[Candidates]) -> Faces:
        boxes, scores, points, rolls = (np.concatenate(column) for column in zip(*parts, strict=True))
        large = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) >= self.min_face
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
        bundle: Made by `canthus export` of a run of recipes/detector.yaml; None = the one in the package.
        device: "cpu", "cuda" or "openvino".
        threads: Threads of the engine on the CPU; 0 = all cores.
        precision: "fp32", or "int8" where the bundle has it.
        **options: Of `OwnDetector`.

    Raises:
        BundleError: there is no such bundle, or it holds something else.
        ShapeError: an option is out of its range.
    """
    return OwnDetector(
        Session(open_system("detector", bundle).network("detector", precision), device, threads), **options
    )


def padded(image: Image) -> Image:
    """An image grown to the right and below to multiples of `UNIT`."""
    height, width = image.shape[:2]
    below, right = -height % UNIT, -width % UNIT
    whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(GREY, GREY, GREY))
    return whole.astype(np.uint8, copy=False)


def decode(maps: Sequence[NDArray[Any]], threshold: float) -> Candidates:
    """What the maps of one picture mean where the score is high enough; `nets/detector.py` says what they hold.

    Args:
        maps: For each stride (17, H, W).
        threshold: Smallest score, 0..1.
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
    """Numbers of the boxes that no surer box overlaps, the surest first: non-maximum suppression.

    Args:
        boxes: Shape (N, 4).
        scores: Shape (N,).
        overlap: Intersection over union above which the less sure box goes.
    """
    left = np.argsort(-scores, kind="stable")[:MOST]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][overlaps(boxes[left[:1]], boxes[left[1:]])[0] <= overlap]
    return np.array(kept, np.intp)


def _in_picture(cells: Candidates, tile: Tile) -> Candidates:
    """Candidates of a tile in pixels of the picture, without those that are left to others."""
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


def _resized(image: Image, size: tuple[int, int]) -> Image:
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _spans(length: int) -> list[tuple[int, int]]:
    """Where tiles begin and end along a side."""
    if length <= TILE:
        return [(0, length)]
    count = -(-(length - SHARED) // (TILE - SHARED))
    starts = np.linspace(0, length - TILE, count).round().astype(int).tolist()
    return [(start, start + TILE) for start in starts]
