"""Pictures without a face: photographs, surroundings of faces, noise, patterns, shuffled pieces of photographs."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from canthus.data.catalogue import open_set
from canthus.detect.opencv import OpenCVDetector
from canthus.geometry.transform import compose, similarity
from canthus.train.detection.pool import FacePool
from canthus.train.recipe import SetShare
from canthus.types import Image

Random = np.random.Generator

MARGIN = 0.25
"""Distance from a face's box at which its surroundings begin, in sides of the box; hair and ears lie nearer."""
LEAST = 24
"""Shortest side of a piece of the surroundings, in pixels."""
LONGEST = 512
"""Longest side of a photograph without a face in memory, in pixels."""
SCALES = (0.4, 1.8)
"""Smallest and largest scale of a photograph that becomes a background: the runtime shows pictures as they are, and
those over 448 pixels also smaller."""


def make_backdrops(pool: FacePool, count: int, side: int, rng: Random) -> list[Image]:
    """Backdrops of all kinds.

    Args:
        pool: Photographs from which surroundings and pieces are taken.
        count: Number of backdrops.
        side: Side of each in pixels.
        rng: Randomness.

    Returns:
        Pictures (side, side, 3).
    """
    kinds: list[Callable[[FacePool, int, Random], Image]] = [surroundings, surroundings, noise, pattern, shuffled]
    return [kinds[index % len(kinds)](pool, side, rng) for index in range(count)]


def surroundings(pool: FacePool, side: int, rng: Random) -> Image:
    """A piece of a photograph beside the face, mirrored until it fills the picture. (side, side, 3).

    Pieces in which OpenCV's cascades detect anything are left out: they may show unlabelled faces.
    """
    cascades = _cascades()
    for _ in range(20):
        index = int(rng.integers(len(pool.images)))
        image, box = pool.images[index], pool.boxes[index]
        height, width = image.shape[:2]
        margin = MARGIN * float((box[2:] - box[:2]).max())
        x0, y0, x1, y1 = box + margin * np.array([-1, -2, 1, 1])  # hair above
        strips = [(0, 0, x0, height), (x1, 0, width, height), (0, 0, width, y0), (0, y1, width, height)]
        whole = [tuple(int(value) for value in strip) for strip in strips]
        usable = [strip for strip in whole if min(strip[2] - strip[0], strip[3] - strip[1]) >= LEAST]
        if usable:
            left, top, right, bottom = usable[int(rng.integers(len(usable)))]
            piece = np.ascontiguousarray(image[top:bottom, left:right])
            if len(cascades.detect(piece)):
                continue
            grow = float(np.exp(rng.uniform(0, np.log(4))))
            size = max(LEAST, round(piece.shape[1] * grow)), max(LEAST, round(piece.shape[0] * grow))
            return _filled(cv2.resize(piece, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False), side)
    return noise(pool, side, rng)


def noise(pool: FacePool, side: int, rng: Random) -> Image:
    """Coloured noise of several scales, or a smooth gradient where only the coarse ones are strong. (side, side, 3)."""
    picture = np.zeros((side, side, 3), np.float32)
    decay = rng.uniform(0.3, 1.2)
    for octave in range(1, 8):
        cells = min(side, 2**octave)
        grain = rng.normal(0, 1, (cells, cells, 3 if rng.random() < 0.5 else 1)).astype(np.float32)
        large = cv2.resize(np.broadcast_to(grain, (cells, cells, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
        picture += large * decay**octave
    tinted = picture / max(float(picture.std()), 1e-3) * rng.uniform(10, 60) + rng.uniform(40, 215, 3)
    return np.clip(tinted, 0, 255).astype(np.uint8)


def pattern(pool: FacePool, side: int, rng: Random) -> Image:
    """Stripes, checks, discs and lines in random colours. (side, side, 3)."""
    picture = np.empty((side, side, 3), np.uint8)
    picture[:] = rng.integers(0, 256, 3)
    kind = int(rng.integers(3))
    period = int(rng.integers(4, max(6, side // 4)))
    colour = rng.integers(0, 256, 3)
    if kind == 0:
        rows, columns = np.mgrid[:side, :side]
        slope = rng.uniform(-2, 2)
        picture[((columns + slope * rows) // period % 2).astype(bool)] = colour
    elif kind == 1:
        rows, columns = np.mgrid[:side, :side] // period
        picture[((rows + columns) % 2).astype(bool)] = colour
    shapes = int(rng.integers(5, 60))
    for _ in range(shapes):
        centre = tuple(rng.integers(0, side, 2).tolist())
        tint = rng.integers(0, 256, 3).tolist()
        if rng.random() < 0.5:
            axes = tuple(rng.integers(2, max(3, side // 6), 2).tolist())
            cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, tint, -1, cv2.LINE_AA)
        else:
            end = tuple(rng.integers(0, side, 2).tolist())
            cv2.line(picture, centre, end, tint, int(rng.integers(1, 8)), cv2.LINE_AA)
    return picture


def shuffled(pool: FacePool, side: int, rng: Random) -> Image:
    """Pieces of photographs in a random order, too small to show a face. (side, side, 3)."""
    index = int(rng.integers(len(pool.images)))
    box = pool.boxes[index]
    tile = max(6, int(rng.uniform(0.15, 0.3) * float((box[2:] - box[:2]).max())))
    image = pool.images[index]
    rows, columns = image.shape[0] // tile, image.shape[1] // tile
    if min(rows, columns) < 1:
        return noise(pool, side, rng)
    whole = image[: rows * tile, : columns * tile]
    pieces = whole.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    shown = -(-side // tile)
    chosen = pieces[rng.integers(0, len(pieces), shown * shown)]
    sheet = chosen.reshape(shown, shown, tile, tile, 3).swapaxes(1, 2).reshape(shown * tile, shown * tile, 3)
    return np.ascontiguousarray(sheet[:side, :side])


def vary_backdrop(backdrops: Sequence[Image], size: int, rng: Random) -> Image:
    """A window of one of the backdrops, mirrored, rotated by right angles, tinted. (size, size, 3)."""
    picture = backdrops[int(rng.integers(len(backdrops)))]
    room = picture.shape[0] - size
    x, y = rng.integers(0, room + 1, 2)
    ramp = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip(ramp * rng.uniform(0.6, 1.3, 3) + rng.uniform(-25, 25, 3), 0, 255).astype(np.uint8)
    window = turned(cv2.LUT(picture[y : y + size, x : x + size], table[None]).astype(np.uint8, copy=False), rng)
    return cv2.flip(window, 1).astype(np.uint8, copy=False) if rng.random() < 0.5 else window


def turned(picture: Image, rng: Random) -> Image:
    """A picture rotated by a random number of right angles."""
    quarters = int(rng.integers(4))
    return cv2.rotate(picture, quarters - 1).astype(np.uint8, copy=False) if quarters else picture


def load_faceless(shares: Sequence[SetShare], root: Path) -> list[Image]:
    """Photographs without a face, reduced.

    Raises:
        DataError: a set is missing or incomplete.
        ReadError: a picture cannot be read.
    """
    return [
        lessened(sample.picture())
        for share in shares
        for sample in open_set(share.name, root, share.split, **share.options)
    ]


def lessened(picture: Image) -> Image:
    """A photograph whose longer side has at most `LONGEST` pixels. (H, W, 3) -> (h, w, 3)."""
    factor = min(1.0, LONGEST / max(picture.shape[:2]))
    size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def scenery(photograph: Image, size: int, rng: Random) -> Image:
    """A part of a photograph at a random scale, half of them rotated by any angle and mirrored. (size, size, 3).

    What lies outside the photograph is its mirror image.
    """
    height, width = photograph.shape[:2]
    scale = float(np.exp(rng.uniform(*np.log(SCALES))))
    room = np.maximum(0, np.array([width, height]) - size / scale) / 2
    middle = np.array([width, height]) / 2 + rng.uniform(-room, room)
    angle = float(rng.uniform(-180, 180)) if rng.random() < 0.5 else 0.0
    to_origin = similarity(shift=tuple((-middle).tolist()))
    matrix = compose(similarity(scale, angle, (size / 2, size / 2)), to_origin)
    part = cv2.warpAffine(photograph, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return (cv2.flip(part, 1) if rng.random() < 0.5 else part).astype(np.uint8, copy=False)


@cache
def _cascades() -> OpenCVDetector:
    return OpenCVDetector(threshold=0.0, min_face=20)


def _filled(piece: Image, side: int) -> Image:
    """The top left part of a picture, or the picture mirrored at its borders until it is large enough."""
    height, width = piece.shape[:2]
    rows, columns = (_mirrored(length, side) for length in (height, width))
    return np.ascontiguousarray(piece[rows][:, columns])


def _mirrored(length: int, side: int) -> np.ndarray:
    """Indices of `side` pixels in a row of `length` that is mirrored at its ends."""
    position = np.arange(side) % (2 * length)
    return np.where(position < length, position, 2 * length - 1 - position)
