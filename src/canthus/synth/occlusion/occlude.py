"""Occlude a face, and report which landmarks are hidden.

A point is hidden where the occluder over it is more than half opaque: it is seen through clear lenses and single hairs.
Motion blur hides nothing. The same seed gives the same picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.geometry.pixels import inside, nearest
from canthus.schemes.scheme import Scheme
from canthus.synth.occlusion.layers import BITS, CoveredFace, Layer, fixed, frame_of
from canthus.synth.occlusion.occluders import CUT, OCCLUDERS
from canthus.types import Floats, Image, as_image

Mask = NDArray[np.bool_]

KINDS = (*OCCLUDERS, "blur")
"""Names of the occluders, and of motion blur."""
OPAQUE = 0.5
"""Opacity above which a point is hidden."""
COLOURLESS = 2.0
"""A picture is black and white when its channels differ by less on average."""


@dataclass(frozen=True, eq=False)
class Occluded:
    """An occluded face.

    Attributes:
        image: The picture. Shape (H, W, 3).
        visible: False where a point is hidden, outside the picture or missing. Shape (P,).
        kind: Kind of occluder, one of `KINDS`.
        alpha: Opacity of the occluder, 0..1. Shape (H, W).
    """

    image: Image
    visible: Mask
    kind: str
    alpha: Floats

    def hides(self, points: NDArray[np.floating]) -> Mask:
        """True for points (P, 2) whose pixel, or the nearest one in the picture, is mostly covered. Shape (P,)."""
        hidden: Mask = self.alpha[nearest(points, self.alpha.shape)] > OPAQUE
        return hidden


def occlude(
    image: Image,
    points: NDArray[np.floating],
    scheme: str,
    seed: int,
    others: Sequence[Image] = (),
    kind: str | None = None,
) -> Occluded:
    """Occlude a part of a face.

    Args:
        image: The picture. Shape (H, W, 3).
        points: Landmarks, pixels; NaN = missing, a third coordinate is not used. Shape (P, 2) or (P, 3).
        scheme: Scheme of the points; it must have eyes and a mouth.
        seed: Seed of all random choices.
        others: Pictures of other people and things that "patch" and "object" are cut from.
        kind: One of `KINDS`; None = a random one, without "patch" and "object" when there are no `others`.

    Returns:
        A new picture of the same size.

    Raises:
        ShapeError: the points are not of the scheme, lack eyes or mouth, or `others` is empty for a kind that needs it.
    """
    image, count = as_image(image), Scheme.open(scheme).count
    if points.ndim != 2 or points.shape[0] != count or points.shape[1] not in (2, 3):
        raise ShapeError(f"scheme {scheme} is ({count}, 2) points, not {points.shape}")
    places: NDArray[np.float64] = points[:, :2].astype(np.float64)
    rng = np.random.default_rng(seed)
    if kind is None:
        kind = str(rng.choice([name for name in KINDS if others or name not in CUT]))
    if kind not in KINDS:
        raise ShapeError(f"no occluder {kind!r}; there are {', '.join(KINDS)}")
    if kind in CUT and not others:
        raise ShapeError(f"{kind!r} is cut from other pictures: give `others`")
    face = CoveredFace(image, places, scheme, frame_of(places, scheme), tuple(others), rng)
    within = inside(places, face.size)
    if kind == "blur":
        return Occluded(_move(face), within, kind, np.zeros(face.size, np.float32))
    layer = OCCLUDERS[kind](face)
    made = Occluded(_compose(face, layer), within, kind, layer.alpha)
    return replace(made, visible=within & ~made.hides(places))


def _compose(face: CoveredFace, layer: Layer) -> Image:
    """The picture with the shadow of the layer and the layer over it."""
    picture = face.image.astype(np.float32)
    if layer.shadow > 0:
        reach = 0.08 * face.frame.unit
        shift = np.array([[1, 0, reach * layer.light[0]], [0, 1, reach * layer.light[1]]])
        moved = cv2.warpAffine(layer.alpha, shift, layer.alpha.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        dark = cv2.GaussianBlur(moved, (0, 0), max(reach, 0.5), borderType=cv2.BORDER_REPLICATE)
        picture *= 1 - layer.shadow * dark[..., None]
    alpha, colour = layer.alpha[..., None], layer.colour
    if np.ptp(face.image, axis=2).mean() < COLOURLESS:
        colour = colour @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return (picture * (1 - alpha) + colour * alpha).round().clip(0, 255).astype(np.uint8)


def _move(face: CoveredFace) -> Image:
    """The picture blurred along a centred line of an odd number of pixels, so that nothing is shifted."""
    length = 2 * max(1, round(face.frame.unit * face.rng.uniform(0.03, 0.12))) + 1
    angle = face.rng.uniform(0, np.pi)
    half = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    kernel = np.zeros((length, length), np.uint8)
    ends = fixed((length - 1) / 2 + np.stack([-half, half])).tolist()
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, BITS)
    weights = np.maximum(kernel, kernel[::-1, ::-1]).astype(np.float32)
    weights /= weights.sum()
    return cv2.filter2D(face.image, -1, weights, borderType=cv2.BORDER_REPLICATE).astype(np.uint8, copy=False)
