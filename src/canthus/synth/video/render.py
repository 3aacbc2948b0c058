"""Draw faces of the model: a person in a pose under a light, with the points of every scheme that the model has.

The surface is matt under one far light and an ambient one [Lambert], with a small highlight [Blinn, 1977]; there are no
shadows. The camera is far away, as in `face3d.labels`. Each eye looks in the direction of `gaze`: the iris is a colour
on the eyeball, as the model's own iris lies below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.face3d.contour import vertex_normals
from canthus.face3d.morphable import SKIN, MorphableModel
from canthus.face3d.raster import Raster, rasterise, seen
from canthus.geometry.pose import rotation
from canthus.synth.video.skin import CORNER, TEXELS, Person, random_person, waves
from canthus.types import Floats, Image, as_image

Doubles = NDArray[np.float64]
Mask = NDArray[np.bool_]

SLACK = 0.3
"""A point is hidden only by a surface that lies nearer by more than this, cm."""
CENTRE = np.array([0.0, -0.5, -6.0])
"""Point of the head that is placed in the picture, cm."""
BREADTH = 16.0
"""Breadth of a face, cm."""
SHARPNESS = 20, 300
"""Exponent of the highlight on skin and on eyes."""
PUPIL, LIMBUS = 0.22, 0.5
"""Radius of pupil and iris over the eyeball's."""
SPOILING = ("mouthClose", "jawLeft", "jawRight", "Pupil", "eyeLook")
"""Beginnings of the names of expressions that random faces do not have."""
GAMMA = 2.2


@dataclass(frozen=True, eq=False)
class HeadState:
    """Expression, pose and position of a head.

    Attributes:
        expression: Expression weights, 0..1. Shape (E,).
        pose: Yaw, pitch, roll in degrees. Shape (3,).
        scale: Pixels per cm.
        shift: Position of the origin of the model. Shape (2,), pixels.
        gaze: Angles of the eyes to the right of the picture and down from straight ahead, degrees. Shape (2,).
    """

    expression: Doubles
    pose: Doubles
    scale: float
    shift: Doubles
    gaze: Doubles


@dataclass(frozen=True, eq=False)
class Light:
    """The light on a face.

    Attributes:
        direction: Direction to the light, a unit vector of the camera's axes (x right, y down, z away). Shape (3,).
        colour: Colour of the light. Shape (3,).
        ambient: Colour of the light from all sides. Shape (3,).
    """

    direction: Doubles
    colour: Doubles
    ambient: Doubles


@dataclass(frozen=True, eq=False)
class Rendering:
    """A picture of a face with its labels.

    Attributes:
        image: The picture. Shape (H, W, 3).
        points: Points of each scheme of the model on the true jaw, with depth. Shape (P, 3), pixels.
        labels: The same with the contour on the outline that is seen, as in 2D annotation. Shape (P, 3).
        visible: Which of `points` lie in the picture and are hidden by no surface. Shape (P,).
        pose: Yaw, pitch, roll in degrees. Shape (3,).
    """

    image: Image
    points: Mapping[str, Floats]
    labels: Mapping[str, Floats]
    visible: Mapping[str, Mask]
    pose: Floats


def render(model: MorphableModel, person: Person, view: HeadState, light: Light, background: Image) -> Rendering:
    """Draw a face.

    Args:
        model: The face model.
        person: A person of this model.
        view: Expression, pose and position.
        light: The light on the face.
        background: The background; the picture has its size. Shape (H, W, 3).

    Raises:
        ShapeError: the background is no image, or the expression not the model's.
    """
    size = as_image(background).shape[0], background.shape[1]
    if view.expression.shape != (len(model.expression),):
        raise ShapeError(f"the model has {len(model.expression)} expressions, not {view.expression.shape}")
    active = np.flatnonzero(view.expression)
    head = person.neutral + np.tensordot(view.expression[active].astype(np.float32), model.expression[active], 1)
    turned = rotation(view.pose)
    placed = view.scale * (head @ turned.T)
    placed[:, :2] += view.shift
    mesh = model.triangles[~model.region_mask(("iris_left", "iris_right"))[model.triangles].any(1)]
    raster = rasterise(placed, mesh, size, cull=True)
    image = _composed(background, _shaded(model, person, view, light, _Surface(placed, mesh, raster)), raster.covered)
    _turn_eyes(model, view, placed)
    points, labels, visible = {}, {}, {}
    for scheme, vertices in model.landmarks.points.items():
        points[scheme] = placed[vertices].astype(np.float32)
        labels[scheme] = placed[model.on_view(scheme, turned[None])[0]].astype(np.float32)
        visible[scheme] = seen(points[scheme], raster, model.normals[vertices] @ turned.T, SLACK * view.scale)
    return Rendering(image, points, labels, visible, view.pose.astype(np.float32))


def portrait(model: MorphableModel, seed: int, size: int = 256, background: Image | None = None) -> Rendering:
    """A random person in a random pose, light and expression.

    Args:
        model: The face model.
        seed: Seed of all random choices.
        size: Side of the picture, pixels.
        background: Cut to a square and scaled; None = smooth noise. Shape (H, W, 3).
    """
    rng = np.random.default_rng(seed)
    person = random_person(model, rng)
    expression = rng.uniform(0, 0.8, len(model.expression)) * (rng.random(len(model.expression)) < 0.08)
    expression[unused(model)] = 0
    pose = rng.uniform((-90, -25, -25), (90, 25, 25))
    scale = size * rng.uniform(0.45, 0.7) / BREADTH
    shift = framing(pose, scale, size / 2 + rng.normal(0, size / 25, 2))
    view = HeadState(expression, pose, scale, shift, rng.normal(0, 10, 2).clip(-25, 25))
    behind = backdrop(size, rng) if background is None else square(background, size)
    return render(model, person, view, random_light(rng), behind)


def unused(model: MorphableModel) -> Mask:
    """Expressions that spoil a face, as lips or teeth cross each other, or that `gaze` replaces. Shape (E,)."""
    return np.array([name.startswith(SPOILING) for name in model.expression_names], bool)


def framing(pose: NDArray[Any], scale: NDArray[Any] | float, centre: NDArray[Any]) -> Doubles:
    """The shifts (..., 2) that put the middle of heads in poses (..., 3) at a position (..., 2), pixels."""
    shift: Doubles = centre - np.asarray(scale)[..., None] * (rotation(pose) @ CENTRE)[..., :2]
    return shift


def light_from(azimuth: float, elevation: float, strength: float, ambient: float, warmth: float) -> Light:
    """A light.

    Args:
        azimuth: Angle of the light to the right of the camera, degrees.
        elevation: Angle of the light above the camera, degrees.
        strength: Strength of the light; with 1 a white surface facing it is just white.
        ambient: Strength of the light from all sides.
        warmth: Colour of the light, from -1 (bluish) to 1 (reddish).
    """
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    direction = np.array([np.sin(a) * np.cos(e), -np.sin(e), -np.cos(a) * np.cos(e)])
    tint = np.exp(0.2 * warmth * np.array([1.0, 0.0, -1.0]))
    return Light(direction, strength * tint, ambient / tint)


def random_light(rng: np.random.Generator) -> Light:
    """A random light in front of the face or beside it."""
    return light_from(*rng.uniform((-80, -10, 0.5, 0.15, -1), (80, 60, 1.3, 0.6, 1)))


def backdrop(size: int, rng: np.random.Generator) -> Image:
    """Smooth coloured noise. Shape (size, size, 3)."""
    side = -(-size // 4)
    positions = np.indices((side, side)).reshape(2, -1).T / side
    tints = (rng.normal(0, 1, (3, 1)) + rng.normal(0, 0.4, (3, 3))) * ((30,), (14,), (6,))
    noise = np.stack([waves(positions, rng, length, 6) for length in (4.0, 2.0, 0.8)], -1) @ tints
    noise += rng.uniform(50, 200) + rng.normal(0, 20, 3)
    small = noise.reshape(side, side, 3).astype(np.float32)
    return cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def square(image: Image, size: int) -> Image:
    """The middle of a picture, scaled. Shape (size, size, 3)."""
    height, width = as_image(image).shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = image[top : top + side, left : left + side]
    return cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@dataclass(frozen=True, eq=False)
class _Surface:
    """A head in the picture."""

    placed: Doubles
    mesh: NDArray[np.intp]
    raster: Raster


def _shaded(model: MorphableModel, person: Person, view: HeadState, light: Light, surface: _Surface) -> Floats:
    """Linear colour of the covered pixels. Shape (N, 3)."""
    skin = model.region_mask(SKIN)
    front = (skin * np.clip(-2.5 * model.normals[:, 2] - 0.25, 0, 1))[:, None]
    normals = vertex_normals(surface.placed, surface.mesh)
    carried = np.concatenate([normals, person.albedo, model.mean, front, skin[:, None]], 1).astype(np.float32)
    covered = surface.raster.covered
    corners = surface.mesh[surface.raster.triangle[covered]]
    pixels = np.einsum("nkc,nk->nc", carried[corners], surface.raster.weights[covered])
    normal, albedo, rest, painted, is_skin = np.split(pixels, [3, 6, 9, 10], 1)
    place = np.zeros((2, *covered.shape), np.float32)
    place[:, covered] = ((rest[:, :2] - CORNER) * TEXELS).T
    paint = cv2.remap(person.paint, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[covered]
    cover = paint[:, 3:] * painted
    albedo = albedo * (1 - cover) + paint[:, :3] * cover
    gloss, sharpness = person.gloss * is_skin, np.full_like(is_skin, SHARPNESS[0])
    for side in ("left", "right"):
        ball = model.region_mask((f"sclera_{side}",))
        if ball.any():
            inside = np.flatnonzero(ball[corners].all(1))
            albedo[inside] = _eye(model.mean[ball], rest[inside], view.gaze, albedo[inside], person.iris)
            gloss[inside], sharpness[inside] = 0.5, SHARPNESS[1]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    straight = np.maximum(normal @ light.direction.astype(np.float32), 0)[:, None]
    half = light.direction - np.array([0, 0, 1])
    half /= max(float(np.linalg.norm(half)), 1e-6)
    highlight = gloss * np.maximum(normal @ half.astype(np.float32), 0)[:, None] ** sharpness * (straight > 0)
    from_above = 0.85 - 0.15 * normal[:, 1:2]
    lit: Floats = albedo * (light.colour * straight + light.ambient * from_above) + highlight * light.colour
    return lit.astype(np.float32)


def _eye(ball: Floats, rest: Floats, gaze: Doubles, white: Floats, iris: Doubles) -> Floats:
    """Colour (N, 3) of positions (N, 3) on an eyeball."""
    middle = _middle(ball)
    ahead = _looking(gaze) @ (ball[ball[:, 2].argmin()] - middle)
    ahead /= np.linalg.norm(ahead)
    outward = rest - middle
    away = np.linalg.norm(outward / np.linalg.norm(outward, axis=1, keepdims=True) - ahead, axis=1)[:, None]
    in_iris, in_pupil = (np.clip((radius - away) / 0.06 + 0.5, 0, 1) for radius in (LIMBUS, PUPIL))
    rim = 1 - 0.6 * np.clip((away - 0.4) / 0.1, 0, 1)
    colour: Floats = (white * (1 - in_iris) + iris * rim * in_iris) * (1 - 0.95 * in_pupil)
    return colour.astype(np.float32)


def _looking(gaze: Doubles) -> Doubles:
    """The rotation of an eye in the head. Shape (3, 3)."""
    return rotation(np.array([gaze[0], -gaze[1], 0.0]))


def _turn_eyes(model: MorphableModel, view: HeadState, placed: Doubles) -> None:
    """Rotate the eyeballs of a head (V, 3) in the picture: their landmarks then lie where the pupils were drawn."""
    turned = rotation(view.pose)
    for side in ("left", "right"):
        ball = model.region_mask((f"sclera_{side}",))
        if ball.any():
            middle = _middle(placed[ball] @ turned) @ turned.T
            placed[ball] = (placed[ball] - middle) @ (turned @ _looking(view.gaze) @ turned.T).T + middle


def _middle(vertices: NDArray[Any]) -> Doubles:
    """Middle of the box around vertices (N, 3). Shape (3,)."""
    middle: Doubles = (vertices.min(0) + vertices.max(0)) / 2
    return middle


def _composed(background: Image, lit: Floats, covered: Mask) -> Image:
    """The face before the background, softened along its edge."""
    image = background.copy()
    image[covered] = (255 * lit.clip(0, 1) ** (1 / GAMMA)).round().astype(np.uint8)
    edge = cv2.morphologyEx(covered.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    image[edge] = cv2.GaussianBlur(image, (3, 3), 0.8)[edge]
    return image
