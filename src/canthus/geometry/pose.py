"""Head pose: angles and rotations, weak perspective, and perspective for a known camera.

Axes of the image and of the model alike: x right, y down, z away from the viewer (right-handed). The model faces the
viewer: its nose points to -z. A pose is (yaw, pitch, roll) in degrees, R = Rz(roll) Ry(yaw) Rx(pitch), signed so that

    * yaw > 0: the subject turns to the subject's left, the nose moves to the right of the image;
    * pitch > 0: the subject looks up;
    * roll > 0: the head is turned clockwise on the screen, as by `transform.similarity(angle=roll)`.

Laws (tested): `angles(rotation(p)) == p` for |yaw| < 90; turning the image by a adds a to roll; mirroring it negates
yaw and roll.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from canthus.errors import ShapeError

Doubles = NDArray[np.float64]


def rotation(pose: NDArray[Any]) -> Doubles:
    """The rotation of a pose.

    Args:
        pose: Yaw, pitch, roll in degrees. Shape (..., 3).

    Returns:
        Shape (..., 3, 3).
    """
    sine, cosine = np.sin(np.deg2rad(pose)), np.cos(np.deg2rad(pose))
    (sy, sp, sr), (cy, cp, cr) = np.moveaxis(sine, -1, 0), np.moveaxis(cosine, -1, 0)
    rows = (
        (cr * cy, cr * sy * sp - sr * cp, -cr * sy * cp - sr * sp),
        (sr * cy, sr * sy * sp + cr * cp, -sr * sy * cp + cr * sp),
        (sy, -cy * sp, cy * cp),
    )
    return np.stack([np.stack(row, -1) for row in rows], -2)


def angles(matrix: NDArray[Any]) -> Doubles:
    """The pose of a rotation; at a yaw of 90 degrees, where pitch and roll are one, roll is 0.

    Args:
        matrix: Shape (..., 3, 3).

    Returns:
        Yaw in -90..90, pitch and roll in -180..180, degrees. Shape (..., 3).
    """
    m = np.asarray(matrix, np.float64)
    cosine = np.hypot(m[..., 0, 0], m[..., 1, 0])
    profile = cosine < 1e-7
    yaw = np.arctan2(m[..., 2, 0], cosine)
    pitch = np.where(profile, np.arctan2(m[..., 1, 2], m[..., 1, 1]), np.arctan2(-m[..., 2, 1], m[..., 2, 2]))
    roll = np.where(profile, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    pose: Doubles = np.rad2deg(np.stack([yaw, pitch, roll], -1))
    return pose


def azimuth(matrix: NDArray[Any]) -> Doubles:
    """Yaw about the axis of the head, what a turn about it adds to; the yaw itself where the pitch is 0.

    Args:
        matrix: Rotations. Shape (..., 3, 3).

    Returns:
        Degrees. Shape (...).
    """
    matrix = np.asarray(matrix, np.float64)
    return np.asarray(np.rad2deg(np.arctan2(matrix[..., 2, 0], matrix[..., 2, 2])))


def rotate(vectors: NDArray[Any], axis: NDArray[Any], angle: NDArray[Any]) -> Doubles:
    """Vectors turned about an axis, right-handed: Rodrigues' formula.

    Args:
        vectors: Shape (..., N, 3).
        axis: Of unit length, or 0 where nothing turns. Shape (..., 3).
        angle: Of each vector, radians. Shape (..., N) or (..., 1).

    Returns:
        Shape (..., N, 3).
    """
    along = (vectors @ axis[..., None]) * axis[..., None, :]
    angle = angle[..., None]
    turned: Doubles = along + (vectors - along) * np.cos(angle) + np.cross(axis[..., None, :], vectors) * np.sin(angle)
    return turned


def rotation_about(vectors: NDArray[Any]) -> Doubles:
    """The rotations of rotation vectors: each turns about its vector by its length in radians.

    Args:
        vectors: Shape (..., 3).

    Returns:
        Shape (..., 3, 3).
    """
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    axis = vectors / np.where(angle > 1e-100, angle, np.inf)  # squares of less underflow
    return np.swapaxes(rotate(np.eye(3), axis, angle), -1, -2)


@dataclass(frozen=True, eq=False)
class WeakPerspective:
    """A camera far away, for each face: x = scale * (R X)[:2] + shift.

    Attributes:
        scale: Pixels over the model's unit. Shape (F,).
        rotation: Shape (F, 3, 3).
        shift: Pixels. Shape (F, 2).
        residual: Weighted root mean square distance of the points from the projected model, pixels. Shape (F,).
    """

    scale: Doubles
    rotation: Doubles
    shift: Doubles
    residual: Doubles

    @property
    def pose(self) -> Doubles:
        """Yaw, pitch, roll in degrees. Shape (F, 3)."""
        return angles(self.rotation)

    def project(self, model: NDArray[Any]) -> Doubles:
        """Where the points of a model (P, 3), or of one a face (F, P, 3), lie in the images, with depth in pixels.

        Returns:
            Shape (F, P, 3).
        """
        placed: Doubles = model @ (self.scale[:, None, None] * np.swapaxes(self.rotation, 1, 2))
        placed[..., :2] += self.shift[:, None]
        return placed


def weak_perspective(points: NDArray[Any], model: NDArray[Any], weights: NDArray[Any] | None = None) -> WeakPerspective:
    """The weak perspective cameras that bring a model near to points.

    The affine camera of least squares, then the nearest scaled rotation: closed form, exact on exact points.

    Args:
        points: Shape (F, P, 2), pixels; NaN has weight 0.
        model: Shape (P, 3).
        weights: Shape (F, P) or (P,), >= 0; all one by default.

    Returns:
        One camera a face; all NaN where the weighted points do not determine it (fewer than four, or in a plane).

    Raises:
        ShapeError: the shapes do not fit.
    """
    points, model = np.asarray(points, np.float64), np.asarray(model, np.float64)
    if points.ndim != 3 or points.shape[2] != 2 or model.shape != (points.shape[1], 3):
        raise ShapeError(f"points are (F, P, 2) and the model is (P, 3), not {points.shape} and {model.shape}")
    seen = np.isfinite(points).all(-1)
    weight = np.where(seen, 1.0 if weights is None else np.asarray(weights, np.float64), 0.0)  # (F, P)
    total = np.maximum(weight.sum(1), 1e-30)
    share = (weight / total[:, None])[..., None]
    points = np.where(seen[..., None], points, 0.0)
    image_centre, model_centre = (share * points).sum(1), (share * model).sum(1)
    x, solid = points - image_centre[:, None], model - model_centre[:, None]
    spread = np.swapaxes(share * solid, 1, 2) @ solid  # (F, 3, 3)
    known = np.linalg.det(spread) > 1e-9 * np.maximum(np.trace(spread, axis1=1, axis2=2) / 3, 1e-30) ** 3
    spread[~known] = np.eye(3)
    affine = np.swapaxes(np.linalg.solve(spread, np.swapaxes(share * solid, 1, 2) @ x), 1, 2)  # (F, 2, 3)
    u, stretch, v = np.linalg.svd(affine, full_matrices=False)
    known &= stretch[:, 1] > 1e-9 * stretch[:, 0]
    first, second = np.swapaxes(u @ v, 0, 1)
    found = np.stack([first, second, np.cross(first, second)], 1)
    scale = stretch.mean(1)
    shift = image_centre - scale[:, None] * (found[:, :2] @ model_centre[..., None])[..., 0]
    far = ((x - scale[:, None, None] * (solid @ np.swapaxes(found[:, :2], 1, 2))) ** 2).sum(-1)
    parts = (scale, found, shift, np.sqrt((share[..., 0] * far).sum(1)))
    for part in parts:
        part[~known] = np.nan
    return WeakPerspective(*parts)


def pose_from_points(points: NDArray[Any], model: NDArray[Any], weights: NDArray[Any] | None = None) -> Doubles:
    """Yaw, pitch, roll of faces by `weak_perspective`, with its arguments. Shape (F, 3), degrees."""
    return weak_perspective(points, model, weights).pose


def perspective(points: NDArray[Any], model: NDArray[Any], camera: NDArray[Any]) -> tuple[Doubles, Doubles]:
    """Rotation and place of a head before a known camera: SQPnP [Terzakis and Lourakis, 2020], refined by OpenCV.

    Args:
        points: Shape (P, 2), pixels; NaN is left out.
        model: Shape (P, 3).
        camera: Intrinsic matrix, pixels. Shape (3, 3).

    Returns:
        Rotation (3, 3) and translation (3,) in the model's unit: X in the camera's axes is R X + t.

    Raises:
        ShapeError: the shapes do not fit, or the points do not determine a pose.
    """
    points, model = np.asarray(points, np.float64), np.asarray(model, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or model.shape != (len(points), 3):
        raise ShapeError(f"points are (P, 2) and the model is (P, 3), not {points.shape} and {model.shape}")
    seen = np.isfinite(points).all(1)
    points, model = np.ascontiguousarray(points[seen]), np.ascontiguousarray(model[seen])
    if len(points) < 4:
        raise ShapeError(f"a perspective pose needs four points, {len(points)} are given")
    found, turn, shift = cv2.solvePnP(model, points, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        raise ShapeError("the points determine no pose before this camera")
    turn, shift = cv2.solvePnPRefineLM(model, points, camera, None, turn, shift)
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(shift[:, 0], np.float64)
