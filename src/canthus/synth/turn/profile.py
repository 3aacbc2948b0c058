"""Large poses from a photograph: the fitted head is textured with it and rotated further.

As face profiling of [Zhu et al., Face alignment across large poses, 2016], but only in the direction the face looks.

The part of the head that the photograph shows is a mesh; hair, neck and background are a grid behind it, whose depth
continues that of the head, as a membrane, to a plane at the border of the picture. Both are rotated about the axis of
the head, the grid less and less towards the border, where nothing moves; the nearest surface is drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError
from canthus.face3d.fit import Fit
from canthus.face3d.morphable import MorphableModel
from canthus.face3d.raster import rasterise, seen
from canthus.geometry.crop import box_of, crop_matrix
from canthus.geometry.pixels import cut, nearest
from canthus.geometry.pose import angles, rotate, rotation
from canthus.geometry.transform import Matrix, apply, scale_of
from canthus.types import Floats, Image, as_image

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

SLACK = 0.5
"""Depth behind the skin at which a landmark is still seen: pupils behind lids, lips in folds. cm"""
BEHIND = 0.2
"""Depth of the grid behind the skin, so that it does not show through, cm."""
GRAZING = 0.1
"""Skin whose angle to the line of sight has a smaller cosine is not textured."""
RELAX = 300
"""Number of relaxation steps of the membrane."""
FADE = 0.5
"""Share of the distance from the border of the picture to the box of the face over which the rotation fades out."""
FRONTAL = 10.0
"""Largest azimuth of a face that may be rotated to either side, degrees."""
OUTLINES_TO = 60.0
"""Largest azimuth at which a 2D contour is labelled, degrees."""


@dataclass(frozen=True)
class ProfileOptions:
    """Size of the views, and limits for photographs.

    Attributes:
        size: Side of the pictures, pixels.
        margin: Side of a picture over the longer side of the box of the 68 points.
        spacing: Spacing of the grid of the surroundings, pixels.
        residual: Largest error of a fit, as a share of the inter-ocular distance.
        cap: Largest azimuth of a view, degrees.
        stray: Largest share of the cheek coming to the front that may look unlike skin.
    """

    size: int = 256
    margin: float = 2.0
    spacing: int = 3
    residual: float = 0.05
    cap: float = 90.0
    stray: float = 0.3


@dataclass(frozen=True, eq=False)
class Relief:
    """A photograph with depth: the picture, and the surfaces it is mapped on. Pixels are those of the picture.

    Attributes:
        picture: Crop of the photograph. Shape (S, S, 3).
        matrix: Matrix from the photograph to the picture. Shape (2, 3).
        head: All vertices of the model. Shape (V, 3).
        rotation: Rotation of the head. Shape (3, 3).
        scale: Pixels per cm.
        nodes: Vertices of the surfaces. Shape (N, 3).
        triangles: Triangles of the nodes. Shape (T, 3).
        rigidity: Share of a rotation that each node takes part in, 0 at the border of the picture. Shape (N,).
        error: Error of the fit, as a share of the inter-ocular distance.
        strays: Share of the right and of the left cheek that looks unlike skin.
    """

    picture: Image
    matrix: Matrix
    head: Doubles
    rotation: Doubles
    scale: float
    nodes: Doubles
    triangles: Indices
    rigidity: Doubles
    error: float
    strays: tuple[float, float]

    @property
    def pose(self) -> Doubles:
        """Yaw, pitch, roll of the photograph, degrees. Shape (3,)."""
        return angles(self.rotation)

    @property
    def azimuth(self) -> float:
        """Yaw about the axis of the head, degrees: a rotation adds to it. It is the yaw itself where the pitch is 0."""
        return float(np.rad2deg(np.arctan2(self.rotation[2, 0], self.rotation[2, 2])))


@dataclass(frozen=True, eq=False)
class RotatedView:
    """A rotated face.

    Attributes:
        image: The picture. Shape (S, S, 3).
        points: Landmarks of each scheme of the model, on the true jaw, with depth. Shapes (P, 3), pixels.
        outlines: The same with the contour on the outline that is seen, as in 2D annotation; empty beyond 60 degrees,
            where there is no such contour. Shapes (P, 3), pixels.
        visible: Which of `points` lie in the picture and are not hidden by skin. Shapes (P,).
        pose: Yaw, pitch, roll, degrees. Shape (3,).
        azimuth: Yaw about the axis of the head, degrees.
    """

    image: Image
    points: Mapping[str, Floats]
    outlines: Mapping[str, Floats]
    visible: Mapping[str, Mask]
    pose: Floats
    azimuth: float


def prepare(
    image: Image, model: MorphableModel, fit: Fit, face: int = 0, options: ProfileOptions | None = None
) -> Relief:
    """Prepare a photograph: everything that its views have in common.

    Args:
        image: The photograph. Shape (H, W, 3).
        model: The face model.
        fit: Fits of faces.
        face: Number of the face in the photograph.
        options: Size and limits.

    Raises:
        ShapeError: this face could not be fitted.
    """
    image, options = as_image(image), options or ProfileOptions()
    if fit.problems[face]:
        raise ShapeError(f"face {face} was not fitted: {fit.problems[face]}")
    turned, enlarged = fit.camera.rotation[face], float(fit.camera.scale[face])
    in_photograph = enlarged * fit.head(model, face) @ turned.T
    in_photograph[:, :2] += fit.camera.shift[face]
    box = box_of(in_photograph[model.landmarks.of("68")])
    matrix = crop_matrix(box, options.size, options.margin)
    picture = cut(image, matrix, options.size)
    head = apply(matrix, in_photograph)
    scale = enlarged * float(scale_of(matrix))
    normals = model.normals @ turned.T
    drawn = rasterise(head, model.skin, (options.size, options.size), cull=True)
    nodes, triangles = _surface(head, model, seen(head, drawn, normals, BEHIND / 2 * scale), scale, options)
    return Relief(
        picture=picture,
        matrix=matrix,
        head=head,
        rotation=turned,
        scale=scale,
        nodes=nodes,
        triangles=triangles,
        rigidity=_rigidity(nodes[:, :2], box_of(head[model.landmarks.of("68")]), options.size),
        error=float(fit.error[face]),
        strays=_strays(picture, head, model, seen(head, drawn, normals, 2.0)),
    )


def find_problem(relief: Relief, turn: float, options: ProfileOptions | None = None) -> str:
    """Reason why a view is refused; empty = it is not.

    Args:
        relief: The photograph.
        turn: Rotation, > 0 towards the subject's left, degrees.
        options: Size and limits.
    """
    options = options or ProfileOptions()
    yaw = relief.azimuth
    if not relief.error <= options.residual:
        return f"the fit is {relief.error:.1%} off its labels, more than {options.residual:.1%}"
    if abs(yaw + turn) > options.cap:
        return f"the view would have an azimuth of {yaw + turn:.0f} degrees, beyond {options.cap:.0f}"
    if turn * yaw < 0 and abs(yaw) > FRONTAL:
        return f"a rotation by {turn:.0f} degrees shows a side that the photograph, at {yaw:.0f} degrees, hides"
    side = "right" if turn > 0 else "left"
    stray = relief.strays[side == "left"] if turn else 0.0
    if stray > options.stray:
        return f"{stray:.0%} of the {side} cheek look unlike skin: background or hair lies on it"
    return ""


def choose_turn(azimuth: float, rng: np.random.Generator, cap: float = 90.0) -> float:
    """A random rotation in the direction a face looks: mostly by 20 to 40 degrees, one in seven by up to 60.

    Args:
        azimuth: Azimuth of the photograph, degrees.
        rng: Random numbers.
        cap: Largest azimuth of the view, degrees.

    Returns:
        Degrees with the sign of the azimuth; with any sign for a face seen from the front. 0 beyond the cap.
    """
    sign = rng.choice([-1.0, 1.0]) if abs(azimuth) < FRONTAL / 2 else float(np.sign(azimuth))
    turn = rng.uniform(40, 60) if rng.random() < 1 / 7 else rng.uniform(20, 40)
    return float(sign * max(0.0, min(turn, cap - sign * azimuth)))


def view(relief: Relief, model: MorphableModel, turn: float) -> RotatedView:
    """The face rotated about the axis of its head.

    Args:
        relief: The photograph.
        model: The face model.
        turn: Rotation, > 0 towards the subject's left: the nose moves to the right of the image. Degrees.
    """
    size = (len(relief.picture), len(relief.picture))
    axis = relief.rotation[:, 1]
    centre = relief.head[model.landmarks.of("68")].mean(0)
    placed = rotate(relief.nodes - centre, axis, -np.deg2rad(turn * relief.rigidity)) + centre
    drawn = rasterise(placed, relief.triangles, size)
    source = drawn.interpolate(relief.nodes[:, :2], relief.triangles, -1)
    x, y = np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1])
    image = cv2.remap(relief.picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    head = rotate(relief.head - centre, axis, -np.deg2rad([turn])) + centre
    skin = rasterise(head, model.skin, size, cull=True)
    now = relief.rotation @ rotation(np.array([turn, 0.0, 0.0]))
    visible = seen(head, skin, model.normals @ now.T, SLACK * relief.scale)
    points = model.landmarks.points
    labelled = model.landmarks.lines if abs(relief.azimuth + turn) <= OUTLINES_TO else {}
    return RotatedView(
        image=image.astype(np.uint8, copy=False),
        points={name: head[vertices].astype(np.float32) for name, vertices in points.items()},
        outlines={name: head[model.on_view(name, now[None])[0]].astype(np.float32) for name in labelled},
        visible={name: visible[vertices] for name, vertices in points.items()},
        pose=angles(now).astype(np.float32),
        azimuth=relief.azimuth + turn,
    )


def _surface(
    head: Doubles, model: MorphableModel, shown: Mask, scale: float, options: ProfileOptions
) -> tuple[Doubles, Indices]:
    """Nodes and triangles of the visible skin, of closed eyes and mouth, and of the grid behind."""
    corners = head[model.skin]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = normal[:, 2] < -GRAZING * np.linalg.norm(normal, axis=1)
    skin = model.skin[facing & shown[model.skin].all(1)]
    loops = list(model.landmarks.holes.values())
    filled = np.concatenate([head, *(head[loop].mean(0, keepdims=True) for loop in loops)])
    fans = [np.stack([loop, np.roll(loop, -1), np.full(len(loop), len(head) + i)], -1) for i, loop in enumerate(loops)]
    hole = np.concatenate([*fans, np.zeros((0, 3), np.intp)])
    grid, cells = _grid(filled, np.concatenate([skin, hole]), model.landmarks.of("68"), scale, options)
    return np.concatenate([filled, grid]), np.concatenate([skin, hole, cells + len(filled)])


def _grid(
    head: Doubles, triangles: Indices, ears: Indices, scale: float, options: ProfileOptions
) -> tuple[Doubles, Indices]:
    """The surroundings: nodes behind the skin, and around it on a membrane that ends in a plane at the border."""
    size = options.size
    count = round((size - 1) / options.spacing) + 1
    ticks = np.linspace(0, size - 1, count)
    drawn = rasterise(head, triangles, (size, size))
    places = ticks.round().astype(np.intp)
    depth = drawn.depth[np.ix_(places, places)].astype(np.float64) + BEHIND * scale
    fixed = np.isfinite(depth)
    fixed[[0, -1]] = fixed[:, [0, -1]] = True
    back = head[ears[[0, 16]], 2].mean()  # between the ears runs the axis of the head
    depth[~np.isfinite(depth)] = back
    depth[[0, -1]] = depth[:, [0, -1]] = back
    for _ in range(RELAX):
        around = (depth[:-2, 1:-1] + depth[2:, 1:-1] + depth[1:-1, :-2] + depth[1:-1, 2:]) / 4
        depth[1:-1, 1:-1] = np.where(fixed[1:-1, 1:-1], depth[1:-1, 1:-1], around)
    x, y = np.meshgrid(ticks, ticks)
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count, corner + count + 1
    return np.stack([x, y, depth], -1).reshape(-1, 3), np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _rigidity(places: Doubles, box: Floats, size: int) -> Doubles:
    """1 on the face and near its box, falling smoothly to 0 at the border. Shape (N,)."""
    x, y = places.T
    gaps = np.maximum([box[0], size - 1 - box[2], box[1], size - 1 - box[3]], 2.0)
    rigid = np.ones(len(places))
    for far, gap in zip((x, size - 1 - x, y, size - 1 - y), gaps, strict=True):
        share = (far / (FADE * gap)).clip(0, 1)
        rigid *= share**2 * (3 - 2 * share)
    return rigid


def _strays(picture: Image, head: Doubles, model: MorphableModel, shown: Mask) -> tuple[float, float]:
    """Share of the visible right and left cheek whose colour differs from that of nose and inner cheeks.

    Lightness has a weight of a third, as a cheek may lie in shadow.
    """
    points = model.mean[model.landmarks.of("68")]
    half = float(np.abs(points[[0, 16], 0]).mean())
    across, down = model.mean[:, 0] / half, model.mean[:, 1]
    face = model.region_mask(("face",)) & shown
    face &= (down > points[[36, 45], 1].mean() + 1) & (down < points[57, 1])
    face &= model.mean[:, 2] < points[[0, 16], 2].mean()
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[nearest(head[:, :2], picture.shape[:2])].astype(np.float64)
    inner = lab[face & (np.abs(across) < 0.5)]
    if not len(inner):
        return 1.0, 1.0
    typical = np.median(inner, axis=0)
    spread = np.maximum(1.5 * np.median(np.abs(inner - typical), axis=0), (15, 4, 4))
    unlike = np.linalg.norm((lab - typical) / spread / (3, 1, 1), axis=1) > 3
    right, left = (unlike[face & (side * across > 0.6)] for side in (-1, 1))
    return float(right.mean()) if len(right) else 1.0, float(left.mean()) if len(left) else 1.0
