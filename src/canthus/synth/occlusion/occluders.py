"""Occluders: layers of colour and opacity whose size and position follow the face.

Pieces of pictures, textures, objects, hands, glasses, masks and hair.
"""

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.synth.occlusion.layers import (
    BITS,
    CoveredFace,
    Layer,
    cloth,
    fill,
    fixed,
    hull,
    lit,
    opacity_of,
    pattern,
    piece,
    random_colour,
    random_shape,
    rotated,
    skin_of,
    soft,
    somewhere,
    stretched,
    strokes,
    superellipse,
)

Doubles = NDArray[np.float64]


def patch(face: CoveredFace) -> Layer:
    """A piece of another picture, cut by a random shape."""
    return Layer(piece(face), soft(fill(face, random_shape(face)), face))


def texture(face: CoveredFace) -> Layer:
    """Cloth and the like, cut by a random shape."""
    alpha = soft(fill(face, random_shape(face)), face)
    return Layer(lit(pattern(face), alpha, 0.25), alpha, shadow=0.3)


def thing(face: CoveredFace) -> Layer:
    """A ball, a box with round corners, or a bar, with the surface of another picture or of one colour."""
    rng, frame = face.rng, face.frame
    half = np.array([rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.7)])
    if rng.random() < 0.4:
        half = np.array([rng.uniform(0.1, 0.25), rng.uniform(0.7, 2.0)])
    outline = superellipse(rng.choice([2.0, 5.0, 9.0])) * half
    alpha = soft(fill(face, frame.place(rotated(outline, rng.uniform(0, np.pi)) + somewhere(face))), face)
    surface = piece(face) if rng.random() < 0.5 else cloth(face, random_colour(rng))
    return Layer(lit(surface, alpha, rng.uniform(0.3, 0.7)), alpha, shadow=0.4)


def hand(face: CoveredFace) -> Layer:
    """A hand with fingers of the colour of the face's skin, reaching in from outside."""
    rng = face.rng
    skin = cloth(face, skin_of(face) * rng.uniform(0.75, 1.1) * rng.uniform(0.96, 1.04, 3))
    grow, side = rng.uniform(0.85, 1.1), rng.choice([-1, 1])
    turn = rng.uniform(-0.65, 0.65) * np.pi
    tip = somewhere(face) + 0.3 * np.array([np.sin(turn), -np.cos(turn)])

    def placed(outline: Doubles) -> Doubles:
        return face.frame.place(rotated(outline * (side * grow, grow), turn) + tip)

    # In its own axes the hand points up and the middle knuckle is the origin; the wrist lies at y = 1.25.
    palm = stretched([((-0.42, 0.1), 0.17), ((0.42, 0.12), 0.17), ((0.3, 1.0), 0.2), ((-0.3, 1.0), 0.2)])
    parts = [stretched([((0, 1.1), 0.4), ((rng.uniform(-0.4, 0.4), 4.5), 0.55)]), palm]
    spread, bend = rng.uniform(0.02, 0.16), rng.uniform(0.45, 1.0)
    for number, (base, length) in enumerate([(-0.45, 0.95), (-0.15, 1.1), (0.15, 1.02), (0.44, 0.8)]):
        lean = spread * (number - 1.5) + rng.normal(0, 0.03)
        knuckle = np.array([base, 0.05 * abs(number - 1)])
        reach = length * bend * np.array([np.sin(lean), -np.cos(lean)])
        parts.append(stretched([(knuckle, 0.15), (knuckle + 0.55 * reach, 0.135), (knuckle + reach, 0.115)]))
    thumb = np.array([0.42, 0.75])
    out = rng.uniform(0.1, 0.9)
    joint = thumb + 0.5 * np.array([np.sin(out), -np.cos(out)])
    parts.append(stretched([(thumb, 0.19), (joint, 0.16)]))
    parts.append(stretched([(joint, 0.16), (joint + 0.42 * np.array([np.sin(out / 2), -np.cos(out / 2)]), 0.12)]))
    colour, alpha = skin, np.zeros(face.size, np.float32)
    for part in parts:
        mask = soft(fill(face, placed(part)), face)
        crease = cv2.GaussianBlur(mask, (0, 0), max(0.04 * face.frame.unit, 0.5))[..., None]
        under = colour * (1 - 0.3 * crease * alpha[..., None])
        colour = under * (1 - mask[..., None]) + lit(skin, mask, 0.55) * mask[..., None]
        alpha = np.maximum(alpha, mask)
    return Layer(colour, alpha, shadow=0.45)


def glasses(face: CoveredFace) -> Layer:
    """Spectacles and sunglasses, on the eyes that the scheme has."""
    rng, frame = face.rng, face.frame
    eyes = [frame.find(eye.mean(0)) for eye in (face.group("eye_right"), face.group("eye_left")) if len(eye)]
    across = eyes[-1] - eyes[0] if len(eyes) == 2 else np.array([0.5, 0.0])
    across *= max(1.0, 0.3 / max(float(np.linalg.norm(across)), 1e-6))
    dark = rng.random() < 0.5
    roundness, high = rng.uniform(2.0, 4.0), rng.uniform(0.2, 0.34)
    drop = np.array([0.0, rng.uniform(0.0, 0.08)])
    ring = superellipse(roundness)
    lenses = [eye + drop + ring[:, :1] * across * rng.uniform(0.36, 0.42) + ring[:, 1:] * (0, high) for eye in eyes]
    wide = max(1, round(frame.unit * rng.uniform(0.025, 0.08)))
    lines = [frame.place(np.concatenate([lens, lens[:1]])) for lens in lenses]
    if len(eyes) == 2:
        lines.append(frame.place(np.stack([eyes[0] + drop + 0.38 * across, eyes[1] + drop - 0.38 * across])))
    lines += _temples(face, eyes, across, drop)
    rims = strokes(face, lines, wide)
    glass = np.zeros(face.size, np.float32)
    for lens in lenses:
        glass = np.maximum(glass, fill(face, frame.place(lens)))
    opacity = rng.uniform(0.8, 1.0) if dark else rng.uniform(0.03, 0.25)
    tint = random_colour(rng) * 0.25 if dark else np.full(3, rng.uniform(120, 255))
    sheen = cv2.resize(rng.uniform(0, 1, (3, 3)).astype(np.float32), face.size[::-1], interpolation=cv2.INTER_CUBIC)
    colour = tint.astype(np.float32) + 60 * sheen[..., None]
    rim = random_colour(rng) * rng.uniform(0.1, 0.7)
    colour = colour * (1 - rims[..., None]) + rim.astype(np.float32) * rims[..., None]
    return Layer(colour.clip(0, 255), np.maximum(rims, opacity * glass), shadow=0.2)


def mask(face: CoveredFace) -> Layer:
    """A mask over mouth and nose, down to the chin where the scheme has a contour."""
    rng, frame = face.rng, face.frame
    contour, nose = frame.find(face.group("contour")), frame.find(face.group("nose"))
    top = rng.uniform(0.3, 0.6)
    bridge = np.array([[np.median(nose[:, 0]) if len(nose) else 0.0, top - rng.uniform(0.05, 0.2)]])
    low = contour[contour[:, 1] > top]
    outline = np.concatenate([bridge, low, frame.find(face.group("mouth"))])
    if len(low) < 5:
        around = superellipse(2.5) * (0.8, 0.65) + (0, 1.05)
        outline = np.concatenate([outline, around[around[:, 1] > top]])
    edge = hull(outline)
    edge = edge.mean(0) + (edge - edge.mean(0)) * rng.uniform(1.06, 1.12)
    solid = fill(face, frame.place(edge))
    round_off = max(0.05 * frame.unit, 0.6)
    solid = (cv2.GaussianBlur(solid, (0, 0), round_off) - 0.5) * round_off * 2 + 0.5
    alpha = soft(solid.clip(0, 1).astype(np.float32), face)
    if rng.random() < 0.7:
        tones = [(235, 235, 235), (150, 190, 215), (40, 40, 45), (200, 175, 185)]
        colour = cloth(face, np.array(tones[rng.integers(4)], np.float64) * rng.uniform(0.85, 1.05))
    else:
        colour = pattern(face)
    height, width = face.size
    place = frame.find(np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64))
    folds = 1 - 0.12 * np.maximum(np.cos(place[..., 1] * rng.uniform(15, 30) + place[..., 0] ** 2), 0) ** 6
    colour = lit(colour, alpha, 0.25) * folds[..., None].astype(np.float32)
    ends = edge[[np.argmin(edge[:, 0]), np.argmax(edge[:, 0])]]
    side = contour[[np.argmin(contour[:, 0]), np.argmax(contour[:, 0])]] if len(contour) else ends
    straps = strokes(face, [frame.place(pair) for pair in np.stack([ends, side], 1)], max(1, round(0.03 * frame.unit)))
    return Layer(colour, np.maximum(alpha, 0.9 * straps), shadow=0.25)


def hair(face: CoveredFace) -> Layer:
    """Locks of strands that fall over the brow or over one side of the face."""
    rng, frame = face.rng, face.frame
    tones = [(38, 28, 24), (70, 48, 34), (120, 88, 58), (190, 160, 110), (150, 150, 150), (110, 50, 30)]
    tone = np.array(tones[rng.integers(len(tones))]) * rng.uniform(0.7, 1.2)
    side = rng.choice([-1, 0, 1])
    reach = frame.find(face.known)
    left, right = reach[:, 0].min(), reach[:, 0].max()
    alpha, colour = np.zeros(face.size, np.uint8), np.zeros((*face.size, 3), np.uint8)
    colour[:] = tone.clip(0, 255)
    wide = max(1, round(frame.unit / 50))
    sweep = rng.normal(0, 0.35)
    for _ in range(rng.integers(2, 6)):
        edge = left if side < 0 else right
        start = edge + side * rng.uniform(-0.35, 0.1) if side else rng.uniform(left, right)
        length = rng.uniform(1.0, 2.6) if side else rng.uniform(0.5, 1.4)
        end = np.array([start + sweep + rng.normal(0, 0.15), -0.9 + length])
        curl = rng.normal(0, 0.3)
        for _ in range(rng.integers(25, 90)):
            root = np.array([start + rng.normal(0, 0.16), rng.uniform(-1.9, -1.5)])
            last = end + rng.normal(0, (0.1, 0.15))
            middle = (root + last) / 2 + (curl + rng.normal(0, 0.06), 0)
            t = np.linspace(0, 1, 14)[:, None]
            strand = fixed(frame.place((1 - t) ** 2 * root + 2 * t * (1 - t) * middle + t**2 * last))
            shade = (tone * rng.uniform(0.6, 1.5)).clip(0, 255).tolist()
            cv2.polylines(colour, [strand], False, shade, wide + 1, cv2.LINE_8, BITS)
            cv2.polylines(alpha, [strand], False, 255, wide, cv2.LINE_AA, BITS)
    return Layer(colour.astype(np.float32), opacity_of(alpha), shadow=0.35)


def _temples(face: CoveredFace, eyes: list[Doubles], across: Doubles, drop: Doubles) -> list[Doubles]:
    """Lines from the lenses to the sides of the head that are seen. Each of shape (2, 2), pixels."""
    nose = face.frame.find(face.group("nose")).mean(0) if len(face.group("nose")) else np.zeros(2)
    if len(eyes) == 1:
        away = np.array([np.sign(eyes[0][0] - nose[0]) * 1.2, -0.05])
        return [face.frame.place(np.stack([eyes[0] + drop + 0.3 * away, eyes[0] + drop + away]))]
    turned = float(((nose - (eyes[0] + eyes[1]) / 2) @ across) / (across @ across))
    lines = []
    for eye, sign in zip(eyes, (-1, 1), strict=True):
        seen = 0.25 - sign * turned
        if seen > 0:
            outer = eye + drop + sign * 0.38 * across
            lines.append(face.frame.place(np.stack([outer, outer + sign * min(1.5 * seen, 1.0) * across])))
    return lines


OCCLUDERS: Mapping[str, Callable[[CoveredFace], Layer]] = {
    "patch": patch,
    "texture": texture,
    "object": thing,
    "hand": hand,
    "glasses": glasses,
    "mask": mask,
    "hair": hair,
}
"""Occluders by name."""
CUT = ("patch", "object")
"""Those that are cut from other pictures."""
