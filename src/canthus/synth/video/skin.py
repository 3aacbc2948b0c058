"""Appearance of a person of the face model: shape of the head, and colours by region over smooth random albedo.

Colours are linear reflectances, 0..1. Brows, lips, lid lines, blush and stubble are painted on the mean head from the
front; hair and clothes are colours of the skull and the neck, as the model has no other geometry.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.face3d.morphable import MorphableModel
from canthus.types import Floats

Doubles = NDArray[np.float64]

TEXELS = 16
"""Number of texels of the paint per cm."""
CORNER = (-10.0, -14.0)
"""x and y of the mean head at the first texel, cm."""
EXTENT = (20, 26)
"""Breadth and height of the paint, cm."""
MOST = 2.5
"""Largest identity coefficient."""
TONES = np.array([(0.78, 0.53, 0.42), (0.62, 0.38, 0.27), (0.42, 0.23, 0.15), (0.20, 0.10, 0.065), (0.10, 0.05, 0.035)])
"""Colours of skin from light to dark."""
HAIR = np.array([(0.010, 0.008, 0.007), (0.045, 0.024, 0.014), (0.13, 0.07, 0.035), (0.40, 0.27, 0.13)])
GREY = np.array([0.42, 0.42, 0.42])
IRIS = np.array([(0.05, 0.025, 0.012), (0.12, 0.07, 0.03), (0.10, 0.13, 0.06), (0.12, 0.20, 0.30), (0.2, 0.22, 0.24)])
REGIONS = {"mouth_socket": (0.10, 0.02, 0.02), "gums_tongue": (0.25, 0.07, 0.07), "teeth": (0.42, 0.40, 0.34)}
"""Colours inside the mouth; dark, as light throws no shadows."""
SOCKET = (0.3, 0.12, 0.1)
SCLERA = (0.62, 0.58, 0.55)


@dataclass(frozen=True, eq=False)
class Person:
    """A random person.

    Attributes:
        identity: Identity coefficients. Shape (K,).
        neutral: The head without expression. Shape (V, 3), cm.
        albedo: Colour of each vertex. Shape (V, 3).
        paint: Colour and opacity on the front of the mean head, TEXELS per cm from CORNER. Shape (h, w, 4).
        iris: Colour of the iris. Shape (3,).
        gloss: Strength of highlights on the skin.
    """

    identity: Doubles
    neutral: Floats
    albedo: Floats
    paint: Floats
    iris: Doubles
    gloss: float


def random_person(model: MorphableModel, rng: np.random.Generator) -> Person:
    """Draw a random person."""
    identity = rng.normal(size=len(model.identity)).clip(-MOST, MOST)
    neutral = model.vertices(identity[None], np.zeros((1, len(model.expression))))[0]
    fair = rng.random()
    tone, iris = _between(TONES, 1 - fair, rng), _between(IRIS, fair * rng.random(), rng)
    hair = GREY * rng.uniform(0.4, 1) if rng.random() < 0.12 else _between(HAIR, fair * rng.random(), rng)
    return Person(
        identity=identity,
        neutral=neutral,
        albedo=_albedo(model, tone, hair, rng),
        paint=_paint(model.mean[model.landmarks.points["68"]].astype(np.float64), tone, hair, rng),
        iris=iris,
        gloss=float(rng.uniform(0.02, 0.18)),
    )


def waves(positions: NDArray[Any], rng: np.random.Generator, length: float, count: int = 12) -> Floats:
    """Smooth noise of deviation 1: plane waves in random directions, a share of them shorter.

    Args:
        positions: Positions. Shape (N, D).
        rng: Random numbers.
        length: Length of the longest wave, in the unit of the positions; the shortest is an eighth of it.
        count: Number of waves.

    Returns:
        Shape (N,).
    """
    across = rng.normal(size=(positions.shape[1], count))
    across /= np.linalg.norm(across, axis=0)
    octave = rng.uniform(0, 3, count)
    phase = positions.astype(np.float32) @ (across * (2 * np.pi / length * 2**octave)).astype(np.float32)
    strength = 2.0 ** (-octave / 2)
    strength /= np.sqrt((strength**2).sum() / 2)
    smooth: Floats = np.sin(phase + rng.uniform(0, 2 * np.pi, count).astype(np.float32)) @ strength.astype(np.float32)
    return smooth


def _between(colours: Doubles, share: float, rng: np.random.Generator) -> Doubles:
    """The colour at a share of the way through a table, a little brighter or darker."""
    places = np.linspace(0, 1, len(colours))
    mixed = np.array([np.interp(share, places, channel) for channel in colours.T])
    return mixed * rng.uniform(0.85, 1.15)


def _albedo(model: MorphableModel, tone: Doubles, hair: Doubles, rng: np.random.Generator) -> Floats:
    """Colour of each vertex (V, 3): mottled skin, hair from the hairline up, clothes on the neck, mouth and eyes."""
    mean = model.mean
    x, y, z = mean.T
    mottled = 0.06 * waves(mean, rng, 9)[:, None] + 0.03 * waves(mean, rng, 2)[:, None] * (0.4, 1, 1)
    colour = tone * np.exp(mottled)
    if rng.random() < 0.85:  # else bald
        hairline = rng.uniform(-3.2, -1.8) + 1.05 * z + 0.4 * waves(mean, rng, 3)
        ear = (np.abs(x) > 7.2) & (y > -6.5) & (z < 4.5)
        cover = np.clip((hairline - y) / 0.7, 0, 1)[:, None] * ~ear[:, None]
        strands = np.exp(0.35 * waves(mean * (1, 0.25, 0.5), rng, 1.2)[:, None])
        colour = colour * (1 - cover) + hair * strands * cover
    cloth = np.clip((y - rng.uniform(10.8, 12.2) - 0.12 * (z + 2)) / 0.15, 0, 1)[:, None]
    colour = colour * (1 - cloth) + rng.uniform(0.01, 0.6, 3) * cloth
    eyes = {
        f"{part}_{side}": tint
        for side in ("left", "right")
        for part, tint in (("sclera", SCLERA), ("eye_socket", SOCKET))
    }
    for name, fixed in (REGIONS | eyes).items():
        colour[model.region_mask((name,))] = fixed
    albedo: Floats = colour.clip(0.003, 0.95).astype(np.float32)
    return albedo


def _paint(points: Doubles, tone: Doubles, hair: Doubles, rng: np.random.Generator) -> Floats:
    """Colour and opacity (h, w, 4) of what is painted around the 68 points (68, 3) of the mean head."""
    canvas = np.zeros((EXTENT[1] * TEXELS, EXTENT[0] * TEXELS, 4), np.float32)
    canvas[..., :3] = tone
    flat = points[:, :2]
    right, left = flat[[2, 31, 48]].mean(0), flat[[14, 35, 54]].mean(0)
    blush = rng.uniform(0, 0.35)
    for centre in (right, left):
        _over(canvas, tone * (1.05, 0.72, 0.72), _disc(centre, 1.6), 1.0, blush)
    if rng.random() < 0.3:
        beard = np.concatenate([flat[2:15], flat[[54, 53, 51, 49, 48]] + (0, -0.9)])
        _over(canvas, hair, _filled(beard), 0.5, rng.uniform(0.1, 0.5))
    lips = tone * rng.uniform(0.75, 1.0) * (1.0, rng.uniform(0.4, 0.75), rng.uniform(0.45, 0.75))
    _over(canvas, lips, _filled(_rounded(flat[48:60])), 0.08, rng.uniform(0.6, 0.95))
    for lid in (flat[36:40], flat[42:46]):
        _over(canvas, hair * 0.5, _lines([_rounded(lid, closed=False)], 2), 0.04, rng.uniform(0.4, 0.9))
    thick, dense = rng.uniform(0.15, 0.32), int(rng.integers(60, 200))
    opacity = rng.uniform(0.5, 0.9)
    for brow, outward in ((flat[17:22], -1), (flat[22:27], 1)):
        curve = _rounded(brow + np.array([0, 0.1]), closed=False)
        root = curve[rng.integers(len(curve), size=dense)] + rng.normal(0, thick, (dense, 2)) * (0.3, 1)
        hairs = [
            np.stack([at, at + rng.uniform(0.3, 0.7) * np.array([outward, rng.uniform(-0.6, 0.1)])]) for at in root
        ]
        _over(canvas, hair * 0.6, _lines(hairs, 1), 0.05, opacity)
    return canvas


def _texel(positions: Doubles) -> Doubles:
    """Texels of positions (N, 2) in cm."""
    return (positions - CORNER) * TEXELS


def _blank() -> NDArray[np.uint8]:
    return np.zeros((EXTENT[1] * TEXELS, EXTENT[0] * TEXELS), np.uint8)


def _disc(centre: Doubles, radius: float) -> NDArray[np.uint8]:
    mask = _blank()
    cv2.circle(mask, _texel(centre).round().astype(int).tolist(), round(radius * TEXELS), 255, -1)
    return mask


def _filled(polygon: Doubles) -> NDArray[np.uint8]:
    mask = _blank()
    cv2.fillPoly(mask, [_texel(polygon).round().astype(np.int32)], 255)
    return mask


def _lines(curves: list[Doubles], thickness: int) -> NDArray[np.uint8]:
    mask = _blank()
    cv2.polylines(
        mask, [_texel(curve).round().astype(np.int32) for curve in curves], False, 255, thickness, cv2.LINE_AA
    )
    return mask


def _rounded(polygon: Doubles, closed: bool = True) -> Doubles:
    """A polygon with its corners cut twice [Chaikin, 1974]; an open one keeps its ends."""
    for _ in range(2):
        after = np.roll(polygon, -1, 0)
        cut = np.stack([0.75 * polygon + 0.25 * after, 0.25 * polygon + 0.75 * after], 1).reshape(-1, 2)
        polygon = cut if closed else np.concatenate([polygon[:1], cut[1:-3], polygon[-1:]])
    return polygon


def _over(canvas: Floats, colour: Doubles, mask: NDArray[np.uint8], soft: float, opacity: float) -> None:
    """Lay a colour over the canvas where the mask is, its border blurred by `soft` cm."""
    left, top, width, height = cv2.boundingRect(mask)
    reach = round(4 * soft * TEXELS) + 1
    part = slice(max(top - reach, 0), top + height + reach), slice(max(left - reach, 0), left + width + reach)
    canvas = canvas[part]
    alpha = cv2.GaussianBlur(mask[part], (0, 0), soft * TEXELS)[..., None].astype(np.float32) * np.float32(
        opacity / 255
    )
    under = canvas[..., 3:]
    total = alpha + under * (1 - alpha)
    share = alpha / np.maximum(total, 1e-6)
    canvas[..., :3] += share * (colour.astype(np.float32) - canvas[..., :3])
    canvas[..., 3:] = total
